//! Cipher suites by the names that etcd takes, which are Go's: what they are here, and which of
//! them the TLS of this server does not have.

use rustls::CipherSuite;

/// Go's names of what can be served, and etcd's two short ones.
const KNOWN: &[(&str, CipherSuite)] = &[
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ECDSA_AES_128),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", ECDSA_AES_256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", ECDSA_CHACHA),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", RSA_AES_128),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", RSA_AES_256),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", RSA_CHACHA),
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", ECDSA_CHACHA),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305", RSA_CHACHA),
];
/// How many of [`KNOWN`] are a suite's full name.
const FULL_NAMES: usize = 9;

const ECDSA_AES_128: CipherSuite = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
const ECDSA_AES_256: CipherSuite = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384;
const ECDSA_CHACHA: CipherSuite = CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
const RSA_AES_128: CipherSuite = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
const RSA_AES_256: CipherSuite = CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
const RSA_CHACHA: CipherSuite = CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256;

/// What Go has and this server does not, for reasons that are good ones.
const MISSING: &[&str] = &[
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_RC4_128_SHA",
];

/// Refuses what etcd does not know, in its words.
pub(crate) fn check(names: &[String]) -> Result<(), String> {
    let known = |name: &str| suite(name).is_some() || MISSING.contains(&name);
    match names.iter().find(|name| !known(name)) {
        Some(other) => Err(format!("unexpected TLS cipher suite {other:?}")),
        None => Ok(()),
    }
}

/// The suites of these names; refuses what etcd would serve and this server cannot.
pub(crate) fn resolve(names: &[String]) -> Result<Vec<CipherSuite>, String> {
    let missing: Vec<_> =
        names.iter().map(String::as_str).filter(|name| MISSING.contains(name)).collect();
    if missing.is_empty() {
        return Ok(names.iter().filter_map(|name| suite(name)).collect());
    }
    let full: Vec<_> = KNOWN.iter().take(FULL_NAMES).map(|(name, _)| *name).collect();
    Err(format!(
        "--cipher-suites: {} cannot be served: suites with CBC, RC4 or 3DES, and those without \
         forward secrecy (TLS_RSA_...), are left out of this server's TLS for their weakness; \
         remove them from the list; these can be served: {}",
        missing.join(", "),
        full.join(", ")
    ))
}

fn suite(name: &str) -> Option<CipherSuite> {
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, suite)| *suite)
}
