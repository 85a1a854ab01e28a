//! Requests as the log shows them, in etcd's words: keys and numbers, of values only their size,
//! and never more than a line can bear.

use std::fmt::Write;
use std::time::Duration;

use state::{
    AuthChange, Command, Compare, CompareTarget, DeleteRange, KeyRange, Op, Put, RangeQuery, Txn,
};

use crate::config::go_duration;

/// Where a description is cut.
const MOST: usize = 1 << 10;
/// Where a key is cut.
const MOST_OF_A_KEY: usize = 256;
/// How many commands of a batch are shown.
const MOST_COMMANDS: usize = 4;

/// Says that applying a batch took long.
pub(super) fn warn_of_slow_batch(took: Duration, expected: Duration, commands: &[Command]) {
    let mut request = String::new();
    for command in commands.iter().take(MOST_COMMANDS) {
        if !request.is_empty() {
            request.push(' ');
        }
        request.push_str(&of_command(command));
    }
    tracing::warn!(
        took = go_duration(took),
        "expected-duration" = go_duration(expected),
        prefix = "",
        request,
        commands = commands.len(),
        "apply request took too long"
    );
}

/// Says that a read took long.
pub fn warn_of_slow_read(
    took: Duration,
    expected: Duration,
    prefix: &str,
    request: &str,
    response: &str,
) {
    tracing::warn!(
        took = go_duration(took),
        "expected-duration" = go_duration(expected),
        prefix,
        request,
        response,
        "apply request took too long"
    );
}

/// A command.
#[must_use]
pub fn of_command(command: &Command) -> String {
    let mut out = String::new();
    match command {
        Command::Put(put) => wrapped(&mut out, "put", |out| put_fields(out, put)),
        Command::DeleteRange(delete) => {
            wrapped(&mut out, "delete_range", |out| delete_fields(out, delete));
        }
        Command::Txn(txn) => wrapped(&mut out, "txn", |out| txn_fields(out, txn)),
        Command::Compact { revision } => {
            put_text(&mut out, format_args!("compaction:<revision:{revision}>"))
        }
        Command::LeaseGrant { id, ttl } => {
            put_text(&mut out, format_args!("lease_grant:<ttl:{ttl}-second id:{:016x}>", id.0));
        }
        Command::LeaseRevoke { id } => {
            put_text(&mut out, format_args!("lease_revoke:<id:{:016x}>", id.0));
        }
        Command::Alarm { action, member, alarm } => {
            put_text(
                &mut out,
                format_args!("alarm:<action:{action:?} memberID:{} alarm:{alarm:?}>", member.0),
            );
        }
        Command::MemberUpdate { member, peer_urls } => put_text(
            &mut out,
            format_args!("member_update:<ID:{} peerURLs:{}>", member.0, peer_urls.join(",")),
        ),
        Command::MemberAdd { member, .. }
        | Command::LearnerAdd { member, .. }
        | Command::MemberRemove { member }
        | Command::MemberPromote { member } => {
            put_text(&mut out, format_args!("cluster_member_change:<ID:{}>", member.0));
        }
        Command::MemberPublish { member, name, client_urls, .. } => put_text(
            &mut out,
            format_args!(
                "cluster_member_attr_set:<member_ID:{} name:{name:?} clientURLs:{}>",
                member.0,
                client_urls.join(",")
            ),
        ),
        Command::LeaseRenew { ids } => {
            put_text(&mut out, format_args!("lease_renew:<count:{}>", ids.len()));
        }
        Command::LevelRaise { level } => {
            put_text(&mut out, format_args!("level_raise:<level:{level}>"));
        }
        Command::DigestDue => put_text(&mut out, format_args!("digest_due:<>")),
        Command::DigestIs { position, digest } => {
            put_text(&mut out, format_args!("digest:<position:{position} digest:{digest}>"));
        }
        Command::Downgrade { to } => {
            let to = to.map_or_else(String::new, |to| to.to_string());
            put_text(&mut out, format_args!("downgrade_info_set:<ver:{to:?}>"));
        }
        Command::Claim { epoch, .. } => put_text(&mut out, format_args!("claim:<epoch:{epoch}>")),
        Command::Auth(change) => auth_change(&mut out, change),
        Command::As(by) => return of_command(&by.command),
    }
    cut(out)
}

