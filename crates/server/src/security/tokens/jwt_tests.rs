//! Tests of signed tokens: every method, every way to forge one, and tokens that Go signed.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64};
use proptest::prelude::*;
use serde_json::{Value, json};
use state::{AuthRevision, Identity};
use tempfile::TempDir;

use super::jwt::Jwt;
use super::keys::Key;
use crate::config::{JwtOptions, SignMethod};

/// Both halves of a key, in DER.
struct Pair {
    private: Vec<u8>,
    public: Vec<u8>,
}

fn rsa_pair() -> Pair {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    Pair { private, public: public.as_ref().to_vec() }
}

static RSA: LazyLock<Pair> = LazyLock::new(rsa_pair);
static OTHER_RSA: LazyLock<Pair> = LazyLock::new(rsa_pair);

fn pair(method: SignMethod) -> Pair {
    let curve = match method.name() {
        "ES256" => &ECDSA_P256_SHA256_FIXED_SIGNING,
        "ES384" => &ECDSA_P384_SHA384_FIXED_SIGNING,
        "ES512" => &ECDSA_P521_SHA512_FIXED_SIGNING,
        "EdDSA" => {
            let pair = Ed25519KeyPair::generate().unwrap();
            let private = pair.to_pkcs8v1().unwrap().as_ref().to_vec();
            let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
            return Pair { private, public: public.as_ref().to_vec() };
        }
        name if name.starts_with('H') => {
            return Pair { private: b"a secret\n".to_vec(), public: Vec::new() };
        }
        _ => return Pair { private: RSA.private.clone(), public: RSA.public.clone() },
    };
    let pair = EcdsaKeyPair::generate(curve).unwrap();
    let private = pair.to_pkcs8v1().unwrap().as_ref().to_vec();
    let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    Pair { private, public: public.as_ref().to_vec() }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// Options whose files live as long as the folder.
struct Files {
    folder: TempDir,
    options: JwtOptions,
}

impl Files {
    fn new(method: SignMethod) -> Self {
        let ttl = Duration::from_secs(300);
        let options = JwtOptions { method, public_key: None, private_key: None, ttl };
        Self { folder: tempfile::tempdir().unwrap(), options }
    }

    fn file(&self, name: &str, text: &str) -> Option<PathBuf> {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        Some(path)
    }

    fn private(mut self, text: &str) -> Self {
        self.options.private_key = self.file("private", text);
        self
    }

    fn public(mut self, text: &str) -> Self {
        self.options.public_key = self.file("public", text);
        self
    }

    fn of(method: SignMethod, pair: &Pair) -> Self {
        if is_hmac(method) {
            return Self::new(method).private(str::from_utf8(&pair.private).unwrap());
        }
        Self::new(method).private(&pem("PRIVATE KEY", &pair.private))
    }

    fn open(&self) -> Jwt {
        Jwt::open(&self.options).unwrap()
    }

    fn refused(&self) -> String {
        Jwt::open(&self.options).err().expect("a refusal")
    }
}

fn is_hmac(method: SignMethod) -> bool {
    method.name().starts_with('H')
}

/// A token with whatever it is to say, signed with the key of `files`.
fn forge(files: &Files, header: &Value, claims: &str) -> String {
    let signed = format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims));
    let signature = Key::open(&files.options).unwrap().sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", BASE64.encode(signature))
}

fn claims(token: &str, part: usize) -> String {
    let part = token.split('.').nth(part).unwrap();
    String::from_utf8(BASE64.decode(part).unwrap()).unwrap()
}

fn user(name: &str, revision: u64) -> Option<Identity> {
    Some(Identity::User { name: name.into(), auth_revision: AuthRevision(revision) })
}

const ES256: SignMethod = SignMethod::Es256;

