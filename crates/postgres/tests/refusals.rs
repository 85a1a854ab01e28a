//! Bad input to a real server: each its own message, at once where waiting cannot help.

#[allow(dead_code)]
mod server;

use std::time::{Duration, Instant};

use futures::executor::block_on;
use journal::{Append, Journal, JournalError, Nonce, Slot};
use postgres_journal::{Kind, Options};

use crate::server::{address, name, open_at as open, run, url};

fn options() -> Options {
    Options { log: name(), patience: Duration::ZERO, ..Options::default() }
}

/// The address with one thing changed.
fn other(from: &str, to: &str) -> String {
    let url = url().expect("looked at before");
    let changed = url.replacen(from, to, 1);
    assert_ne!(url, changed, "the address has no {from}");
    changed
}

fn kind(url: &str, options: Options) -> (Kind, String) {
    let failure = open(url, options).expect_err(url);
    (failure.kind, failure.text)
}

#[test]
fn a_host_that_does_not_answer_is_waited_for_and_then_named() {
    let url = "postgres://me@127.0.0.1:1,localhost:2/db?sslmode=disable";
    let began = Instant::now();
    let patience = Duration::from_millis(1500);
    let (kind, text) = kind(url, Options { patience, ..options() });
    assert_eq!(kind, Kind::Unreachable);
    assert!(text.contains("127.0.0.1:1") && text.contains("localhost:2"), "{text}");
    assert!(began.elapsed() >= Duration::from_millis(900), "no second attempt was made");
}

#[test]
fn no_such_database_and_no_such_role() {
    if address().is_none() {
        return;
    }
    let (unknown, text) = kind(&other("/meridian", "/nowhere"), options());
    assert_eq!(unknown, Kind::Database);
    assert!(text.contains("3D000") && text.contains("create the database"), "{text}");
    let (role, text) = kind(&other("postgres@", "nobody-known@"), options());
    assert_eq!(role, Kind::Rights, "{text}");
}

#[test]
fn a_role_without_rights_is_told_which_and_one_with_the_least_is_served() {
    if address().is_none() {
        return;
    }
    open(&url().expect("there"), options()).expect("the tables are made");
    run("DO $$ BEGIN CREATE ROLE meridian_least LOGIN; EXCEPTION WHEN duplicate_object THEN \
         NULL; END $$; REVOKE ALL ON meridian_log, meridian_journal, meridian_part, \
         meridian_object, meridian_chunk FROM meridian_least");
    let least = other("postgres@", "meridian_least@");
    let (none, text) = kind(&least, options());
    assert_eq!(none, Kind::Rights);
    assert!(text.contains("42501") && text.contains("docs/postgres.md"), "{text}");
    run("GRANT SELECT, INSERT, UPDATE ON meridian_log TO meridian_least; GRANT SELECT, INSERT, \
         DELETE ON meridian_journal, meridian_part, meridian_object, meridian_chunk \
         TO meridian_least");
    let journal = open(&least, options()).expect("the least rights are enough");
    for slot in 1..=20 {
        let won = block_on(journal.append(Slot(slot), Nonce(slot.into()), vec![7; 9].into()));
        assert!(matches!(won, Append::Won), "{won:?}");
    }
    block_on(journal.trim(Slot(10))).expect("trim");
    assert_eq!(block_on(journal.tail()), Ok(Slot(21)));
}

#[test]
fn a_server_that_takes_no_writes_is_named_so() {
    if address().is_none() {
        return;
    }
    let url = format!(
        "{}&options=-c%20default_transaction_read_only%3Don",
        url().expect("looked at before")
    );
    let (read_only, text) = kind(&url, options());
    assert_eq!(read_only, Kind::ReadOnly);
    assert!(text.contains("takes no writes"), "{text}");
}

#[test]
fn a_log_of_another_cluster_or_a_newer_version_is_refused() {
    if address().is_none() {
        return;
    }
    let url = url().expect("looked at before");
    let ours = Options { cluster: "a1".into(), ..options() };
    drop(open(&url, ours.clone()).expect("made"));
    drop(open(&url, ours.clone()).expect("opened again"));
    let theirs = Options { cluster: "b2".into(), ..ours.clone() };
    let failure = open(&url, theirs).expect_err("another's");
    assert!(failure.text.contains("a1") && failure.text.contains("b2"), "{failure}");
    assert!(matches!(failure.into_journal(), JournalError::Occupied(_)));
    run(&format!("UPDATE meridian_log SET version = 99 WHERE log = '{}'", ours.log));
    let (schema, text) = kind(&url, ours);
    assert_eq!(schema, Kind::Schema);
    assert!(text.contains("newer version") && text.contains("99"), "{text}");
}

#[test]
fn tables_of_somebody_else_are_refused() {
    if address().is_none() {
        return;
    }
    run("CREATE SCHEMA IF NOT EXISTS somebody; CREATE TABLE IF NOT EXISTS \
         somebody.meridian_log (log TEXT, version TEXT)");
    let url = format!("{}&options=-c%20search_path%3Dsomebody", url().expect("looked at before"));
    let (schema, text) = kind(&url, options());
    assert_eq!(schema, Kind::Schema, "{text}");
}

