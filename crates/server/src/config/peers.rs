//! What replicas that share a journal need of each other: where they listen, and the flags of peer TLS, with
//! etcd's rules. No file is opened here.

use std::path::{Path, PathBuf};

use super::flags::Flags;
use super::notice::Notice;
use super::tls::{self, SelfSigned, Side, Tls};
use super::url::Url;

/// Resolves the flags of peer TLS; `None` if there is none.
pub(crate) fn resolve(
    flags: &Flags,
    from_file: bool,
    data_dir: &Path,
    notices: &mut Vec<Notice>,
) -> Result<Option<Tls>, String> {
    let listened = flags.urls("listen-peer-urls");
    let [cert, key] = ["peer-cert-file", "peer-key-file"].map(|name| flags.text(name));
    let given = !(cert.is_empty() && key.is_empty());
    let auto = flags.switch("peer-auto-tls");
    if auto && given {
        notices.push(Notice::warning("peer-auto-tls", "ignoring peer auto TLS since certs given"));
    }
    warn_of_plaintext(flags, given || auto, &listened, notices);
    if !given && !auto {
        let secure = listened.iter().find(|url| url.scheme().is_secure());
        return secure.map_or(Ok(None), |url| {
            Err(format!(
                "TLS key/cert (--peer-cert-file, --peer-key-file) must be provided for peer url {url} \
                 with HTTPS scheme"
            ))
        });
    }
    if given && (cert.is_empty() || key.is_empty()) {
        return Err(format!(
            "KeyFile and CertFile must both be present[key: {key}, cert: {cert}]: set both of \
             --peer-cert-file and --peer-key-file"
        ));
    }
    let fixtures = data_dir.join("fixtures").join("peer");
    let (cert_file, key_file) = if given {
        (PathBuf::from(cert), PathBuf::from(key))
    } else {
        (fixtures.join("cert.pem"), fixtures.join("key.pem"))
    };
    let versions = tls::versions(flags)?;
    let years = tls::years(flags, from_file)?;
    let any_address = flags.switch("peer-skip-client-san-verification");
    let tls = Tls {
        side: Side::Peers { any_address },
        cert_file,
        key_file,
        self_signed: (!given).then(|| SelfSigned { hosts: tls::hosts(listened.iter()), years }),
        calling: tls::calling(flags, "peer-")?,
        trusted_ca_file: tls::file(flags, "peer-trusted-ca-file"),
        client_cert_auth: flags.switch("peer-client-cert-auth"),
        client_crl_file: tls::file(flags, "peer-crl-file"),
        allowed: tls::allowed(flags, "peer-cert-allowed-cn", "peer-cert-allowed-hostname")?,
        cipher_suites: tls::suites_of(flags, versions)?,
        versions,
    };
    warn_of_gaps(&tls, &listened, notices);
    Ok(Some(tls))
}

/// etcd's warnings.
fn warn_of_plaintext(flags: &Flags, certain: bool, listened: &[Url], notices: &mut Vec<Notice>) {
    for url in listened.iter().filter(|url| !url.scheme().is_secure()) {
        let mut warn = |text: &str| notices.push(Notice::warning(url.as_str(), text));
        if certain {
            warn(
                "scheme is HTTP while key and cert files are present; ignoring key and cert files",
            );
        }
        if flags.switch("peer-client-cert-auth") {
            warn(
                "scheme is HTTP while --peer-client-cert-auth is enabled; ignoring client cert auth \
                 for this URL",
            );
        }
    }
}

/// Whoever reaches the peer port may write whatever it likes.
fn warn_of_gaps(tls: &Tls, listened: &[Url], notices: &mut Vec<Notice>) {
    if listened.iter().any(|url| url.scheme().is_secure()) && !tls.demands_certificate() {
        notices.push(Notice::warning(
            "peer-client-cert-auth",
            "without it and --peer-trusted-ca-file, whoever reaches the peer port is taken for a replica",
        ));
    }
}
