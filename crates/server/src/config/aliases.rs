//! The `--experimental-…` spellings of etcd 3.5 and 3.6, which etcd 3.7 dropped and deployments
//! still carry.

/// What an `--experimental-…` spelling of etcd 3.5 and 3.6 means now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alias {
    /// The flag without the prefix, under this name.
    Flag(&'static str),
    /// A feature gate of this name.
    Gate(&'static str),
}

/// Spellings that are not the prefix before today's name.
const RENAMED: &[(&str, Alias)] = &[
    ("initial-corrupt-check", Alias::Gate("InitialCorruptCheck")),
    ("compact-hash-check-enabled", Alias::Gate("CompactHashCheck")),
    ("enable-lease-checkpoint", Alias::Gate("LeaseCheckpoint")),
    ("enable-lease-checkpoint-persist", Alias::Gate("LeaseCheckpointPersist")),
    ("txn-mode-write-with-shared-buffer", Alias::Gate("TxnModeWriteWithSharedBuffer")),
    ("stop-grpc-service-on-defrag", Alias::Gate("StopGRPCServiceOnDefrag")),
    ("set-member-localaddr", Alias::Gate("SetMemberLocalAddr")),
    ("snapshot-catch-up-entries", Alias::Flag("snapshot-catchup-entries")),
];

/// Flags that once carried the prefix and kept their name without it.
const GRADUATED: &[&str] = &[
    "backend-bbolt-freelist-type",
    "bootstrap-defrag-threshold-megabytes",
    "compact-hash-check-time",
    "compaction-batch-limit",
    "compaction-sleep-interval",
    "corrupt-check-time",
    "distributed-tracing-address",
    "distributed-tracing-instance-id",
    "distributed-tracing-sampling-rate",
    "distributed-tracing-service-name",
    "downgrade-check-time",
    "enable-distributed-tracing",
    "max-learners",
    "memory-mlock",
    "peer-skip-client-san-verification",
    "snapshot-catchup-entries",
    "warning-apply-duration",
    "warning-unary-request-duration",
    "watch-progress-notify-interval",
];

/// What an old experimental spelling means.
pub(crate) fn alias(name: &str) -> Option<Alias> {
    let short = name.strip_prefix("experimental-")?;
    let renamed = RENAMED.iter().find(|(old, _)| *old == short).map(|(_, alias)| *alias);
    renamed.or_else(|| GRADUATED.iter().find(|old| **old == short).map(|old| Alias::Flag(old)))
}

/// All old experimental spellings.
pub(crate) fn all() -> impl Iterator<Item = String> {
    let renamed = RENAMED.iter().map(|(old, _)| *old);
    renamed.chain(GRADUATED.iter().copied()).map(|short| format!("experimental-{short}"))
}
