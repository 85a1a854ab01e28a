//! The flags that ask for TLS towards clients. This release has none, and says so instead of
//! serving plaintext where secrecy was asked for.

use std::path::PathBuf;

use super::flags::Flags;
use super::url::Url;

/// How the server proves who it is, and who may come in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain, leaf first, PEM.
    pub cert_file: PathBuf,
    /// Its key, PEM.
    pub key_file: PathBuf,
}

/// What was asked for.
#[derive(Debug)]
pub(crate) struct ClientTls {
    cert_file: String,
    key_file: String,
    client_cert_file: String,
    client_key_file: String,
    trusted_ca_file: String,
    client_crl_file: String,
    client_cert_allowed_hostname: Vec<String>,
    client_cert_auth: bool,
    auto_tls: bool,
}

impl ClientTls {
    pub(crate) fn from_flags(flags: &Flags) -> Self {
        Self {
            cert_file: flags.text("cert-file"),
            key_file: flags.text("key-file"),
            client_cert_file: flags.text("client-cert-file"),
            client_key_file: flags.text("client-key-file"),
            trusted_ca_file: flags.text("trusted-ca-file"),
            client_crl_file: flags.text("client-crl-file"),
            client_cert_allowed_hostname: flags.list("client-cert-allowed-hostname"),
            client_cert_auth: flags.switch("client-cert-auth"),
            auto_tls: flags.switch("auto-tls"),
        }
    }

    /// The flags that ask for TLS.
    fn asked_by(&self) -> Vec<&'static str> {
        let files = [
            ("--cert-file", &self.cert_file),
            ("--key-file", &self.key_file),
            ("--client-cert-file", &self.client_cert_file),
            ("--client-key-file", &self.client_key_file),
            ("--trusted-ca-file", &self.trusted_ca_file),
            ("--client-crl-file", &self.client_crl_file),
        ];
        let mut asked: Vec<_> =
            files.iter().filter(|(_, file)| !file.is_empty()).map(|(flag, _)| *flag).collect();
        let names = self.client_cert_allowed_hostname.iter().any(|name| !name.is_empty());
        asked.extend(names.then_some("--client-cert-allowed-hostname"));
        asked.extend(self.client_cert_auth.then_some("--client-cert-auth"));
        asked.extend(self.auto_tls.then_some("--auto-tls"));
        asked
    }

    /// Refuses what this release cannot keep secret.
    pub(crate) fn check(&self, listened: &[Url]) -> Result<(), String> {
        let mut asked: Vec<String> = self.asked_by().into_iter().map(str::to_owned).collect();
        asked.extend(listened.iter().filter(|u| u.scheme().is_secure()).map(Url::to_string));
        if asked.is_empty() {
            return Ok(());
        }
        Err(format!(
            "{}: TLS comes with the next release, and this one does not serve plaintext in its \
             place; remove these settings and listen on http:// behind a network you trust, or \
             wait for that release",
            asked.join(", ")
        ))
    }
}

/// Refuses what etcd refuses in versions and cipher suites.
pub(crate) fn check_versions(flags: &Flags) -> Result<(), String> {
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
    Ok(())
}
