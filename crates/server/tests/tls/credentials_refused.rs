//! Who does not come in, and what the log will say of it.

use std::sync::Arc;

use rustls::version::{TLS12, TLS13};
use server::config::{AllowedClients, Tls, TlsVersions};
use server::security::Credentials;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

use crate::support::{
    Ca, Leaf, Pair, Workshop, client, client_of_versions, entering, fixture, greet,
};

#[track_caller]
fn says(reason: Option<String>, part: &str) {
    let reason = reason.expect("a refusal");
    assert!(reason.contains(part), "{reason}, not {part}");
}

#[tokio::test]
async fn a_client_with_a_certificate_that_is_no_good_is_told_apart() {
    let shop = Workshop::new();
    let credentials = Credentials::open(&shop.mutual()).unwrap();
    let file = format!("see --trusted-ca-file {}", shop.path("ca.crt").display());
    let sign = |leaf: Leaf| Some(shop.ca.sign(&leaf));
    let stranger = Ca::new("other").sign(&Leaf::named("mallory"));
    let twin = Ca::new("our-ca").sign(&Leaf::named("mallory"));
    for (pair, part) in [
        (None, "the client sent no certificate"),
        (None, &*file),
        (Some(stranger.clone()), "signed by an unknown CA"),
        (Some(stranger), &*file),
        (sign(Leaf::named("x").expired()), "expired at Jan  1 00:00:00 2021"),
        (sign(Leaf::named("x").years(2080, 2090)), "is valid only from Jan  1 00:00:00 2080"),
        (sign(Leaf::server()), "extended key usage lacks clientAuth"),
        (sign(Leaf::named("x").ca()), "(CN=x) is that of a CA (CA:TRUE), which is not taken"),
        (Some(twin), "another CA with the same name"),
    ] {
        says(entering(&credentials, &shop, pair.as_ref()).await.err(), part);
    }
}

/// Shows what it has, whatever it is.
#[derive(Debug)]
struct Careless(Arc<rustls::sign::CertifiedKey>);

