//! Bytes to commands. Whatever the bytes, an answer and never a panic.

use super::{MAX_TXN_DEPTH, auth, compare, tag};
use crate::auth::As;
use crate::cluster;
use crate::codec::{DecodeError, Reader};
use crate::command::{AlarmAction, AlarmType, Command, DeleteRange, Op, Origin, Put, Txn};
use crate::digest::Digest;
use crate::ids::{Epoch, LeaseId, MemberId, Position, Revision};
use crate::range::{KeyRange, RangeQuery, Sort, SortOrder, SortTarget};

/// Where the command at `at` and those behind it came from, if that is said.
pub(super) fn origin(reader: &mut Reader<'_>, at: usize) -> Result<Option<Origin>, DecodeError> {
    if reader.peek() != Some(tag::FROM) {
        return Ok(None);
    }
    reader.byte()?;
    let member = MemberId(reader.unsigned()?);
    let (session, first, count) = (reader.unsigned()?, reader.unsigned()?, reader.unsigned()?);
    if count == 0 || count > reader.remaining() as u64 || first.checked_add(count).is_none() {
        return reader.damaged("a run of commands that cannot be");
    }
    Ok(Some(Origin { at, count, member, session, first }))
}

/// The next command; `None` at the end of the entry.
pub(super) fn command(reader: &mut Reader<'_>) -> Result<Option<Command>, DecodeError> {
    let at = reader.offset();
    let found = reader.byte()?;
    if found == tag::END {
        return Ok(None);
    }
    let Some(who) = auth::decode_who(reader, found)? else {
        return tagged(reader, found, at).map(Some);
    };
    let at = reader.offset();
    match reader.byte()? {
        tag::END | tag::CLAIM => reader.damaged("nothing that stands in a name"),
        found => Ok(Some(Command::As(Box::new(As { who, command: tagged(reader, found, at)? })))),
    }
}

/// The command whose tag was read at `at`; none that stands in a name.
fn tagged(reader: &mut Reader<'_>, tag: u8, at: usize) -> Result<Command, DecodeError> {
    Ok(match tag {
        tag::PUT => Command::Put(put(reader)?),
        tag::DELETE_RANGE => Command::DeleteRange(delete_range(reader)?),
        tag::TXN => Command::Txn(txn(reader, 1)?),
        tag::COMPACT => Command::Compact { revision: Revision(reader.signed()?) },
        tag::LEASE_GRANT => {
            Command::LeaseGrant { id: LeaseId(reader.signed()?), ttl: reader.signed()? }
        }
        tag::LEASE_REVOKE => Command::LeaseRevoke { id: LeaseId(reader.signed()?) },
        tag::ALARM => alarm(reader)?,
        tag::CLAIM => Command::Claim {
            epoch: Epoch(reader.unsigned()?),
            member: MemberId(reader.unsigned()?),
        },
        tag::AUTH => Command::Auth(auth::decode(reader)?),
        tag::MEMBER_UPDATE => {
            let (member, peer_urls) = cluster::member(reader)?;
            Command::MemberUpdate { member, peer_urls }
        }
        tag::DOWNGRADE => Command::Downgrade { to: cluster::version_or_none(reader)? },
        tag::MEMBER_ADD => {
            let (member, peer_urls) = cluster::member(reader)?;
            Command::MemberAdd { member, peer_urls, learner: reader.flag()? }
        }
        tag::LEARNER_ADD => {
            let (member, peer_urls) = cluster::member(reader)?;
            Command::LearnerAdd { member, peer_urls, most: reader.unsigned()? }
        }
        tag::MEMBER_REMOVE => Command::MemberRemove { member: MemberId(reader.unsigned()?) },
        tag::MEMBER_PROMOTE => Command::MemberPromote { member: MemberId(reader.unsigned()?) },
        tag::MEMBER_PUBLISH => {
            let (member, client_urls) = cluster::member(reader)?;
            let (name, (version, level)) = (cluster::text(reader)?, cluster::spoken(reader)?);
            Command::MemberPublish { member, name, client_urls, version, level }
        }
        tag::LEASE_RENEW => {
            Command::LeaseRenew { ids: list(reader, |reader| Ok(LeaseId(reader.signed()?)))? }
        }
        tag::DIGEST_DUE => Command::DigestDue,
        tag::DIGEST_IS => Command::DigestIs {
            position: Position(reader.unsigned()?),
            digest: Digest { keys: reader.fixed32()?, rest: reader.fixed32()? },
        },
        tag::LEVEL_RAISE => Command::LevelRaise { level: cluster::level(reader)? },
        found => return Err(unknown(found, at)),
    })
}

