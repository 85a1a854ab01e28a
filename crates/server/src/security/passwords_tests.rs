//! Tests of passwords: hashes that Go and we verify of each other, limits, and silence.

use std::net::IpAddr;
use std::time::Duration;

use super::passwords::{Password, Passwords};
use super::turns::Places;
use crate::grpc::{Code, Status};

const ROOMY: Places = Places { of_one_caller: 10, of_all: 20 };

fn password(text: &str) -> Password {
    Password::from(text.to_owned())
}

fn cheap() -> Passwords {
    Passwords::on_threads(4, 2, ROOMY)
}

/// Passwords and what Go's bcrypt made of them.
const FROM_GO: [(&str, &str); 5] = [
    ("", "$2a$04$8ULNtiel34OvT4G.sDmWYuQGSNyssqtqaxGSsATVTAzP1qsydwgXi"),
    ("secret", "$2a$04$LRynwiAIqWimvxh.0fZFEO.Gt4zWov4T9y1cFE3Vxui41i.2Q2ZVG"),
    ("pässwörd ☃", "$2a$04$vBV53MAjUhL0qLJ83fnLKesGs7.eMNIASpWSqyu0UMksp6ZHPH92."),
    ("nul\0inside", "$2a$04$9jD65l634dmzJRt/JJNQQ.O3J7H6./4j9OG6pBlTOqedrx74EFoOK"),
    (
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "$2a$04$1y2OHmWRM66t93VVAynQTenNTrdLLoK/ZoMXt0IwlQTIiJTR9hX9G",
    ),
];

#[tokio::test]
async fn hashes_of_go_are_verified() {
    for (text, hash) in FROM_GO {
        assert_eq!(cheap().check(None, password(text), hash).await, Ok(true), "{text:?}");
        let wrong = password(&format!("a{text}"));
        assert_eq!(cheap().check(None, wrong, hash).await, Ok(false), "{text:?}");
    }
    let (_, of_72) = FROM_GO[4];
    let longer = password(&"x".repeat(73));
    assert_eq!(cheap().check(None, longer, of_72).await, Ok(true), "as in Go");
}

#[tokio::test]
async fn hashes_look_like_go_s_and_are_salted() {
    let passwords = Passwords::on_threads(5, 1, ROOMY);
    for text in ["", "secret", "nul\0inside", &"é".repeat(36)] {
        let hash = passwords.hash(None, password(text)).await.unwrap();
        assert!(hash.starts_with("$2a$05$") && hash.len() == 60, "{hash}");
        assert_ne!(hash, passwords.hash(None, password(text)).await.unwrap());
        assert_eq!(passwords.check(None, password(text), hash.clone()).await, Ok(true));
        assert_eq!(passwords.check(None, password("Secret"), hash).await, Ok(false));
    }
    let long = passwords.hash(None, password(&"x".repeat(73))).await.unwrap_err();
    assert_eq!(
        (long.code, &*long.message),
        (Code::Unknown, "bcrypt: password length exceeds 72 bytes")
    );
}

#[tokio::test]
async fn what_is_no_hash_is_of_no_password() {
    for hash in
        ["", "secret", "$2a$", "$2a$99$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
    {
        assert_eq!(cheap().check(None, password(""), hash).await, Ok(false), "{hash}");
        assert_eq!(cheap().check(None, password(hash), hash).await, Ok(false), "{hash}");
    }
    assert_eq!(cheap().check(None, password("é"), [0xff; 60]).await, Ok(false));
}

#[tokio::test]
async fn one_caller_is_bounded_and_others_are_served() {
    let passwords = Passwords::on_threads(8, 1, Places { of_one_caller: 4, of_all: 8 });
    let flood: Vec<_> = (0..50)
        .map(|_| {
            let passwords = passwords.clone();
            let from: Option<IpAddr> = Some([10, 0, 0, 1].into());
            tokio::spawn(async move { passwords.hash(from, password("secret")).await })
        })
        .collect();
    let other = passwords.hash(Some([10, 0, 0, 2].into()), password("secret")).await;
    assert!(other.is_ok(), "{other:?}");
    let mut refused: Vec<Status> = Vec::new();
    for task in flood {
        refused.extend(task.await.unwrap().err());
    }
    assert!((42..=46).contains(&refused.len()), "{} of 50 were refused", refused.len());
    for status in refused {
        assert_eq!(status.code, Code::ResourceExhausted);
        assert!(status.message.starts_with("etcdserver: too many requests: "), "{status}");
        assert!(status.message.contains("from this address"), "{status}");
    }
}

#[tokio::test]
async fn who_gives_up_does_not_free_a_thread_that_works() {
    let passwords = Passwords::on_threads(10, 1, ROOMY);
    let hasty = passwords.hash(None, password("secret"));
    assert!(tokio::time::timeout(Duration::from_millis(1), hasty).await.is_err());
    assert_eq!(passwords.standing(), 1, "its thread is at work");
    assert!(passwords.hash(None, password("secret")).await.is_ok());
    while passwords.standing() > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn passwords_are_never_shown() {
    let secret = password("hunter2");
    assert_eq!(format!("{secret:?}"), "Password(…)");
    assert!(!format!("{:?}", Some(&secret)).contains("hunter"));
    let passwords = cheap();
    let waiting = passwords.hash(None, secret);
    assert!(!format!("{passwords:?}").contains("hunter"));
    assert!(waiting.await.is_ok());
}
