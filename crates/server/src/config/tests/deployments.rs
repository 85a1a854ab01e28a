//! What real deployments pass: one member, kubeadm, etcd's own tests.

use super::*;

#[test]
fn one_member_keeps_the_embedded_journal() {
    let one = config(&[
        "--name=a",
        "--initial-cluster=a=http://b:1,a=http://a:1",
        "--initial-cluster-token=t",
        "--initial-cluster-state=existing",
    ]);
    let urls: Vec<_> = one.initial_advertise_peer_urls.iter().map(|u| u.as_str()).collect();
    assert_eq!(urls, ["http://a:1", "http://b:1"]);
    assert_eq!(one.initial_cluster_state, InitialClusterState::Existing);
    let default = config(&[]).identity;
    assert_ne!(one.identity, default);
    assert_eq!(config(&["--name=a"]).identity, default);
    for (args, part) in [
        (
            &["--initial-cluster=default=http://a:1,b=http://b:1"][..],
            "names 2 members (b, default), but the embedded journal is kept by one machine alone",
        ),
        (
            &["--name=z", "--initial-cluster=y=http://a:1"],
            "couldn't find local name \"z\" in the initial cluster configuration",
        ),
        (
            &["--initial-cluster=default=http://a:1", "--initial-advertise-peer-urls=http://b:1"],
            "--initial-cluster has default=http://a:1 but --initial-advertise-peer-urls=http://b:1",
        ),
        (&["--initial-cluster=default=http://a:1,default=http://a:1"], "has duplicate url"),
        (&["--initial-cluster=default"], "--initial-cluster: URL scheme must be"),
    ] {
        let (code, told) = refused(args);
        assert_eq!(code, 1);
        assert!(told.contains(part), "{told}");
    }
}

/// What kubeadm writes into the static pod of etcd.
const KUBEADM: [&str; 19] = [
    "--advertise-client-urls=https://10.0.0.5:2379",
    "--cert-file=/etc/kubernetes/pki/etcd/server.crt",
    "--client-cert-auth=true",
    "--data-dir=/var/lib/etcd",
    "--feature-gates=InitialCorruptCheck=true",
    "--initial-advertise-peer-urls=https://10.0.0.5:2380",
    "--initial-cluster=node=https://10.0.0.5:2380",
    "--key-file=/etc/kubernetes/pki/etcd/server.key",
    "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.5:2379",
    "--listen-metrics-urls=http://127.0.0.1:2381",
    "--listen-peer-urls=https://10.0.0.5:2380",
    "--name=node",
    "--peer-cert-file=/etc/kubernetes/pki/etcd/peer.crt",
    "--peer-client-cert-auth=true",
    "--peer-key-file=/etc/kubernetes/pki/etcd/peer.key",
    "--peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
    "--snapshot-count=10000",
    "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt",
    "--watch-progress-notify-interval=5s",
];

#[test]
fn kubeadm_s_command_line_is_understood() {
    let (config, notices) = served(run(&KUBEADM, &[], None));
    assert_eq!(config.watch_progress_notify_interval, Duration::from_secs(5));
    assert_eq!(config.listen_client_urls.len(), 2);
    assert_eq!(config.listen_metrics_urls.len(), 1);
    let tls = config.tls.expect("TLS");
    assert_eq!(tls.cert_file, Path::new("/etc/kubernetes/pki/etcd/server.crt"));
    assert_eq!(tls.key_file, Path::new("/etc/kubernetes/pki/etcd/server.key"));
    assert_eq!(tls.trusted_ca_file.as_deref(), Some(Path::new("/etc/kubernetes/pki/etcd/ca.crt")));
    assert!(tls.client_cert_auth);
    assert_eq!(
        about(&notices),
        [
            "listen-peer-urls",
            "peer-cert-file",
            "peer-client-cert-auth",
            "peer-key-file",
            "peer-trusted-ca-file",
            "snapshot-count",
            "feature-gates InitialCorruptCheck",
        ]
    );
}

#[test]
fn the_arguments_of_etcd_s_own_test_framework_are_understood() {
    let args = [
        "--name=TestPut-test-0",
        "--listen-client-urls=http://localhost:20000",
        "--advertise-client-urls=http://localhost:20000",
        "--listen-peer-urls=http://localhost:20001",
        "--initial-advertise-peer-urls=http://localhost:20001",
        "--initial-cluster-token=new",
        "--data-dir=/t/001",
        "--snapshot-count=10000",
        "--force-new-cluster=true",
        "--strict-reconfig-check=false",
        "--listen-metrics-urls=http://localhost:20004",
        "--snapshot-catchup-entries=10",
        "--compaction-batch-limit=10",
        "--backend-batch-interval=1s",
        "--initial-cluster=TestPut-test-0=http://localhost:20001",
        "--initial-cluster-state=new",
        "--auto-compaction-retention",
        "1s",
        "--log-level=debug",
    ];
    let (config, notices) = served(run(&args, &[("GOFAIL_HTTP", "127.0.0.1:1")], None));
    assert_eq!(config.name, "TestPut-test-0");
    assert_eq!(config.auto_compaction, AutoCompaction::Periodic(Duration::from_secs(1)));
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(notices.len(), 7);
    assert!(notices.iter().all(|n| !n.is_warning), "{notices:?}");
}