fn unknown(found: u8, offset: usize) -> DecodeError {
    if tag::is_known(found) {
        return DecodeError::Damaged { what: "a command out of place", offset };
    }
    let (found, understood) = (u64::from(found), u64::from(tag::GREATEST));
    DecodeError::Newer { what: "command", found, understood, offset }
}

fn alarm(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
    let action = match reader.byte()? {
        0 => AlarmAction::Activate,
        1 => AlarmAction::Deactivate,
        _ => return reader.damaged("no such alarm action"),
    };
    let member = MemberId(reader.unsigned()?);
    Ok(Command::Alarm { action, member, alarm: alarm_type(reader)? })
}

/// The other way round of what the encoder writes.
pub(crate) fn alarm_type(reader: &mut Reader<'_>) -> Result<AlarmType, DecodeError> {
    match reader.byte()? {
        1 => Ok(AlarmType::NoSpace),
        2 => Ok(AlarmType::Corrupt),
        _ => reader.damaged("no such alarm"),
    }
}

fn put(reader: &mut Reader<'_>) -> Result<Put, DecodeError> {
    let [prev_kv, ignore_value, ignore_lease, with_lease] = flags(reader)?;
    let key = reader.string()?;
    let value = reader.string()?;
    let lease = if with_lease { LeaseId(reader.signed()?) } else { LeaseId::NONE };
    Ok(Put { key, value, lease, prev_kv, ignore_value, ignore_lease })
}

fn delete_range(reader: &mut Reader<'_>) -> Result<DeleteRange, DecodeError> {
    let [prev_kv, ..] = flags(reader)?;
    Ok(DeleteRange { range: key_range(reader)?, prev_kv })
}

fn txn(reader: &mut Reader<'_>, depth: usize) -> Result<Txn, DecodeError> {
    if depth > MAX_TXN_DEPTH {
        return reader.damaged("transactions nested too deeply");
    }
    let compare = list(reader, compare::decode)?;
    let success = list(reader, |reader| op(reader, depth))?;
    let failure = list(reader, |reader| op(reader, depth))?;
    Ok(Txn { compare, success, failure })
}

fn op(reader: &mut Reader<'_>, depth: usize) -> Result<Op, DecodeError> {
    let at = reader.offset();
    match reader.byte()? {
        tag::RANGE => Ok(Op::Range(range(reader)?)),
        tag::PUT => Ok(Op::Put(put(reader)?)),
        tag::DELETE_RANGE => Ok(Op::DeleteRange(delete_range(reader)?)),
        tag::TXN => Ok(Op::Txn(txn(reader, depth + 1)?)),
        found => Err(unknown(found, at)),
    }
}

pub(super) fn list<T>(
    reader: &mut Reader<'_>,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let count = reader.count()?;
    let mut items = Vec::with_capacity(count.min(128));
    for _ in 0..count {
        items.push(item(reader)?);
    }
    Ok(items)
}

fn range(reader: &mut Reader<'_>) -> Result<RangeQuery, DecodeError> {
    let [keys_only, count_only, bounded, _] = flags(reader)?;
    let mut query = RangeQuery {
        range: key_range(reader)?,
        revision: Revision(reader.signed()?),
        limit: reader.signed()?,
        sort: sort(reader)?,
        keys_only,
        count_only,
        ..RangeQuery::default()
    };
    if bounded {
        query.min_mod_revision = Revision(reader.signed()?);
        query.max_mod_revision = Revision(reader.signed()?);
        query.min_create_revision = Revision(reader.signed()?);
        query.max_create_revision = Revision(reader.signed()?);
    }
    Ok(query)
}

fn sort(reader: &mut Reader<'_>) -> Result<Sort, DecodeError> {
    let order = match reader.byte()? {
        0 => SortOrder::None,
        1 => SortOrder::Ascend,
        2 => SortOrder::Descend,
        _ => return reader.damaged("no such sort order"),
    };
    let target = match reader.byte()? {
        0 => SortTarget::Key,
        1 => SortTarget::Version,
        2 => SortTarget::Create,
        3 => SortTarget::Mod,
        4 => SortTarget::Value,
        _ => return reader.damaged("no such sort target"),
    };
    Ok(Sort { order, target })
}

pub(super) fn key_range(reader: &mut Reader<'_>) -> Result<KeyRange, DecodeError> {
    Ok(KeyRange { key: reader.string()?, range_end: reader.string()? })
}

fn flags(reader: &mut Reader<'_>) -> Result<[bool; 4], DecodeError> {
    let flags = reader.byte()?;
    if flags >= 1 << 4 {
        return reader.damaged("no such flag");
    }
    Ok([0, 1, 2, 3].map(|bit| flags & (1 << bit) != 0))
}
