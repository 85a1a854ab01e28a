//! A server with users, and their clients.

use std::sync::Arc;
use std::time::Duration;

use engine::Options;
use journal::{Journal, MemoryJournal};
use prost::Message;
use server::config::AuthToken;
use server::rpc::Authentication;
use server::security::{Passwords, Tokens};
use server::wire::{authpb, etcdserverpb as pb};
use tonic::{Code, Status};

pub(crate) use super::others::support::{Client, Server, eventually, refused};

pub(crate) const DENIED: (Code, &str) = (Code::PermissionDenied, "etcdserver: permission denied");
pub(crate) const NOBODY: (Code, &str) = (Code::InvalidArgument, "etcdserver: user name is empty");
pub(crate) const BAD_TOKEN: (Code, &str) =
    (Code::Unauthenticated, "etcdserver: invalid auth token");
pub(crate) const OLD: (Code, &str) =
    (Code::InvalidArgument, "etcdserver: revision of auth store is old");

pub(crate) const READ: i32 = 0;
pub(crate) const WRITE: i32 = 1;
pub(crate) const BOTH: i32 = 2;

/// Simple tokens that live so long.
pub(crate) fn simple(ttl: Duration) -> Authentication {
    known_by(&AuthToken::Simple { ttl })
}

pub(crate) fn known_by(settings: &AuthToken) -> Authentication {
    let tokens = Tokens::open(settings).unwrap();
    Authentication { tokens, passwords: Passwords::new(4), certificates: false }
}

/// A server, and its root.
pub(crate) struct Guarded {
    pub(crate) server: Server,
    pub(crate) anonymous: Client,
    pub(crate) root: Client,
}

impl Guarded {
    /// With root, and nobody else.
    pub(crate) async fn start() -> Self {
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
        Self::of(journal, simple(Duration::from_secs(300))).await
    }

    pub(crate) async fn of(journal: Arc<dyn Journal>, authentication: Authentication) -> Self {
        // One subscriber for all tests, made before any line of the log is met: a line that is first met while a
        // test brings its own may never be told to it.
        static LOG: std::sync::Once = std::sync::Once::new();
        LOG.call_once(|| {
            drop(tracing::subscriber::set_global_default(tracing_subscriber::registry()))
        });
        let server = Server::known_by(journal, authentication, Options::default()).await;
        let mut anonymous = server.client().await;
        add_user(&mut anonymous, "root", &["root"]).await;
        enable(&mut anonymous).await;
        let root = login(&anonymous, "root").await;
        Self { server, anonymous, root }
    }

    /// A user with a role of the same name that may do this.
    pub(crate) async fn user(&mut self, name: &str, rights: &[(i32, &str, &str)]) -> Client {
        add_role(&mut self.root, name, rights).await;
        add_user(&mut self.root, name, &[name]).await;
        login(&self.anonymous, name).await
    }
}

/// A user whose password is its name.
pub(crate) async fn add_user(client: &mut Client, name: &str, roles: &[&str]) {
    let request = pb::AuthUserAddRequest {
        name: name.to_owned(),
        password: name.to_owned(),
        ..Default::default()
    };
    client.call::<_, pb::AuthUserAddResponse>(USER_ADD, request).await.unwrap();
    for role in roles {
        grant_role(client, name, role).await.unwrap();
    }
}

pub(crate) async fn grant_role(client: &mut Client, user: &str, role: &str) -> Answer {
    let (user, role) = (user.to_owned(), role.to_owned());
    auth::<_, pb::AuthUserGrantRoleResponse>(
        client,
        "/etcdserverpb.Auth/UserGrantRole",
        pb::AuthUserGrantRoleRequest { user, role },
    )
    .await
}

pub(crate) async fn revoke_role(client: &mut Client, name: &str, role: &str) -> Answer {
    let (name, role) = (name.to_owned(), role.to_owned());
    auth::<_, pb::AuthUserRevokeRoleResponse>(
        client,
        "/etcdserverpb.Auth/UserRevokeRole",
        pb::AuthUserRevokeRoleRequest { name, role },
    )
    .await
}

pub(crate) async fn add_role(client: &mut Client, name: &str, rights: &[(i32, &str, &str)]) {
    let request = pb::AuthRoleAddRequest { name: name.to_owned() };
    let path = "/etcdserverpb.Auth/RoleAdd";
    client.call::<_, pb::AuthRoleAddResponse>(path, request).await.unwrap();
    for (kind, key, end) in rights {
        grant(client, name, *kind, key, end).await.unwrap();
    }
}

pub(crate) async fn grant(
    client: &mut Client,
    role: &str,
    perm_type: i32,
    key: &str,
    end: &str,
) -> Answer {
    let (key, range_end) = (key.to_owned().into(), end.to_owned().into());
    let perm = Some(authpb::Permission { perm_type, key, range_end });
    auth::<_, pb::AuthRoleGrantPermissionResponse>(
        client,
        "/etcdserverpb.Auth/RoleGrantPermission",
        pb::AuthRoleGrantPermissionRequest { name: role.to_owned(), perm },
    )
    .await
}

pub(crate) async fn enable(client: &mut Client) {
    let path = "/etcdserverpb.Auth/AuthEnable";
    let request = pb::AuthEnableRequest {};
    client.call::<_, pb::AuthEnableResponse>(path, request).await.unwrap();
}

pub(crate) async fn disable(client: &mut Client) -> Answer {
    auth::<_, pb::AuthDisableResponse>(
        client,
        "/etcdserverpb.Auth/AuthDisable",
        pb::AuthDisableRequest {},
    )
    .await
}

/// A token for a user whose password is this.
pub(crate) async fn token(client: &Client, name: &str, password: &str) -> Result<String, Status> {
    let (name, password) = (name.to_owned(), password.to_owned());
    let request = pb::AuthenticateRequest { name, password };
    let path = "/etcdserverpb.Auth/Authenticate";
    let answer: Result<pb::AuthenticateResponse, _> = client.clone().call(path, request).await;
    answer.map(|reply| reply.token)
}

/// The client of a user whose password is its name.
pub(crate) async fn login(client: &Client, name: &str) -> Client {
    client.bearing(&token(client, name, name).await.unwrap())
}

pub(crate) type Answer = Result<(), Status>;

pub(crate) async fn auth<Q, R>(client: &mut Client, path: &'static str, request: Q) -> Answer
where
    Q: Message + Default + Send + 'static,
    R: Message + Default + Send + 'static,
{
    client.call::<Q, R>(path, request).await.map(drop)
}

pub(crate) async fn put(client: &mut Client, key: &str) -> Answer {
    let request = put_of(key);
    auth::<_, pb::PutResponse>(client, "/etcdserverpb.KV/Put", request).await
}

pub(crate) fn put_of(key: &str) -> pb::PutRequest {
    pb::PutRequest { key: key.to_owned().into(), value: "v".into(), ..Default::default() }
}

pub(crate) fn range_of(key: &str, end: &str) -> pb::RangeRequest {
    let (key, range_end) = (key.to_owned().into(), end.to_owned().into());
    pb::RangeRequest { key, range_end, ..Default::default() }
}

/// How many keys there are, if one may know.
pub(crate) async fn range(client: &mut Client, key: &str, end: &str) -> Result<i64, Status> {
    client.range(range_of(key, end)).await.map(|reply| reply.count)
}

/// That an answer is this refusal.
pub(crate) fn is<T: std::fmt::Debug>(answer: Result<T, Status>, what: (Code, &str)) {
    refused(answer, what.0, what.1);
}

pub(crate) const USER_ADD: &str = "/etcdserverpb.Auth/UserAdd";
