//! The settings of TLS: what they come to, what is refused as etcd refuses it, what is warned of.

use std::path::Path;

use rustls::CipherSuite;

use super::{about, config, refused, run, served};
use crate::config::{AllowedClients, Notice, SelfSigned, Side, Tls, TlsVersions};

const SECURE: [&str; 3] = [
    "--data-dir=/d",
    "--listen-client-urls=https://127.0.0.1:1",
    "--advertise-client-urls=https://127.0.0.1:1",
];
const FILES: [&str; 2] = ["--cert-file=/c", "--key-file=/k"];

#[track_caller]
fn secure(more: &[&str]) -> (Tls, Vec<Notice>) {
    let (config, notices) = served(run(&[&SECURE[..], &FILES, more].concat(), &[], None));
    (config.tls.expect("TLS"), notices)
}

#[track_caller]
fn file(security: &str) -> Result<Tls, String> {
    let text = format!(
        "listen-client-urls: https://127.0.0.1:1\nclient-transport-security:\n  cert-file: /c\n  \
         key-file: /k\n{security}"
    );
    match run(&["--config-file=/c.yml"], &[], Some(("/c.yml", &text))) {
        crate::config::Invocation::Serve(config, _) => Ok(config.tls.expect("TLS")),
        crate::config::Invocation::Refuse { message, .. } => Err(message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_settings_are_taken() {
    let (tls, notices) = secure(&[
        "--trusted-ca-file=/ca",
        "--client-cert-auth",
        "--client-crl-file=/crl",
        "--client-cert-allowed-hostname=a.b,10.0.0.1",
        "--client-cert-file=/gc",
        "--client-key-file=/gk",
        "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        "--tls-max-version=TLS1.2",
    ]);
    let expected = Tls {
        side: Side::Clients,
        cert_file: "/c".into(),
        key_file: "/k".into(),
        self_signed: None,
        calling: Some(("/gc".into(), "/gk".into())),
        trusted_ca_file: Some("/ca".into()),
        client_cert_auth: true,
        client_crl_file: Some("/crl".into()),
        allowed: AllowedClients::Hostnames(vec!["a.b".to_owned(), "10.0.0.1".to_owned()]),
        cipher_suites: vec![
            CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        ],
        versions: TlsVersions::Only12,
    };
    assert_eq!(tls, expected);
    assert_eq!(notices, []);
}

#[test]
fn a_ca_alone_demands_certificates() {
    assert!(!secure(&[]).0.demands_certificate());
    assert!(secure(&["--trusted-ca-file=/ca"]).0.demands_certificate());
    assert!(secure(&["--client-cert-auth"]).0.demands_certificate());
}

#[test]
fn versions_follow_etcd_s_two_flags() {
    for (args, expected) in [
        (&[][..], TlsVersions::Both),
        (&["--tls-min-version=", "--tls-max-version=TLS1.3"], TlsVersions::Both),
        (&["--tls-min-version=TLS1.3"], TlsVersions::Only13),
        (&["--tls-max-version=TLS1.2"], TlsVersions::Only12),
    ] {
        assert_eq!(secure(args).0.versions, expected);
    }
}

#[test]
fn any_listener_with_https_asks_for_tls() {
    for url in [
        "--listen-client-http-urls=https://127.0.0.1:1",
        "--listen-metrics-urls=https://127.0.0.1:1",
        "--listen-metrics-urls=unixs://x",
    ] {
        assert!(config(&[url, "--cert-file=/c", "--key-file=/k"]).tls.is_some(), "{url}");
    }
    assert_eq!(config(&FILES).tls, None);
}

#[test]
fn what_etcd_refuses_is_refused() {
    for (args, message) in [
        (
            &[][..],
            "TLS key/cert (--cert-file, --key-file) must be provided for client url \
             https://127.0.0.1:1 with HTTPS scheme",
        ),
        (
            &["--cert-file=/c"],
            "KeyFile and CertFile must both be present[key: , cert: /c]: set both",
        ),
        (
            &["--cert-file=/c", "--key-file=/k", "--client-key-file=/x"],
            "ClientKeyFile and ClientCertFile must both be present or both absent: key: /x, cert: ]",
        ),
        (&["--cipher-suites=TLS_X"], "unexpected TLS cipher suite \"TLS_X\""),
        (&["--cipher-suites="], "unexpected TLS cipher suite \"\""),
        (
            &["--auto-tls", "--self-signed-cert-validity=0"],
            "selfSignedCertValidity is invalid,it should be greater than 0",
        ),
        (
            &["--auto-tls", "--self-signed-cert-validity=293"],
            "--self-signed-cert-validity=293 is too long",
        ),
    ] {
        let (code, told) = refused(&[&SECURE[..], args].concat());
        assert_eq!(code, 1, "{told}");
        assert!(told.starts_with(message), "{told}");
    }
    let (_, told) = refused(&["--listen-metrics-urls=https://127.0.0.1:1"]);
    let message = "client TLS key/cert (--cert-file, --key-file) must be provided for metrics";
    assert!(told.starts_with(message), "{told}");
}

#[test]
fn suites_that_go_has_and_we_do_not_are_refused_with_the_reason() {
    let list = "--cipher-suites=TLS_RSA_WITH_AES_256_GCM_SHA384,TLS_AES_128_GCM_SHA256,\
                TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA";
    let (code, told) = refused(&[&SECURE[..], &FILES, &[list]].concat());
    assert_eq!(code, 1);
    let missing = "TLS_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA cannot be";
    assert!(told.contains(missing), "{told}");
    assert!(told.contains("can be served: TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "), "{told}");
    let modern = "--cipher-suites=TLS_AES_128_GCM_SHA256";
    let args = [&SECURE[..], &FILES, &[modern, "--tls-max-version=TLS1.2"]].concat();
    let (_, told) = refused(&args);
    assert!(told.contains("suites of TLS 1.3 alone"), "{told}");
    // Where no TLS is spoken, names are checked and no more, as in etcd.
    assert_eq!(config(&[list]).tls, None);
}

#[test]
fn plaintext_beside_certificates_is_warned_of() {
    let both = [
        "--data-dir=/d",
        "--listen-client-urls=http://127.0.0.1:1,https://127.0.0.1:2",
        "--advertise-client-urls=http://127.0.0.1:1",
        "--client-cert-auth",
        "--trusted-ca-file=/ca",
    ];
    let (config, notices) = served(run(&[&both[..], &FILES].concat(), &[], None));
    assert!(config.tls.is_some());
    assert_eq!(about(&notices), ["http://127.0.0.1:1", "http://127.0.0.1:1"]);
    assert!(notices[0].text.starts_with("scheme is http or unix while key and cert files are"));
    assert!(notices[1].text.contains("while --client-cert-auth is enabled; ignoring client cert"));
    assert!(notices.iter().all(|notice| notice.is_warning));
}

#[test]
fn one_address_may_be_listened_on_with_tls_and_without() {
    let urls = "--listen-client-urls=http://localhost:1,https://127.0.0.1:1,https://localhost:1";
    let (config, _) = served(run(
        &[&[urls, "--advertise-client-urls=http://localhost:1"], &FILES[..]].concat(),
        &[],
        None,
    ));
    let urls: Vec<_> = config.listen_client_urls.iter().map(|one| one.url.as_str()).collect();
    assert_eq!(urls, ["http://localhost:1", "https://127.0.0.1:1"]);
}

#[test]
fn what_looks_like_protection_and_is_none_is_warned_of() {
    let (_, notices) = secure(&["--client-crl-file=/x", "--client-cert-allowed-hostname=a"]);
    assert_eq!(about(&notices), ["client-crl-file", "client-cert-allowed-hostname"]);
    assert!(notices.iter().all(|notice| notice.text.starts_with("has no effect")));
    let (_, notices) = secure(&["--client-cert-auth"]);
    assert_eq!(about(&notices), ["client-cert-auth"]);
}

#[test]
fn auto_tls_makes_files_where_etcd_has_them() {
    let listen = [
        "--listen-client-urls=https://10.0.0.5:1,https://127.0.0.1:1,unixs://s:1",
        "--advertise-client-urls=https://10.0.0.5:1",
        "--listen-client-http-urls=https://[::1]:3,https://10.0.0.5:3",
        "--auto-tls",
        "--data-dir=/d",
        "--self-signed-cert-validity=3",
    ];
    let tls = config(&listen).tls.expect("TLS");
    assert_eq!(tls.cert_file, Path::new("/d/fixtures/client/cert.pem"));
    assert_eq!(tls.key_file, Path::new("/d/fixtures/client/key.pem"));
    let hosts = ["10.0.0.5", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    assert_eq!(tls.self_signed, Some(SelfSigned { hosts, years: 3 }));
    let (tls, notices) = secure(&["--auto-tls"]);
    assert_eq!((tls.cert_file.as_path(), tls.self_signed), (Path::new("/c"), None));
    assert_eq!(notices[0].text, "ignoring client auto TLS since certs given");
    assert_eq!(file("  auto-tls: true\nself-signed-cert-validity: 0").map(|_| ()), Ok(()));
}

#[test]
fn the_file_s_two_lists_are_two_rules() {
    let names = AllowedClients::CommonNames(vec!["a".to_owned(), "b".to_owned()]);
    assert_eq!(file("  allowed-cn: [a, b]").unwrap().allowed, names);
    let hosts = AllowedClients::Hostnames(vec!["a".to_owned()]);
    assert_eq!(file("  allowed-hostname: [a]").unwrap().allowed, hosts);
    assert_eq!(file("  allowed-cn:\n  allowed-hostname:").unwrap().allowed, AllowedClients::Any);
    let told = file("  allowed-cn: [a, b]\n  allowed-hostname: [c]").unwrap_err();
    assert_eq!(
        told,
        "AllowedCNs and AllowedHostnames are mutually exclusive (cns=[\"a\" \"b\"], \
         hostnames=[\"c\"])"
    );
    // It is a key of the file and nothing else.
    let (code, _) = refused(&["--client-transport-security.allowed-cn=a"]);
    assert_eq!(code, 2);
}
