//! Words to commands.

use bytes::Bytes;
use state::{
    AlarmAction, AlarmType, ClusterVersion, Command, Compare, CompareResult, CompareTarget,
    DeleteRange, Digest, Epoch, KeyRange, LeaseId, Level, MemberId, Op, Position, Put, RangeQuery,
    Revision, Sort, SortOrder, SortTarget, Txn,
};

use super::words::Words;

const RESERVED: [&str; 10] = [
    "prev_kv",
    "ignore_value",
    "ignore_lease",
    "keys_only",
    "count_only",
    "then",
    "else",
    "if",
    "txn",
    "learner",
];

/// The command that begins with `verb`, if that is one.
pub(crate) fn command(verb: &str, words: &mut Words<'_>) -> Option<Command> {
    Some(match verb {
        "put" => Command::Put(put(words)),
        "del" => Command::DeleteRange(delete(words)),
        "txn" => Command::Txn(txn(words)),
        "compact" => Command::Compact { revision: Revision(words.number()) },
        "grant" => Command::LeaseGrant {
            id: LeaseId(words.number()),
            ttl: words.setting_number("ttl").unwrap_or(60),
        },
        "revoke" => Command::LeaseRevoke { id: LeaseId(words.number()) },
        "alarm" => alarm(words),
        "claim" => {
            Command::Claim { epoch: Epoch(words.number().unsigned_abs()), member: member(words) }
        }
        "downgrade" => Command::Downgrade { to: version(words) },
        "renew" => {
            let lease = |id: Bytes| LeaseId(text(id).parse().expect("a number"));
            let ids = std::iter::from_fn(|| words.plain(&RESERVED)).map(lease).collect();
            Command::LeaseRenew { ids }
        }
        "digest_due" => Command::DigestDue,
        "digest_is" => Command::DigestIs {
            position: Position(words.number().unsigned_abs()),
            digest: Digest { keys: words.number() as u32, rest: words.number() as u32 },
        },
        _ => return of_members(verb, words),
    })
}

fn of_members(verb: &str, words: &mut Words<'_>) -> Option<Command> {
    Some(match verb {
        "member" => Command::MemberUpdate { member: member(words), peer_urls: urls(words) },
        "add" => {
            let (member, peer_urls) = (member(words), urls(words));
            match words.setting_number("learners") {
                Some(most) => Command::LearnerAdd { member, peer_urls, most: most as u64 },
                None => Command::MemberAdd { member, peer_urls, learner: words.take("learner") },
            }
        }
        "remove" => Command::MemberRemove { member: member(words) },
        "promote" => Command::MemberPromote { member: member(words) },
        "publish" => {
            let (member, name) = (member(words), words.text());
            let version = version(words).unwrap_or_else(|| words.fail("a version such as 3.6"));
            let level = words.setting_number("level").map_or(Level::FIRST, level);
            Command::MemberPublish { member, name, client_urls: urls(words), version, level }
        }
        "raise" => Command::LevelRaise { level: level(words.number()) },
        _ => return None,
    })
}

fn member(words: &mut Words<'_>) -> MemberId {
    MemberId(words.number().unsigned_abs())
}

fn level(number: i64) -> Level {
    Level(u32::try_from(number).expect("a level"))
}

fn urls(words: &mut Words<'_>) -> Vec<String> {
    std::iter::from_fn(|| words.plain(&RESERVED)).map(text).collect()
}

fn text(bytes: Bytes) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

/// `3.6`, or `off`.
fn version(words: &mut Words<'_>) -> Option<ClusterVersion> {
    let text = words.text();
    if text == "off" {
        return None;
    }
    let number = |text: &str| text.parse().ok();
    let parsed = text.split_once('.').and_then(|(major, minor)| {
        Some(ClusterVersion { major: number(major)?, minor: number(minor)? })
    });
    Some(parsed.unwrap_or_else(|| words.fail("a version such as 3.6, or off")))
}

fn alarm(words: &mut Words<'_>) -> Command {
    let action =
        if words.take("on") { AlarmAction::Activate } else { off(words, AlarmAction::Deactivate) };
    let alarm = match words.text().as_str() {
        "nospace" => AlarmType::NoSpace,
        "corrupt" => AlarmType::Corrupt,
        other => words.fail(&format!("no alarm {other:?}")),
    };
    Command::Alarm { action, alarm, member: MemberId(words.number().unsigned_abs()) }
}

fn off(words: &mut Words<'_>, action: AlarmAction) -> AlarmAction {
    if !words.take("off") {
        words.fail("an alarm goes on or off");
    }
    action
}

