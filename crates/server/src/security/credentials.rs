//! What the files of a [`Tls`] say at present, and the rustls configuration they make. Part by part
//! (certificate and key, CAs, revocation list) the last one that could be used stays in force, but
//! for the revocation list: while that cannot be used nobody comes in, as in etcd.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::{ClientConfig, ServerConfig};

use super::files::{Contents, Source, Stamp};
use super::greeting;
use super::material::{self, Authority, Identity, Seconds};
use super::revoked::Revoked;
use super::self_signed;
use super::sources::{self, Sources};
use crate::config::{Side, Tls};

/// Certificates, keys and rules of one server, as its files have them now.
pub struct Credentials {
    tls: Tls,
    provider: Arc<CryptoProvider>,
    pub(super) sources: Sources,
    loaded: Mutex<Loaded>,
}

/// What was read, and what is in force.
struct Loaded {
    stamps: [Stamp; 4],
    /// Whether to read again though no stamp is another: a file could have changed under the same
    /// one, or could not be read for a reason that passes.
    unsettled: bool,
    read: [Contents; 4],
    identity: Identity,
    authorities: Vec<Authority>,
    revoked: Arc<Result<Revoked, String>>,
    /// When a CA begins or ends to be valid.
    until: Seconds,
    config: Arc<ServerConfig>,
}

/// Why credentials cannot be used: which file, what is wrong with it, what to do.
#[derive(Debug)]
pub struct CredentialsError(String);

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CredentialsError {}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("sources", &self.sources).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads all files. With `--auto-tls` it makes them first if they are missing, in the data
    /// directory: call it once that directory is known to be ours.
    ///
    /// # Errors
    /// The first one that cannot be used. A revocation list that cannot be used is none: as in etcd
    /// the server starts, and lets nobody in until it can.
    pub fn open(tls: &Tls) -> Result<Self, CredentialsError> {
        if let Some(wanted) = &tls.self_signed {
            self_signed::provide(tls, wanted).map_err(CredentialsError)?;
        }
        let provider = Arc::new(greeting::provider(tls));
        sources::calling(tls, &provider).map_err(CredentialsError)?;
        let sources = Sources::of(tls).map_err(CredentialsError)?;
        let loaded = Loaded::first(tls, &sources, &provider).map_err(CredentialsError)?;
        Ok(Self { tls: tls.clone(), provider, sources, loaded: Mutex::new(loaded) })
    }

    /// What a connection that begins now is greeted with. Files that changed have been read again;
    /// where that failed, the log says so once, and the last good ones stay in force. Cheap enough
    /// to be called for every connection: four calls of `stat`, and a lock for as long.
    #[must_use]
    pub fn current(&self) -> Arc<ServerConfig> {
        let mut loaded = self.loaded.lock();
        let stamps = self.sources.stamps();
        if loaded.unsettled || stamps != loaded.stamps || material::now() >= loaded.until {
            self.refresh(&mut loaded);
        }
        Arc::clone(&loaded.config)
    }

    /// What this side shows and trusts where it calls others; its files are read again if they changed.
    ///
    /// # Errors
    /// What of it cannot be used.
    pub(crate) fn dialing(&self) -> Result<Arc<ClientConfig>, String> {
        drop(self.current());
        let own = sources::calling(&self.tls, &self.provider)?;
        let loaded = self.loaded.lock();
        let identity = own.as_ref().unwrap_or(&loaded.identity);
        let (tls, sources, provider) = (&self.tls, &self.sources, &self.provider);
        let parts = greeting::Parts { tls, sources, provider, identity };
        if tls.trusted_ca_file.is_some() || tls.self_signed.is_some() {
            return parts.calling(&loaded.authorities);
        }
        parts.calling(&sources::system_authorities()?)
    }

    /// Whether those who come in are to be compared with the address they come from.
    pub(crate) fn compares_addresses(&self) -> bool {
        let comparing = Side::Peers { any_address: false };
        self.tls.side == comparing && self.tls.demands_certificate()
    }

    fn refresh(&self, loaded: &mut Loaded) {
        let (stamps, read) = self.sources.read();
        loaded.unsettled = is_unsettled(&stamps, &read);
        loaded.stamps = stamps;
        let mut changed = material::now() >= loaded.until;
        if changed {
            self.sources.warn_of_dates(&loaded.authorities);
        }
        for renewed in [
            self.renew_identity(loaded, &read),
            self.renew_authorities(loaded, &read),
            self.renew_revoked(loaded, &read),
        ] {
            changed |= renewed;
        }
        loaded.read = read;
        if changed {
            let (tls, sources, provider) = (&self.tls, &self.sources, &self.provider);
            let parts = greeting::Parts { tls, sources, provider, identity: &loaded.identity };
            match parts.configuration(&loaded.authorities, &loaded.revoked) {
                Ok(config) => loaded.config = config,
                Err(reason) => tracing::error!(reason, "keeping the last TLS configuration"),
            }
            loaded.until = material::next_change(&loaded.authorities, material::now());
        }
    }

    fn renew_identity(&self, loaded: &mut Loaded, read: &[Contents; 4]) -> bool {
        if read[..2] == loaded.read[..2] {
            return false;
        }
        match self.sources.identity(read, &self.provider) {
            Ok(identity) => {
                identity.tell(&self.sources.cert, "read the server's certificate and key again");
                loaded.identity = identity;
                true
            }
            Err(reason) => {
                tracing::warn!(reason, "keeping the server's last certificate and key");
                false
            }
        }
    }

    fn renew_authorities(&self, loaded: &mut Loaded, read: &[Contents; 4]) -> bool {
        if read[2] == loaded.read[2] {
            return false;
        }
        match self.sources.authorities(&self.tls, read) {
            Ok(authorities) => {
                let file = self.sources.authorities.as_ref().map(Source::to_string);
                tracing::info!(file, count = authorities.len(), "read the CAs of clients again");
                loaded.authorities = authorities;
                true
            }
            Err(reason) => {
                tracing::warn!(reason, "keeping the last CAs of clients");
                false
            }
        }
    }

    fn renew_revoked(&self, loaded: &mut Loaded, read: &[Contents; 4]) -> bool {
        if read[3] == loaded.read[3] {
            return false;
        }
        loaded.revoked = Arc::new(self.sources.revoked(read));
        true
    }
}

fn is_unsettled(stamps: &[Stamp; 4], read: &[Contents; 4]) -> bool {
    stamps.iter().any(Stamp::is_young) || read.iter().any(Result::is_err)
}

impl Loaded {
    fn first(tls: &Tls, sources: &Sources, provider: &Arc<CryptoProvider>) -> Result<Self, String> {
        let (stamps, read) = sources.read();
        let identity = sources.identity(&read, provider)?;
        identity.tell(&sources.cert, "read the server's certificate and key");
        let authorities = sources.authorities(tls, &read)?;
        let revoked = Arc::new(sources.revoked(&read));
        let until = material::next_change(&authorities, material::now());
        let parts = greeting::Parts { tls, sources, provider, identity: &identity };
        let config = parts.configuration(&authorities, &revoked)?;
        let unsettled = is_unsettled(&stamps, &read);
        Ok(Self { stamps, unsettled, read, identity, authorities, revoked, until, config })
    }
}
