//! Random commands over few keys and few leases, so that they meet each other often.

use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use state::{
    AlarmAction, AlarmType, AuthChange, AuthRevision, ClusterVersion, Command, Compare,
    CompareResult, CompareTarget, DeleteRange, Digest, Epoch, Identity, KeyRange, LeaseId, Level,
    MemberId, Op, PasswordHash, Permission, PermissionType, Position, Put, RangeQuery, Revision,
    Sort, SortOrder, SortTarget, TokenDigest, Txn,
};

/// Any command, mostly those that change keys.
pub(crate) fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        8 => put().prop_map(Command::Put),
        4 => delete_range().prop_map(Command::DeleteRange),
        8 => txn().prop_map(Command::Txn),
        2 => revision().prop_map(|revision| Command::Compact { revision }),
        3 => (lease(), ttl()).prop_map(|(id, ttl)| Command::LeaseGrant { id, ttl }),
        2 => lease().prop_map(|id| Command::LeaseRevoke { id }),
        1 => alarm(),
        1 => (0u64..6, member()).prop_map(|(epoch, member)| Command::Claim {
            epoch: Epoch(epoch),
            member,
        }),
        8 => members(),
        1 => vec(lease(), 0..4).prop_map(|ids| Command::LeaseRenew { ids }),
        1 => Just(Command::DigestDue),
        1 => (any::<u64>(), any::<u32>(), any::<u32>()).prop_map(|(position, keys, rest)| {
            Command::DigestIs { position: Position(position), digest: Digest { keys, rest } }
        }),
    ]
}

/// Few members at few URLs, so that they are often in each other's way; and downgrades.
pub(crate) fn members() -> impl Strategy<Value = Command> {
    let urls = || vec("[ab:é]{0,2}", 0..3);
    let publish = (member(), "[a-zé]{0,3}", urls(), version(), 1u32..4);
    prop_oneof![
        3 => (member(), urls(), prop::bool::weighted(0.3)).prop_map(|(member, peer_urls, learner)| {
            Command::MemberAdd { member, peer_urls, learner }
        }),
        1 => (member(), urls(), 0u64..4).prop_map(|(member, peer_urls, most)| {
            Command::LearnerAdd { member, peer_urls, most }
        }),
        1 => member().prop_map(|member| Command::MemberRemove { member }),
        1 => member().prop_map(|member| Command::MemberPromote { member }),
        3 => publish.prop_map(|(member, name, client_urls, version, level)| {
            Command::MemberPublish { member, name, client_urls, version, level: Level(level) }
        }),
        1 => (member(), urls())
            .prop_map(|(member, peer_urls)| Command::MemberUpdate { member, peer_urls }),
        1 => Just(Command::LevelRaise { level: Level(2) }),
        1 => option::of(version()).prop_map(|to| Command::Downgrade { to }),
    ]
}

fn member() -> impl Strategy<Value = MemberId> {
    prop_oneof![20 => 1u64..4, 1 => Just(0), 1 => any::<u64>()].prop_map(MemberId)
}

fn version() -> impl Strategy<Value = ClusterVersion> {
    (5u64..9).prop_map(|minor| ClusterVersion { major: 3, minor })
}

/// Any command that can stand in an entry: those of users and rights, and those in a name, too.
#[allow(dead_code, reason = "not every test has users")]
pub(crate) fn any_command() -> impl Strategy<Value = Command> {
    let bare = || prop_oneof![3 => command(), 1 => auth_change().prop_map(Command::Auth)];
    let who = prop_oneof![
        1 => Just(Identity::Server),
        2 => (name(), any::<u64>()).prop_map(|(name, revision)| Identity::User {
            name,
            auth_revision: AuthRevision(revision),
        }),
    ];
    prop_oneof![2 => bare(), 1 => (bare(), who).prop_map(|(command, who)| command.by(who))]
}

fn name() -> impl Strategy<Value = Arc<str>> {
    prop::sample::select(vec!["root", "u", "", "grün"]).prop_map(Arc::from)
}

fn auth_change() -> impl Strategy<Value = AuthChange> {
    let password = || value().prop_map(PasswordHash);
    let digest = || any::<[u8; 32]>().prop_map(TokenDigest);
    let kind = prop_oneof![4 => 0i32..3, 1 => any::<i32>()].prop_map(PermissionType::of_number);
    prop_oneof![
        Just(AuthChange::Enable),
        Just(AuthChange::Disable),
        (name(), password(), any::<bool>()).prop_map(|(name, password, no_password)| {
            AuthChange::UserAdd { name, password, no_password }
        }),
        name().prop_map(|name| AuthChange::UserDelete { name }),
        (name(), password())
            .prop_map(|(name, password)| AuthChange::UserChangePassword { name, password }),
        (name(), name()).prop_map(|(user, role)| AuthChange::UserGrantRole { user, role }),
        (name(), name()).prop_map(|(user, role)| AuthChange::UserRevokeRole { user, role }),
        name().prop_map(|name| AuthChange::RoleAdd { name }),
        name().prop_map(|name| AuthChange::RoleDelete { name }),
        (name(), kind, key_range()).prop_map(|(role, kind, range)| {
            AuthChange::RoleGrantPermission { role, permission: Permission { kind, range } }
        }),
        (name(), key_range())
            .prop_map(|(role, range)| AuthChange::RoleRevokePermission { role, range }),
        (name(), digest(), any::<u64>()).prop_map(|(user, digest, revision)| {
            let auth_revision = AuthRevision(revision);
            AuthChange::TokenIssue { user, digest, auth_revision }
        }),
        vec(digest(), 0..3).prop_map(|digests| AuthChange::TokensEnd { digests }),
    ]
}

