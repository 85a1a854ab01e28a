//! Tests of requests as an etcd writes them.

use state::{Command, DeleteRange, Put};

use super::*;
use crate::wire::raftpb::{Named, Nothing, Permission as Granted, UserOptions, UserRole};

fn of(request: &Request) -> Result<Option<Command>, String> {
    command(&request.encode_to_vec())
}

fn header(name: &str, auth_revision: u64) -> Option<Header> {
    Some(Header { username: name.to_owned(), auth_revision })
}

#[test]
fn a_put_is_in_the_name_of_who_asked() {
    let put = pb::PutRequest { key: "k".into(), value: "v".into(), ..Default::default() };
    let anonymous = Request { put: Some(put.clone()), ..Default::default() };
    let expected = Command::Put(Put { key: "k".into(), value: "v".into(), ..Put::default() });
    assert_eq!(of(&anonymous), Ok(Some(expected.clone())));
    let named = Request { put: Some(put), header: header("u", 7), ..Default::default() };
    let who = Identity::User { name: "u".into(), auth_revision: AuthRevision(7) };
    assert_eq!(of(&named), Ok(Some(expected.by(who))));
}

#[test]
fn what_etcd_does_not_judge_when_applying_is_the_server_s() {
    let grant = pb::LeaseGrantRequest { id: 7, ttl: 1 };
    let request = Request { lease_grant: Some(grant), ..Default::default() };
    let expected = Command::LeaseGrant { id: LeaseId(7), ttl: 2 }.by(Identity::Server);
    assert_eq!(of(&request), Ok(Some(expected)));
    let compaction = pb::CompactionRequest { revision: 9, physical: true };
    let request =
        Request { compaction: Some(compaction), header: header("u", 1), ..Default::default() };
    let expected = Command::Compact { revision: Revision(9) }.by(Identity::Server);
    assert_eq!(of(&request), Ok(Some(expected)));
}

#[test]
fn deletes_and_revocations_are_commands() {
    let delete = pb::DeleteRangeRequest { key: "a".into(), ..Default::default() };
    let request = Request { delete_range: Some(delete), ..Default::default() };
    let range = KeyRange::point("a".into());
    assert_eq!(of(&request), Ok(Some(Command::DeleteRange(DeleteRange { range, prev_kv: false }))));
    let revoke = pb::LeaseRevokeRequest { id: -5 };
    let request = Request { lease_revoke: Some(revoke), ..Default::default() };
    assert_eq!(of(&request), Ok(Some(Command::LeaseRevoke { id: LeaseId(-5) })));
}

#[test]
fn an_alarm_of_no_kind_is_nothing() {
    let alarm = |action, alarm| {
        let alarm = Some(pb::AlarmRequest { action, member_id: 3, alarm });
        of(&Request { alarm, ..Default::default() }).expect("understood")
    };
    assert!(matches!(alarm(1, 1), Some(Command::As(_))));
    assert!(alarm(2, 2).is_some());
    assert!(alarm(1, 0).is_none() && alarm(0, 1).is_none());
}

#[test]
fn requests_of_the_old_api_and_about_members_are_passed_over() {
    let put = b"\x08\x01\x12\x03PUT\x1a\x0a/0/version\x22\x053.4.0";
    assert_eq!(command(put), Ok(None));
    let get = b"\x08\x01\x12\x04QGET\x1a\x02/x";
    assert_eq!(command(get), Ok(None));
    assert_eq!(command(b""), Ok(None));
    let version = Request { cluster_version_set: Some(Nothing {}), ..Default::default() };
    assert_eq!(of(&version), Ok(None));
}

#[test]
fn a_kind_that_is_not_known_is_refused() {
    // Field 20, a message.
    let error = command(b"\xa2\x01\x00").expect_err("not known");
    assert!(error.contains("of a kind that no etcd"), "{error}");
    assert!(command(b"\x22\xff").expect_err("broken off").contains("cannot be read"));
}

#[test]
fn users_and_roles_are_changed() {
    let user =
        NewUser { name: "u".to_owned(), hashed_password: "JDJh".to_owned(), ..Default::default() };
    let request = Request { auth_user_add: Some(user), ..Default::default() };
    let password = PasswordHash(Bytes::from_static(b"$2a"));
    let expected = AuthChange::UserAdd { name: "u".into(), password, no_password: false };
    assert_eq!(of(&request), Ok(Some(Command::Auth(expected))));
    let options = Some(UserOptions { no_password: true });
    let user = NewUser { name: "u".to_owned(), options, ..Default::default() };
    assert!(of(&Request { auth_user_add: Some(user), ..Default::default() }).is_ok());
    let role = Some(UserRole { user: "u".to_owned(), role: "r".to_owned() });
    let request = Request { auth_user_grant_role: role, ..Default::default() };
    let expected = AuthChange::UserGrantRole { user: "u".into(), role: "r".into() };
    assert_eq!(of(&request), Ok(Some(Command::Auth(expected))));
    let permission = Some(Granted { kind: 2, key: "k".into(), range_end: "l".into() });
    let grant = Some(Grant { role: "r".to_owned(), permission });
    let request = Request { auth_role_grant_permission: grant, ..Default::default() };
    let Ok(Some(Command::Auth(AuthChange::RoleGrantPermission { permission, .. }))) = of(&request)
    else {
        panic!("a grant");
    };
    assert_eq!(permission.kind, PermissionType::ReadWrite);
    let role = Some(Named { name: "r".to_owned() });
    let request = Request { auth_role_add: role, header: header("root", 2), ..Default::default() };
    assert!(matches!(of(&request), Ok(Some(Command::As(_)))));
}

#[test]
fn a_password_that_is_not_hashed_is_refused_with_the_way_out() {
    let user =
        NewUser { name: "u".to_owned(), password: "secret".to_owned(), ..Default::default() };
    let error = of(&Request { auth_user_add: Some(user), ..Default::default() });
    let error = error.expect_err("not hashed");
    assert!(error.contains("user u") && error.contains("etcd 3.4"), "{error}");
    assert!(!error.contains("secret"));
}
