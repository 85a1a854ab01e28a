//! Whether a replica comes from where its certificate says that it is: etcd's check of those that come in at
//! the peer port. A name is looked up; what a wildcard stands for cannot be.

use std::net::{IpAddr, SocketAddr};

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::hostname::AlternativeNames;

/// Compares the addresses and names of the first certificate with where it came from. One without any
/// comes from where it likes.
///
/// # Errors
/// What does not fit.
pub(crate) async fn check(
    chain: Option<&[CertificateDer<'_>]>,
    from: SocketAddr,
) -> Result<(), String> {
    let Some(leaf) = chain.and_then(<[_]>::first) else { return Ok(()) };
    let names = {
        let parsed = X509Certificate::from_der(leaf).map_err(|error| error.to_string())?;
        AlternativeNames::of(&parsed.1)
    };
    let from = from.ip().to_canonical();
    if names.is_empty() || names.are_valid_for(&from.to_string()) {
        return Ok(());
    }
    for name in names.names() {
        if stands_for(name, from).await {
            return Ok(());
        }
    }
    Err(format!(
        "the certificate is valid for {names}, and the replica comes from {from}, which is none of them; \
         see its certificate, or --peer-skip-client-san-verification"
    ))
}

async fn stands_for(name: &str, from: IpAddr) -> bool {
    match tokio::net::lookup_host((name, 0)).await {
        Ok(mut found) => found.any(|address| address.ip().to_canonical() == from),
        Err(_) => false,
    }
}
