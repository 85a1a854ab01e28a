//! Settings of replicas that share a journal: who founds the cluster, where the others are met, peer TLS.

use state::Level;

use super::{about, config, refused, run, served};
use crate::config::{
    AllowedClients, Config, Identity, InitialClusterState, JournalPlace, Notice, SelfSigned, Side,
    Tls, TlsVersions, identity,
};

const JOURNAL: &str = "--journal=postgres://m@db1,db2/meridian";
const THREE: &str =
    "--initial-cluster=a=http://10.0.0.1:2380,b=http://10.0.0.2:2380,c=http://10.0.0.3:2380";
const B: &str = "--initial-advertise-peer-urls=http://10.0.0.2:2380";

fn shared(more: &[&str]) -> (Config, Vec<Notice>) {
    served(run(&[&["--data-dir=/d", JOURNAL][..], more].concat(), &[], None))
}

#[test]
fn three_replicas_found_a_cluster_with_etcd_s_member_ids() {
    let (config, _) = shared(&["--name=b", THREE, B, "--initial-cluster-token=t"]);
    let JournalPlace::Postgres(address) = &config.journal else { panic!("{:?}", config.journal) };
    assert_eq!(address.to_string(), "postgres://m@db1:5432,db2:5432/meridian");
    let ids: Vec<_> = config.founders.iter().map(|founder| founder.member_id).collect();
    assert_eq!(ids.len(), 3);
    for founder in &config.founders {
        assert_eq!(founder.member_id, identity::member_id(&founder.peer_urls, "t"));
    }
    assert_eq!(config.identity.member_id, ids[1]);
    // Whoever shares the journal is of the same cluster, whatever it was told of the others.
    let cluster_id = identity::shared_cluster_id("t");
    assert_eq!(config.identity, Identity { member_id: ids[1], cluster_id });
    let (joining, _) = shared(&["--name=d", "--initial-cluster-token=t"]);
    assert_eq!(joining.identity.cluster_id, cluster_id);
    assert_eq!(joining.founders.len(), 1);
    assert_ne!(shared(&["--name=d"]).0.identity.cluster_id, cluster_id);
    assert_eq!(config.initial_cluster_token, "t");
    assert_eq!(config.election_timeout.as_millis(), 1000);
    assert_eq!(config.listen_peer_urls[0].url.as_str(), "http://localhost:2380");
}

#[test]
fn a_cluster_is_held_at_a_level_this_program_knows() {
    assert_eq!(shared(&[]).0.level, Level::NEWEST);
    assert_eq!(shared(&["--hold-level=0"]).0.level, Level::NEWEST);
    assert_eq!(shared(&["--hold-level=1"]).0.level, Level(1));
    let env = [("MERIDIAN_HOLD_LEVEL", "1")];
    assert_eq!(served(run(&["--data-dir=/d", JOURNAL], &env, None)).0.level, Level(1));
    for unknown in ["3", "18446744073709551615"] {
        let (_, told) = refused(&[&format!("--hold-level={unknown}")]);
        assert!(told.contains("knows 1 to 2") && told.contains(unknown), "{told}");
    }
}

#[test]
fn how_many_learners_there_may_be_is_the_members_to_say() {
    assert_eq!(shared(&[]).0.max_learners, 1);
    assert_eq!(shared(&["--max-learners=7"]).0.max_learners, 7);
    assert_eq!(shared(&["--max-learners=-1"]).0.max_learners, 0, "as in etcd, none");
}

