//! What changes come to: etcd's refusals, in its order, and what it counts.

use std::sync::Arc;

use state::{
    AlarmAction, AlarmType, AuthChange, Command, MemberId, Permission, PermissionType, Refusal,
    Reply, TokenDigest,
};

use crate::support::{Machine, hash, put, range, revision};

fn user_add(name: &str) -> AuthChange {
    AuthChange::UserAdd { name: name.into(), password: hash(name), no_password: false }
}

fn grant_role(user: &str, role: &str) -> AuthChange {
    AuthChange::UserGrantRole { user: user.into(), role: role.into() }
}

fn grant(kind: PermissionType, key: &str, end: &str) -> AuthChange {
    let permission = Permission { kind, range: range(key, end) };
    AuthChange::RoleGrantPermission { role: "r".into(), permission }
}

#[test]
fn nothing_is_asked_before_root_is_there() {
    let mut machine = Machine::new();
    assert_eq!(machine.auth_revision(), 1);
    assert_eq!(machine.refuses(AuthChange::Enable), Refusal::RootUserNotExist);
    machine.change(user_add("root"));
    assert_eq!(machine.refuses(AuthChange::Enable), Refusal::RootRoleNotExist);
    // The role itself need not be there.
    machine.change(grant_role("root", "root"));
    assert_eq!(machine.auth_revision(), 3);
    assert_eq!(machine.apply(Command::Put(put("a"))).result, Ok(Reply::Put { prev_kv: None }));
    machine.change(AuthChange::Enable);
    machine.change(AuthChange::Enable);
    assert_eq!(machine.auth_revision(), 3, "enabling is no change that is counted");
    let anonymous = machine.apply(Command::Put(put("a"))).result;
    assert_eq!(anonymous, Err(Refusal::UserEmpty));
    machine.change(AuthChange::Disable);
    machine.change(AuthChange::Disable);
    assert_eq!(machine.auth_revision(), 4);
    assert!(machine.apply(Command::Put(put("a"))).result.is_ok());
}

#[test]
fn users_and_their_faults() {
    let mut machine = Machine::new();
    assert_eq!(machine.refuses(user_add("")), Refusal::UserEmpty);
    machine.change(user_add("u"));
    assert_eq!(machine.refuses(user_add("u")), Refusal::UserAlreadyExists);
    assert_eq!(machine.refuses(grant_role("x", "r")), Refusal::UserNotFound);
    assert_eq!(machine.refuses(grant_role("u", "r")), Refusal::RoleNotFound);
    machine.change(AuthChange::RoleAdd { name: "r".into() });
    machine.change(grant_role("u", "root"));
    machine.change(grant_role("u", "r"));
    let before = machine.auth_revision();
    machine.change(grant_role("u", "r"));
    assert_eq!(machine.auth_revision(), before, "granted twice changes nothing");
    let roles = machine.0.auth().user("u").unwrap().roles().to_vec();
    assert_eq!(roles, ["r".into(), "root".into()], "in order");
    let revoke = |user: &str| AuthChange::UserRevokeRole { user: user.into(), role: "r".into() };
    assert_eq!(machine.refuses(revoke("x")), Refusal::UserNotFound);
    machine.change(revoke("u"));
    assert_eq!(machine.refuses(revoke("u")), Refusal::RoleNotGranted);
    let password = |user: &str| AuthChange::UserChangePassword {
        name: user.into(),
        password: hash("another"),
    };
    assert_eq!(machine.refuses(password("x")), Refusal::UserNotFound);
    machine.change(password("u"));
    assert_eq!(*machine.0.auth().user("u").unwrap().password(), hash("another"));
    machine.change(AuthChange::UserDelete { name: "u".into() });
    assert_eq!(machine.refuses(AuthChange::UserDelete { name: "u".into() }), Refusal::UserNotFound);
}

#[test]
fn a_user_without_a_password_gets_none() {
    let mut machine = Machine::guarded();
    let (name, password) = ("u".into(), hash("u"));
    machine.change(AuthChange::UserAdd { name, password, no_password: true });
    let before = machine.auth_revision();
    let password = hash("another");
    machine.change(AuthChange::UserChangePassword { name: "u".into(), password });
    assert!(machine.0.auth().user("u").unwrap().password().0.is_empty());
    assert_eq!(machine.auth_revision(), before + 1);
    let (digest, auth_revision) = (TokenDigest([1; 32]), revision(before + 1));
    let issue = AuthChange::TokenIssue { user: "u".into(), digest, auth_revision };
    assert_eq!(machine.refuses(issue), Refusal::AuthFailed);
}

