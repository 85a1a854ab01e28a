//! The directory that is made: whole or not there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use engine::restore::{Destination, RESTORING};
use server::config::{Invocation, from_process};
use server::start::start;

use crate::support::Store;

#[test]
fn it_must_be_empty() {
    let store = Store::of("snapshot.db");
    let target = store.target();
    fs::create_dir(&target).expect("a folder");
    fs::create_dir(target.join("lost+found")).expect("of the file system");
    fs::write(target.join("mine"), b"x").expect("a file");
    let why = store.restore(&[]).expect_err("not empty");
    assert!(why.contains("is not empty (there is mine)"), "{why}");
    assert!(!target.join(RESTORING).exists());
    fs::remove_file(target.join("mine")).expect("gone");
    store.restore(&[]).expect("restored");
    let why = store.restore(&[]).expect_err("restored before");
    assert!(why.contains("is not empty"), "{why}");
}

#[test]
fn it_is_its_owner_s_alone() {
    let store = Store::of("snapshot.db");
    store.restore(&[]).expect("restored");
    let mode = fs::metadata(store.target()).expect("a folder").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(!store.target().join(RESTORING).exists());
}

#[tokio::test]
async fn a_server_does_not_start_on_what_was_interrupted() {
    let store = Store::of("snapshot.db");
    let target = store.target();
    let claimed = Destination::claim(&target).expect("claimed");
    let why = refusal(&target).await;
    assert!(why.contains("is not whole") && why.contains("meridian restore"), "{why}");
    let why = store.restore(&[]).expect_err("two at once");
    assert!(why.contains("another restore"), "{why}");
    assert!(target.join(RESTORING).exists());
    drop(claimed);
    assert!(!target.exists(), "it was not there before");
    fs::create_dir(&target).expect("a folder");
    drop(Destination::claim(&target).expect("claimed"));
    assert_eq!(fs::read_dir(&target).expect("a folder").count(), 0, "it is cleared");
}

async fn refusal(target: &Path) -> String {
    let line = format!(
        "meridian --data-dir={} --listen-client-urls=http://127.0.0.1:0 \
                        --advertise-client-urls=http://127.0.0.1:1",
        target.display()
    );
    let line: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let read = |_: &Path| Err(std::io::ErrorKind::NotFound.into());
    let Invocation::Serve(config, _) = from_process(line, [], read) else { panic!("no server") };
    match start(&config, tokio::runtime::Handle::current()).await {
        Ok(_) => panic!("it starts"),
        Err(error) => error.to_string(),
    }
}

/// As a kill leaves it.
#[test]
fn what_was_interrupted_is_begun_anew() {
    let store = Store::of("snapshot.db");
    let target = store.target();
    fs::create_dir_all(target.join("checkpoints")).expect("a folder");
    fs::write(target.join(RESTORING), b"").expect("the mark");
    fs::write(target.join("checkpoints/x.unfinished"), b"half").expect("a file");
    fs::write(target.join("LOCK"), b"1").expect("a file");
    fs::write(target.join("mine"), b"x").expect("a file");
    let why = store.restore(&[]).expect_err("something else is there");
    assert!(why.contains("mine, which no restore has written"), "{why}");
    fs::remove_file(target.join("mine")).expect("gone");
    store.restore(&[]).expect("restored");
    assert_eq!(store.restored().revision().0, 21);
}

#[test]
fn an_etcd_s_directory_is_named_a_source() {
    let store = Store::of("killed");
    let why = journal::FileJournal::open(&store.source, journal::FileOptions::default());
    let why = why.expect_err("an etcd's").to_string();
    assert!(why.contains("meridian restore"), "{why}");
}
