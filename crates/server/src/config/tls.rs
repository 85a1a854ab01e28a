//! TLS towards clients as the flags have it: the files, who may come in, and which versions and
//! suites; with etcd's rules and, where it has some, etcd's words. No file is opened here.

use std::path::{Path, PathBuf};

use rustls::CipherSuite;

use super::flags::Flags;
use super::notice::Notice;
use super::suites;
use super::table::ALLOWED_CN;
use super::url::Url;

/// Years after which Go's durations, and so etcd's certificates, run over.
const MOST_YEARS: u64 = 292;

/// How the server proves who it is, and who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Towards whom.
    pub side: Side,
    /// The chain, leaf first, PEM.
    pub cert_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
    /// How the two files are made where one of them is missing; `None` does not make them.
    pub self_signed: Option<SelfSigned>,
    /// Certificate and key that are shown where this side calls, if not those above. Towards clients
    /// only etcd's JSON gateway does that: nothing of the kind is needed here, but as in etcd they must
    /// fit each other.
    pub calling: Option<(PathBuf, PathBuf)>,
    /// The CAs of clients, PEM. Where it is set, each client must show a certificate.
    pub trusted_ca_file: Option<PathBuf>,
    /// Whether each client must show a certificate even without that file, then of one of the
    /// system's CAs. Authorization takes a caller's name from its certificate only if this is set.
    pub client_cert_auth: bool,
    /// What has been revoked, DER.
    pub client_crl_file: Option<PathBuf>,
    /// Which of the clients with a good certificate may come in.
    pub allowed: AllowedClients,
    /// Suites of TLS 1.2; empty is all there are. Those of 1.3 are always on, as in Go.
    pub cipher_suites: Vec<CipherSuite>,
    /// Which versions are spoken.
    pub versions: TlsVersions,
}

/// Who is on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Clients.
    Clients,
    /// Other replicas: they are called as well, and their certificates are compared with the address
    /// they come from, unless that is switched off.
    Peers {
        /// `--peer-skip-client-san-verification`
        any_address: bool,
    },
}

/// A certificate that the server makes for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfSigned {
    /// Names and addresses it is valid for.
    pub hosts: Vec<String>,
    /// Years that it is valid for.
    pub years: u64,
}

/// Which clients may come in, by what their certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedClients {
    /// All.
    Any,
    /// Those whose common name is one of these.
    CommonNames(Vec<String>),
    /// Those whose certificate is valid for one of these names or addresses.
    Hostnames(Vec<String>),
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    Both,
    /// 1.2 alone.
    Only12,
    /// 1.3 alone.
    Only13,
}

impl Tls {
    /// Whether each client must show a certificate.
    #[must_use]
    pub fn demands_certificate(&self) -> bool {
        self.client_cert_auth || self.trusted_ca_file.is_some()
    }
}

/// Where the server listens: for clients, for HTTP clients, for metrics.
pub(crate) type Urls = [Vec<Url>; 3];

/// Resolves the flags; `None` where no listener speaks TLS.
pub(crate) fn resolve(
    flags: &Flags,
    from_file: bool,
    listened: &Urls,
    data_dir: &Path,
    notices: &mut Vec<Notice>,
) -> Result<Option<Tls>, String> {
    let versions = versions(flags)?;
    suites::check(&flags.list("cipher-suites"))?;
    let years = years(flags, from_file)?;
    let [cert, key] = ["cert-file", "key-file"].map(|name| flags.text(name));
    let given = !(cert.is_empty() && key.is_empty());
    let auto = flags.switch("auto-tls");
    if auto && given {
        notices.push(Notice::warning("auto-tls", "ignoring client auto TLS since certs given"));
    }
    warn_of_plaintext(flags, given || auto, listened, notices);
    if !asked(listened, given || auto)? {
        return Ok(None);
    }
    let fixtures = data_dir.join("fixtures").join("client");
    let (cert_file, key_file) = if given {
        if cert.is_empty() || key.is_empty() {
            return Err(format!(
                "KeyFile and CertFile must both be present[key: {key}, cert: {cert}]: set both of \
                 --cert-file and --key-file"
            ));
        }
        (PathBuf::from(cert), PathBuf::from(key))
    } else {
        (fixtures.join("cert.pem"), fixtures.join("key.pem"))
    };
    let tls = Tls {
        side: Side::Clients,
        cert_file,
        key_file,
        self_signed: (!given)
            .then(|| SelfSigned { hosts: hosts(listened[0].iter().chain(&listened[1])), years }),
        calling: calling(flags, "")?,
        trusted_ca_file: file(flags, "trusted-ca-file"),
        client_cert_auth: flags.switch("client-cert-auth"),
        client_crl_file: file(flags, "client-crl-file"),
        allowed: allowed(flags, ALLOWED_CN, "client-cert-allowed-hostname")?,
        cipher_suites: suites_of(flags, versions)?,
        versions,
    };
    warn_of_gaps(&tls, notices);
    Ok(Some(tls))
}

