//! The flags that say who belongs to the cluster. With the embedded journal that is one member.

use std::collections::BTreeMap;

use super::flags::{Fault, Flags};
use super::identity::Identity;
use super::url::{self, Url};

/// `--initial-cluster-state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialClusterState {
    /// An empty data directory begins a new cluster.
    New,
    /// There has to be a cluster already: an empty data directory is refused.
    Existing,
}

/// The one member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) peer_urls: Vec<Url>,
    pub(crate) identity: Identity,
    pub(crate) state: InitialClusterState,
}

impl Member {
    pub(crate) fn resolve(flags: &Flags, name: &str) -> Result<Self, String> {
        let advertised = flags.urls("initial-advertise-peer-urls");
        for url in &advertised {
            url.check_host().map_err(|why| {
                let url = url.as_str();
                format!("--initial-advertise-peer-urls {url:?} must be \"host:port\" ({why})")
            })?;
        }
        let state = match flags.text("initial-cluster-state").as_str() {
            "existing" => InitialClusterState::Existing,
            _ => InitialClusterState::New,
        };
        check_discovery(flags)?;
        let peer_urls = match flags.text("initial-cluster") {
            _ if name.is_empty() => return Err("--name must not be empty".to_owned()),
            _ if !flags.is_set("initial-cluster") => advertised,
            text => of_initial_cluster(&text, name, advertised, flags)?,
        };
        let token = flags.text("initial-cluster-token");
        let identity = Identity::of_single_member(&peer_urls, &token);
        Ok(Self { peer_urls, identity, state })
    }
}

/// The identity that these arguments give a member that is restored.
pub(crate) fn restored_identity(arguments: &[String]) -> Result<Identity, String> {
    let mut flags = Flags::default();
    flags.read_arguments(arguments).map_err(|fault| match fault {
        Fault::Help => "--help has no value".to_owned(),
        Fault::Syntax(why) | Fault::Stray(why) => why,
    })?;
    Member::resolve(&flags, &flags.text("name")).map(|member| member.identity)
}

fn check_discovery(flags: &Flags) -> Result<(), String> {
    let given = |name: &str| !flags.text(name).is_empty();
    let endpoints = flags.list("discovery-endpoints");
    let members = flags.is_set("initial-cluster") && given("initial-cluster");
    let ways = [members, given("discovery-srv"), !endpoints.is_empty()];
    if ways.iter().filter(|way| **way).count() > 1 {
        return Err("multiple discovery or bootstrap flags are set. Choose one of \
                    \"initial-cluster\", \"discovery-endpoints\" or \"discovery-srv\""
            .to_owned());
    }
    if given("discovery-token") == endpoints.is_empty() {
        return Err("both --discovery-token and --discovery-endpoints must be set".to_owned());
    }
    if given("discovery-srv") || given("discovery-srv-name") || !endpoints.is_empty() {
        return Err("discovery finds the members of a new cluster, and the embedded journal has \
                    only one: remove the --discovery flags"
            .to_owned());
    }
    Ok(())
}

/// The local member's URLs in `--initial-cluster`, refusing what cannot be one member.
fn of_initial_cluster(
    text: &str,
    name: &str,
    advertised: Vec<Url>,
    flags: &Flags,
) -> Result<Vec<Url>, String> {
    let members = parse(text)?;
    if members.len() > 1 {
        return Err(format!(
            "--initial-cluster names {} members ({}), but the embedded journal is kept by one \
             machine alone; set --initial-cluster={name}={} to run one member, or choose a shared \
             journal with --journal in a later release",
            members.len(),
            members.keys().cloned().collect::<Vec<_>>().join(", "),
            join(&advertised),
        ));
    }
    let Some(urls) = members.get(name) else {
        return Err(format!(
            "couldn't find local name {name:?} in the initial cluster configuration: --name and \
             the name in --initial-cluster={text} must be the same"
        ));
    };
    if urls.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(format!("initial cluster {text} has duplicate url"));
    }
    if flags.is_set("initial-advertise-peer-urls") && *urls != advertised {
        return Err(format!(
            "--initial-cluster has {name}={} but --initial-advertise-peer-urls={}: set both to the \
             same URLs",
            join(urls),
            join(&advertised),
        ));
    }
    Ok(urls.clone())
}

fn parse(text: &str) -> Result<BTreeMap<String, Vec<Url>>, String> {
    let mut members: BTreeMap<String, Vec<Url>> = BTreeMap::new();
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let (name, url) = item.split_once('=').unwrap_or((item, ""));
        let urls = url::parse_list(url).map_err(|why| format!("--initial-cluster: {why}"))?;
        members.entry(name.to_owned()).or_default().extend(urls);
    }
    members.values_mut().for_each(|urls| urls.sort());
    Ok(members)
}

fn join(urls: &[Url]) -> String {
    urls.iter().map(Url::as_str).collect::<Vec<_>>().join(",")
}
