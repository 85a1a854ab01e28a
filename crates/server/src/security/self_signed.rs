//! `--auto-tls`: a certificate that the server makes for itself and finds again at the next start,
//! of the kind and in the place that etcd has for it. One that has expired is not made again, as in
//! etcd: clients may have pinned it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P521_SHA512, SanType, date_time_ymd, string::Ia5String,
};

use crate::config::{SelfSigned, Side, Tls};

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Makes both files unless both exist.
pub(super) fn provide(tls: &Tls, wanted: &SelfSigned) -> Result<(), String> {
    if tls.cert_file.exists() && tls.key_file.exists() {
        return Ok(());
    }
    let flag = match tls.side {
        Side::Clients => "--auto-tls",
        Side::Peers { .. } => "--peer-auto-tls",
    };
    let (cert, key) = make(wanted).map_err(|e| format!("{flag} cannot make a key: {e}"))?;
    let failed = |path: &Path, error: io::Error| {
        format!("{flag} cannot write {}: {error}; see --data-dir", path.display())
    };
    if let Some(folder) = tls.cert_file.parent() {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(|error| failed(folder, error))?;
    }
    // Half a pair: the certificate comes last, so that both are there only if they fit.
    if tls.cert_file.exists() {
        fs::remove_file(&tls.cert_file).map_err(|error| failed(&tls.cert_file, error))?;
    }
    for (path, text, mode) in [(&tls.key_file, key, 0o600), (&tls.cert_file, cert, 0o644)] {
        write(path, &text, mode).map_err(|error| failed(path, error))?;
        tracing::info!(path = %path.display(), "created by {flag}");
    }
    Ok(())
}

/// A file is there whole or not at all.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}

/// Certificate and key, PEM.
fn make(wanted: &SelfSigned) -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512)?;
    let mut params = CertificateParams::default();
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "etcd");
    params.distinguished_name = name;
    params.subject_alt_names = wanted
        .hosts
        .iter()
        .map(|host| match host.parse() {
            Ok(ip) => Ok(SanType::IpAddress(ip)),
            Err(_) => Ia5String::try_from(host.as_str()).map(SanType::DnsName),
        })
        .collect::<Result<_, _>>()?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let years = u32::try_from(wanted.years).unwrap_or(u32::MAX);
    params.not_before = date_time_ymd(1970, 1, 1) + since;
    // The settings let no more years through than dates can hold.
    params.not_after = params.not_before + YEAR.saturating_mul(years);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::CrlSign,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}
