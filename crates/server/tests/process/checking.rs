//! `meridian check` on what a real process has left.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::running::{Process, free_address, meridian, run};

/// The exit code, and what was said.
fn check(data: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meridian"));
    let output = command.arg("check").arg(data).output().expect("the binary");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

fn said(data: &Path, code: i32, words: &[&str]) {
    let (exit, text) = check(data);
    assert_eq!(exit, Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
}

async fn left(data: &Path) -> Process {
    let process = Process::start(data);
    let mut client = process.client().await;
    for n in 0..20 {
        client.put(&format!("key-{n}"), "value").await;
    }
    process
}

#[tokio::test]
async fn a_directory_is_checked_when_its_server_has_gone() {
    let dir = tempfile::tempdir().expect("a directory");
    let process = left(dir.path()).await;
    said(dir.path(), 2, &["in use by process", &process.id().to_string()]);
    process.signal("KILL");
    drop(process.ended());
    said(dir.path(), 0, &["no damage", "revision 21", "20 keys", "epoch 1", "journal: 1 files"]);
    let process = Process::start(dir.path());
    process.signal("TERM");
    drop(process.ended());
    said(dir.path(), 0, &["no damage", "revision 21", "epoch 2"]);
    let segment = dir.path().join("00000000000000000001.journal");
    let mut contents = fs::read(&segment).expect("read");
    contents[4096 + 60] ^= 4;
    fs::write(&segment, contents).expect("written");
    said(dir.path(), 1, &["DAMAGE", "00000000000000000001.journal at byte 4096", "slot 1"]);
    said(&dir.path().join("absent"), 2, &["absent"]);
    said(Path::new("--fast"), 2, &["unknown flag"]);
    said(Path::new("--help"), 0, &["Exit code"]);
}

/// Every bit of it: who a member is is never taken from a file that was damaged.
#[tokio::test]
async fn a_flip_in_the_identity_is_named_or_means_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let process = left(dir.path()).await;
    process.signal("TERM");
    drop(process.ended());
    let file = dir.path().join("identity");
    let whole = fs::read(&file).expect("read");
    let digit = whole.iter().position(|byte| byte.is_ascii_digit()).expect("a digit");
    let mut flipped = whole.clone();
    flipped[digit] ^= 1;
    fs::write(&file, flipped).expect("written");
    said(dir.path(), 1, &["DAMAGE", "identity", "checksum"]);
    run(meridian(dir.path(), free_address())).said(1, &["identity"]);
    // As releases wrote it that had no checksum.
    let text = String::from_utf8(whole).expect("text");
    let two: Vec<_> = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(&file, two.concat()).expect("written");
    said(dir.path(), 0, &["no damage"]);
    fs::write(&file, text + "journal shared\n").expect("written");
    said(dir.path(), 2, &["that of a replica"]);
}
