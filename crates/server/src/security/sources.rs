//! Which files the credentials of a [`Tls`] come from, and what each of them says.

use std::path::PathBuf;

use rustls::crypto::CryptoProvider;

use super::files::{Contents, Source, Stamp};
use super::material::{self, Authority, Identity};
use super::revoked::Revoked;
use crate::config::{Side, Tls};

/// How often files are read again that change while they are read.
const ATTEMPTS: usize = 3;
/// Where systems keep the CAs they trust, in Go's order.
const SYSTEM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The files.
#[derive(Debug)]
pub(super) struct Sources {
    pub(super) cert: Source,
    pub(super) key: Source,
    pub(super) authorities: Option<Source>,
    pub(super) revoked: Option<Source>,
}

/// What is shown where this side calls, if that is not what it is called with. Clients are not called, but
/// etcd does not start with a bad one.
pub(super) fn calling(tls: &Tls, provider: &CryptoProvider) -> Result<Option<Identity>, String> {
    let Some((cert, key)) = &tls.calling else { return Ok(None) };
    let (cert_flag, key_flag) = match tls.side {
        Side::Clients => ("--client-cert-file", "--client-key-file"),
        Side::Peers { .. } => ("--peer-client-cert-file", "--peer-client-key-file"),
    };
    let (cert, key) = (Source::new(cert_flag, cert), Source::new(key_flag, key));
    let (cert_pem, key_pem) = (cert.read()?, key.read()?);
    material::identity((&cert, &cert_pem), (&key, &key_pem), provider).map(Some)
}

/// The CAs by which those are known that are called, where no file of CAs is given.
pub(super) fn system_authorities() -> Result<Vec<Authority>, String> {
    let source = system_bundle("without --peer-trusted-ca-file, the system's CAs in")?;
    material::authorities(&source, &source.read()?, true)
}

/// Flags by side: certificate, key, CAs, revocation list.
fn flags(tls: &Tls) -> [&'static str; 4] {
    let auto = tls.self_signed.is_some();
    match (tls.side, auto) {
        (Side::Clients, false) => {
            ["--cert-file", "--key-file", "--trusted-ca-file", "--client-crl-file"]
        }
        (Side::Clients, true) => {
            ["--auto-tls", "--auto-tls", "--trusted-ca-file", "--client-crl-file"]
        }
        (Side::Peers { .. }, false) => {
            ["--peer-cert-file", "--peer-key-file", "--peer-trusted-ca-file", "--peer-crl-file"]
        }
        (Side::Peers { .. }, true) => {
            ["--peer-auto-tls", "--peer-auto-tls", "--peer-trusted-ca-file", "--peer-crl-file"]
        }
    }
}

impl Sources {
    pub(super) fn of(tls: &Tls) -> Result<Self, String> {
        let [cert, key, authorities, revoked] = flags(tls);
        let authorities = match &tls.trusted_ca_file {
            Some(path) => Some(Source::new(authorities, path)),
            None if tls.client_cert_auth => Some(system_bundle(match tls.side {
                Side::Clients => {
                    "--client-cert-auth without --trusted-ca-file, the system's CAs in"
                }
                Side::Peers { .. } => {
                    "--peer-client-cert-auth without --peer-trusted-ca-file, the system's CAs in"
                }
            })?),
            None => None,
        };
        Ok(Self {
            cert: Source::new(cert, &tls.cert_file),
            key: Source::new(key, &tls.key_file),
            authorities,
            revoked: tls
                .client_crl_file
                .as_ref()
                .filter(|_| tls.demands_certificate())
                .map(|path| Source::new(revoked, path)),
        })
    }

    fn all(&self) -> [Option<&Source>; 4] {
        [Some(&self.cert), Some(&self.key), self.authorities.as_ref(), self.revoked.as_ref()]
    }

    pub(super) fn stamps(&self) -> [Stamp; 4] {
        self.all().map(|source| source.map_or(Stamp::Absent, Source::stamp))
    }

    /// Reads all files at one moment, as far as that can be seen.
    pub(super) fn read(&self) -> ([Stamp; 4], [Contents; 4]) {
        let mut stamps = self.stamps();
        let mut attempts = 1;
        loop {
            let read = self.all().map(|source| source.map_or(Ok(Vec::new()), Source::read));
            let after = self.stamps();
            if after == stamps || attempts == ATTEMPTS {
                return (stamps, read);
            }
            stamps = after;
            attempts += 1;
        }
    }

    pub(super) fn identity(
        &self,
        read: &[Contents; 4],
        provider: &CryptoProvider,
    ) -> Result<Identity, String> {
        let [cert, key, ..] = read;
        let (cert, key) = (cert.as_ref()?, key.as_ref()?);
        material::identity((&self.cert, cert), (&self.key, key), provider)
    }

    pub(super) fn authorities(
        &self,
        tls: &Tls,
        read: &[Contents; 4],
    ) -> Result<Vec<Authority>, String> {
        let Some(source) = &self.authorities else { return Ok(Vec::new()) };
        let all = material::authorities(source, read[2].as_ref()?, tls.trusted_ca_file.is_none())?;
        self.warn_of_dates(&all);
        Ok(all)
    }

    /// Says which CAs let nobody in for their dates.
    pub(super) fn warn_of_dates(&self, all: &[Authority]) {
        if let Some(source) = &self.authorities {
            material::warn_of_dates(source, all, material::now());
        }
    }

    /// Says what it found: who is refused by it depends on it alone.
    pub(super) fn revoked(&self, read: &[Contents; 4]) -> Result<Revoked, String> {
        let Some(source) = &self.revoked else { return Ok(Revoked::none()) };
        let list = read[3]
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|bytes| Revoked::read(bytes).map_err(|why| source.fault(&why)));
        match &list {
            Ok(list) => {
                tracing::info!(file = %source, count = list.len(), "read the revocation list");
            }
            Err(reason) => tracing::warn!(
                reason,
                "the revocation list cannot be used: no client is let in until it can"
            ),
        }
        list
    }
}

/// Go's rule: the variable, or the first file that there is.
fn system_bundle(flag: &'static str) -> Result<Source, String> {
    let named = std::env::var_os("SSL_CERT_FILE").filter(|name| !name.is_empty());
    let path = named
        .map(PathBuf::from)
        .or_else(|| SYSTEM_BUNDLES.iter().map(PathBuf::from).find(|path| path.is_file()));
    path.map(|path| Source::new(flag, &path)).ok_or_else(|| {
        if flag.contains("--peer") {
            "without --peer-trusted-ca-file replicas are known by the CAs that this system trusts, and \
             it has none: set --peer-trusted-ca-file"
                .to_owned()
        } else {
            "--client-cert-auth without --trusted-ca-file takes clients of the CAs that this system \
             trusts, and it has none: set --trusted-ca-file"
                .to_owned()
        }
    })
}