/// Whom it is about, and nothing that must not be shown.
fn auth_change(out: &mut String, change: &AuthChange) {
    let (what, name) = match change {
        AuthChange::Enable => ("auth_enable", ""),
        AuthChange::Disable => ("auth_disable", ""),
        AuthChange::UserAdd { name, .. } => ("auth_user_add", &**name),
        AuthChange::UserDelete { name } => ("auth_user_delete", &**name),
        AuthChange::UserChangePassword { name, .. } => ("auth_user_change_password", &**name),
        AuthChange::UserGrantRole { user, .. } => ("auth_user_grant_role", &**user),
        AuthChange::UserRevokeRole { user, .. } => ("auth_user_revoke_role", &**user),
        AuthChange::RoleAdd { name } => ("auth_role_add", &**name),
        AuthChange::RoleDelete { name } => ("auth_role_delete", &**name),
        AuthChange::RoleGrantPermission { role, .. } => ("auth_role_grant_permission", &**role),
        AuthChange::RoleRevokePermission { role, .. } => ("auth_role_revoke_permission", &**role),
        AuthChange::TokenIssue { user, .. } => ("authenticate", &**user),
        AuthChange::TokensEnd { .. } => ("tokens_end", ""),
    };
    put_text(out, format_args!("{what}:<name:{name:?}>"));
}

/// A put, without its wrapping.
#[must_use]
pub fn of_put(put: &Put) -> String {
    collected(|out| put_fields(out, put))
}

/// A deletion, without its wrapping.
#[must_use]
pub fn of_delete(delete: &DeleteRange) -> String {
    collected(|out| delete_fields(out, delete))
}

/// A read, without its wrapping.
#[must_use]
pub fn of_range(query: &RangeQuery) -> String {
    collected(|out| range_fields(out, query))
}

/// A transaction, without its wrapping.
#[must_use]
pub fn of_txn(txn: &Txn) -> String {
    collected(|out| txn_fields(out, txn))
}

fn collected(fields: impl FnOnce(&mut String)) -> String {
    let mut out = String::new();
    fields(&mut out);
    cut(out)
}

fn cut(mut out: String) -> String {
    if out.len() > MOST {
        let end = (0..=MOST).rev().find(|end| out.is_char_boundary(*end)).unwrap_or(0);
        out.truncate(end);
        out.push_str("...");
    }
    out.truncate(out.trim_end().len());
    out
}

fn put_text(out: &mut String, text: std::fmt::Arguments<'_>) {
    // What is cut off in the end need not be written.
    if out.len() <= MOST {
        out.write_fmt(text).expect("a String takes everything");
    }
}

fn wrapped(out: &mut String, name: &str, fields: impl FnOnce(&mut String)) {
    put_text(out, format_args!("{name}:<"));
    if out.len() <= MOST {
        fields(out);
    }
    put_text(out, format_args!("> "));
}

fn put_fields(out: &mut String, put: &Put) {
    bytes(out, "key", &put.key);
    number(out, "value_size", put.value.len() as i64);
    number(out, "lease", put.lease.0);
    flag(out, "prev_kv", put.prev_kv);
    flag(out, "ignore_value", put.ignore_value);
    flag(out, "ignore_lease", put.ignore_lease);
}

fn delete_fields(out: &mut String, delete: &DeleteRange) {
    range_keys(out, &delete.range);
    flag(out, "prev_kv", delete.prev_kv);
}

fn range_fields(out: &mut String, query: &RangeQuery) {
    range_keys(out, &query.range);
    number(out, "limit", query.limit);
    number(out, "revision", query.revision.0);
    flag(out, "keys_only", query.keys_only);
    flag(out, "count_only", query.count_only);
    number(out, "min_mod_revision", query.min_mod_revision.0);
    number(out, "max_mod_revision", query.max_mod_revision.0);
    number(out, "min_create_revision", query.min_create_revision.0);
    number(out, "max_create_revision", query.max_create_revision.0);
}

