//! Files that change under a running server: for new connections, without a restart, and never to
//! something worse than what was there.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;

use server::config::Tls;
use server::security::Credentials;

use crate::support::{Ca, Leaf, Workshop, entering, greet, replace, warnings};

#[tokio::test]
async fn a_new_certificate_is_shown_to_the_next_connection() {
    let shop = Workshop::new();
    let credentials = Credentials::open(&shop.plain()).unwrap();
    let before = entering(&credentials, &shop, None).await.unwrap().shown;
    let renewed = shop.ca.sign(&Leaf::server().serial(2));
    replace(&shop.path("server.crt"), &renewed.cert);
    let between = entering(&credentials, &shop, None).await.unwrap().shown;
    assert_eq!(between, before, "a certificate without its key is not shown");
    replace(&shop.path("server.key"), &renewed.key);
    let after = entering(&credentials, &shop, None).await.unwrap().shown;
    assert_ne!(after, before);
}

#[tokio::test]
async fn a_secret_that_is_swapped_by_its_link_is_read_again() {
    let shop = Workshop::new();
    for (folder, serial) in [("..one", 1), ("..two", 2)] {
        fs::create_dir(shop.path(folder)).unwrap();
        shop.write_pair(&format!("{folder}/tls"), &shop.ca.sign(&Leaf::server().serial(serial)));
    }
    symlink("..one", shop.path("..data")).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), shop.path(name)).unwrap();
    }
    let tls =
        Tls { cert_file: shop.path("tls.crt"), key_file: shop.path("tls.key"), ..shop.plain() };
    let credentials = Credentials::open(&tls).unwrap();
    let before = entering(&credentials, &shop, None).await.unwrap().shown;
    symlink("..two", shop.path("..data_tmp")).unwrap();
    fs::rename(shop.path("..data_tmp"), shop.path("..data")).unwrap();
    let after = entering(&credentials, &shop, None).await.unwrap().shown;
    assert_ne!(after, before);
}

#[tokio::test]
async fn a_file_half_written_leaves_the_last_good_one_in_force() {
    let shop = Workshop::new();
    let credentials = Credentials::open(&shop.mutual()).unwrap();
    let alice = shop.ca.sign(&Leaf::named("alice"));
    let before = entering(&credentials, &shop, Some(&alice)).await.unwrap().shown;
    for name in ["server.crt", "server.key", "ca.crt"] {
        let whole = fs::read(shop.path(name)).unwrap();
        for rest in [&b""[..], &whole[..whole.len() / 2], b"garbage"] {
            shop.write(name, rest);
            let shown = entering(&credentials, &shop, Some(&alice)).await.unwrap().shown;
            assert_eq!(shown, before, "{name}");
        }
        fs::remove_file(shop.path(name)).unwrap();
        let shown = entering(&credentials, &shop, Some(&alice)).await.unwrap().shown;
        assert_eq!(shown, before, "{name}");
        shop.write(name, whole);
    }
    shop.write_pair("server", &shop.ca.sign(&Leaf::server().serial(2)));
    let shown = entering(&credentials, &shop, Some(&alice)).await.unwrap().shown;
    assert_ne!(shown, before, "once the files are whole, they are in force");
}

#[test]
fn a_file_that_cannot_be_used_is_told_of_once() {
    let shop = Workshop::new();
    let credentials = Credentials::open(&shop.mutual()).unwrap();
    let told = warnings(|| {
        shop.write("server.key", "garbage");
        for _ in 0..50 {
            drop(credentials.current());
        }
        fs::remove_file(shop.path("ca.crt")).unwrap();
        for _ in 0..50 {
            drop(credentials.current());
        }
    });
    assert_eq!(told.len(), 2, "{told:?}");
    let name = |name| shop.path(name).display().to_string();
    assert!(told[0].contains(&format!("--key-file {}: holds no private", name("server.key"))));
    assert!(told[1].contains(&format!("--trusted-ca-file {}: No such file", name("ca.crt"))));
}