#[test]
fn every_method_signs_what_it_and_its_public_key_verify() {
    for method in SignMethod::ALL {
        let pair = pair(*method);
        let files = Files::of(*method, &pair);
        let jwt = files.open();
        let token = jwt.issue("alice", AuthRevision(7)).unwrap();
        let header = format!(r#"{{"alg":"{}","typ":"JWT"}}"#, method.name());
        assert_eq!(claims(&token, 0), header);
        let said = claims(&token, 1);
        assert!(said.starts_with(r#"{"exp":"#), "{said}");
        assert!(said.ends_with(r#","revision":7,"username":"alice"}"#), "{said}");
        for _ in 0..2 {
            assert_eq!(jwt.identify(&token), user("alice", 7));
        }
        if is_hmac(*method) {
            continue;
        }
        let verifier = Files::new(*method).public(&pem("PUBLIC KEY", &pair.public)).open();
        assert_eq!(verifier.identify(&token), user("alice", 7));
        let refused = verifier.issue("alice", AuthRevision(7)).unwrap_err();
        assert_eq!(refused.message, "auth: token signing attempted with verify-only key");
        let both = Files::of(*method, &pair).public(&pem("PUBLIC KEY", &pair.public));
        assert!(both.open().identify(&token).is_some());
    }
}

#[test]
fn tokens_that_go_signed_are_verified() {
    let lines = include_str!("from_go.txt").lines().filter(|line| !line.starts_with('#'));
    let mut seen = 0;
    for line in lines {
        let mut parts = line.split('\t');
        let mut next = || parts.next().unwrap().replace('|', "\n");
        let (name, key, token) = (next(), next(), next());
        let method = *SignMethod::ALL.iter().find(|method| method.name() == name).unwrap();
        let files = Files::new(method);
        let files = if is_hmac(method) { files.private(&key) } else { files.public(&key) };
        assert_eq!(files.open().identify(&token), user("al\"ice<é>", 7), "{name}");
        seen += 1;
    }
    assert_eq!(seen, SignMethod::ALL.len());
}

#[test]
fn a_token_of_another_key_or_method_is_nobody_s() {
    for method in SignMethod::ALL {
        let own = pair(*method);
        let jwt = Files::of(*method, &own).open();
        for other in SignMethod::ALL {
            // The same key where the method is another, and another key where it is the same.
            let mut foreign = pair(*other);
            if other == method && is_hmac(*other) {
                foreign.private = b"another".to_vec();
            } else if other == method && own.public == RSA.public {
                foreign.private.clone_from(&OTHER_RSA.private);
            }
            let token = Files::of(*other, &foreign).open().issue("alice", AuthRevision(7)).unwrap();
            assert_eq!(jwt.identify(&token), None, "{} {}", method.name(), other.name());
        }
    }
}

#[test]
fn no_byte_of_a_token_can_be_changed() {
    for method in [ES256, SignMethod::Hs256, SignMethod::EdDsa, SignMethod::Ps256] {
        let jwt = Files::of(method, &pair(method)).open();
        let token = jwt.issue("alice", AuthRevision(7)).unwrap();
        assert!(jwt.identify(&token).is_some());
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let tampered = String::from_utf8(bytes).unwrap();
            assert_eq!(jwt.identify(&tampered), None, "{} at {at}", method.name());
        }
        for cut in [0, 1, token.len() / 2, token.len() - 1] {
            assert_eq!(jwt.identify(&token[..cut]), None);
        }
        assert_eq!(jwt.identify(&format!("{token}.")), None);
        assert_eq!(jwt.identify(&format!("{token}.x")), None);
        assert_eq!(jwt.identify(&format!("{token}=")), None);
    }
}

#[test]
fn the_method_is_not_the_token_s_to_choose() {
    let public = pem("PUBLIC KEY", &RSA.public);
    let verifier = Files::new(SignMethod::Rs256).public(&public).open();
    let said = r#"{"exp":9999999999,"revision":7,"username":"root"}"#;
    for secret in [public.as_bytes(), public.trim().as_bytes(), &RSA.public] {
        let secret = String::from_utf8_lossy(secret);
        let forger = Files::new(SignMethod::Hs256).private(&secret);
        for named in ["HS256", "RS256"] {
            let token = forge(&forger, &json!({ "alg": named, "typ": "JWT" }), said);
            assert_eq!(verifier.identify(&token), None, "{named}");
        }
    }
    for named in ["none", "None", "NONE", "nOnE", "", "RS256"] {
        let header = BASE64.encode(json!({ "alg": named }).to_string());
        let unsigned = format!("{header}.{}.", BASE64.encode(said));
        assert_eq!(verifier.identify(&unsigned), None, "{named}");
    }
    let own = Files::of(ES256, &pair(ES256));
    let jwt = own.open();
    for header in [json!({}), json!({ "alg": null }), json!({ "alg": ["ES256"] }), json!([])] {
        assert_eq!(jwt.identify(&forge(&own, &header, said)), None, "{header}");
    }
    let more = json!({ "alg": "ES256", "kid": 5, "jku": "http://example.com" });
    assert!(jwt.identify(&forge(&own, &more, said)).is_some());
}

const NOW: u64 = 1_000_000;

#[test]
fn claims_are_read_as_go_reads_them() {
    let files = Files::of(ES256, &pair(ES256));
    let jwt = files.open();
    let who = |said: &str| {
        let token = forge(&files, &json!({ "alg": "ES256" }), said);
        jwt.identify_at(&token, NOW)
    };
    for (dates, good) in [
        ("", true),
        (r#""exp":1000001,"#, true),
        (r#""exp":1000000,"#, false),
        (r#""exp":1000001.9,"#, true),
        (r#""exp":1000000.9,"#, false),
        (r#""exp":1.000001e6,"#, true),
        (r#""exp":0,"#, true),
        (r#""exp":-1,"#, false),
        (r#""exp":1e18,"#, true),
        (r#""exp":1e19,"#, false),
        (r#""exp":1e300,"#, false),
        (r#""exp":1e999,"#, false),
        (r#""exp":"1000001","#, false),
        (r#""exp":null,"#, false),
        (r#""exp":true,"#, false),
        (r#""exp":[1000001],"#, false),
        (r#""exp":1000001,"exp":1,"#, false),
        (r#""nbf":1000000,"#, true),
        (r#""nbf":1000001,"#, false),
        (r#""nbf":"1","#, false),
        (r#""iat":9999999999,"aud":5,"iss":[],"#, true),
    ] {
        let said = format!(r#"{{{dates}"revision":7,"username":"alice"}}"#);
        assert_eq!(who(&said), good.then(|| user("alice", 7)).flatten(), "{dates}");
    }
    for said in [
        r#"{"revision":7}"#,
        r#"{"revision":7,"username":5}"#,
        r#"{"username":"alice"}"#,
        r#"{"revision":"7","username":"alice"}"#,
        r#"[]"#,
        "null",
        "",
        r#"{"revision":7,"username":"alice"} "#.trim_end_matches(['}', ' ']),
    ] {
        assert_eq!(who(said), None, "{said}");
    }
    let cut = r#"{"revision":7.9,"username":""}"#;
    assert_eq!(who(cut), user("", 7));
    assert_eq!(who(r#"{"revision":-3,"username":"a"}"#), user("a", 0));
}

#[test]
fn what_is_remembered_ends_with_the_token_and_is_bounded() {
    let files = Files::of(SignMethod::Hs256, &pair(SignMethod::Hs256));
    let jwt = files.open();
    let token = |user: &str, exp: u64| {
        let said = json!({ "exp": exp, "revision": 1, "username": user }).to_string();
        forge(&files, &json!({ "alg": "HS256" }), &said)
    };
    let short = token("alice", NOW + 2);
    assert!(jwt.identify_at(&short, NOW).is_some());
    assert_eq!(jwt.remembered(), 1);
    assert!(jwt.identify_at(&short, NOW + 1).is_some());
    assert_eq!(jwt.identify_at(&short, NOW + 2), None);
    assert_eq!(jwt.remembered(), 0);
    let long = token(&"a".repeat(5000), NOW + 2);
    assert!(jwt.identify_at(&long, NOW).is_some());
    assert_eq!(jwt.remembered(), 0);
    assert_eq!(jwt.identify_at(&format!("{short}x"), NOW), None);
    assert_eq!(jwt.remembered(), 0, "what is not good is not remembered");
    for user in 0..5000 {
        assert!(jwt.identify_at(&token(&user.to_string(), NOW + 5), NOW).is_some());
    }
    assert_eq!(jwt.remembered(), 4096);
    let late = token("bob", NOW + 50);
    assert!(jwt.identify_at(&late, NOW + 6).is_some());
    assert!(jwt.remembered() <= 4096 - 255);
}

proptest! {
    #[test]
    fn no_text_is_a_token(text in "[a-zA-Z0-9_.=-]{0,80}|\\PC*") {
        let files = Files::of(SignMethod::Hs256, &pair(SignMethod::Hs256));
        prop_assert_eq!(files.open().identify(&text), None);
    }
}

#[test]
fn a_token_without_a_life_is_never_good() {
    let mut files = Files::of(ES256, &pair(ES256));
    files.options.ttl = Duration::ZERO;
    let jwt = files.open();
    assert_eq!(jwt.identify(&jwt.issue("alice", AuthRevision(7)).unwrap()), None);
}

#[test]
fn keys_that_cannot_be_used_are_refused_at_start() {
    let rsa = || Files::new(SignMethod::Rs256);
    let private = pem("PRIVATE KEY", &RSA.private);
    let ec = pair(ES256);
    let ec_private = pem("PRIVATE KEY", &ec.private);
    let small = pem("PUBLIC KEY", &STANDARD.decode(RSA_1024).unwrap());
    let mut absent = rsa();
    absent.options.private_key = Some(absent.folder.path().join("absent"));
    for (files, words, more) in [
        (rsa(), "auth: missing key data", "pub-key to verify only"),
        (rsa().private("").public(""), "auth: missing key data", ""),
        (Files::new(SignMethod::Hs512), "auth: missing key data", "secret"),
        (Files::new(SignMethod::Hs512).public("x"), "auth: missing key data", "secret"),
        (absent, "auth: invalid auth options", "priv-key"),
        (rsa().private("text"), "invalid key: Key must be a PEM encoded PKCS1 or PKCS8 key", ""),
        (rsa().private("-----BEGIN ENCRYPTED PRIVATE KEY-----"), "invalid key", "openssl pkey"),
        (rsa().private(&ec_private), "key is not a valid RSA private key", "2048 to 8192"),
        (rsa().public(&pem("PUBLIC KEY", &ec.public)), "key is not a valid RSA public key", ""),
        (rsa().public(&small), "key is not a valid RSA public key", "2048 to 8192"),
        (Files::new(ES256).private(&private), "key is not a valid ECDSA private key", "P-256"),
        (Files::new(SignMethod::Es384).private(&ec_private), "key is not a valid ECDSA", "P-384"),
        (Files::new(SignMethod::Es512).public(&pem("X", &ec.public)), "key is not", "P-521"),
        (Files::new(SignMethod::EdDsa).private(&private), "key is not a valid Ed25519", ""),
        (
            rsa().private(&private).public(&pem("PUBLIC KEY", &OTHER_RSA.public)),
            "auth: public and private keys don't match",
            "",
        ),
    ] {
        let why = files.refused();
        assert!(why.starts_with(words) && why.contains(more), "{why}");
        assert!(!why.contains("MII"), "{why}");
    }
}

/// The public half of a key of 1024 bits.
const RSA_1024: &str = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCflW7QsOF3pkCzrDcIcfvQnu+C34BqJm8D\
    mbojlTNcMXigTSYs3aTpg5CU+LQTuSv6G52SpKgQTxA7qBGcBJpoeVFRDzEbieLocdb0hkcCsHwcpcO84qAoUQ0LckGX\
    Ux/c1ghCInZr08b6+fY3BpB1I3l1pNDnpFmmLcyTD+MPfQIDAQAB";

#[test]
fn keys_are_taken_in_every_form_that_go_takes() {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let signer = Files::new(ES256).private(&key.serialize_pem()).open();
    let token = signer.issue("alice", AuthRevision(7)).unwrap();
    let verifier = Files::new(ES256).public(&certificate.pem()).open();
    assert!(verifier.identify(&token).is_some());

    let rsa = Files::new(SignMethod::Rs256).private(&pem("PRIVATE KEY", &RSA.private)).open();
    let token = rsa.issue("alice", AuthRevision(7)).unwrap();
    let key = rsa::KeyPair::from_pkcs8(&RSA.private).unwrap();
    let pkcs1 = pem("RSA PUBLIC KEY", key.public_key().as_ref());
    let verifier = Files::new(SignMethod::Rs256).public(&pkcs1).open();
    assert!(verifier.identify(&token).is_some());
}
