//! What the machine says, in words.

use std::fmt::Write;

use state::{
    Alarm, AlarmType, Cluster, ClusterVersion, KeyValue, KvRef, Level, Member, MemberId, OpReply,
    Outcome, Reply, TxnReply,
};

pub(crate) fn outcome(outcome: &Outcome) -> String {
    let mut out = format!("rev={} ", outcome.revision);
    match &outcome.result {
        Err(refusal) => write!(out, "refused {refusal:?}").unwrap_or_default(),
        Ok(reply) => self::reply(&mut out, reply),
    }
    out
}

fn reply(out: &mut String, reply: &Reply) {
    match reply {
        Reply::Put { prev_kv } => out.push_str(&put(prev_kv.as_ref(), 0)),
        Reply::DeleteRange { deleted, prev_kvs } => out.push_str(&delete(*deleted, prev_kvs, 0)),
        Reply::Txn(txn) => out.push_str(&self::txn(txn, 0)),
        Reply::Compact => out.push_str("compacted"),
        Reply::LeaseGrant { id, ttl } => out.push_str(&format!("granted {id} ttl={ttl}")),
        Reply::LeaseRevoke => out.push_str("revoked"),
        Reply::Alarm(list) => out.push_str(&alarms(list)),
        Reply::Claim { granted } => {
            out.push_str(if *granted { "claimed" } else { "not claimed" });
        }
        Reply::Auth => out.push_str("auth"),
        Reply::MemberAdd => out.push_str("added"),
        Reply::MemberRemove => out.push_str("removed"),
        Reply::MemberPromote => out.push_str("promoted"),
        Reply::MemberPublish => out.push_str("published"),
        Reply::LevelRaise => out.push_str("raised"),
        Reply::MemberUpdate => out.push_str("updated"),
        Reply::LeaseRenew(ttls) => out.push_str(&format!("renewed {ttls:?}")),
        Reply::Digest => out.push_str("digest"),
        Reply::Downgrade => out.push_str("downgrade noted"),
        Reply::Void => out.push_str("void"),
    }
}

fn put(prev_kv: Option<&KeyValue>, depth: usize) -> String {
    let mut out = "put".to_owned();
    if let Some(kv) = prev_kv {
        out.push_str(&line(depth, &format!("was {}", self::kv(kv))));
    }
    out
}

fn delete(deleted: i64, prev_kvs: &[KeyValue], depth: usize) -> String {
    let mut out = format!("deleted={deleted}");
    for kv in prev_kvs {
        out.push_str(&line(depth, &format!("was {}", self::kv(kv))));
    }
    out
}

pub(crate) fn txn(txn: &TxnReply, depth: usize) -> String {
    let mut out = if txn.succeeded { "succeeded" } else { "failed" }.to_owned();
    for (revision, op) in &txn.responses {
        let text = match op {
            OpReply::Range { kvs, more, count } => range(kvs, *more, *count, depth + 1),
            OpReply::Put { prev_kv } => put(prev_kv.as_ref(), depth + 1),
            OpReply::DeleteRange { deleted, prev_kvs } => delete(*deleted, prev_kvs, depth + 1),
            OpReply::Txn(inner) => self::txn(inner, depth + 1),
        };
        out.push_str(&line(depth, &format!("rev={revision} {text}")));
    }
    out
}

pub(crate) fn range(kvs: &[KeyValue], more: bool, count: i64, depth: usize) -> String {
    let mut out = format!("count={count}{}", if more { " more" } else { "" });
    for kv in kvs {
        out.push_str(&line(depth, &self::kv(kv)));
    }
    out
}

fn line(depth: usize, text: &str) -> String {
    format!("\n{}{text}", "  ".repeat(depth + 1))
}

fn kv(kv: &KeyValue) -> String {
    let mut out = format!("{}={}", bytes(&kv.key), bytes(&kv.value));
    out.push_str(&format!(" create={} mod={}", kv.create_revision, kv.mod_revision));
    out.push_str(&format!(" version={}", kv.version));
    if kv.lease.0 != 0 {
        out.push_str(&format!(" lease={}", kv.lease));
    }
    out
}

pub(crate) fn event(event: &KvRef<'_>) -> String {
    if event.tombstone {
        return format!("{}.{} delete {}", event.mod_revision, event.sub, bytes(event.key));
    }
    format!("{}.{} put {}", event.mod_revision, event.sub, kv(&event.to_owned()))
}

pub(crate) fn alarms(alarms: &[Alarm]) -> String {
    let name = |alarm: &Alarm| match alarm.alarm {
        AlarmType::NoSpace => format!("nospace {}", alarm.member),
        AlarmType::Corrupt => format!("corrupt {}", alarm.member),
    };
    let names: Vec<String> = alarms.iter().map(name).collect();
    format!("alarms: {}", if names.is_empty() { "none".to_owned() } else { names.join(", ") })
}

/// The downgrade; peer URLs of members that are not listed and that scripts name, 0 to 9; and, once
/// anybody is listed, the version and the members.
pub(crate) fn cluster(cluster: &Cluster) -> String {
    let mut out = match cluster.downgrade() {
        Some(to) => format!("downgrade to {to}"),
        None => "no downgrade".to_owned(),
    };
    for id in (0..10).map(MemberId).filter(|id| !cluster.members().contains_key(id)) {
        if let Some(urls) = cluster.peer_urls(id) {
            out.push_str(&line(0, &format!("{id}: {}", urls.join(" "))));
        }
    }
    if !cluster.members().is_empty() {
        out.push_str(&line(0, &format!("version {}", version(cluster.version()))));
        out.push_str(&level(cluster.level()));
    }
    for (id, member) in cluster.members() {
        out.push_str(&line(0, &self::member(*id, member)));
        if cluster.writer() == Some(*id) {
            out.push_str(" writer");
        }
    }
    for id in cluster.removed() {
        out.push_str(&line(0, &format!("{id}: removed")));
    }
    out
}

/// Nothing for the first, which was all there was.
fn level(level: Level) -> String {
    if level > Level::FIRST { format!(" level {level}") } else { String::new() }
}

fn version(version: Option<ClusterVersion>) -> String {
    version.map_or_else(|| "unknown".to_owned(), |version| version.to_string())
}

fn member(id: MemberId, member: &Member) -> String {
    let (name, peers) = (bytes(member.name.as_bytes()), member.peer_urls.join(" "));
    let (clients, learner) =
        (member.client_urls.join(" "), if member.learner { " learner" } else { "" });
    let (version, level) = (version(member.version), level(member.level));
    format!("{id}: {name} {version}{level} peers: {peers} clients: {clients}{learner}")
}

pub(crate) fn bytes(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\=".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    format!("\"{}\"", bytes.escape_ascii())
}