pub(super) fn file(flags: &Flags, name: &str) -> Option<PathBuf> {
    Some(flags.text(name)).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Refuses what etcd refuses in versions, and in suites beside them.
pub(super) fn versions(flags: &Flags) -> Result<TlsVersions, String> {
    let rank = |name: &str| {
        let version = flags.text(name);
        match version.as_str() {
            "" => Ok((0, version)),
            "TLS1.2" => Ok((2, version)),
            "TLS1.3" => Ok((3, version)),
            other => {
                Err(format!("unexpected TLS version {other:?} (must be one of: TLS1.2, TLS1.3)"))
            }
        }
    };
    let (min, min_name) = rank("tls-min-version")?;
    let (max, max_name) = rank("tls-max-version")?;
    if max != 0 && min > max {
        return Err(format!("min version ({min_name}) is greater than max version ({max_name})"));
    }
    if min == 3 && !flags.list("cipher-suites").is_empty() {
        return Err("cipher suites cannot be configured when only TLS1.3 is enabled".to_owned());
    }
    Ok(match (min, max) {
        (3, _) => TlsVersions::Only13,
        (_, 2) => TlsVersions::Only12,
        _ => TlsVersions::Both,
    })
}

pub(super) fn suites_of(flags: &Flags, versions: TlsVersions) -> Result<Vec<CipherSuite>, String> {
    let suites = suites::resolve(&flags.list("cipher-suites"))?;
    let old = |suite: &CipherSuite| !format!("{suite:?}").starts_with("TLS13_");
    if versions == TlsVersions::Only12 && !suites.is_empty() && !suites.iter().any(old) {
        return Err(
            "--cipher-suites names suites of TLS 1.3 alone, which --tls-max-version=TLS1.2 \
                    switches off: name one of TLS 1.2, or raise the version"
                .to_owned(),
        );
    }
    Ok(suites)
}

/// In a file etcd takes 0 for the default.
pub(super) fn years(flags: &Flags, from_file: bool) -> Result<u64, String> {
    let name = "self-signed-cert-validity";
    let makes = ["auto-tls", "peer-auto-tls"].iter().any(|name| flags.switch(name));
    match flags.uint(name) {
        0 if from_file => Ok(1),
        0 if makes => Err(format!(
            "selfSignedCertValidity is invalid,it should be greater than 0: set --{name}"
        )),
        years if makes && years > MOST_YEARS => {
            Err(format!("--{name}={years} is too long: the most is {MOST_YEARS} years"))
        }
        years => Ok(years),
    }
}

/// Whether a listener speaks TLS; refuses one that cannot.
fn asked([client, http, metrics]: &Urls, certain: bool) -> Result<bool, String> {
    let secure = |urls: &[Url]| urls.iter().find(|url| url.scheme().is_secure()).cloned();
    match secure(client).or_else(|| secure(http)) {
        Some(url) if !certain => Err(format!(
            "TLS key/cert (--cert-file, --key-file) must be provided for client url {url} with \
             HTTPS scheme"
        )),
        None if !certain && secure(metrics).is_some() => Err(
            "client TLS key/cert (--cert-file, --key-file) must be provided for metrics secure \
                 url"
            .to_owned(),
        ),
        found => Ok(found.is_some() || secure(metrics).is_some()),
    }
}

/// The names and addresses of a certificate of our own: what is listened on for clients, as etcd.
pub(super) fn hosts<'a>(urls: impl Iterator<Item = &'a Url>) -> Vec<String> {
    let mut hosts = Vec::new();
    for url in urls.filter(|url| url.is_tcp()) {
        let host = url.host().to_owned();
        if !host.is_empty() && !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

/// `side` is what stands before the flags' names.
pub(super) fn calling(flags: &Flags, side: &str) -> Result<Option<(PathBuf, PathBuf)>, String> {
    let [cert, key] = ["cert", "key"].map(|what| format!("{side}client-{what}-file"));
    match (file(flags, &cert), file(flags, &key)) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some((cert, key))),
        (cert, key) => {
            let text = |path: Option<PathBuf>| {
                path.map_or(String::new(), |path| path.display().to_string())
            };
            Err(format!(
                "ClientKeyFile and ClientCertFile must both be present or both absent: key: {}, \
                 cert: {}]: set both of --{side}client-cert-file and --{side}client-key-file, or \
                 neither",
                text(key),
                text(cert)
            ))
        }
    }
}