impl rustls::client::ResolvesClientCert for Careless {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn key_of(pair: &Pair) -> Arc<rustls::sign::CertifiedKey> {
    use rustls::pki_types::pem::PemObject;
    let chain: Result<Vec<_>, _> =
        rustls::pki_types::CertificateDer::pem_slice_iter(pair.cert.as_bytes()).collect();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
    Arc::new(rustls::sign::CertifiedKey::new(chain.unwrap(), key))
}

#[tokio::test]
async fn a_certificate_of_x509_v1_is_told_so() {
    let shop = Workshop::new();
    shop.write("ca.crt", fixture("old-ca.pem"));
    let credentials = Credentials::open(&shop.mutual()).unwrap();
    let both = fixture("v1.pem");
    let mut client = shop.client(None);
    let pair = Pair { cert: both.clone(), key: both };
    client.client_auth_cert_resolver = Arc::new(Careless(key_of(&pair)));
    let error = greet(credentials.current(), &Arc::new(client)).await.err().unwrap();
    says(Some(credentials.reason(&error)), "(CN=old) is X.509 v1, and only v3 is taken");
}

#[tokio::test]
async fn a_client_whose_ca_has_expired_stays_outside() {
    let shop = Workshop::new();
    let old = Ca::valid("old-ca", 2020, 2021);
    shop.write("ca.crt", old.pem());
    let pair = old.sign(&Leaf::named("alice"));
    let credentials = Credentials::open(&shop.mutual()).unwrap();
    says(entering(&credentials, &shop, Some(&pair)).await.err(), "no CA of clients is valid at");
    shop.write("ca.crt", old.pem() + &shop.ca.pem());
    assert!(entering(&credentials, &shop, Some(&pair)).await.is_err());
    let alice = shop.ca.sign(&Leaf::named("alice"));
    entering(&credentials, &shop, Some(&alice)).await.unwrap();
}

#[tokio::test]
async fn revoked_is_who_is_on_the_list_and_who_comes_with_one_who_is() {
    let shop = Workshop::new();
    let crl = shop.write("crl", shop.ca.revoke(&[0x8f01, 9]));
    let tls = Tls { client_crl_file: Some(crl.clone()), ..shop.mutual() };
    let credentials = Credentials::open(&tls).unwrap();
    let alice = shop.ca.sign(&Leaf::named("alice").serial(0x8f01));
    let reason = entering(&credentials, &shop, Some(&alice)).await.err().unwrap();
    let expected = format!(
        "the client's certificate CN=alice is revoked (serial 8f01); see --client-crl-file {}",
        crl.display()
    );
    assert_eq!(reason, expected);
    let middle = shop.ca.sign_ca("middle", 9);
    let mut bob = middle.sign(&Leaf::named("bob").serial(3));
    bob.cert += &middle.pem();
    says(entering(&credentials, &shop, Some(&bob)).await.err(), "CN=middle is revoked (serial 09)");
    let carol = shop.ca.sign(&Leaf::named("carol").serial(0x8f02));
    entering(&credentials, &shop, Some(&carol)).await.unwrap();
}

#[tokio::test]
async fn only_the_names_allowed_come_in() {
    let shop = Workshop::new();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let allowed = AllowedClients::CommonNames(names(&["alice", "bob"]));
    let credentials = Credentials::open(&Tls { allowed, ..shop.mutual() }).unwrap();
    let enter = async |credentials: &Credentials, leaf: Leaf| {
        entering(credentials, &shop, Some(&shop.ca.sign(&leaf))).await.err()
    };
    assert_eq!(enter(&credentials, Leaf::named("bob")).await, None);
    // A name of a host is not a common name.
    let mallory = Leaf::named("mallory").hosts(&["alice"]);
    says(enter(&credentials, mallory).await, "has the common name \"mallory\", which is not in");

    let allowed = AllowedClients::Hostnames(names(&["api.example.com", "10.0.0.7"]));
    let credentials = Credentials::open(&Tls { allowed, ..shop.mutual() }).unwrap();
    for hosts in [&["x", "api.example.com"][..], &["*.example.com"], &["10.0.0.7"]] {
        assert_eq!(enter(&credentials, Leaf::named("c").hosts(hosts)).await, None, "{hosts:?}");
    }
    let part = "(CN=api.example.com) is valid for a.b, 10.0.0.8, and for nothing in --client-cert";
    let leaf = Leaf::named("api.example.com").hosts(&["a.b", "10.0.0.8"]);
    says(enter(&credentials, leaf).await, part);
    says(enter(&credentials, Leaf::named("c")).await, "is valid for no names");
    let allowed = AllowedClients::Hostnames(names(&[""]));
    let credentials = Credentials::open(&Tls { allowed, ..shop.mutual() }).unwrap();
    says(enter(&credentials, Leaf::named("c")).await, "is valid for no names");
}

#[tokio::test]
async fn plaintext_and_silence_are_told_apart() {
    let shop = Workshop::new();
    let credentials = Credentials::open(&shop.plain()).unwrap();
    for (bytes, part) in [
        (&b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n"[..], "plaintext on a TLS port"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "plaintext on a TLS port"),
        (b"", "closed the connection before the handshake was done"),
        (b"\x16\x03\x01\x02\x00\x01", "closed the connection before the handshake was done"),
    ] {
        says(Some(reason_for(&credentials, bytes).await), part);
    }
}

/// Why a client is refused that says this and no more.
async fn reason_for(credentials: &Credentials, bytes: &[u8]) -> String {
    let (near, mut far) = tokio::io::duplex(1 << 10);
    far.write_all(bytes).await.unwrap();
    far.shutdown().await.unwrap();
    let accepted = TlsAcceptor::from(credentials.current()).accept(near).await;
    credentials.reason(&accepted.err().unwrap())
}

#[tokio::test]
async fn a_client_that_refuses_this_server_is_told_of() {
    let shop = Workshop::new();
    let credentials = Credentials::open(&shop.plain()).unwrap();
    let file = format!("--cert-file {}", shop.path("server.crt").display());
    let other = Arc::new(client(&Ca::new("other").pem(), None));
    let error = greet(credentials.current(), &other).await.err().unwrap();
    let reason = credentials.reason(&error);
    assert!(reason.contains("does not trust this server's certificate"), "{reason}");
    assert!(reason.contains(&file), "{reason}");
    for (leaf, part) in [
        (Leaf::server().expired(), "server's certificate has expired"),
        (Leaf::server().hosts(&["elsewhere"]), "not for the name or address it dialed"),
    ] {
        shop.write_pair("server", &shop.ca.sign(&leaf));
        let reason = entering(&credentials, &shop, None).await.err().unwrap();
        assert!(reason.contains(part) && reason.contains(&file), "{reason}");
    }
}

#[tokio::test]
async fn a_client_of_another_version_or_suite_is_told_so() {
    let shop = Workshop::new();
    let part = "no version of TLS that is served; see --tls-min-version";
    for (versions, client) in [(TlsVersions::Only13, &TLS12), (TlsVersions::Only12, &TLS13)] {
        let credentials = Credentials::open(&Tls { versions, ..shop.plain() }).unwrap();
        let client = Arc::new(client_of_versions(&shop.ca.pem(), &[client]));
        let error = greet(credentials.current(), &client).await.err().unwrap();
        says(Some(credentials.reason(&error)), part);
    }
    // What a client of TLS 1.1 says first: one suite, no extensions.
    let hello = [&[0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2][..], &[7; 32], &[0, 0, 2, 0, 47, 1, 0]];
    let credentials = Credentials::open(&shop.plain()).unwrap();
    says(Some(reason_for(&credentials, &hello.concat()).await), part);
    let rsa = rustls::CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    let tls = Tls { cipher_suites: vec![rsa], versions: TlsVersions::Only12, ..shop.plain() };
    let credentials = Credentials::open(&tls).unwrap();
    let reason = entering(&credentials, &shop, None).await.err().unwrap();
    says(Some(reason), "no cipher suite that is served, or none that fits the server's key");
}
