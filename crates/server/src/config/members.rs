//! The flags that say who belongs to the cluster: one member with the embedded journal; with a shared one
//! those that found it, after which the journal knows better.

use std::collections::BTreeMap;

use super::flags::{Fault, Flags};
use super::identity::{self, Identity};
use super::url::{self, Url};

/// `--initial-cluster-state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialClusterState {
    /// An empty data directory begins a new cluster.
    New,
    /// There has to be a cluster already: an empty data directory is refused.
    Existing,
}

/// One of those that found a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founder {
    /// As etcd numbers it.
    pub member_id: u64,
    /// Where the others reach it.
    pub peer_urls: Vec<Url>,
}

/// This member, and those it begins with.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) peer_urls: Vec<Url>,
    pub(crate) identity: Identity,
    pub(crate) founders: Vec<Founder>,
    pub(crate) token: String,
    pub(crate) state: InitialClusterState,
}

impl Member {
    pub(crate) fn resolve(flags: &Flags, name: &str, shared: bool) -> Result<Self, String> {
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
        let token = flags.text("initial-cluster-token");
        let alone = |urls: Vec<Url>| BTreeMap::from([(name.to_owned(), urls)]);
        let members = match flags.text("initial-cluster") {
            _ if name.is_empty() => return Err("--name must not be empty".to_owned()),
            _ if !flags.is_set("initial-cluster") => alone(advertised),
            text if shared => of_shared(&text, name, advertised, flags)?,
            text => alone(of_initial_cluster(&text, name, advertised, flags)?),
        };
        let founders = members.values().map(|urls| Founder {
            member_id: identity::member_id(urls, &token),
            peer_urls: urls.clone(),
        });
        let founders = founders.collect();
        let peer_urls = members.get(name).cloned().unwrap_or_default();
        let mut identity = Identity::of_single_member(&peer_urls, &token);
        if shared {
            identity.cluster_id = identity::shared_cluster_id(&token);
        }
        Ok(Self { peer_urls, identity, founders, token, state })
    }
}

/// The identity that these arguments give a member that is restored.
pub(crate) fn restored_identity(arguments: &[String]) -> Result<Identity, String> {
    let mut flags = Flags::default();
    flags.read_arguments(arguments).map_err(|fault| match fault {
        Fault::Help => "--help has no value".to_owned(),
        Fault::Syntax(why) | Fault::Stray(why) => why,
    })?;
    Member::resolve(&flags, &flags.text("name"), false).map(|member| member.identity)
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
        return Err(
            "discovery finds the members of a new cluster, and here the journal knows them: \
                    remove the --discovery flags"
                .to_owned(),
        );
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
             machine alone; set --initial-cluster={name}={} to run one member, or share a journal with \
             --journal=postgres://USER@HOST/DATABASE or cosmos://ACCOUNT/DATABASE/CONTAINER",
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

/// All members, with etcd's rules for this one.
fn of_shared(
    text: &str,
    name: &str,
    advertised: Vec<Url>,
    flags: &Flags,
) -> Result<BTreeMap<String, Vec<Url>>, String> {
    let members = parse(text)?;
    let Some(own) = members.get(name) else {
        return Err(format!(
            "couldn't find local name {name:?} in the initial cluster configuration: --name and one of \
             the names in --initial-cluster={text} must be the same"
        ));
    };
    // As in etcd, one that joins has been announced before.
    if flags.text("initial-cluster-state") != "existing" {
        let absent = |from: &[Url], of: &[Url]| {
            let absent = from.iter().filter(|url| !of.contains(url));
            absent.map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",")
        };
        let (missing, surplus) = (absent(own, &advertised), absent(&advertised, own));
        if !missing.is_empty() {
            return Err(format!(
                "--initial-cluster has {missing} but missing from --initial-advertise-peer-urls={}",
                join(&advertised)
            ));
        }
        if !surplus.is_empty() {
            return Err(format!(
                "--initial-advertise-peer-urls has {surplus} but missing from --initial-cluster={name}={}",
                join(own)
            ));
        }
    }
    let mut all: Vec<&Url> = members.values().flatten().collect();
    all.sort();
    if all.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(format!("initial cluster {text} has duplicate url"));
    }
    Ok(members)
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
