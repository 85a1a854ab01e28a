//! What the journal and the writer measure of themselves, one call a batch each, under etcd's names
//! where etcd has a name for it. `docs/metrics.md` says what each of them means.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use engine::{Applied, Checkpointed, Observer};
use journal::Flush;
use state::{AuthChange, Command, Op, OpReply, Outcome, Refusal, Reply, Txn, TxnReply};

use super::exposition::{Exposition, Type};
use super::histogram::{Histogram, Unit};
use super::request;

/// etcd's names of what is applied.
const OPS: [&str; 20] = [
    "Put",
    "DeleteRange",
    "Txn",
    "Compaction",
    "LeaseGrant",
    "LeaseRevoke",
    "Alarm",
    "Authenticate",
    "AuthEnable",
    "AuthDisable",
    "AuthUserAdd",
    "AuthUserDelete",
    "AuthUserChangePassword",
    "AuthUserGrantRole",
    "AuthUserRevokeRole",
    "AuthRoleAdd",
    "AuthRoleDelete",
    "AuthRoleGrantPermission",
    "AuthRoleRevokePermission",
    "DowngradeInfoSet",
];

/// See the module.
#[derive(Debug)]
pub struct StoreMetrics {
    sync: Histogram,
    write: Histogram,
    written_bytes: AtomicU64,
    durable: AtomicU64,
    append: Histogram,
    lag: Histogram,
    batch_commands: Histogram,
    batch_bytes: Histogram,
    /// By what was applied, and whether it was refused or carried out.
    apply: [[Histogram; 2]; OPS.len()],
    apply_batch: Histogram,
    checkpoint: Histogram,
    checkpoint_sync: Histogram,
    compaction: Histogram,
    compaction_pause: Histogram,
    lease_ttl: Histogram,
    /// Operations that were applied.
    pub operations: Operations,
    /// Reads, those of transactions that only read included, by whether they were answered.
    pub range: [Histogram; 2],
    /// Hashing all of the newest revision.
    pub hash: Histogram,
    /// Hashing up to a revision.
    pub hash_revision: Histogram,
    /// From a client's asking for a snapshot to its end, or the client's.
    pub snapshot: Histogram,
    /// Defragmenting, as far as there is such a thing.
    pub defragment: Histogram,
    /// Learners that this member promoted while it was the writer.
    pub promotions: AtomicU64,
    /// What took longer than it should.
    pub slow_applies: AtomicU64,
    /// Beyond this, an application or a read is slow.
    pub warn_after: Duration,
}

/// See [`StoreMetrics::operations`].
#[derive(Debug, Default)]
pub struct Operations {
    /// Also those inside transactions, as all of these.
    pub puts: AtomicU64,
    /// Deletions of a range.
    pub deletes: AtomicU64,
    /// Reads.
    pub ranges: AtomicU64,
    /// Transactions of more than one operation.
    pub txns: AtomicU64,
    /// Keys and values that were put.
    pub put_bytes: AtomicU64,
}

impl StoreMetrics {
    /// Nothing measured; `warn_after` is `--warning-apply-duration`.
    #[must_use]
    pub fn new(warn_after: Duration) -> Self {
        let latency = || Histogram::seconds(0.001, 14);
        let short = || Histogram::seconds(0.0001, 20);
        Self {
            sync: latency(),
            write: latency(),
            written_bytes: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            append: latency(),
            lag: short(),
            batch_commands: Histogram::doubling(Unit::One, 1.0, 14),
            batch_bytes: Histogram::doubling(Unit::One, 64.0, 18),
            apply: std::array::from_fn(|_| [short(), short()]),
            apply_batch: short(),
            checkpoint: latency(),
            checkpoint_sync: latency(),
            compaction: Histogram::doubling(Unit::Milliseconds, 100.0, 14),
            compaction_pause: Histogram::doubling(Unit::Milliseconds, 1.0, 13),
            lease_ttl: Histogram::doubling(Unit::One, 1.0, 24),
            operations: Operations::default(),
            range: [short(), short()],
            hash: Histogram::seconds(0.01, 15),
            hash_revision: Histogram::seconds(0.01, 15),
            snapshot: Histogram::seconds(0.01, 17),
            defragment: Histogram::seconds(0.1, 13),
            promotions: AtomicU64::new(0),
            slow_applies: AtomicU64::new(0),
            warn_after,
        }
    }