#[tokio::test]
async fn another_ca_lets_its_own_clients_in_and_no_others() {
    let shop = Workshop::new();
    let credentials = Credentials::open(&shop.mutual()).unwrap();
    let other = Ca::new("other-ca");
    let (alice, olga) = (shop.ca.sign(&Leaf::named("alice")), other.sign(&Leaf::named("olga")));
    entering(&credentials, &shop, Some(&alice)).await.unwrap();
    assert!(entering(&credentials, &shop, Some(&olga)).await.is_err());
    replace(&shop.path("ca.crt"), shop.ca.pem() + &other.pem());
    entering(&credentials, &shop, Some(&alice)).await.unwrap();
    entering(&credentials, &shop, Some(&olga)).await.unwrap();
    replace(&shop.path("ca.crt"), other.pem());
    assert!(entering(&credentials, &shop, Some(&alice)).await.is_err());
    entering(&credentials, &shop, Some(&olga)).await.unwrap();
}

#[tokio::test]
async fn a_revocation_holds_for_the_next_connection() {
    let shop = Workshop::new();
    let crl = shop.write("crl", shop.ca.revoke(&[100]));
    let tls = Tls { client_crl_file: Some(crl.clone()), ..shop.mutual() };
    let credentials = Credentials::open(&tls).unwrap();
    let clients: Vec<_> =
        (101..104).map(|serial| shop.ca.sign(&Leaf::named("c").serial(serial))).collect();
    // In place, to lists of one size and within one tick of the file system's clock.
    for revoked in [101, 102, 103, 101, 103] {
        fs::write(&crl, shop.ca.revoke(&[revoked])).unwrap();
        for (serial, client) in (101..).zip(&clients) {
            let entered = entering(&credentials, &shop, Some(client)).await;
            assert_eq!(entered.is_err(), serial == revoked, "{serial} of {revoked}");
        }
    }
}

/// A client that holds a ticket, and one that has a session of TLS 1.2, cannot get around it.
#[tokio::test]
async fn no_session_outlives_a_revocation() {
    let shop = Workshop::new();
    let crl = shop.write("crl", shop.ca.revoke(&[]));
    let alice = shop.ca.sign(&Leaf::named("alice").serial(5));
    for versions in [server::config::TlsVersions::Only12, server::config::TlsVersions::Only13] {
        replace(&crl, shop.ca.revoke(&[]));
        let tls = Tls { client_crl_file: Some(crl.clone()), versions, ..shop.mutual() };
        let credentials = Credentials::open(&tls).unwrap();
        let client = Arc::new(shop.client(Some(&alice)));
        greet(credentials.current(), &client).await.unwrap();
        greet(credentials.current(), &client).await.unwrap();
        replace(&crl, shop.ca.revoke(&[5]));
        let error = greet(credentials.current(), &client).await.err().unwrap();
        let reason = credentials.reason(&error);
        assert!(reason.contains("CN=alice is revoked (serial 05)"), "{reason}");
    }
}

#[tokio::test]
async fn nobody_comes_in_while_the_revocation_list_cannot_be_used() {
    let shop = Workshop::new();
    let crl = shop.path("crl");
    let tls = Tls { client_crl_file: Some(crl.clone()), ..shop.mutual() };
    let credentials = Credentials::open(&tls).expect("as etcd, it starts");
    let alice = shop.ca.sign(&Leaf::named("alice"));
    let list = shop.ca.revoke(&[77]);
    let mut damaged = list.clone();
    damaged.truncate(list.len() - 1);
    let pem = b"-----BEGIN X509 CRL-----\n".to_vec();
    for (bad, why) in [
        (None, "No such file"),
        (Some(damaged), "is no revocation list in DER"),
        (Some(Vec::new()), "is no revocation list in DER"),
        (Some(pem), "is PEM, and etcd and this server read DER"),
        (Some([list.clone(), vec![0]].concat()), "has 1 bytes behind the revocation list"),
    ] {
        if let Some(bytes) = bad {
            replace(&crl, bytes);
        }
        let reason = entering(&credentials, &shop, Some(&alice)).await.err().unwrap();
        let file = format!("--client-crl-file {}: {why}", crl.display());
        assert!(reason.contains(&file), "{reason}");
        replace(&crl, &list);
        entering(&credentials, &shop, Some(&alice)).await.unwrap();
        fs::remove_file(&crl).unwrap();
    }
    let reason = entering(&credentials, &shop, Some(&alice)).await.err().unwrap();
    assert!(reason.contains("No such file"), "{reason}");
}