#[test]
fn a_table_that_is_gone_is_not_made_anew_beside_the_others() {
    if address().is_none() {
        return;
    }
    run("DROP SCHEMA IF EXISTS bereft CASCADE; CREATE SCHEMA bereft");
    let url = format!("{}&options=-c%20search_path%3Dbereft", url().expect("looked at before"));
    let ours = options();
    drop(open(&url, ours.clone()).expect("made"));
    for table in ["log", "journal"] {
        run(&format!("ALTER TABLE bereft.meridian_{table} RENAME TO hidden"));
        let (schema, text) = kind(&url, ours.clone());
        assert_eq!(schema, Kind::Schema, "{text}");
        assert!(text.contains(&format!("meridian_{table} is not there")), "{text}");
        run(&format!("ALTER TABLE bereft.hidden RENAME TO meridian_{table}"));
        drop(open(&url, ours.clone()).expect("it is back"));
    }
}

#[test]
fn a_body_that_is_too_long_is_refused() {
    if address().is_none() {
        return;
    }
    let journal = open(&url().expect("there"), options()).expect("open");
    let long = vec![0; postgres_journal::MAX_BODY + 1];
    let refused = block_on(journal.append(Slot(1), Nonce(1), long.into()));
    assert!(matches!(refused, Append::Refused(_)), "{refused:?}");
    assert_eq!(block_on(journal.tail()), Ok(Slot(1)));
}

/// The address with a role that has a password, and it was given this one.
fn secret(word: &str) -> String {
    run("DO $$ BEGIN CREATE ROLE meridian_secret LOGIN SUPERUSER; EXCEPTION WHEN \
         duplicate_object THEN NULL; END $$; ALTER ROLE meridian_secret PASSWORD 'first-word'");
    format!("{}{word}", other("postgres@", "meridian_secret@"))
}

#[test]
fn a_wrong_password_is_named_and_a_file_may_be_renewed() {
    if address().is_none() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("password");
    let url = secret(&format!("&password_file={}", file.display()));
    let (absent, text) = kind(&url, options());
    assert_eq!(absent, Kind::Local, "{text}");
    std::fs::write(&file, "not-the-word\n").expect("written");
    let (wrong, text) = kind(&url, options());
    assert_eq!(wrong, Kind::Password);
    assert!(text.contains("28P01") && text.contains("password_file"), "{text}");
    assert!(!text.contains("not-the-word"), "{text}");
    std::fs::write(&file, "first-word\n").expect("written");
    let journal = open(&url, options()).expect("the right one");
    assert!(!format!("{journal:?}").contains("first-word"));
    let (none, text) = kind(&secret(""), options());
    assert_eq!(none, Kind::Password);
    assert!(text.contains("there is none"), "{text}");
}

/// The folder that `server.sh certs` names, for the server of the tests.
#[allow(clippy::print_stderr)]
fn certificates() -> Option<std::path::PathBuf> {
    address()?;
    let found = std::env::var_os("MERIDIAN_TEST_POSTGRES_CERTS").map(Into::into);
    if found.is_none() {
        eprintln!(
            "skipped: no MERIDIAN_TEST_POSTGRES_CERTS (conformance/postgres/server.sh certs PORT)"
        );
    }
    found
}

#[test]
fn the_certificate_is_looked_at_as_far_as_asked() {
    let Some(certs) = certificates() else { return };
    let ca = certs.join("ca.pem").display().to_string();
    let foreign = certs.join("meridian_cert.pem").display().to_string();
    let with = |mode: &str, root: &str, host: &str| {
        let root = if root.is_empty() { String::new() } else { format!("&sslrootcert={root}") };
        let url = url().expect("there").replacen("127.0.0.1", host, 1);
        url.replacen("sslmode=disable", &format!("sslmode={mode}{root}"), 1)
    };
    for url in [
        with("require", "", "127.0.0.1"),
        with("require", &ca, "127.0.0.1"),
        with("verify-ca", &ca, "127.0.0.1"),
        with("verify-full", &ca, "localhost"),
    ] {
        drop(open(&url, options()).unwrap_or_else(|failure| panic!("{url}: {failure}")));
    }
    for url in [
        with("verify-full", &ca, "127.0.0.1"),
        with("verify-full", &foreign, "localhost"),
        with("verify-ca", &foreign, "localhost"),
        with("require", &foreign, "localhost"),
    ] {
        let (wrong, text) = kind(&url, options());
        assert_eq!(wrong, Kind::Local, "{url}: {text}");
    }
}

#[test]
fn a_client_certificate_opens_the_door() {
    let Some(certs) = certificates() else { return };
    run("DO $$ BEGIN CREATE ROLE meridian_cert LOGIN SUPERUSER; EXCEPTION WHEN duplicate_object \
         THEN NULL; END $$");
    let url = other("postgres@127.0.0.1", "meridian_cert@localhost");
    let file = |name: &str| certs.join(name).display().to_string();
    let full = format!("sslmode=verify-full&sslrootcert={}", file("ca.pem"));
    let bare = url.replacen("sslmode=disable", &full, 1);
    let (refused, text) = kind(&bare, options());
    assert_eq!(refused, Kind::Rights, "{text}");
    let ours = format!(
        "{bare}&sslcert={}&sslkey={}",
        file("meridian_cert.pem"),
        file("meridian_cert.key")
    );
    let journal = open(&ours, options()).expect("our certificate");
    let won = block_on(journal.append(Slot(1), Nonce(1), vec![1; 100_000].into()));
    assert!(matches!(won, Append::Won), "{won:?}");
}