#[test]
fn roles_and_their_faults() {
    let mut machine = Machine::new();
    assert_eq!(machine.refuses(AuthChange::RoleAdd { name: "".into() }), Refusal::RoleEmpty);
    let read = PermissionType::Read;
    assert_eq!(machine.refuses(grant(read, "", "a")), Refusal::InvalidAuthManagement);
    assert_eq!(machine.refuses(grant(read, "b", "a")), Refusal::InvalidAuthManagement);
    assert_eq!(machine.refuses(grant(read, "a", "a")), Refusal::InvalidAuthManagement);
    assert_eq!(machine.refuses(grant(read, "a", "b")), Refusal::RoleNotFound);
    machine.change(AuthChange::RoleAdd { name: "r".into() });
    assert_eq!(
        machine.refuses(AuthChange::RoleAdd { name: "r".into() }),
        Refusal::RoleAlreadyExists
    );
    for (key, end) in [("m", ""), ("b", "\0"), ("b", "c"), ("a", "z")] {
        machine.change(grant(read, key, end));
    }
    let ranges = |machine: &Machine| -> Vec<_> {
        let role = machine.0.auth().role("r").unwrap().to_vec();
        role.into_iter().map(|permission| (permission.kind, permission.range)).collect()
    };
    let in_order = [("a", "z"), ("b", "\0"), ("b", "c"), ("m", "")];
    assert_eq!(ranges(&machine), in_order.map(|(key, end)| (read, range(key, end))));
    machine.change(grant(PermissionType::Write, "b", "\0"));
    assert_eq!(ranges(&machine)[1], (PermissionType::Write, range("b", "\0")));
    let revoke = |key: &str, end: &str| AuthChange::RoleRevokePermission {
        role: "r".into(),
        range: range(key, end),
    };
    assert_eq!(machine.refuses(revoke("a", "y")), Refusal::PermissionNotGranted);
    machine.change(revoke("a", "z"));
    assert_eq!(ranges(&machine).len(), 3);
    machine.change(AuthChange::RoleDelete { name: "r".into() });
    assert_eq!(machine.refuses(revoke("b", "c")), Refusal::RoleNotFound);
    let delete = AuthChange::RoleDelete { name: "r".into() };
    assert_eq!(machine.refuses(delete), Refusal::RoleNotFound);
}

#[test]
fn nobody_locks_root_out_while_it_is_needed() {
    let mut machine = Machine::guarded();
    let (name, role): (Arc<str>, Arc<str>) = ("root".into(), "root".into());
    let invalid = Refusal::InvalidAuthManagement;
    assert_eq!(machine.refuses(AuthChange::UserDelete { name: name.clone() }), invalid);
    assert_eq!(machine.refuses(AuthChange::RoleDelete { name: role.clone() }), invalid);
    let revoke = AuthChange::UserRevokeRole { user: name.clone(), role };
    assert_eq!(machine.refuses(revoke), invalid);
    machine.change(AuthChange::Disable);
    machine.change(AuthChange::UserDelete { name });
}

#[test]
fn a_role_that_goes_goes_from_its_users() {
    let mut machine = Machine::guarded();
    machine.user("u", &["r", "s"]);
    machine.grant("r", PermissionType::Read, "a", "c");
    machine.grant("s", PermissionType::Read, "c", "e");
    assert!(machine.may_read("u", "a", "e"), "what two roles allow together");
    machine.change(AuthChange::RoleDelete { name: "r".into() });
    assert!(!machine.may_read("u", "a", "b") && machine.may_read("u", "c", "e"));
    assert_eq!(machine.0.auth().user("u").unwrap().roles(), ["s".into()]);
}

#[test]
fn tokens_come_and_go_and_are_no_change() {
    let mut machine = Machine::guarded();
    machine.user("u", &[]);
    machine.user("v", &[]);
    let before = machine.auth_revision();
    let tokens = [machine.issue("u", 1), machine.issue("v", 2), machine.issue("u", 200)];
    assert_eq!(machine.auth_revision(), before);
    let known = |machine: &Machine| {
        tokens.map(|token| machine.0.auth().token_user(&token).map(|user| user.to_string()))
    };
    let [u, v] = ["u", "v"].map(|user| Some(user.to_owned()));
    assert_eq!(known(&machine), [u.clone(), v.clone(), u.clone()]);
    machine.change(AuthChange::TokensEnd { digests: vec![tokens[0], TokenDigest([9; 32])] });
    assert_eq!(known(&machine), [None, v.clone(), u]);
    let name = "u".into();
    machine.change(AuthChange::UserChangePassword { name, password: hash("another") });
    assert_eq!(known(&machine), [None, v, None]);
    assert_eq!(machine.0.auth().token_count(), 1);
    machine.change(AuthChange::UserDelete { name: "v".into() });
    assert_eq!(known(&machine), [None, None, None]);
    machine.user("w", &[]);
    machine.issue("w", 3);
    machine.change(AuthChange::Disable);
    assert_eq!(machine.0.auth().token_count(), 0);
}

#[test]
fn a_token_for_a_password_that_has_changed_since_is_none() {
    let mut machine = Machine::new();
    let digest = TokenDigest([1; 32]);
    let issue = |auth_revision| AuthChange::TokenIssue { user: "u".into(), digest, auth_revision };
    assert_eq!(machine.refuses(issue(revision(1))), Refusal::AuthNotEnabled);
    let mut machine = Machine::guarded();
    let checked = revision(machine.auth_revision() + 1);
    assert_eq!(machine.refuses(issue(checked)), Refusal::AuthFailed);
    machine.user("u", &[]);
    assert_eq!(revision(machine.auth_revision()), checked);
    let (name, password) = ("u".into(), hash("another"));
    machine.change(AuthChange::UserChangePassword { name, password });
    assert_eq!(machine.refuses(issue(checked)), Refusal::AuthOldRevision);
}

#[test]
fn no_alarm_stands_in_the_way() {
    for alarm in [AlarmType::NoSpace, AlarmType::Corrupt] {
        let mut machine = Machine::guarded();
        let (action, member) = (AlarmAction::Activate, MemberId(1));
        machine.own(Command::Alarm { action, member, alarm }).unwrap();
        machine.change(user_add("u"));
        machine.issue("u", 1);
        machine.change(AuthChange::Disable);
    }
}