fn put(words: &mut Words<'_>) -> Put {
    let key = words.bytes();
    let value = words.plain(&RESERVED).unwrap_or_default();
    let mut put = Put { key, value, ..Put::default() };
    loop {
        if let Some(lease) = words.setting_number("lease") {
            put.lease = LeaseId(lease);
        } else if words.take("prev_kv") {
            put.prev_kv = true;
        } else if words.take("ignore_value") {
            put.ignore_value = true;
        } else if words.take("ignore_lease") {
            put.ignore_lease = true;
        } else {
            return put;
        }
    }
}

fn key_range(words: &mut Words<'_>) -> KeyRange {
    let key = words.bytes();
    KeyRange { key, range_end: words.plain(&RESERVED).unwrap_or_default() }
}

fn delete(words: &mut Words<'_>) -> DeleteRange {
    DeleteRange { range: key_range(words), prev_kv: words.take("prev_kv") }
}

/// A range and its settings, in any order.
pub(crate) fn range(words: &mut Words<'_>) -> RangeQuery {
    let mut query = RangeQuery { range: key_range(words), ..RangeQuery::default() };
    loop {
        if words.take("keys_only") {
            query.keys_only = true;
        } else if words.take("count_only") {
            query.count_only = true;
        } else if let Some(limit) = words.setting_number("limit") {
            query.limit = limit;
        } else if let Some(sort) = words.setting("sort") {
            query.sort = self::sort(&sort, words);
        } else if !revisions(&mut query, words) {
            return query;
        }
    }
}

fn revisions(query: &mut RangeQuery, words: &mut Words<'_>) -> bool {
    let fields = [
        ("rev", &mut query.revision),
        ("min_mod", &mut query.min_mod_revision),
        ("max_mod", &mut query.max_mod_revision),
        ("min_create", &mut query.min_create_revision),
        ("max_create", &mut query.max_create_revision),
    ];
    for (name, field) in fields {
        if let Some(revision) = words.setting_number(name) {
            *field = Revision(revision);
            return true;
        }
    }
    false
}

fn sort(text: &str, words: &Words<'_>) -> Sort {
    let (order, target) = text.split_once(':').unwrap_or((text, "key"));
    let order = match order {
        "none" => SortOrder::None,
        "asc" => SortOrder::Ascend,
        "desc" => SortOrder::Descend,
        _ => words.fail("sort=none|asc|desc[:target]"),
    };
    let target = match target {
        "key" => SortTarget::Key,
        "version" => SortTarget::Version,
        "create" => SortTarget::Create,
        "mod" => SortTarget::Mod,
        "value" => SortTarget::Value,
        _ => words.fail("no such sort target"),
    };
    Sort { order, target }
}

/// `[if COND, …] then OP; … [else OP; …]`, after the word `txn`.
pub(crate) fn txn(words: &mut Words<'_>) -> Txn {
    let mut txn = Txn::default();
    if words.take("if") {
        txn.compare.push(condition(words));
        while words.take(",") {
            txn.compare.push(condition(words));
        }
    }
    if words.take("then") {
        txn.success = ops(words);
    }
    if words.take("else") {
        txn.failure = ops(words);
    }
    txn
}

fn ops(words: &mut Words<'_>) -> Vec<Op> {
    let mut ops = vec![op(words)];
    while words.take(";") {
        ops.push(op(words));
    }
    ops
}

fn op(words: &mut Words<'_>) -> Op {
    if words.take("(") {
        let op = op(words);
        if !words.take(")") {
            words.fail("a parenthesis is not closed");
        }
        return op;
    }
    match words.text().as_str() {
        "get" | "range" => Op::Range(range(words)),
        "put" => Op::Put(put(words)),
        "del" => Op::DeleteRange(delete(words)),
        "txn" => Op::Txn(txn(words)),
        other => words.fail(&format!("no operation {other:?}")),
    }
}

/// `version(KEY [END]) = NUMBER`, and so `create`, `mod`, `lease`, `value`, `unknown`.
fn condition(words: &mut Words<'_>) -> Compare {
    let target = words.text();
    if !words.take("(") {
        words.fail("a condition is written target(key) = number");
    }
    let range = key_range(words);
    if !words.take(")") {
        words.fail("a parenthesis is not closed");
    }
    let result = match words.text().as_str() {
        "=" => CompareResult::Equal,
        ">" => CompareResult::Greater,
        "<" => CompareResult::Less,
        "!=" => CompareResult::NotEqual,
        "?" => CompareResult::Unknown(9),
        _ => words.fail("one of = > < != ?"),
    };
    let value: Bytes = words.bytes();
    let number = || String::from_utf8_lossy(&value).parse::<i64>().expect("a number");
    let target = match target.as_str() {
        "version" => CompareTarget::Version(number()),
        "create" => CompareTarget::Create(Revision(number())),
        "mod" => CompareTarget::Mod(Revision(number())),
        "lease" => CompareTarget::Lease(LeaseId(number())),
        "value" => CompareTarget::Value(value),
        "unknown" => CompareTarget::Unknown(9),
        _ => words.fail("no such target"),
    };
    Compare { range, result, target }
}
