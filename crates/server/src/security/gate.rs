//! Who may come in: a client's certificate is signed by a CA we know, is one of those allowed, and
//! is not revoked, in etcd's order. A refusal carries the sentence that the log will say.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use x509_parser::prelude::{FromDer, X509Certificate, X509Version};

use super::caller::common_name;
use super::files::Source;
use super::hostname::AlternativeNames;
use super::revoked::{self, Revoked};
use crate::config::{AllowedClients, Side};

/// The check of a client's certificate.
#[derive(Debug)]
pub(super) struct Gate {
    /// The check of the chain; or why every chain is refused.
    pub(super) chain: Result<Arc<dyn ClientCertVerifier>, String>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) side: Side,
    pub(super) allowed: AllowedClients,
    /// The revocation list; while it cannot be used, nobody comes in.
    pub(super) revoked: Option<(Source, Arc<Result<Revoked, String>>)>,
}

/// A client that is refused by more than its chain, and why.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

fn refuse(why: String) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(Refused(why)))))
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    let parsed = X509Certificate::from_der(certificate);
    parsed.map(|(_, parsed)| parsed).map_err(|_| CertificateError::BadEncoding.into())
}

/// What Go takes and webpki does not.
fn explain(error: Error, leaf: &CertificateDer<'_>) -> Error {
    if !matches!(error, Error::InvalidCertificate(CertificateError::Other(_))) {
        return error;
    }
    let Ok(leaf) = parse(leaf) else { return error };
    let name = leaf.subject();
    if leaf.version() != X509Version::V3 {
        refuse(format!(
            "the client's certificate ({name}) is X.509 v{}, and only v3 is taken: sign it again \
             with an extension, such as extendedKeyUsage=clientAuth",
            leaf.version().0 + 1
        ))
    } else if leaf.is_ca() {
        refuse(format!(
            "the client's certificate ({name}) is that of a CA (CA:TRUE), which is not taken for a \
             client: sign one for the client with it"
        ))
    } else {
        error
    }
}

impl Gate {
    fn check_allowed(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        match &self.allowed {
            AllowedClients::Any => Ok(()),
            AllowedClients::CommonNames(wanted) => {
                let name = common_name(&parse(leaf)?).unwrap_or_default();
                if wanted.contains(&name) {
                    return Ok(());
                }
                Err(refuse(format!(
                    "the client's certificate has the common name {name:?}, which is not in {}",
                    match self.side {
                        Side::Clients => "allowed-cn of client-transport-security",
                        Side::Peers { .. } => "--peer-cert-allowed-cn",
                    }
                )))
            }
            AllowedClients::Hostnames(wanted) => {
                let leaf = parse(leaf)?;
                let names = AlternativeNames::of(&leaf);
                if wanted.iter().any(|host| names.are_valid_for(host)) {
                    return Ok(());
                }
                Err(refuse(format!(
                    "the client's certificate ({}) is valid for {names}, and for nothing in {}",
                    leaf.subject(),
                    match self.side {
                        Side::Clients => "--client-cert-allowed-hostname",
                        Side::Peers { .. } => "--peer-cert-allowed-hostname",
                    }
                )))
            }
        }
    }

    fn check_revoked(&self, chain: &[&CertificateDer<'_>]) -> Result<(), Error> {
        let Some((source, list)) = &self.revoked else { return Ok(()) };
        let list = list.as_ref().as_ref().map_err(|why| {
            refuse(format!("no client is let in while the revocation list cannot be used: {why}"))
        })?;
        for certificate in chain {
            let parsed = parse(certificate)?;
            if list.has(parsed.raw_serial()) {
                let serial = revoked::bare(parsed.raw_serial());
                let serial: String = serial.iter().map(|byte| format!("{byte:02x}")).collect();
                let name = parsed.subject();
                return Err(refuse(format!(
                    "the client's certificate {name} is revoked (serial {serial}); see {source}"
                )));
            }
        }
        Ok(())
    }
}

impl ClientCertVerifier for Gate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain = self.chain.as_ref().map_err(|why| refuse(why.clone()))?;
        let verified = chain.verify_client_cert(leaf, intermediates, now);
        verified.map_err(|error| explain(error, leaf))?;
        self.check_allowed(leaf)?;
        let shown: Vec<_> = std::iter::once(leaf).chain(intermediates).collect();
        self.check_revoked(&shown)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