/// Of the flags for common names and for host names.
pub(super) fn allowed(flags: &Flags, cn: &str, host: &str) -> Result<AllowedClients, String> {
    let [names, hosts] = [cn, host].map(|name| flags.list(name));
    match (names.is_empty(), hosts.is_empty()) {
        (true, true) => Ok(AllowedClients::Any),
        (false, true) => Ok(AllowedClients::CommonNames(names)),
        (true, false) => Ok(AllowedClients::Hostnames(hosts)),
        (false, false) => {
            let quoted = |list: &[String]| {
                let all: Vec<_> = list.iter().map(|name| format!("{name:?}")).collect();
                format!("[{}]", all.join(" "))
            };
            Err(format!(
                "AllowedCNs and AllowedHostnames are mutually exclusive (cns={}, hostnames={})",
                quoted(&names),
                quoted(&hosts)
            ))
        }
    }
}

/// Etcd's warnings for listeners of clients that stay in plaintext beside certificates.
fn warn_of_plaintext(
    flags: &Flags,
    certain: bool,
    [client, http, _]: &Urls,
    notices: &mut Vec<Notice>,
) {
    for url in client.iter().chain(http).filter(|url| !url.scheme().is_secure()) {
        let mut warn = |text: &str| {
            notices.push(Notice::warning(url.as_str(), text));
        };
        if certain {
            warn(
                "scheme is http or unix while key and cert files are present; ignoring key and \
                 cert files",
            );
        }
        if flags.switch("client-cert-auth") {
            warn(
                "scheme is http or unix while --client-cert-auth is enabled; ignoring client cert \
                 auth for this URL",
            );
        }
    }
}

/// What looks like protection and is none, in etcd as well.
fn warn_of_gaps(tls: &Tls, notices: &mut Vec<Notice>) {
    if tls.demands_certificate() {
        if tls.trusted_ca_file.is_none() {
            notices.push(Notice::warning(
                "client-cert-auth",
                "without --trusted-ca-file: a certificate of any CA that this system trusts lets a \
                 client in",
            ));
        }
        return;
    }
    let mut idle = |flag: &str| {
        let text = "has no effect: clients are asked for a certificate only with --trusted-ca-file \
                    or --client-cert-auth";
        notices.push(Notice::warning(flag, text));
    };
    if tls.client_crl_file.is_some() {
        idle("client-crl-file");
    }
    match tls.allowed {
        AllowedClients::Any => {}
        AllowedClients::CommonNames(_) => idle(ALLOWED_CN),
        AllowedClients::Hostnames(_) => idle("client-cert-allowed-hostname"),
    }
}