fn key() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        12 => prop::sample::select(vec!["a", "aa", "b", "ba", "c", "d", "\0", "e"])
            .prop_map(|key| Bytes::from_static(key.as_bytes())),
        1 => vec(any::<u8>(), 0..4).prop_map(Bytes::from),
    ]
}

fn value() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..6).prop_map(Bytes::from)
}

fn key_range() -> impl Strategy<Value = KeyRange> {
    let end = prop_oneof![
        2 => Just(Bytes::new()),
        2 => key(),
        1 => Just(Bytes::from_static(b"\0")),
    ];
    (key(), end).prop_map(|(key, range_end)| KeyRange { key, range_end })
}

fn revision() -> impl Strategy<Value = Revision> {
    prop_oneof![20 => -2i64..40, 1 => any::<i64>()].prop_map(Revision)
}

fn lease() -> impl Strategy<Value = LeaseId> {
    (-1i64..4).prop_map(LeaseId)
}

fn ttl() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 1i64..100, 1 => any::<i64>()]
}

fn alarm() -> impl Strategy<Value = Command> {
    let action = prop_oneof![1 => Just(AlarmAction::Activate), 4 => Just(AlarmAction::Deactivate)];
    let alarm = prop_oneof![Just(AlarmType::NoSpace), Just(AlarmType::Corrupt)];
    (action, 0u64..2, alarm).prop_map(|(action, member, alarm)| Command::Alarm {
        action,
        member: MemberId(member),
        alarm,
    })
}

fn put() -> impl Strategy<Value = Put> {
    let lease = prop_oneof![3 => Just(LeaseId::NONE), 1 => lease()];
    let ignore = || prop::bool::weighted(0.15);
    (key(), value(), lease, any::<bool>(), ignore(), ignore()).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| Put {
            key,
            value: if ignore_value { Bytes::new() } else { value },
            lease: if ignore_lease { LeaseId::NONE } else { lease },
            prev_kv,
            ignore_value,
            ignore_lease,
        },
    )
}

fn delete_range() -> impl Strategy<Value = DeleteRange> {
    (key_range(), any::<bool>()).prop_map(|(range, prev_kv)| DeleteRange { range, prev_kv })
}

/// Any range request.
pub(crate) fn range() -> impl Strategy<Value = RangeQuery> {
    let revision = prop_oneof![2 => Just(Revision(0)), 1 => revision()];
    let bound = || prop_oneof![6 => Just(Revision(0)), 1 => self::revision()];
    let bounds = (bound(), bound(), bound(), bound());
    let flag = || prop::bool::weighted(0.2);
    (key_range(), revision, -1i64..6, sort(), flag(), flag(), bounds).prop_map(
        |(range, revision, limit, sort, keys_only, count_only, bounds)| RangeQuery {
            range,
            revision,
            limit,
            sort,
            keys_only,
            count_only,
            min_mod_revision: bounds.0,
            max_mod_revision: bounds.1,
            min_create_revision: bounds.2,
            max_create_revision: bounds.3,
        },
    )
}

fn sort() -> impl Strategy<Value = Sort> {
    let order = prop::sample::select(vec![SortOrder::None, SortOrder::Ascend, SortOrder::Descend]);
    let target = prop::sample::select(vec![
        SortTarget::Key,
        SortTarget::Version,
        SortTarget::Create,
        SortTarget::Mod,
        SortTarget::Value,
    ]);
    (order, target).prop_map(|(order, target)| Sort { order, target })
}

fn txn() -> impl Strategy<Value = Txn> {
    let leaf = prop_oneof![
        2 => range().prop_map(Op::Range),
        3 => put().prop_map(Op::Put),
        1 => delete_range().prop_map(Op::DeleteRange),
    ];
    let op = leaf.prop_recursive(3, 12, 3, |op| txn_of(op).prop_map(Op::Txn));
    txn_of(op)
}

fn txn_of(op: impl Strategy<Value = Op> + Clone) -> impl Strategy<Value = Txn> {
    let compare = prop_oneof![2 => vec(compare(), 0..1), 1 => vec(compare(), 1..3)];
    (compare, vec(op.clone(), 0..4), vec(op, 0..3)).prop_map(|(compare, success, failure)| Txn {
        compare,
        success,
        failure,
    })
}

fn compare() -> impl Strategy<Value = Compare> {
    let result = prop_oneof![
        4 => Just(CompareResult::Equal),
        2 => Just(CompareResult::Greater),
        2 => Just(CompareResult::Less),
        2 => Just(CompareResult::NotEqual),
        1 => (4i32..).prop_map(CompareResult::Unknown),
    ];
    let target = prop_oneof![
        (0i64..3).prop_map(CompareTarget::Version),
        revision().prop_map(CompareTarget::Create),
        revision().prop_map(CompareTarget::Mod),
        option::of(value()).prop_map(|value| CompareTarget::Value(value.unwrap_or_default())),
        lease().prop_map(CompareTarget::Lease),
        any::<i32>().prop_map(CompareTarget::Unknown),
    ];
    (key_range(), result, target).prop_map(|(range, result, target)| Compare {
        range,
        result,
        target,
    })
}
