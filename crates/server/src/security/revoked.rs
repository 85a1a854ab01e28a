//! `--client-crl-file`: the serial numbers that it revokes. As in etcd neither its signature, nor
//! its issuer, nor its dates are looked at: who may write the file decides.

use std::collections::HashSet;

use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

/// The revoked serial numbers, without leading zeros.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Revoked(HashSet<Vec<u8>>);

impl Revoked {
    /// None.
    pub(super) fn none() -> Self {
        Self(HashSet::new())
    }

    /// From a list in DER.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.trim_ascii_start().starts_with(b"-----BEGIN") {
            return Err("is PEM, and etcd and this server read DER: convert it with 'openssl crl \
                        -in FILE -outform DER'"
                .to_owned());
        }
        let (rest, list) = CertificateRevocationList::from_der(bytes)
            .map_err(|error| format!("is no revocation list in DER: {error}"))?;
        if !rest.is_empty() {
            return Err(format!("has {} bytes behind the revocation list", rest.len()));
        }
        let serials = list.iter_revoked_certificates().map(|one| bare(one.raw_serial()).to_vec());
        Ok(Self(serials.collect()))
    }

    /// Whether the list names this serial number.
    pub(super) fn has(&self, serial: &[u8]) -> bool {
        self.0.contains(bare(serial))
    }

    /// How many it names.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A serial number without leading zeros.
pub(super) fn bare(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|byte| **byte == 0).count();
    serial.get(zeros..).unwrap_or_default()
}
