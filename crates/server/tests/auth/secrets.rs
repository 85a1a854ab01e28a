//! Pitfall y: no password, token or hash in the log, whatever happens.

use std::io::Write;
use std::sync::{Arc, Mutex};

use server::wire::etcdserverpb as pb;
use tracing_subscriber::layer::{Context as Layered, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use crate::support::{BOTH, Guarded, USER_ADD, auth, put, range, token};

/// Every event of every level, with all its fields as text.
#[derive(Clone, Default)]
struct Everything(Arc<Mutex<Vec<u8>>>);

impl<S: tracing::Subscriber> Layer<S> for Everything {
    fn on_event(&self, event: &tracing::Event<'_>, _: Layered<'_, S>) {
        let mut all = self.0.lock().unwrap();
        event.record(&mut |field: &tracing::field::Field, value: &dyn std::fmt::Debug| {
            writeln!(all, "{field}={value:?}").unwrap();
        });
    }
}

/// On one thread, where the subscriber is.
#[tokio::test]
async fn no_password_and_no_token_is_ever_logged() {
    let log = Everything::default();
    let subscriber = Registry::default().with(log.clone());
    let _here = tracing::subscriber::set_default(subscriber);
    let mut guarded = Guarded::start().await;
    guarded.user("alice", &[(BOTH, "a", "")]).await;
    let secret = "correct-horse-battery";
    let (name, password) = ("bob".to_owned(), secret.to_owned());
    let request = pb::AuthUserAddRequest { name, password, ..Default::default() };
    auth::<_, pb::AuthUserAddResponse>(&mut guarded.root, USER_ADD, request).await.unwrap();
    let bob = token(&guarded.anonymous, "bob", secret).await.unwrap();
    token(&guarded.anonymous, "bob", "wrong-but-secret").await.unwrap_err();
    range(&mut guarded.anonymous.bearing(&bob), "a", "").await.unwrap_err();
    let wrong = "abcdefghijklmnop.7";
    put(&mut guarded.anonymous.bearing(wrong), "a").await.unwrap_err();
    let path = "/etcdserverpb.Auth/UserChangePassword";
    let (name, password) = ("bob".to_owned(), "another-secret".to_owned());
    let request = pb::AuthUserChangePasswordRequest { name, password, ..Default::default() };
    auth::<_, pb::AuthUserChangePasswordResponse>(&mut guarded.root, path, request).await.unwrap();
    let hash = guarded.server.engine.auth().user("bob").unwrap().password().0.clone();
    let hash = String::from_utf8(hash.to_vec()).unwrap();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("invalid auth token") && log.contains("auth_user_add"), "{log}");
    let all = [secret, "wrong-but-secret", "another-secret", &bob, wrong, &hash, &hash[7..]];
    for secret in all {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn messages_with_secrets_do_not_show_them() {
    let (name, password) = ("bob".to_owned(), "secret".to_owned());
    let hashed_password = "secret".to_owned();
    let shown = [
        format!("{:?}", pb::AuthenticateRequest { name: name.clone(), password: password.clone() }),
        format!("{:?}", pb::AuthenticateResponse { header: None, token: password.clone() }),
        format!(
            "{:?}",
            pb::AuthUserAddRequest {
                name: name.clone(),
                password: password.clone(),
                options: None,
                hashed_password: hashed_password.clone(),
            }
        ),
        format!("{:?}", pb::AuthUserChangePasswordRequest { name, password, hashed_password }),
    ];
    for shown in &shown {
        assert!(!shown.contains("secret"), "{shown}");
    }
    assert!(shown[0].contains("bob"));
}
