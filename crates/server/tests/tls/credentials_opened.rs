//! Opening credentials: what is refused at start, in which words, and what `--auto-tls` makes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use server::config::{SelfSigned, Tls};
use server::security::Credentials;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::support::{Ca, Leaf, Workshop, client, fixture, greet, warnings};

fn refusal(tls: &Tls) -> String {
    Credentials::open(tls).expect_err("unusable files").to_string()
}

#[test]
fn what_cannot_be_used_is_refused_by_flag_file_and_reason() {
    let shop = Workshop::new();
    let good = |name: &str| fs::read_to_string(shop.path(name)).unwrap();
    let (cert, key) = (good("server.crt"), good("server.key"));
    let (half, no_pem) = (cert[..cert.len() / 2].to_owned(), "hello\n".to_owned());
    for (name, flag, contents, why) in [
        ("server.crt", "--cert-file", String::new(), "is empty"),
        ("server.crt", "--cert-file", no_pem.clone(), "is not PEM"),
        ("server.crt", "--cert-file", key.clone(), "holds a key and no certificate; is it exch"),
        ("server.crt", "--cert-file", half, "is damaged: "),
        ("server.key", "--key-file", String::new(), "is empty"),
        ("server.key", "--key-file", no_pem.clone(), "holds no private key in PEM"),
        ("server.key", "--key-file", cert.clone(), "holds a certificate and no key; is it exch"),
        ("server.key", "--key-file", fixture("encrypted.pem"), "its key is encrypted"),
        ("server.key", "--key-file", fixture("encrypted-sec1.pem"), "its key is encrypted"),
        ("server.key", "--key-file", fixture("p224.pem"), "its key cannot be used: "),
        ("server.key", "--key-file", fixture("rsa1024.pem"), "its key cannot be used: "),
        ("ca.crt", "--trusted-ca-file", String::new(), "is empty"),
        ("ca.crt", "--trusted-ca-file", no_pem, "is not PEM"),
        ("ca.crt", "--trusted-ca-file", key.clone(), "holds a key and no certificate"),
    ] {
        let before = fs::read(shop.path(name)).unwrap();
        let path = shop.write(name, contents);
        let told = refusal(&shop.mutual());
        let start = format!("{flag} {}: {why}", path.display());
        assert!(told.starts_with(&start), "{told}, not {start}");
        fs::remove_file(&path).unwrap();
        let told = refusal(&shop.mutual());
        assert!(told.starts_with(&format!("{flag} {}: No such file", path.display())), "{told}");
        fs::create_dir(&path).unwrap();
        let told = refusal(&shop.mutual());
        assert!(told.starts_with(&format!("{flag} {}: is a directory", path.display())), "{told}");
        fs::remove_dir(&path).unwrap();
        shop.write(name, before);
    }
    Credentials::open(&shop.mutual()).expect("all files are good again");
}

#[test]
fn a_key_of_another_certificate_is_refused_by_both_names() {
    let shop = Workshop::new();
    let other = shop.write("other.key", shop.ca.sign(&Leaf::server()).key);
    let told = refusal(&Tls { key_file: other.clone(), ..shop.plain() });
    let expected = format!(
        "--key-file {} is not the key of the certificate in --cert-file {}",
        other.display(),
        shop.path("server.crt").display()
    );
    assert_eq!(told, expected);
    let calling = Some((shop.path("server.crt"), other));
    let told = refusal(&Tls { calling, ..shop.plain() });
    assert!(told.contains("of the certificate in --client-cert-file"), "{told}");
}

#[test]
fn dates_are_warned_of_and_hold_no_start_up() {
    let shop = Workshop::new();
    shop.write_pair("server", &shop.ca.sign(&Leaf::server().expired()));
    shop.write("ca.crt", shop.ca.pem() + &Ca::valid("old-ca", 2020, 2021).pem());
    let told = warnings(|| drop(Credentials::open(&shop.mutual()).unwrap()));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("the server's certificate has expired"), "{told:?}");
    assert!(told[1].contains("CN=old-ca"), "{told:?}");
}

#[tokio::test]
async fn auto_tls_makes_what_etcd_makes_and_finds_it_again() {
    let shop = Workshop::new();
    let folder = shop.path("data/fixtures/client");
    let hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let tls = Tls {
        cert_file: folder.join("cert.pem"),
        key_file: folder.join("key.pem"),
        self_signed: Some(SelfSigned { hosts, years: 2 }),
        ..shop.plain()
    };
    let credentials = Credentials::open(&tls).unwrap();
    let text = fs::read_to_string(&tls.cert_file).unwrap();
    let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&tls.key_file)), (0o700, 0o600));

    let greeted = greet(credentials.current(), &client(&shop.ca.pem(), None).into()).await;
    assert!(greeted.is_err(), "nobody else's CA vouches for it");
    let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes()).unwrap();
    let (_, made) = X509Certificate::from_der(&pem.contents).unwrap();
    assert_eq!(made.subject().to_string(), "O=etcd");
    assert_eq!(made.public_key().parsed().unwrap().key_size(), 528, "P-521");
    let names = made.subject_alternative_name().unwrap().unwrap().value;
    assert_eq!(names.general_names.len(), 2);
    let usage = made.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && usage.key_encipherment() && usage.crl_sign());
    let usage = made.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
    assert!(made.is_ca());
    let valid = made.validity();
    let length = valid.not_after.timestamp() - valid.not_before.timestamp();
    assert_eq!(length, 2 * 365 * 24 * 3600);

    Credentials::open(&tls).unwrap();
    assert_eq!(fs::read_to_string(&tls.cert_file).unwrap(), text, "it is found again");
    fs::remove_file(&tls.key_file).unwrap();
    Credentials::open(&tls).unwrap();
    assert_ne!(fs::read_to_string(&tls.cert_file).unwrap(), text, "half a pair is none");
}

#[test]
fn auto_tls_keeps_a_certificate_that_has_expired() {
    let shop = Workshop::new();
    shop.write_pair("server", &shop.ca.sign(&Leaf::server().expired()));
    let before = fs::read(shop.path("server.crt")).unwrap();
    let self_signed = Some(SelfSigned { hosts: Vec::new(), years: 1 });
    let told = warnings(|| {
        drop(Credentials::open(&Tls { self_signed, ..shop.plain() }).unwrap());
    });
    assert!(told[0].contains("the server's certificate has expired"), "{told:?}");
    assert_eq!(fs::read(shop.path("server.crt")).unwrap(), before);
}
