//! The Auth service: its replies, their order, and its refusals to the byte.

use prost::Message;
use server::wire::{authpb, etcdserverpb as pb};
use tonic::{Code, Status};

use crate::support::{
    Answer, BAD_TOKEN, BOTH, Client, DENIED, Guarded, NOBODY, READ, Server, USER_ADD, add_role,
    add_user, auth, disable, enable, grant, grant_role, is, login, put, range, refused,
    revoke_role, token,
};

async fn users(client: &mut Client) -> Result<Vec<String>, Status> {
    let path = "/etcdserverpb.Auth/UserList";
    let reply: Result<pb::AuthUserListResponse, _> =
        client.call(path, pb::AuthUserListRequest {}).await;
    reply.map(|reply| reply.users)
}

async fn roles(client: &mut Client) -> Result<Vec<String>, Status> {
    let path = "/etcdserverpb.Auth/RoleList";
    let reply: Result<pb::AuthRoleListResponse, _> =
        client.call(path, pb::AuthRoleListRequest {}).await;
    reply.map(|reply| reply.roles)
}

async fn user(client: &mut Client, name: &str) -> Result<Vec<String>, Status> {
    let request = pb::AuthUserGetRequest { name: name.to_owned() };
    let reply: Result<pb::AuthUserGetResponse, _> =
        client.call("/etcdserverpb.Auth/UserGet", request).await;
    reply.map(|reply| reply.roles)
}

async fn role(client: &mut Client, role: &str) -> Result<Vec<authpb::Permission>, Status> {
    let request = pb::AuthRoleGetRequest { role: role.to_owned() };
    let reply: Result<pb::AuthRoleGetResponse, _> =
        client.call("/etcdserverpb.Auth/RoleGet", request).await;
    reply.map(|reply| reply.perm)
}

async fn status(client: &mut Client) -> Result<(bool, u64), Status> {
    let path = "/etcdserverpb.Auth/AuthStatus";
    let reply: Result<pb::AuthStatusResponse, _> =
        client.call(path, pb::AuthStatusRequest {}).await;
    reply.map(|reply| (reply.enabled, reply.auth_revision))
}

async fn delete_user(client: &mut Client, name: &str) -> Answer {
    let request = pb::AuthUserDeleteRequest { name: name.to_owned() };
    let path = "/etcdserverpb.Auth/UserDelete";
    auth::<_, pb::AuthUserDeleteResponse>(client, path, request).await
}

async fn change_password(client: &mut Client, name: &str, password: &str, hash: &str) -> Answer {
    let request = pb::AuthUserChangePasswordRequest {
        name: name.to_owned(),
        password: password.to_owned(),
        hashed_password: hash.to_owned(),
    };
    let path = "/etcdserverpb.Auth/UserChangePassword";
    auth::<_, pb::AuthUserChangePasswordResponse>(client, path, request).await
}

async fn add_role_named(client: &mut Client, name: &str) -> Answer {
    let request = pb::AuthRoleAddRequest { name: name.to_owned() };
    auth::<_, pb::AuthRoleAddResponse>(client, "/etcdserverpb.Auth/RoleAdd", request).await
}

async fn add(client: &mut Client, request: pb::AuthUserAddRequest) -> Answer {
    auth::<_, pb::AuthUserAddResponse>(client, USER_ADD, request).await
}

const EXISTS: Code = Code::FailedPrecondition;

#[tokio::test]
async fn on_and_off() {
    let server = Server::start().await;
    let mut client = server.client().await;
    assert_eq!(status(&mut client).await.unwrap(), (false, 1));
    let on = |client: &Client| {
        let mut client = client.clone();
        async move {
            let path = "/etcdserverpb.Auth/AuthEnable";
            auth::<_, pb::AuthEnableResponse>(&mut client, path, pb::AuthEnableRequest {}).await
        }
    };
    refused(on(&client).await, EXISTS, "etcdserver: root user does not exist");
    let not_on = "etcdserver: authentication is not enabled";
    refused(token(&client, "root", "root").await, EXISTS, not_on);
    // At the cost of a password without any flag, once.
    add_user(&mut client, "root", &[]).await;
    refused(on(&client).await, EXISTS, "etcdserver: root user does not have root role");
    grant_role(&mut client, "root", "root").await.unwrap();
    // While it is off whatever token is shown is not looked at.
    put(&mut client.bearing("nonsense"), "a").await.unwrap();
    enable(&mut client).await;
    assert_eq!(status(&mut client).await.unwrap(), (true, 3));
    is(put(&mut client, "a").await, NOBODY);
    is(disable(&mut client).await, NOBODY);
    is(status(&mut client.bearing("nonsense")).await, BAD_TOKEN);
    let mut root = login(&client, "root").await;
    assert_eq!(range(&mut root, "a", "").await.unwrap(), 1);
    disable(&mut root).await.unwrap();
    assert_eq!(status(&mut client).await.unwrap(), (false, 4));
    put(&mut client, "a").await.unwrap();
    enable(&mut client).await;
    is(put(&mut root, "a").await, BAD_TOKEN);
}

