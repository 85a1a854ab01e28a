//! Calls, watches and keys on one line each, for findings and traces.

use std::fmt::{self, Display, Formatter};

use super::history::{
    Call, Compare, Event, EventKind, KeyRange, Kv, LeaseId, Op, Outcome, Refusal, Relation, Reply,
    Revision, Target, Time, Watch, WatchResponse,
};

/// Of a longer key or value only so many bytes are shown.
const SHOWN: usize = 32;

/// Bytes as text where they are text.
pub(super) fn bytes(bytes: &[u8]) -> String {
    let shown = bytes.get(..SHOWN).unwrap_or(bytes).escape_ascii().to_string();
    if bytes.len() > SHOWN { format!("{shown}...({})", bytes.len()) } else { shown }
}

/// What is listed, one after the other.
pub(super) fn list<T: Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Display for Time {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

impl Display for Revision {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Display for LeaseId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl Display for KeyRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.end.as_slice() {
            [] => write!(f, "{}", bytes(&self.key)),
            b"\0" => write!(f, "[{}..", bytes(&self.key)),
            end => write!(f, "[{}..{})", bytes(&self.key), bytes(end)),
        }
    }
}

impl Display for Kv {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (created, written) = (self.create_revision, self.mod_revision);
        write!(
            f,
            "{}={} v{} created {created}",
            bytes(&self.key),
            bytes(&self.value),
            self.version
        )?;
        write!(f, " written {written}")?;
        if self.lease == LeaseId(0) { Ok(()) } else { write!(f, " lease {}", self.lease) }
    }
}

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.kind {
            EventKind::Put => write!(f, "put {}", self.kv)?,
            EventKind::Delete => {
                write!(f, "delete {} at {}", bytes(&self.kv.key), self.kv.mod_revision)?;
            }
        }
        match &self.prev {
            Some(prev) => write!(f, " before ({prev})"),
            None => Ok(()),
        }
    }
}

impl Display for Compare {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let relation = match self.relation {
            Relation::Equal => "=",
            Relation::NotEqual => "!=",
            Relation::Less => "<",
            Relation::Greater => ">",
        };
        let key = bytes(&self.key);
        match &self.target {
            Target::Version(version) => write!(f, "version({key}) {relation} {version}"),
            Target::Create(revision) => write!(f, "create({key}) {relation} {revision}"),
            Target::Mod(revision) => write!(f, "mod({key}) {relation} {revision}"),
            Target::Value(value) => write!(f, "value({key}) {relation} {}", bytes(value)),
            Target::Lease(lease) => write!(f, "lease({key}) {relation} {lease}"),
        }
    }
}

fn flags(f: &mut Formatter<'_>, flags: &[(bool, &str)]) -> fmt::Result {
    flags.iter().filter(|(set, _)| *set).try_for_each(|(_, name)| write!(f, " {name}"))
}

impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(put) => {
                write!(f, "put {}={}", bytes(&put.key), bytes(&put.value))?;
                if put.lease != LeaseId(0) {
                    write!(f, " lease {}", put.lease)?;
                }
                flags(f, &[(put.prev_kv, "prev_kv")])
            }
            Self::Delete { range, prev_kv } => {
                write!(f, "delete {range}")?;
                flags(f, &[(*prev_kv, "prev_kv")])
            }
            Self::Range(range) => {
                write!(f, "range {}", range.range)?;
                if range.revision != Revision(0) {
                    write!(f, " at {}", range.revision)?;
                }
                if range.limit > 0 {
                    write!(f, " limit {}", range.limit)?;
                }
                let (count, keys) = (range.count_only, range.keys_only);
                let local = range.serializable;
                flags(f, &[(count, "count_only"), (keys, "keys_only"), (local, "serializable")])
            }
            Self::Txn { compares, success, failure } => {
                write!(f, "if {} then {{{}}}", list(compares), list(success))?;
                write!(f, " else {{{}}}", list(failure))
            }
            Self::Compact { revision } => write!(f, "compact {revision}"),
            Self::Grant { id, ttl } => write!(f, "grant {id} for {ttl}s"),
            Self::KeepAlive { id } => write!(f, "keep alive {id}"),
            Self::Revoke { id } => write!(f, "revoke {id}"),
            Self::TimeToLive { id } => write!(f, "time to live {id}"),
            Self::Other(what) => f.write_str(what),
        }
    }
}

impl Display for Reply {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { prev: Some(prev) } => write!(f, "over ({prev})"),
            Self::Put { prev: None } | Self::Compact | Self::Revoke | Self::Other => {
                f.write_str("done")
            }
            Self::Delete { deleted, prev } => write!(f, "deleted {deleted} ({})", list(prev)),
            Self::Range { kvs, count, more } => {
                write!(f, "{count} ({})", list(kvs))?;
                flags(f, &[(*more, "more")])
            }
            Self::Txn { succeeded, replies } => {
                let branch = if *succeeded { "then" } else { "else" };
                write!(f, "{branch} {{{}}}", list(replies))
            }
            Self::Grant { id, ttl } => write!(f, "{id} for {ttl}s"),
            Self::KeepAlive { ttl } => write!(f, "{ttl}s"),
            Self::TimeToLive { ttl, granted } => write!(f, "{ttl}s of {granted}s"),
        }
    }
}

impl Display for Refusal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Compacted => "compacted",
            Self::Future => "future revision",
            Self::LeaseNotFound => "lease not found",
            Self::LeaseExists => "lease exists",
            Self::Other(why) => why,
        })
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done { revision, reply } => write!(f, "rev {revision}: {reply}"),
            Self::Refused(refusal) => write!(f, "refused: {refusal}"),
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "client {} call {} @{} [{}..", self.client, self.id, self.endpoint, self.begin)?;
        match self.end {
            Some(end) => write!(f, "{end}] ")?,
            None => write!(f, "] ")?,
        }
        write!(f, "{} -> ", self.op)?;
        match &self.outcome {
            Some(outcome) => outcome.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

impl Display for Watch {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "client {} watch {} @{} [{}..] ",
            self.client, self.id, self.endpoint, self.begin
        )?;
        write!(f, "{} from {}", self.range, self.start)?;
        let prev = (self.prev_kv, "prev_kv");
        flags(f, &[prev, (self.no_put, "no_put"), (self.no_delete, "no_delete")])
    }
}

impl Display for WatchResponse {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} rev {}", self.time, self.revision)?;
        flags(f, &[(self.created, "created"), (self.canceled, "canceled")])?;
        if self.compact_revision != Revision(0) {
            write!(f, " compacted {}", self.compact_revision)?;
        }
        if self.events.is_empty() { Ok(()) } else { write!(f, ": {}", list(&self.events)) }
    }
}