fn txn_fields(out: &mut String, txn: &Txn) {
    wrapped(out, "compare", |out| {
        txn.compare.iter().for_each(|compare| compare_fields(out, compare))
    });
    for (name, ops) in [("success", &txn.success), ("failure", &txn.failure)] {
        wrapped(out, name, |out| {
            for op in ops {
                match op {
                    Op::Range(query) => {
                        wrapped(out, "request_range", |out| range_fields(out, query));
                    }
                    Op::Put(put) => wrapped(out, "request_put", |out| put_fields(out, put)),
                    Op::DeleteRange(delete) => {
                        wrapped(out, "request_delete_range", |out| delete_fields(out, delete));
                    }
                    Op::Txn(txn) => wrapped(out, "request_txn", |out| txn_fields(out, txn)),
                }
            }
        });
    }
}

fn compare_fields(out: &mut String, compare: &Compare) {
    let (target, name, value) = match &compare.target {
        CompareTarget::Version(version) => ("VERSION", "version", *version),
        CompareTarget::Create(revision) => ("CREATE", "create_revision", revision.0),
        CompareTarget::Mod(revision) => ("MOD", "mod_revision", revision.0),
        CompareTarget::Value(value) => ("VALUE", "value_size", value.len() as i64),
        CompareTarget::Lease(lease) => ("LEASE", "lease", lease.0),
        CompareTarget::Unknown(number) => ("UNKNOWN", "target", i64::from(*number)),
    };
    put_text(out, format_args!("target:{target} "));
    range_keys(out, &compare.range);
    number(out, name, value);
}

fn range_keys(out: &mut String, range: &KeyRange) {
    bytes(out, "key", &range.key);
    if !range.range_end.is_empty() {
        bytes(out, "range_end", &range.range_end);
    }
}

/// As protobuf's text form has them.
fn bytes(out: &mut String, name: &str, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    let shown = bytes.get(..MOST_OF_A_KEY).unwrap_or(bytes);
    let dots = if shown.len() < bytes.len() { "..." } else { "" };
    put_text(out, format_args!("{name}:\"{}{dots}\" ", shown.escape_ascii()));
}

fn number(out: &mut String, name: &str, value: i64) {
    if value != 0 {
        put_text(out, format_args!("{name}:{value} "));
    }
}

fn flag(out: &mut String, name: &str, value: bool) {
    if value {
        put_text(out, format_args!("{name}:true "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use state::{CompareResult, LeaseId, Revision};

    fn put(key: &str, value: &'static str) -> Put {
        let (key, value) = (Bytes::copy_from_slice(key.as_bytes()), value.into());
        Put { key, value, lease: LeaseId(7), ..Put::default() }
    }

    fn txn() -> Txn {
        let range = KeyRange { key: "k".into(), range_end: Bytes::new() };
        let secret = Compare {
            range: range.clone(),
            result: CompareResult::Equal,
            target: CompareTarget::Value("secret".into()),
        };
        let unchanged = Compare { target: CompareTarget::Mod(Revision(9)), ..secret.clone() };
        let inner = Txn { success: vec![Op::Put(put("i", "secret"))], ..Txn::default() };
        Txn {
            compare: vec![secret, unchanged],
            success: vec![Op::Put(put("a", "secret")), Op::Txn(inner)],
            failure: vec![Op::Range(RangeQuery { range, ..RangeQuery::default() })],
        }
    }

    #[test]
    fn values_are_never_shown() {
        for command in [Command::Put(put("a", "secret")), Command::Txn(txn())] {
            let text = of_command(&command);
            assert!(!text.contains("secret"), "{text}");
            assert!(text.contains("value_size:6"), "{text}");
        }
    }

    #[test]
    fn a_transaction_reads_as_in_etcd() {
        let words = of_txn(&txn());
        assert_eq!(
            words,
            "compare:<target:VALUE key:\"k\" value_size:6 target:MOD key:\"k\" mod_revision:9 > \
             success:<request_put:<key:\"a\" value_size:6 lease:7 > request_txn:<compare:<> \
             success:<request_put:<key:\"i\" value_size:6 lease:7 > > failure:<> > > \
             failure:<request_range:<key:\"k\" > >"
        );
    }

    #[test]
    fn a_line_has_an_end() {
        let long = put(&"\u{1}".repeat(10_000), "");
        let many = Txn { success: vec![Op::Put(long); 1_000], ..Txn::default() };
        let text = of_command(&Command::Txn(many));
        assert!((MOST..MOST + 10).contains(&text.len()), "{}", text.len());
        assert!(text.ends_with("..."));
    }
}
