//! Commands to bytes.

use bytes::{BufMut, BytesMut};

use super::{auth, compare, tag};
use crate::cluster;
use crate::codec::{put_signed, put_string, put_unsigned};
use crate::command::{AlarmAction, AlarmType, Command, DeleteRange, Op, Put, Txn};
use crate::ids::LeaseId;
use crate::range::{KeyRange, RangeQuery, SortOrder, SortTarget};

pub(super) fn command(out: &mut BytesMut, command: &Command) {
    match command {
        Command::Put(put) => self::put(out, put),
        Command::DeleteRange(delete) => delete_range(out, delete),
        Command::Txn(txn) => self::txn(out, txn),
        Command::Compact { revision } => {
            out.put_u8(tag::COMPACT);
            put_signed(out, revision.0);
        }
        Command::LeaseGrant { id, ttl } => {
            out.put_u8(tag::LEASE_GRANT);
            put_signed(out, id.0);
            put_signed(out, *ttl);
        }
        Command::LeaseRevoke { id } => {
            out.put_u8(tag::LEASE_REVOKE);
            put_signed(out, id.0);
        }
        Command::Alarm { action, member, alarm } => {
            out.put_u8(tag::ALARM);
            out.put_u8(match action {
                AlarmAction::Activate => 0,
                AlarmAction::Deactivate => 1,
            });
            put_unsigned(out, member.0);
            out.put_u8(alarm_number(*alarm));
        }
        Command::Claim { epoch, member } => {
            out.put_u8(tag::CLAIM);
            put_unsigned(out, epoch.0);
            put_unsigned(out, member.0);
        }
        Command::Auth(change) => {
            out.put_u8(tag::AUTH);
            auth::encode(out, change);
        }
        Command::As(by) => {
            auth::encode_who(out, &by.who);
            self::command(out, &by.command);
        }
        Command::LeaseRenew { ids } => {
            out.put_u8(tag::LEASE_RENEW);
            put_unsigned(out, ids.len() as u64);
            ids.iter().for_each(|id| put_signed(out, id.0));
        }
        Command::DigestDue => out.put_u8(tag::DIGEST_DUE),
        Command::DigestIs { position, digest } => {
            out.put_u8(tag::DIGEST_IS);
            put_unsigned(out, position.0);
            out.put_u32_le(digest.keys);
            out.put_u32_le(digest.rest);
        }
        Command::MemberAdd { .. }
        | Command::LearnerAdd { .. }
        | Command::MemberRemove { .. }
        | Command::MemberPromote { .. }
        | Command::MemberPublish { .. }
        | Command::MemberUpdate { .. }
        | Command::LevelRaise { .. }
        | Command::Downgrade { .. } => of_cluster(out, command),
    }
}

/// A command about the cluster.
fn of_cluster(out: &mut BytesMut, command: &Command) {
    match command {
        Command::MemberUpdate { member, peer_urls } => {
            out.put_u8(tag::MEMBER_UPDATE);
            cluster::put_member(out, *member, peer_urls);
        }
        Command::MemberAdd { member, peer_urls, learner } => {
            out.put_u8(tag::MEMBER_ADD);
            cluster::put_member(out, *member, peer_urls);
            out.put_u8(u8::from(*learner));
        }
        Command::LearnerAdd { member, peer_urls, most } => {
            out.put_u8(tag::LEARNER_ADD);
            cluster::put_member(out, *member, peer_urls);
            put_unsigned(out, *most);
        }
        Command::MemberRemove { member } => {
            out.put_u8(tag::MEMBER_REMOVE);
            put_unsigned(out, member.0);
        }
        Command::MemberPromote { member } => {
            out.put_u8(tag::MEMBER_PROMOTE);
            put_unsigned(out, member.0);
        }
        Command::MemberPublish { member, name, client_urls, version, level } => {
            out.put_u8(tag::MEMBER_PUBLISH);
            cluster::put_member(out, *member, client_urls);
            put_string(out, name.as_bytes());
            cluster::put_spoken(out, *version, *level);
        }
        Command::LevelRaise { level } => {
            out.put_u8(tag::LEVEL_RAISE);
            put_unsigned(out, u64::from(level.0));
        }
        Command::Downgrade { to } => {
            out.put_u8(tag::DOWNGRADE);
            cluster::put_version_or_none(out, *to);
        }
        _ => unreachable!("it is not about the cluster"),
    }
}

/// The number of an alarm, as in etcd's `AlarmType`.
pub(crate) fn alarm_number(alarm: AlarmType) -> u8 {
    match alarm {
        AlarmType::NoSpace => 1,
        AlarmType::Corrupt => 2,
    }
}

fn put(out: &mut BytesMut, put: &Put) {
    let with_lease = put.lease != LeaseId::NONE;
    out.put_u8(tag::PUT);
    out.put_u8(flags([put.prev_kv, put.ignore_value, put.ignore_lease, with_lease]));
    put_string(out, &put.key);
    put_string(out, &put.value);
    if with_lease {
        put_signed(out, put.lease.0);
    }
}

fn delete_range(out: &mut BytesMut, delete: &DeleteRange) {
    out.put_u8(tag::DELETE_RANGE);
    out.put_u8(flags([delete.prev_kv, false, false, false]));
    key_range(out, &delete.range);
}

fn txn(out: &mut BytesMut, txn: &Txn) {
    out.put_u8(tag::TXN);
    put_unsigned(out, txn.compare.len() as u64);
    txn.compare.iter().for_each(|condition| compare::encode(out, condition));
    for branch in [&txn.success, &txn.failure] {
        put_unsigned(out, branch.len() as u64);
        branch.iter().for_each(|operation| op(out, operation));
    }
}

fn op(out: &mut BytesMut, op: &Op) {
    match op {
        Op::Range(query) => range(out, query),
        Op::Put(put) => self::put(out, put),
        Op::DeleteRange(delete) => delete_range(out, delete),
        Op::Txn(txn) => self::txn(out, txn),
    }
}

fn range(out: &mut BytesMut, query: &RangeQuery) {
    let bounds = [
        query.min_mod_revision,
        query.max_mod_revision,
        query.min_create_revision,
        query.max_create_revision,
    ];
    let bounded = bounds.iter().any(|bound| bound.0 != 0);
    out.put_u8(tag::RANGE);
    out.put_u8(flags([query.keys_only, query.count_only, bounded, false]));
    key_range(out, &query.range);
    put_signed(out, query.revision.0);
    put_signed(out, query.limit);
    out.put_u8(match query.sort.order {
        SortOrder::None => 0,
        SortOrder::Ascend => 1,
        SortOrder::Descend => 2,
    });
    out.put_u8(match query.sort.target {
        SortTarget::Key => 0,
        SortTarget::Version => 1,
        SortTarget::Create => 2,
        SortTarget::Mod => 3,
        SortTarget::Value => 4,
    });
    if bounded {
        bounds.iter().for_each(|bound| put_signed(out, bound.0));
    }
}

pub(super) fn key_range(out: &mut impl BufMut, range: &KeyRange) {
    put_string(out, &range.key);
    put_string(out, &range.range_end);
}

fn flags(set: [bool; 4]) -> u8 {
    set.iter().enumerate().map(|(bit, on)| u8::from(*on) << bit).sum()
}
