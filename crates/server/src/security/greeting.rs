//! The rustls configuration that new connections are greeted with.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, SupportedProtocolVersion};

use super::anybody::Anybody;
use super::files::Source;
use super::gate::Gate;
use super::material::{self, Authority, Identity};
use super::revoked::Revoked;
use super::sources::Sources;
use crate::config::{Tls, TlsVersions};

/// What a configuration is made of.
pub(super) struct Parts<'a> {
    pub(super) tls: &'a Tls,
    pub(super) sources: &'a Sources,
    pub(super) provider: &'a Arc<CryptoProvider>,
    pub(super) identity: &'a Identity,
}

/// The suites that were asked for; those of TLS 1.3 are always among them.
pub(super) fn provider(tls: &Tls) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    if !tls.cipher_suites.is_empty() {
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some() || tls.cipher_suites.contains(&suite.suite()));
    }
    provider
}

fn versions(tls: &Tls) -> Vec<&'static SupportedProtocolVersion> {
    match tls.versions {
        TlsVersions::Both => vec![&TLS13, &TLS12],
        TlsVersions::Only12 => vec![&TLS12],
        TlsVersions::Only13 => vec![&TLS13],
    }
}

impl Parts<'_> {
    /// A new configuration. It knows no session of the one before it, so that nobody who is refused
    /// now comes in by what was true then.
    pub(super) fn configuration(
        &self,
        authorities: &[Authority],
        revoked: &Arc<Result<Revoked, String>>,
    ) -> Result<Arc<ServerConfig>, String> {
        let builder = ServerConfig::builder_with_provider(Arc::clone(self.provider))
            .with_protocol_versions(&versions(self.tls))
            .map_err(|error| format!("--cipher-suites, --tls-max-version: {error}"))?;
        let demands = self.tls.demands_certificate();
        let builder = if demands {
            builder.with_client_cert_verifier(Arc::new(self.gate(authorities, revoked)))
        } else {
            builder.with_no_client_auth()
        };
        let key = SingleCertAndKey::from(Arc::clone(&self.identity.key));
        let mut config = builder.with_cert_resolver(Arc::new(key));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if demands {
            // A resumed session is not verified again: a certificate that has expired or been
            // revoked since would stay good for it.
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Ok(Arc::new(config))
    }

    /// What is shown and trusted where this side calls others. Certificates that sign themselves prove
    /// nothing, as in etcd.
    pub(super) fn calling(&self, authorities: &[Authority]) -> Result<Arc<ClientConfig>, String> {
        let builder = ClientConfig::builder_with_provider(Arc::clone(self.provider))
            .with_protocol_versions(&versions(self.tls))
            .map_err(|error| format!("--cipher-suites, --tls-max-version: {error}"))?;
        let builder = if self.tls.self_signed.is_some() {
            let algorithms = self.provider.signature_verification_algorithms;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody { algorithms }))
        } else {
            let roots = material::valid_at(authorities, material::now());
            let provider = Arc::clone(self.provider);
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.build().map_err(|error| {
                format!("no CA of other replicas is valid: {error}; see --peer-trusted-ca-file")
            })?;
            builder.with_webpki_verifier(verifier)
        };
        let key = SingleCertAndKey::from(Arc::clone(&self.identity.key));
        let mut config = builder.with_client_cert_resolver(Arc::new(key));
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Arc::new(config))
    }

    fn gate(&self, authorities: &[Authority], revoked: &Arc<Result<Revoked, String>>) -> Gate {
        let source = self.sources.revoked.clone();
        Gate {
            chain: self.chain(authorities),
            algorithms: self.provider.signature_verification_algorithms,
            side: self.tls.side,
            allowed: self.tls.allowed.clone(),
            revoked: source.map(|source| (source, Arc::clone(revoked))),
        }
    }

    fn chain(&self, authorities: &[Authority]) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let named = self.sources.authorities.as_ref().map_or(String::new(), Source::to_string);
        let roots = material::valid_at(authorities, material::now());
        if roots.is_empty() {
            return Err(format!("no CA of clients is valid at this time; see {named}"));
        }
        let provider = Arc::clone(self.provider);
        let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        if self.tls.trusted_ca_file.is_none() {
            // Go does not tell clients all CAs of the system either.
            builder = builder.clear_root_hint_subjects();
        }
        let chain = builder.build().map_err(|error| format!("{named}: {error}"))?;
        Ok(chain)
    }
}