    /// The journal has synced a write.
    pub fn flushed(&self, flush: &Flush) {
        self.write.observe(flush.write);
        self.sync.observe(flush.sync);
        self.written_bytes.fetch_add(flush.bytes, Relaxed);
        self.durable.fetch_max(flush.durable.0, Relaxed);
    }

    /// The last slot that the journal is known to have synced; 0 before the first.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable.load(Relaxed)
    }

    /// Adds everything.
    pub fn expose(&self, out: &mut Exposition) {
        self.expose_disk(out);
        self.expose_applied(out);
        self.expose_operations(out);
        self.expose_rare(out);
    }

    fn expose_disk(&self, out: &mut Exposition) {
        let histograms = [
            ("etcd_disk_wal_fsync_duration_seconds", "Syncs of the journal.", &self.sync),
            ("etcd_disk_wal_write_duration_seconds", "Writes to the journal.", &self.write),
            (
                "etcd_disk_backend_commit_duration_seconds",
                "From the offer of a batch to the journal until the writer learns that it is durable.",
                &self.append,
            ),
            (
                "meridian_journal_append_duration_seconds",
                "From the offer of a batch to the journal until the writer learns that it is durable.",
                &self.append,
            ),
            ("meridian_batch_commands", "Commands in a batch.", &self.batch_commands),
            ("meridian_batch_bytes", "Bytes of a batch in the journal.", &self.batch_bytes),
            (
                "meridian_apply_lag_seconds",
                "From learning that a batch is durable until its state is published.",
                &self.lag,
            ),
            (
                "meridian_apply_batch_duration_seconds",
                "Applying one batch and publishing its state.",
                &self.apply_batch,
            ),
        ];
        for (name, help, histogram) in histograms {
            out.lone_histogram(name, help, histogram);
        }
        let name = "etcd_disk_wal_write_bytes_total";
        let bytes = self.written_bytes.load(Relaxed);
        out.single(name, Type::Gauge, "Total number of bytes written to the journal.", bytes);
    }

    fn expose_applied(&self, out: &mut Exposition) {
        let name = "etcd_server_apply_duration_seconds";
        out.head(
            name,
            Type::Histogram,
            "Each command's share of the time its batch took to apply.",
        );
        for (op, outcomes) in OPS.into_iter().zip(&self.apply) {
            for (success, histogram) in ["false", "true"].into_iter().zip(outcomes) {
                if !histogram.is_empty() {
                    let labels = [("op", op), ("success", success), ("version", "v3")];
                    out.histogram(name, &labels, histogram);
                }
            }
        }
        let name = "etcd_server_range_duration_seconds";
        out.head(name, Type::Histogram, "The time reads took.");
        for (success, histogram) in ["false", "true"].into_iter().zip(&self.range) {
            if !histogram.is_empty() {
                out.histogram(name, &[("success", success)], histogram);
            }
        }
        let help = "Reads, and batches of writes, that took longer than --warning-apply-duration.";
        let slow = self.slow_applies.load(Relaxed);
        out.single("etcd_server_slow_apply_total", Type::Counter, help, slow);
        let name = "etcd_server_learner_promote_successes";
        let help = "Learners that were promoted while this member was the writer.";
        out.single(name, Type::Counter, help, self.promotions.load(Relaxed));
    }

    fn expose_operations(&self, out: &mut Exposition) {
        let Operations { puts, deletes, ranges, txns, put_bytes } = &self.operations;
        let counters = [
            ("etcd_mvcc_put_total", "Puts, those in transactions included.", puts),
            ("etcd_mvcc_delete_total", "Deletes, those in transactions included.", deletes),
            ("etcd_mvcc_range_total", "Ranges, those in transactions included.", ranges),
            ("etcd_mvcc_txn_total", "Transactions of more than one operation.", txns),
        ];
        for (name, help, counter) in counters {
            out.single(name, Type::Counter, help, counter.load(Relaxed));
        }
        let name = "etcd_debugging_mvcc_total_put_size_in_bytes";
        let help = "Bytes of keys and values put since the start.";
        out.single(name, Type::Gauge, help, put_bytes.load(Relaxed));
    }

    fn expose_rare(&self, out: &mut Exposition) {
        let histograms = [
            (
                "etcd_debugging_snap_save_total_duration_seconds",
                "Writing a checkpoint.",
                &self.checkpoint,
            ),
            (
                "meridian_checkpoint_duration_seconds",
                "Writing a checkpoint, trimming the journal left out.",
                &self.checkpoint,
            ),
            (
                "etcd_snap_fsync_duration_seconds",
                "The last sync of a checkpoint's file.",
                &self.checkpoint_sync,
            ),
            (
                "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds",
                "From the order to compact until it is carried out.",
                &self.compaction,
            ),
            (
                "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds",
                "How long one step of compaction held up the writer.",
                &self.compaction_pause,
            ),
            (
                "etcd_debugging_lease_ttl_total",
                "Seconds that leases were granted.",
                &self.lease_ttl,
            ),
            ("etcd_mvcc_hash_duration_seconds", "Hashing all that is stored.", &self.hash),
            (
                "etcd_mvcc_hash_rev_duration_seconds",
                "Hashing up to a revision.",
                &self.hash_revision,
            ),
            (
                "etcd_disk_backend_snapshot_duration_seconds",
                "Snapshots sent to clients.",
                &self.snapshot,
            ),
            (
                "etcd_disk_backend_defrag_duration_seconds",
                "Defragmentation, which has nothing to do here.",
                &self.defragment,
            ),
        ];
        for (name, help, histogram) in histograms {
            out.lone_histogram(name, help, histogram);
        }
    }

    /// Counts what one command did, and gives its place in [`OPS`] and whether it was carried out.
    fn note(&self, command: &Command, outcome: &Outcome) -> Option<(usize, bool)> {
        let carried_out = outcome.result.is_ok();
        let op = match (command.bare(), &outcome.result) {
            (_, Ok(Reply::Void)) => return None,
            (
                Command::Claim { .. }
                | Command::MemberAdd { .. }
                | Command::LearnerAdd { .. }
                | Command::MemberRemove { .. }
                | Command::MemberPromote { .. }
                | Command::MemberPublish { .. }
                | Command::LevelRaise { .. }
                | Command::MemberUpdate { .. }
                | Command::LeaseRenew { .. }
                | Command::DigestDue
                | Command::DigestIs { .. }
                | Command::As(_),
                _,
            ) => return None,
            (Command::Put(put), result) => {
                if result.is_ok() {
                    self.operations.put(put.key.len() + put.value.len());
                }
                0
            }
            (Command::DeleteRange(_), result) => {
                self.operations.deletes.fetch_add(u64::from(result.is_ok()), Relaxed);
                1
            }
            (Command::Txn(txn), result) => {
                if let Ok(Reply::Txn(reply)) = result {
                    self.operations.txn(txn, reply);
                }
                2
            }
            (Command::Compact { .. }, Err(Refusal::Compacted)) => return Some((3, true)),
            (Command::Compact { .. }, _) => 3,
            (Command::LeaseGrant { .. }, result) => {
                if let Ok(Reply::LeaseGrant { ttl, .. }) = result {
                    self.lease_ttl.observe_equal(ttl.unsigned_abs(), 1);
                }
                4
            }
            (Command::LeaseRevoke { .. }, _) => 5,
            (Command::Alarm { .. }, _) => 6,
            (Command::Auth(change), _) => auth_op(change)?,
            (Command::Downgrade { .. }, _) => 19,
        };
        Some((op, carried_out))
    }
}