#[tokio::test]
async fn users_and_roles_in_order_and_in_etcds_words() {
    let mut guarded = Guarded::start().await;
    let root = &mut guarded.root;
    for name in ["zoe", "adam"] {
        add_user(root, name, &[]).await;
        add_role(root, name, &[]).await;
    }
    assert_eq!(users(root).await.unwrap(), ["adam", "root", "zoe"]);
    assert_eq!(roles(root).await.unwrap(), ["adam", "zoe"]);
    for role in ["zoe", "root", "adam"] {
        grant_role(root, "zoe", role).await.unwrap();
    }
    assert_eq!(user(root, "zoe").await.unwrap(), ["adam", "root", "zoe"]);
    let again = pb::AuthUserAddRequest { name: "zoe".to_owned(), ..Default::default() };
    refused(add(root, again).await, EXISTS, "etcdserver: user name already exists");
    let empty = pb::AuthUserAddRequest::default();
    is(add(root, empty).await, NOBODY);
    refused(add_role_named(root, "zoe").await, EXISTS, "etcdserver: role name already exists");
    refused(
        add_role_named(root, "").await,
        Code::InvalidArgument,
        "etcdserver: role name is empty",
    );
    let no_user = "etcdserver: user name not found";
    refused(user(root, "eve").await, EXISTS, no_user);
    refused(delete_user(root, "eve").await, EXISTS, no_user);
    refused(change_password(root, "eve", "x", "").await, EXISTS, no_user);
    refused(grant_role(root, "eve", "zoe").await, EXISTS, no_user);
    let no_role = "etcdserver: role name not found";
    refused(grant_role(root, "adam", "eve").await, EXISTS, no_role);
    refused(role(root, "eve").await, EXISTS, no_role);
    refused(role(root, "root").await, EXISTS, no_role);
    refused(grant(root, "eve", READ, "a", "").await, EXISTS, no_role);
    refused(
        revoke_role(root, "adam", "zoe").await,
        EXISTS,
        "etcdserver: role is not granted to the user",
    );
    let locked = "etcdserver: invalid auth management";
    refused(delete_user(root, "root").await, Code::InvalidArgument, locked);
    refused(revoke_role(root, "root", "root").await, Code::InvalidArgument, locked);
    refused(grant(root, "zoe", READ, "", "").await, Code::InvalidArgument, locked);
    refused(grant(root, "zoe", READ, "b", "a").await, Code::InvalidArgument, locked);
}

#[tokio::test]
async fn permissions_come_back_as_they_were_given() {
    let mut guarded = Guarded::start().await;
    let root = &mut guarded.root;
    add_role(root, "r", &[(BOTH, "m", ""), (READ, "a", "\0"), (READ, "m", "z")]).await;
    let shown = |perms: &[authpb::Permission]| -> Vec<(i32, String, String)> {
        let text = |bytes: &bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        perms.iter().map(|p| (p.perm_type, text(&p.key), text(&p.range_end))).collect()
    };
    let owned = |kind, key: &str, end: &str| (kind, key.to_owned(), end.to_owned());
    let expected = [owned(READ, "a", "\0"), owned(BOTH, "m", ""), owned(READ, "m", "z")];
    assert_eq!(shown(&role(root, "r").await.unwrap()), expected);
    add_role_named(root, "root").await.unwrap();
    assert_eq!(shown(&role(root, "root").await.unwrap()), [owned(BOTH, "", "\0")]);
    let path = "/etcdserverpb.Auth/RoleGrantPermission";
    let without = pb::AuthRoleGrantPermissionRequest { name: "r".to_owned(), perm: None };
    refused(
        auth::<_, pb::AuthRoleGrantPermissionResponse>(root, path, without).await,
        Code::InvalidArgument,
        "etcdserver: permission not given",
    );
    let path = "/etcdserverpb.Auth/RoleRevokePermission";
    let revoke = |end: &'static str| pb::AuthRoleRevokePermissionRequest {
        role: "r".to_owned(),
        key: "m".into(),
        range_end: end.into(),
    };
    auth::<_, pb::AuthRoleRevokePermissionResponse>(root, path, revoke("")).await.unwrap();
    refused(
        auth::<_, pb::AuthRoleRevokePermissionResponse>(root, path, revoke("")).await,
        EXISTS,
        "etcdserver: permission is not granted to the role",
    );
    assert_eq!(role(root, "r").await.unwrap().len(), 2);
}

