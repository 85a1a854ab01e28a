//! Who comes in, and who does not, by the files alone.

use std::sync::Arc;

use server::security::{Caller, Credentials};

use crate::support::{Ca, Greeted, Leaf, Pair, Workshop, client, greet, replace};

async fn entering(
    credentials: &Credentials,
    shop: &Workshop,
    pair: Option<&Pair>,
) -> Result<Greeted, String> {
    let client = Arc::new(shop.client(pair));
    let greeted = greet(credentials.current(), &client).await;
    greeted.map_err(|error| credentials.reason(&error))
}

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
    let credentials = Credentials::open(&shop.plain()).unwrap();
    let stranger = Ca::new("other").sign(&Leaf::named("mallory"));
    for pair in [None, Some(&stranger)] {
        let greeted = entering(&credentials, &shop, pair).await.unwrap();
        assert_eq!(Caller::of(greeted.chain.as_deref()), Caller::default());
    }
}

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
async fn a_client_that_trusts_another_ca_is_told_of() {
    let shop = Workshop::new();
    let credentials = Credentials::open(&shop.plain()).unwrap();
    let other = Arc::new(client(&Ca::new("other").pem(), None));
    let error = greet(credentials.current(), &other).await.err().unwrap();
    let reason = credentials.reason(&error);
    assert!(reason.contains("does not trust this server's certificate"), "{reason}");
}
