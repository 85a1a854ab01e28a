//! Every name that etcd knows is known, and every default is one.

use super::*;

/// The flags that etcd 3.7.1 defines, from a listing of its flag set.
const ETCD_FLAGS: &str = "
    advertise-client-urls auth-token auth-token-ttl auto-compaction-mode auto-compaction-retention
    auto-tls backend-batch-interval backend-batch-limit backend-bbolt-freelist-type bcrypt-cost
    bootstrap-defrag-threshold-megabytes cert-file cipher-suites client-cert-allowed-hostname
    client-cert-auth client-cert-file client-crl-file client-key-file compact-hash-check-time
    compaction-batch-limit compaction-sleep-interval config-file corrupt-check-time cors data-dir
    discovery-cacert discovery-cert discovery-dial-timeout discovery-endpoints discovery-fallback
    discovery-insecure-skip-tls-verify discovery-insecure-transport discovery-keepalive-time
    discovery-keepalive-timeout discovery-key discovery-password discovery-request-timeout
    discovery-srv discovery-srv-name discovery-token discovery-user distributed-tracing-address
    distributed-tracing-instance-id distributed-tracing-sampling-rate
    distributed-tracing-service-name downgrade-check-time election-timeout
    enable-distributed-tracing enable-grpc-gateway enable-log-rotation enable-pprof feature-gates
    force-new-cluster grpc-keepalive-interval grpc-keepalive-min-time grpc-keepalive-timeout
    heartbeat-interval host-whitelist initial-advertise-peer-urls initial-cluster
    initial-cluster-state initial-cluster-token initial-election-tick-advance key-file
    listen-client-http-urls listen-client-urls listen-metrics-urls listen-peer-urls log-format
    log-level log-outputs log-rotation-config-json logger max-concurrent-streams max-learners
    max-request-bytes max-snapshots max-txn-ops max-wals memory-mlock metrics name peer-auto-tls
    peer-cert-allowed-cn peer-cert-allowed-hostname peer-cert-file peer-client-cert-auth
    peer-client-cert-file peer-client-key-file peer-crl-file peer-key-file
    peer-skip-client-san-verification peer-trusted-ca-file pre-vote quota-backend-bytes
    raft-read-timeout raft-write-timeout self-signed-cert-validity snapshot-catchup-entries
    snapshot-count socket-reuse-address socket-reuse-port strict-reconfig-check tls-max-version
    tls-min-version trusted-ca-file unsafe-no-fsync v2-deprecation version wal-dir
    warning-apply-duration warning-unary-request-duration watch-progress-notify-interval";

#[test]
fn the_table_holds_every_flag_of_etcd_and_three_of_ours() {
    let ours: Vec<&str> = table::all().map(|flag| flag.name).collect();
    let set: BTreeSet<&str> = ours.iter().copied().collect();
    assert_eq!(ours.len(), set.len(), "a name stands twice");
    let etcd: BTreeSet<&str> = ETCD_FLAGS.split_whitespace().collect();
    assert_eq!(set.difference(&etcd).collect::<Vec<_>>(), [&"archive", &"hold-level", &"journal"]);
    assert_eq!(etcd.difference(&set).count(), 0);
}

#[test]
fn every_default_of_the_table_can_be_typed() {
    for flag in table::all() {
        let value = flag.kind.parse(flag.default);
        assert!(value.is_ok(), "{}: {value:?}", flag.name);
        let (Meaning::Used(text)
        | Meaning::Shared(text)
        | Meaning::Nothing(text)
        | Meaning::Refused(text)) = flag.meaning;
        assert!(!text.is_empty());
    }
}