#[tokio::test]
async fn of_others_only_root_hears() {
    let mut guarded = Guarded::start().await;
    let mut alice = guarded.user("alice", &[]).await;
    guarded.user("bob", &[]).await;
    assert_eq!(user(&mut alice, "alice").await.unwrap(), ["alice"]);
    assert!(role(&mut alice, "alice").await.unwrap().is_empty());
    is(user(&mut alice, "bob").await, DENIED);
    is(role(&mut alice, "bob").await, DENIED);
    is(users(&mut alice).await, DENIED);
    is(roles(&mut alice).await, DENIED);
    is(delete_user(&mut alice, "bob").await, DENIED);
    is(change_password(&mut alice, "alice", "x", "").await, DENIED);
    is(grant_role(&mut alice, "alice", "root").await, DENIED);
    is(disable(&mut alice).await, DENIED);
    is(user(&mut guarded.anonymous, "alice").await, NOBODY);
    is(users(&mut guarded.anonymous).await, NOBODY);
    let add_eve = pb::AuthUserAddRequest { name: "eve".to_owned(), ..Default::default() };
    is(add(&mut guarded.anonymous, add_eve).await, NOBODY);
}

#[tokio::test]
async fn passwords() {
    let mut guarded = Guarded::start().await;
    let mut alice = guarded.user("alice", &[(BOTH, "a", "")]).await;
    let failed = "etcdserver: authentication failed, invalid user ID or password";
    for (name, password) in [("alice", "wrong"), ("alice", ""), ("eve", "x"), ("", "")] {
        let answer = token(&guarded.anonymous, name, password).await;
        refused(answer, Code::InvalidArgument, failed);
    }
    put(&mut alice, "a").await.unwrap();
    change_password(&mut guarded.root, "alice", "new", "").await.unwrap();
    is(put(&mut alice, "a").await, BAD_TOKEN);
    refused(token(&guarded.anonymous, "alice", "alice").await, Code::InvalidArgument, failed);
    assert!(token(&guarded.anonymous, "alice", "new").await.is_ok());
    // Who moves users from elsewhere has the hash and not the password.
    let hash = "JDJiJDA0JDlPdkFZZzlPYUFFM1R2WWFndm5TSHVqR3pTaFZXc2ZRYW9PQmVQNmVTRVMyRFZ3ZU9jTVo2";
    change_password(&mut guarded.root, "alice", "", hash).await.unwrap();
    refused(token(&guarded.anonymous, "alice", "new").await, Code::InvalidArgument, failed);
    let unknown = "auth: authentication failed, password was given for no password user";
    let nonsense = change_password(&mut guarded.root, "alice", "", "%%%").await;
    refused(nonsense, Code::Unknown, unknown);
    let long = change_password(&mut guarded.root, "alice", &"x".repeat(73), "").await;
    refused(long, Code::Unknown, "bcrypt: password length exceeds 72 bytes");
    let options = Some(authpb::UserAddOptions { no_password: true });
    let name = "carl".to_owned();
    let carl = pb::AuthUserAddRequest { name, options, ..Default::default() };
    add(&mut guarded.root, carl).await.unwrap();
    refused(token(&guarded.anonymous, "carl", "x").await, Code::Unknown, unknown);
}

#[tokio::test]
async fn replies_have_whole_headers() {
    let mut guarded = Guarded::start().await;
    put(&mut guarded.root, "a").await.unwrap();
    let path = "/etcdserverpb.Auth/UserList";
    let request = pb::AuthUserListRequest {};
    let reply: pb::AuthUserListResponse = guarded.root.call(path, request).await.unwrap();
    let header = reply.header.unwrap();
    assert_eq!((header.revision, header.raft_term), (2, 1));
    assert!(header.cluster_id != 0 && header.member_id != 0);
    assert!(header.encoded_len() > 0);
}
