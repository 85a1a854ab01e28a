//! What an address may say.

use super::*;

fn parse(url: &str) -> Address {
    Address::parse(url).expect(url)
}

fn refused(url: &str) -> String {
    Address::parse(url).expect_err(url).0
}

#[test]
fn libpq_words_are_understood() {
    let address = parse(
        "postgres://me%40home@h1:5433,h2,[::1]:7/my%20db?sslmode=verify-full&sslrootcert=/ca.pem\
         &sslcert=/c.pem&sslkey=/k.pem&target_session_attrs=read-write&connect_timeout=3\
         &tcp_user_timeout=7000&keepalives_idle=4&application_name=a&options=-c%20x%3Dy",
    );
    let hosts: Vec<_> = address.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["h1:5433", "h2:5432", "::1:7"]);
    assert_eq!((address.user.as_str(), address.database.as_str()), ("me@home", "my db"));
    assert_eq!(address.ssl.mode, SslMode::VerifyFull);
    assert_eq!(address.ssl.key, Some("/k.pem".into()));
    assert_eq!(address.patience.connect, Duration::from_secs(3));
    assert_eq!(address.patience.user, Duration::from_secs(7));
    assert_eq!(address.options.as_deref(), Some("-c x=y"));
    assert_eq!(address.to_string(), "postgres://me@home@h1:5433,h2:5432,::1:7/my db");
}

#[test]
fn what_is_left_out_is_as_in_libpq() {
    let address = parse("postgresql://me@h");
    assert_eq!((address.database.as_str(), address.hosts[0].port), ("me", 5432));
    assert_eq!(address.ssl.mode, SslMode::Prefer);
    let socket = parse("postgres://me@%2Frun%2Fpostgresql/db");
    assert_eq!(socket.hosts[0].name, "/run/postgresql");
    let named = parse("postgres:///db?host=h1,h2&port=1,2&user=u");
    assert_eq!((named.hosts[1].port, named.user.as_str()), (2, "u"));
}

#[test]
fn a_password_in_the_address_is_refused_and_not_repeated() {
    for url in ["postgres://me:hunter2@h/db", "postgres://me@h/db?password=hunter2"] {
        let why = refused(url);
        assert!(why.contains("password_file") && !why.contains("hunter2"), "{why}");
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    for (query, word) in [
        ("sslpassword=x", "sslpassword"),
        ("sslmode=allow", "sslmode=allow"),
        ("sslmode=verify-full", "sslrootcert"),
        ("sslcert=/c", "sslkey"),
        ("sslmode=disable&sslrootcert=/c", "contradicts"),
        ("target_session_attrs=any", "primary only"),
        ("channel_binding=require", "channel_binding"),
        ("gssencmode=require", "gssencmode"),
        ("krbsrvname=x", "unknown word"),
        ("port=0", "no port"),
        ("connect_timeout=soon", "no number"),
        ("sslmode", "no value"),
        ("user=%zz", "hexadecimal"),
    ] {
        let why = refused(&format!("postgres://me@h/db?{query}"));
        assert!(why.contains(word), "{query}: {why}");
    }
    assert!(refused("mysql://h").contains("postgres://"));
    assert!(refused("postgres://me@/db").contains("no host"));
    assert!(refused("postgres://me@h1,h2/db?port=1,2,3").contains("as many ports"));
}