#[test]
fn what_etcd_refuses_of_initial_cluster_is_refused_in_its_words() {
    for (args, words) in [
        (&["--name=z", THREE, B][..], "couldn't find local name \"z\" in the initial cluster"),
        (
            &["--name=a", THREE, B],
            "--initial-cluster has a=http://10.0.0.1:2380 but missing from \
             --initial-advertise-peer-urls=http://10.0.0.2:2380",
        ),
        (
            &["--name=b", THREE, "--initial-advertise-peer-urls=http://10.0.0.2:2380,http://x:1"],
            "--initial-advertise-peer-urls has b=http://x:1 but missing from --initial-cluster=b=",
        ),
        (
            &["--name=b", "--initial-cluster=a=http://10.0.0.2:2380,b=http://10.0.0.2:2380", B],
            "has duplicate url",
        ),
        (
            &[
                "--name=default",
                "--initial-cluster=default=http://a:1,b=http://b:1",
                "--journal=file",
            ],
            "or share a journal with --journal=postgres://USER@HOST/DATABASE",
        ),
    ] {
        let journal = if args.contains(&"--journal=file") { &[][..] } else { &[JOURNAL][..] };
        let (code, told) = refused(&[args, journal].concat());
        assert_eq!(code, 1);
        assert!(told.contains(words), "{told}");
    }
    // One that joins has been announced, and its URLs may have changed since.
    let joins = ["--name=a", THREE, B, "--initial-cluster-state=existing"];
    assert_eq!(shared(&joins).0.initial_cluster_state, InitialClusterState::Existing);
}

#[test]
fn peer_tls_is_resolved_where_the_journal_is_shared() {
    let all = [
        "--listen-peer-urls=https://10.0.0.2:2380",
        "--peer-cert-file=/c",
        "--peer-key-file=/k",
        "--peer-client-cert-file=/cc",
        "--peer-client-key-file=/ck",
        "--peer-trusted-ca-file=/ca",
        "--peer-client-cert-auth",
        "--peer-crl-file=/crl",
        "--peer-cert-allowed-cn=one,two",
        "--peer-skip-client-san-verification",
    ];
    let expected = Tls {
        side: Side::Peers { any_address: true },
        cert_file: "/c".into(),
        key_file: "/k".into(),
        self_signed: None,
        calling: Some(("/cc".into(), "/ck".into())),
        trusted_ca_file: Some("/ca".into()),
        client_cert_auth: true,
        client_crl_file: Some("/crl".into()),
        allowed: AllowedClients::CommonNames(vec!["one".to_owned(), "two".to_owned()]),
        cipher_suites: Vec::new(),
        versions: TlsVersions::Both,
    };
    let (config, notices) = shared(&all);
    assert_eq!(config.peer_tls, Some(expected));
    assert!(about(&notices).is_empty(), "{notices:?}");
    // With the embedded journal nobody listens, and the log says so of each flag.
    let (config, notices) = served(run(&[&["--data-dir=/d"][..], &all].concat(), &[], None));
    assert_eq!(config.peer_tls, None);
    assert_eq!(about(&notices).len(), all.len());
}

#[test]
fn peer_tls_is_refused_and_warned_of_as_in_etcd() {
    let secure = "--listen-peer-urls=https://10.0.0.2:2380";
    for (args, words) in [
        (&[secure][..], "TLS key/cert (--peer-cert-file, --peer-key-file) must be provided"),
        (
            &[secure, "--peer-cert-file=/c"],
            "KeyFile and CertFile must both be present[key: , cert: /c]",
        ),
        (
            &[secure, "--peer-auto-tls", "--peer-client-cert-file=/c"],
            "set both of --peer-client-cert-file and --peer-client-key-file, or neither",
        ),
        (
            &[
                secure,
                "--peer-auto-tls",
                "--peer-cert-allowed-cn=a",
                "--peer-cert-allowed-hostname=b",
            ],
            "AllowedCNs and AllowedHostnames are mutually exclusive",
        ),
    ] {
        let (code, told) = refused(&[args, &[JOURNAL]].concat());
        assert_eq!(code, 1);
        assert!(told.contains(words), "{told}");
    }
    let (config, notices) = shared(&[secure, "--peer-auto-tls"]);
    let tls = config.peer_tls.unwrap();
    let hosts = vec!["10.0.0.2".to_owned()];
    assert_eq!(tls.self_signed, Some(SelfSigned { hosts, years: 1 }));
    assert!(tls.cert_file.ends_with("fixtures/peer/cert.pem"));
    assert_eq!(about(&notices), ["peer-client-cert-auth"]);
    let (_, notices) =
        shared(&["--peer-cert-file=/c", "--peer-key-file=/k", "--peer-client-cert-auth"]);
    assert_eq!(about(&notices), ["http://localhost:2380"; 2]);
    assert_eq!(self::config(&[JOURNAL]).peer_tls, None);
}
