//! Who calls, as far as the connection proves it.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a verified client certificate says of the other side; nothing on plaintext, or where no
/// certificate was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The subject's common name, the user for whom etcd's authorization takes the caller.
    pub common_name: Option<Arc<str>>,
}

impl Caller {
    /// From the chain that a finished handshake has verified.
    #[must_use]
    pub fn of(chain: Option<&[CertificateDer<'_>]>) -> Self {
        let leaf = chain.and_then(<[_]>::first);
        let parsed = leaf.and_then(|leaf| X509Certificate::from_der(leaf).ok());
        let name = parsed.and_then(|(_, leaf)| common_name(&leaf));
        Self { common_name: name.map(Arc::from) }
    }
}

/// The common name; the last of several, as Go takes it.
pub(super) fn common_name(certificate: &X509Certificate<'_>) -> Option<String> {
    let name = certificate.subject().iter_common_name().last()?;
    name.as_str().ok().map(str::to_owned)
}
