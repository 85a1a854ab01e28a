//! From bytes to what rustls takes: certificate and key, CAs. Each refusal names flag and file, and
//! what to do where that is known.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::files::Source;

/// Seconds since 1970, as certificates count them.
pub(super) type Seconds = i64;

/// A certificate with its key, and what the log tells of it.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) key: Arc<CertifiedKey>,
    pub(super) subject: String,
    pub(super) not_before: Seconds,
    pub(super) not_after: Seconds,
}

impl Identity {
    /// Says in the log what it is, and whether clients will refuse it for its dates.
    pub(super) fn tell(&self, source: &Source, what: &str) {
        let (from, to) = (self::moment(self.not_before), self::moment(self.not_after));
        tracing::info!(file = %source, subject = self.subject, not_after = to, "{what}");
        let now = self::now();
        if now > self.not_after {
            tracing::warn!(file = %source, not_after = to, "the server's certificate has \
                 expired: clients will refuse it");
        } else if now < self.not_before {
            tracing::warn!(file = %source, not_before = from, "the server's certificate is \
                 not valid yet: clients will refuse it");
        }
    }
}

/// The certificate of a CA.
#[derive(Debug)]
pub(super) struct Authority {
    certificate: CertificateDer<'static>,
    subject: String,
    not_before: Seconds,
    not_after: Seconds,
}

pub(super) fn now() -> Seconds {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// A moment as people read it.
pub(super) fn moment(seconds: Seconds) -> String {
    x509_parser::time::ASN1Time::from_timestamp(seconds)
        .map_or_else(|_| format!("second {seconds}"), |time| time.to_string())
}

/// A certificate and its key, which must fit each other.
pub(super) fn identity(
    (cert, cert_pem): (&Source, &[u8]),
    (key, key_pem): (&Source, &[u8]),
    provider: &CryptoProvider,
) -> Result<Identity, String> {
    let chain = certificates(cert, cert_pem)?;
    let leaf = chain.first().ok_or_else(|| cert.fault("holds no certificate"))?.clone();
    let (_, leaf) = X509Certificate::from_der(&leaf)
        .map_err(|error| cert.fault(&format!("its certificate cannot be read: {error}")))?;
    let private = private_key(key, key_pem)?;
    let signing = provider.key_provider.load_private_key(private).map_err(|error| {
        key.fault(&format!(
            "its key cannot be used: {error}; use RSA of 2048 \
             bits or more, ECDSA on P-256, P-384 or P-521, or Ed25519"
        ))
    })?;
    if signing.public_key().is_some_and(|public| public.as_ref() != leaf.public_key().raw) {
        return Err(format!("{key} is not the key of the certificate in {cert}"));
    }
    Ok(Identity {
        key: Arc::new(CertifiedKey::new(chain, signing)),
        subject: leaf.subject().to_string(),
        not_before: leaf.validity().not_before.timestamp(),
        not_after: leaf.validity().not_after.timestamp(),
    })
}

/// All certificates of a PEM file, of which there is one at least.
fn certificates(source: &Source, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|error| source.fault(&format!("is damaged: {error}")))?;
    if !found.is_empty() {
        return Ok(found);
    }
    Err(source.fault(if text.trim_ascii().is_empty() {
        "is empty"
    } else if contains(text, "PRIVATE KEY-----") {
        "holds a key and no certificate; is it exchanged with the file of the key?"
    } else if contains(text, "-----BEGIN") {
        "holds no certificate (no '-----BEGIN CERTIFICATE-----')"
    } else {
        "is not PEM: no '-----BEGIN CERTIFICATE-----' in it"
    }))
}

fn private_key(source: &Source, text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    if contains(text, "BEGIN ENCRYPTED PRIVATE KEY") || contains(text, "Proc-Type: 4,ENCRYPTED") {
        return Err(source.fault(
            "its key is encrypted, and there is nobody to ask for the password: decrypt it with \
             'openssl pkey -in FILE -out NEW', and protect the file by its mode",
        ));
    }
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound if text.trim_ascii().is_empty() => source.fault("is empty"),
        pem::Error::NoItemsFound if contains(text, "BEGIN CERTIFICATE-----") => source
            .fault("holds a certificate and no key; is it exchanged with the certificate's file?"),
        pem::Error::NoItemsFound => source.fault("holds no private key in PEM"),
        other => source.fault(&format!("is damaged: {other}")),
    })
}

fn contains(text: &[u8], words: &str) -> bool {
    text.windows(words.len()).any(|window| window == words.as_bytes())
}

/// The CAs of a file. In the system's own bundle those that cannot be read are passed over.
pub(super) fn authorities(
    source: &Source,
    text: &[u8],
    lenient: bool,
) -> Result<Vec<Authority>, String> {
    let mut all = Vec::new();
    for (at, certificate) in certificates(source, text)?.into_iter().enumerate() {
        match authority(&certificate) {
            Ok(authority) => all.push(authority),
            Err(_) if lenient => {}
            Err(why) => {
                return Err(source.fault(&format!("certificate {} cannot be used: {why}", at + 1)));
            }
        }
    }
    if all.is_empty() {
        return Err(source.fault("none of its certificates can be used"));
    }
    Ok(all)
}

fn authority(certificate: &CertificateDer<'static>) -> Result<Authority, String> {
    RootCertStore::empty().add(certificate.clone()).map_err(|error| error.to_string())?;
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    Ok(Authority {
        certificate: certificate.clone(),
        subject: parsed.subject().to_string(),
        not_before: parsed.validity().not_before.timestamp(),
        not_after: parsed.validity().not_after.timestamp(),
    })
}

/// The CAs that are valid at a moment: rustls does not look at the dates of a CA, and Go does.
pub(super) fn valid_at(all: &[Authority], moment: Seconds) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let valid = all.iter().filter(|ca| (ca.not_before..=ca.not_after).contains(&moment));
    roots.add_parsable_certificates(valid.map(|ca| ca.certificate.clone()));
    roots
}

/// The next moment at which [`valid_at`] gives another answer.
pub(super) fn next_change(all: &[Authority], moment: Seconds) -> Seconds {
    let edges = all.iter().flat_map(|ca| [ca.not_before, ca.not_after.saturating_add(1)]);
    edges.filter(|edge| *edge > moment).min().unwrap_or(i64::MAX)
}

/// Says which CAs of a file let nobody in for their dates.
pub(super) fn warn_of_dates(source: &Source, all: &[Authority], moment: Seconds) {
    for ca in all {
        if !(ca.not_before..=ca.not_after).contains(&moment) {
            tracing::warn!(
                file = %source,
                subject = ca.subject,
                not_before = self::moment(ca.not_before),
                not_after = self::moment(ca.not_after),
                "a CA of clients is expired or not yet valid; clients of it are refused"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Authority, next_change, valid_at};
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    fn authority(not_before: i64, not_after: i64) -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let made = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        Authority { certificate: made.der().clone(), subject: String::new(), not_before, not_after }
    }

    #[test]
    fn a_ca_is_in_force_from_its_first_second_to_its_last() {
        let all = [authority(10, 20), authority(15, 30)];
        for (moment, in_force, next) in
            [(9, 0, 10), (10, 1, 15), (15, 2, 21), (20, 2, 21), (21, 1, 31), (31, 0, i64::MAX)]
        {
            assert_eq!(valid_at(&all, moment).len(), in_force, "at {moment}");
            assert_eq!(next_change(&all, moment), next, "after {moment}");
        }
    }
}