fn auth_op(change: &AuthChange) -> Option<usize> {
    Some(match change {
        AuthChange::TokenIssue { .. } => 7,
        AuthChange::Enable => 8,
        AuthChange::Disable => 9,
        AuthChange::UserAdd { .. } => 10,
        AuthChange::UserDelete { .. } => 11,
        AuthChange::UserChangePassword { .. } => 12,
        AuthChange::UserGrantRole { .. } => 13,
        AuthChange::UserRevokeRole { .. } => 14,
        AuthChange::RoleAdd { .. } => 15,
        AuthChange::RoleDelete { .. } => 16,
        AuthChange::RoleGrantPermission { .. } => 17,
        AuthChange::RoleRevokePermission { .. } => 18,
        // etcd forgets tokens without a word to Raft.
        AuthChange::TokensEnd { .. } => return None,
    })
}

impl Operations {
    fn put(&self, bytes: usize) {
        self.puts.fetch_add(1, Relaxed);
        self.put_bytes.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts the branch of a transaction that was taken.
    pub fn txn(&self, txn: &Txn, reply: &TxnReply) {
        let count = self.branch(txn, reply);
        self.txns.fetch_add(u64::from(count > 1), Relaxed);
    }

    fn branch(&self, txn: &Txn, reply: &TxnReply) -> usize {
        let ops = if reply.succeeded { &txn.success } else { &txn.failure };
        let mut count = 0;
        for (op, (_, reply)) in ops.iter().zip(&reply.responses) {
            count += match (op, reply) {
                (Op::Txn(txn), OpReply::Txn(reply)) => self.branch(txn, reply),
                (op, _) => self.operation(op),
            };
        }
        count
    }

    fn operation(&self, op: &Op) -> usize {
        match op {
            Op::Range(_) => drop(self.ranges.fetch_add(1, Relaxed)),
            Op::Put(put) => self.put(put.key.len() + put.value.len()),
            Op::DeleteRange(_) => drop(self.deletes.fetch_add(1, Relaxed)),
            Op::Txn(_) => {}
        }
        1
    }
}

fn promotions(batch: &Applied<'_>) -> u64 {
    let promotes = |command: &Command| matches!(command.bare(), Command::MemberPromote { .. });
    let settled = batch.commands.iter().zip(batch.outcomes);
    settled.filter(|(command, outcome)| promotes(command) && outcome.result.is_ok()).count() as u64
}

impl Observer for StoreMetrics {
    fn applied(&self, batch: &Applied<'_>) {
        if let Some(append) = batch.append {
            self.append.observe(append);
            self.promotions.fetch_add(promotions(batch), Relaxed);
        }
        self.lag.observe(batch.lag);
        self.apply_batch.observe(batch.apply);
        self.batch_commands.observe_equal(batch.commands.len() as u64, 1);
        self.batch_bytes.observe_equal(batch.bytes, 1);
        let mut counts = [[0; 2]; OPS.len()];
        for (command, outcome) in batch.commands.iter().zip(batch.outcomes) {
            if let Some((op, carried_out)) = self.note(command, outcome) {
                counts[op][usize::from(carried_out)] += 1;
            }
        }
        let nanoseconds = u64::try_from(batch.apply.as_nanos()).unwrap_or(u64::MAX);
        let share = nanoseconds / (batch.commands.len() as u64).max(1);
        for (histograms, counts) in self.apply.iter().zip(counts) {
            for (histogram, count) in histograms.iter().zip(counts) {
                if count > 0 {
                    histogram.observe_equal(share, count);
                }
            }
        }
        if batch.apply > self.warn_after {
            self.slow_applies.fetch_add(1, Relaxed);
            request::warn_of_slow_batch(batch.apply, self.warn_after, batch.commands);
        }
    }

    fn compaction_step(&self, took: Duration) {
        self.compaction_pause.observe(took);
    }

    fn compacted(&self, took: Duration) {
        self.compaction.observe(took);
    }

    fn checkpointed(&self, checkpoint: &Checkpointed) {
        self.checkpoint.observe(checkpoint.took);
        self.checkpoint_sync.observe(checkpoint.sync);
    }
}
