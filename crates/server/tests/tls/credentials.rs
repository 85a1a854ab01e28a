//! Who comes in, by the files as they are at start.

use std::sync::Arc;

use rcgen::{
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519,
    PKCS_RSA_SHA256,
};
use rustls::{CipherSuite, ProtocolVersion};
use server::config::{AllowedClients, Tls, TlsVersions};
use server::security::{Caller, Credentials};

use crate::support::{Ca, Leaf, Workshop, entering, fixture, greet};

#[tokio::test]
async fn a_client_of_the_ca_comes_in_and_is_known_by_name() {
    let shop = Workshop::new();
    let credentials = Credentials::open(&shop.mutual()).unwrap();
    let pair = shop.ca.sign(&Leaf::named("alice"));
    let greeted = entering(&credentials, &shop, Some(&pair)).await.unwrap();
    assert_eq!(greeted.protocol.as_deref(), Some(&b"h2"[..]));
    let caller = Caller::of(greeted.chain.as_deref());
    assert_eq!(caller.common_name.as_deref(), Some("alice"));
}

#[tokio::test]
async fn everyone_comes_in_where_no_certificate_is_asked_for() {
    let shop = Workshop::new();
    let crl = shop.write("crl", shop.ca.revoke(&[1]));
    let idle = AllowedClients::Hostnames(vec!["a".to_owned()]);
    let tls = Tls { client_crl_file: Some(crl), allowed: idle, ..shop.plain() };
    let credentials = Credentials::open(&tls).unwrap();
    let stranger = Ca::new("other").sign(&Leaf::named("mallory"));
    for pair in [None, Some(&stranger)] {
        let greeted = entering(&credentials, &shop, pair).await.unwrap();
        assert_eq!(Caller::of(greeted.chain.as_deref()), Caller::default());
    }
}

#[tokio::test]
async fn every_kind_of_key_serves_and_calls() {
    for kind in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ECDSA_P521_SHA512,
        &PKCS_ED25519,
        &PKCS_RSA_SHA256,
    ] {
        let shop = Workshop::new();
        shop.write_pair("server", &shop.ca.sign(&Leaf::server().kind(kind)));
        let credentials = Credentials::open(&shop.mutual()).unwrap();
        let pair = shop.ca.sign(&Leaf::named("alice").kind(kind));
        entering(&credentials, &shop, Some(&pair)).await.unwrap();
    }
}

#[test]
fn keys_in_their_old_forms_are_read() {
    let shop = Workshop::new();
    for name in ["sec1.pem", "pkcs1.pem"] {
        let both = shop.write(name, fixture(name));
        let tls = Tls { cert_file: both.clone(), key_file: both, ..shop.plain() };
        Credentials::open(&tls).unwrap();
    }
}

#[tokio::test]
async fn a_chain_with_an_intermediate_is_served_and_taken() {
    let shop = Workshop::new();
    let middle = shop.ca.sign_ca("middle", 9);
    let with_middle = |leaf: &Leaf| {
        let mut pair = middle.sign(leaf);
        pair.cert += &middle.pem();
        pair
    };
    shop.write_pair("server", &with_middle(&Leaf::server()));
    let credentials = Credentials::open(&shop.mutual()).unwrap();
    let pair = with_middle(&Leaf::named("alice"));
    entering(&credentials, &shop, Some(&pair)).await.unwrap();
    let alone = middle.sign(&Leaf::named("alice"));
    let reason = entering(&credentials, &shop, Some(&alone)).await.err().unwrap();
    assert!(reason.contains("or comes without an intermediate one"), "{reason}");
}

#[tokio::test]
async fn versions_and_suites_are_those_asked_for() {
    let suite = CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256;
    for (versions, suites, expected) in [
        (TlsVersions::Both, vec![], (ProtocolVersion::TLSv1_3, None)),
        (TlsVersions::Only13, vec![], (ProtocolVersion::TLSv1_3, None)),
        (TlsVersions::Both, vec![suite], (ProtocolVersion::TLSv1_3, None)),
        (TlsVersions::Only12, vec![suite], (ProtocolVersion::TLSv1_2, Some(suite))),
    ] {
        let shop = Workshop::new();
        let tls = Tls { versions, cipher_suites: suites, ..shop.plain() };
        let credentials = Credentials::open(&tls).unwrap();
        let greeted = entering(&credentials, &shop, None).await.unwrap();
        assert_eq!(greeted.version, Some(expected.0));
        assert!(expected.1.is_none() || greeted.suite == expected.1);
    }
}

#[tokio::test]
async fn sessions_are_resumed_only_where_nobody_must_prove_who_he_is() {
    let shop = Workshop::new();
    let pair = shop.ca.sign(&Leaf::named("alice"));
    for versions in [TlsVersions::Only12, TlsVersions::Only13] {
        for (tls, pair, resumed) in
            [(shop.plain(), None, true), (shop.mutual(), Some(&pair), false)]
        {
            let credentials = Credentials::open(&Tls { versions, ..tls }).unwrap();
            let client = Arc::new(shop.client(pair));
            for again in [false, resumed] {
                let greeted = greet(credentials.current(), &client).await.unwrap();
                assert_eq!(greeted.resumed, again, "{versions:?}");
            }
        }
    }
}
