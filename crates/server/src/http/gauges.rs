//! `/metrics`: etcd's names for how this member stands, and the counters of its calls.

use std::collections::BTreeSet;

use engine::Status;
use engine::replicas::Role;

use crate::observe::exposition::Type::{Counter, Gauge};
use crate::observe::exposition::{Exposition, Labels};
use crate::observe::histogram::Histogram;
use crate::observe::process;
use crate::rpc::Services;
use crate::rpc::maintenance::{ETCD_VERSION, SMALLEST_SIZE};

/// Everything, as text.
pub(super) fn metrics(services: &Services) -> String {
    let mut out = Exposition::default();
    identity(services, &mut out);
    standing(services, &mut out);
    store(services, &mut out);
    watches(services, &mut out);
    absent(&mut out);
    services.metrics.expose(&mut out);
    process::expose(&mut out, services.metrics.started);
    out.finish()
}

fn named(out: &mut Exposition, name: &str, help: &str, labels: Labels<'_>) {
    out.head(name, Gauge, help);
    out.value(name, labels, 1);
}

fn identity(services: &Services, out: &mut Exposition) {
    let id = format!("{:x}", services.identity.member_id);
    named(
        out,
        "etcd_server_id",
        "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.",
        &[("server_id", &id)],
    );
    let help = "Which version is running.";
    named(out, "etcd_server_version", help, &[("server_version", ETCD_VERSION)]);
    let help = "Which cluster version is running.";
    let cluster = services.cluster_version();
    let cluster = format!("{}.{}", cluster.major, cluster.minor);
    named(out, "etcd_cluster_version", help, &[("cluster_version", &cluster)]);
    let name = "meridian_build_info";
    named(out, name, "Which Meridian this is.", &[("version", env!("CARGO_PKG_VERSION"))]);
    // As in etcd, a member is one of those it knows.
    let name = "etcd_network_known_peers";
    out.head(name, Gauge, "The current number of known peers.");
    let cluster = services.engine.status().cluster;
    let mut known: BTreeSet<u64> = cluster.members().keys().map(|member| member.0).collect();
    known.insert(services.identity.member_id);
    for remote in &known {
        let remote = &format!("{remote:x}");
        out.value(name, &[("Local", &id), ("Remote", remote)], 1);
    }
    services.metrics.peers.expose(out, &id);
}

/// What does not happen to a single member, of etcd or here, and what has nothing to do here. The
/// series are there because dashboards and alerts read an absent series as a broken one.
fn absent(out: &mut Exposition) {
    let never = [
        (
            "etcd_server_heartbeat_send_failures_total",
            Counter,
            "The total number of leader heartbeat send failures: there are none to send.",
        ),
        (
            "etcd_server_snapshot_apply_in_progress_total",
            Gauge,
            "1 if the server is applying the incoming snapshot: no other member sends one.",
        ),
        ("etcd_server_slow_read_indexes_total", Counter, "A read waits for nobody."),
        ("etcd_disk_defrag_inflight", Gauge, "Defragmentation has nothing to do."),
    ];
    for (name, kind, help) in never {
        out.single(name, kind, help, 0);
    }
    let latency = || Histogram::seconds(0.001, 14);
    let histograms = [
        ("etcd_snap_db_fsync_duration_seconds", "No other member sends snapshots.", latency()),
        (
            "etcd_snap_db_save_total_duration_seconds",
            "No other member sends snapshots.",
            Histogram::seconds(0.1, 10),
        ),
    ];
    for (name, help, histogram) in histograms {
        out.lone_histogram(name, help, &histogram);
    }
}

fn standing(services: &Services, out: &mut Exposition) {
    let help = "The current revision of auth store.";
    let revision = services.engine.auth().revision().0;
    out.single("etcd_debugging_auth_revision", Gauge, help, revision);
    let status = services.engine.status();
    let has_leader = u8::from(status.leader.0 != 0);
    let is_leader = u8::from(status.leader == status.member);
    let gauges = [
        (
            "etcd_server_has_leader",
            "Whether or not a leader exists. 1 is existence, 0 is not.",
            u64::from(has_leader),
        ),
        (
            "etcd_server_is_leader",
            "Whether or not this member is a leader. 1 if is, 0 otherwise.",
            u64::from(is_leader),
        ),
        (
            "etcd_server_is_learner",
            "Whether or not this member is a learner. 1 if is, 0 otherwise.",
            u64::from(services.engine.is_learner()),
        ),
        (
            "etcd_server_proposals_pending",
            "The current number of pending proposals to commit.",
            status.pending as u64,
        ),
        (
            "etcd_server_proposals_committed_total",
            "The total number of consensus proposals committed.",
            status.durable.0.max(services.metrics.store.durable()),
        ),
        (
            "etcd_server_proposals_applied_total",
            "The total number of consensus proposals applied.",
            status.applied.0,
        ),
        (
            "etcd_server_quota_backend_bytes",
            "Current backend storage quota size in bytes.",
            status.quota.unwrap_or(0),
        ),
        (
            "etcd_mvcc_db_total_size_in_bytes",
            "Total size of the underlying database physically allocated in bytes.",
            status.allocated_bytes.max(SMALLEST_SIZE),
        ),
        (
            "etcd_mvcc_db_total_size_in_use_in_bytes",
            "Total size of the underlying database logically in use in bytes.",
            status.in_use_bytes,
        ),
        ("meridian_checkpoint_position", "The newest durable checkpoint.", status.checkpoint.0),
        ("meridian_leases", "How many leases there are.", status.leases as u64),
    ];
    for (name, help, value) in gauges {
        out.single(name, Gauge, help, value);
    }
    let name = "etcd_server_leader_changes_seen_total";
    out.single(name, Counter, "The number of leader changes seen.", status.leader_changes);
    journal(&status, out);
    replicas(services, &status, out);
    lags(services, &status, out);
    alarms(&status, out);
}

/// How far what follows the journal is behind it.
fn lags(services: &Services, status: &Status, out: &mut Exposition) {
    let durable = status.durable.0.max(services.metrics.store.durable());
    let seen = services.engine.watched();
    let revision = services.engine.view().revision();
    let gauges = [
        (
            "meridian_apply_lag_entries",
            "Entries of the journal that are durable and not applied.",
            durable - status.applied.0,
        ),
        (
            "meridian_watch_lag_revisions",
            "Revisions that are published and not handed to the watches.",
            revision.0.saturating_sub(seen.0).unsigned_abs(),
        ),
        (
            "meridian_compaction_remaining_revisions",
            "Revisions that compaction has still to look at.",
            status.compaction_left,
        ),
        ("meridian_checkpoint_bytes", "Size of the newest checkpoint.", status.checkpoint_bytes),
    ];
    for (name, help, value) in gauges {
        out.single(name, Gauge, help, value);
    }
    let seconds = |at: state::Timestamp| at.0 as f64 / 1e3;
    let name = "meridian_checkpoint_time_seconds";
    let help = "When the newest checkpoint was written, in unix time; 0 if there is none.";
    out.single(name, Gauge, help, status.checkpoint_at.map_or(0.0, seconds));
    let name = "meridian_recovery_duration_seconds";
    out.single(name, Gauge, "What recovery took at start.", status.recovery.as_secs_f64());
    let name = "etcd_debugging_server_lease_expired_total";
    out.single(name, Counter, "The total number of expired leases.", status.leases_expired);
}

fn journal(status: &Status, out: &mut Exposition) {
    let counters = [
        (
            "meridian_journal_body_bytes_total",
            "Bytes of entries appended to the journal, their frames left out.",
            status.appended_bytes,
        ),
        ("meridian_journal_batches_total", "Batches appended to the journal.", status.batches),
        ("meridian_commands_total", "Commands appended to the journal.", status.committed),
    ];
    for (name, help, value) in counters {
        out.single(name, Counter, help, value);
    }
}

/// Of those that share a journal: what this one is to the others, and what the journal has to tell.
fn replicas(services: &Services, status: &Status, out: &mut Exposition) {
    let Some(journal) = &services.shared_journal else { return };
    let name = "meridian_replica_role";
    out.head(
        name,
        Gauge,
        "What this replica is to those it shares the journal with: 1 is what it is.",
    );
    for role in [Role::Writer, Role::Follower, Role::Guest, Role::Claiming] {
        let label = format!("{role:?}").to_ascii_lowercase();
        out.value(name, &[("role", &label)], u8::from(role == status.role));
    }
    let help = "The epoch of the current writer: it grows by one with each change of writer.";
    out.single("meridian_epoch", Gauge, help, status.epoch.0);
    let help = "The level up to which the journal may hold entries.";
    out.single("meridian_level", Gauge, help, status.cluster.level().0);
    let help = "The lowest level that a member can apply: the cluster's rises to it.";
    let lowest = status.cluster.lowest().map_or(0, |(_, lowest)| lowest.level.0);
    out.single("meridian_level_lowest_member", Gauge, help, lowest);
    let help = "What this replica says it can apply.";
    out.single("meridian_level_own", Gauge, help, services.engine.level().0);
    let help = "How many members the cluster has.";
    out.single("meridian_members", Gauge, help, status.cluster.members().len());
    journal.expose(out);
}

fn alarms(status: &Status, out: &mut Exposition) {
    let name = "etcd_debugging_server_alarms";
    out.head(name, Gauge, "Alarms for every member in cluster.");
    for alarm in &status.alarms {
        let member = format!("{:x}", alarm.member.0);
        let kind = match alarm.alarm {
            state::AlarmType::NoSpace => "NOSPACE",
            state::AlarmType::Corrupt => "CORRUPT",
        };
        out.value(name, &[("alarm_type", kind), ("server_id", &member)], 1);
    }
}

fn store(services: &Services, out: &mut Exposition) {
    let view = services.engine.view();
    let gauges = [
        ("etcd_debugging_mvcc_keys_total", "Total number of keys.", view.len() as i64),
        (
            "etcd_debugging_mvcc_current_revision",
            "The current revision of store.",
            view.revision().0,
        ),
        (
            "etcd_debugging_mvcc_compact_revision",
            "The revision of the last compaction in store.",
            view.compact_revision().0,
        ),
    ];
    for (name, help, value) in gauges {
        out.single(name, Gauge, help, value);
    }
}

fn watches(services: &Services, out: &mut Exposition) {
    let counts = services.engine.watch_counts();
    let gauges = [
        (
            "etcd_debugging_mvcc_watch_stream_total",
            "Total number of watch streams.",
            counts.streams as u64,
        ),
        ("etcd_debugging_mvcc_watcher_total", "Total number of watchers.", counts.watchers as u64),
        (
            "etcd_debugging_mvcc_slow_watcher_total",
            "Total number of unsynced slow watchers.",
            counts.slow_watchers as u64,
        ),
        (
            "etcd_debugging_mvcc_pending_events_total",
            "Total number of pending events to be sent.",
            counts.pending,
        ),
    ];
    for (name, help, value) in gauges {
        out.single(name, Gauge, help, value);
    }
    let name = "etcd_debugging_mvcc_events_total";
    out.single(name, Counter, "Total number of events sent by this member.", counts.events_sent);
}
