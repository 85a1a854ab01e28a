//! Files that are missing, foreign, misnamed or not needed.

use std::fs;
use std::path::Path;

use engine::check::{Report, Weight};

use crate::support::{Left, checkpoints, look, segments, start};

fn found<'a>(report: &'a Report, weight: Weight, words: &[&str]) -> &'a engine::check::Finding {
    let mut of = report.findings.iter().filter(|found| found.weight == weight);
    let fits = |found: &&engine::check::Finding| {
        let said = found.to_string();
        words.iter().all(|word| said.contains(word))
    };
    of.find(fits).unwrap_or_else(|| panic!("no {words:?} in {:?}", report.findings))
}

fn spoil(file: &Path, at: usize) {
    let mut contents = fs::read(file).expect("read");
    contents[at] ^= 0x10;
    fs::write(file, contents).expect("written");
}

fn name(file: &Path) -> &str {
    file.file_name().and_then(|name| name.to_str()).expect("a name")
}

#[tokio::test]
async fn a_segment_missing_in_the_middle_is_damage() {
    let left = Left::make(true).await;
    let (_kept, dir) = left.copy();
    let files = segments(&dir);
    let gone = files.len() - 2;
    fs::remove_file(&files[gone]).expect("removed");
    let report = look(&dir).await.expect("looked at");
    let before = name(&files[gone - 1]);
    let damage = found(&report, Weight::Damage, &[before, "a file between the two is missing"]);
    let (first, last) = (name(&files[gone]), name(&files[gone + 1]));
    let slot = |name: &str| name.trim_end_matches(".journal").parse::<u64>().expect("a slot");
    let lost = format!("slots {} to {}", slot(first), slot(last) - 1);
    assert!(damage.means.contains(&lost), "{lost}: {damage}");
    let reached = report.reached.expect("as far as it goes");
    assert_eq!(reached.position.0, slot(first) - 1);
    assert!(start(&dir).await.expect_err("refused").contains(before));
}

#[tokio::test]
async fn foreign_files_mean_nothing_unless_they_are_named_like_ours() {
    let left = Left::make(true).await;
    let (_kept, dir) = left.copy();
    fs::write(dir.join("notes.txt"), "hello").expect("written");
    fs::write(dir.join("checkpoints/7.checkpoint"), "hello").expect("written");
    fs::create_dir(dir.join("backup")).expect("made");
    let report = look(&dir).await.expect("looked at");
    for file in ["notes.txt", "7.checkpoint", "backup"] {
        found(&report, Weight::Note, &[file]);
    }
    assert!(!report.is_damaged());
    assert_eq!(start(&dir).await.expect("starts").digest.keys, left.served.digest.keys);
    fs::write(dir.join("old.journal"), "hello").expect("written");
    let report = look(&dir).await.expect("looked at");
    found(&report, Weight::Damage, &["old.journal", "no such name"]);
    assert!(start(&dir).await.expect_err("refused").contains("old.journal"));
}

/// The advice, followed.
#[tokio::test]
async fn damage_that_a_checkpoint_covers_can_be_moved_away() {
    let left = Left::make(true).await;
    let (_kept, dir) = left.copy();
    let files = segments(&dir);
    spoil(&files[1], 5000);
    let report = look(&dir).await.expect("looked at");
    let spared = found(&report, Weight::Spared, &[name(&files[1])]);
    assert!(spared.advice.contains("this file and all journal files before it"), "{spared}");
    assert!(report.is_damaged());
    start(&dir).await.expect_err("refused");
    for file in &files[..2] {
        fs::remove_file(file).expect("removed");
    }
    assert!(!look(&dir).await.expect("looked at").is_damaged());
    assert_eq!(start(&dir).await.expect("starts").digest.keys, left.served.digest.keys);
}

#[tokio::test]
async fn a_damaged_checkpoint_is_told_with_what_is_left_without_it() {
    let left = Left::make(true).await;
    let (_kept, dir) = left.copy();
    let checkpoint = checkpoints(&dir).pop().expect("a checkpoint");
    spoil(&checkpoint, 4000);
    let report = look(&dir).await.expect("looked at");
    found(&report, Weight::Damage, &[name(&checkpoint), "at byte", "does not start"]);
    // This journal was never trimmed: it has everything.
    let reached = report.reached.expect("replayed from the beginning");
    assert_eq!((reached.from.0, reached.digest), (0, left.served.digest));
    start(&dir).await.expect_err("refused");
    fs::remove_file(&checkpoint).expect("removed");
    assert!(!look(&dir).await.expect("looked at").is_damaged());
    assert_eq!(start(&dir).await.expect("starts").digest.keys, left.served.digest.keys);
    // Without the beginning there is nothing to go on.
    fs::remove_file(&segments(&dir)[0]).expect("removed");
    let report = look(&dir).await.expect("looked at");
    found(&report, Weight::Damage, &["the journal begins at slot", "slots 1 to"]);
    assert_eq!(report.reached, None);
    start(&dir).await.expect_err("refused");
}

#[tokio::test]
async fn an_older_checkpoint_is_not_needed() {
    let left = Left::make(true).await;
    let (_kept, dir) = left.copy();
    let newest = checkpoints(&dir).pop().expect("a checkpoint");
    let older = newest.with_file_name("00000000000000000001.checkpoint");
    fs::copy(&newest, &older).expect("copied");
    spoil(&older, 4000);
    let report = look(&dir).await.expect("looked at");
    found(&report, Weight::Spared, &[name(&older), "a newer checkpoint"]);
    assert_eq!(start(&dir).await.expect("starts").digest.keys, left.served.digest.keys);
}

#[tokio::test]
async fn a_renamed_checkpoint_and_one_with_a_tail_are_told() {
    let left = Left::make(true).await;
    let (_kept, dir) = left.copy();
    let newest = checkpoints(&dir).pop().expect("a checkpoint");
    let mut longer = fs::read(&newest).expect("read");
    longer.extend_from_slice(b"more");
    fs::write(&newest, longer).expect("written");
    let report = look(&dir).await.expect("looked at");
    found(&report, Weight::Spared, &[name(&newest), "4 bytes behind its end"]);
    let renamed = newest.with_file_name("00000000000000000002.checkpoint");
    fs::rename(&newest, &renamed).expect("renamed");
    let report = look(&dir).await.expect("looked at");
    found(&report, Weight::Damage, &[name(&renamed), "the name says slot 2"]);
}

/// It is no damage, and nobody is sent to a backup.
#[tokio::test]
async fn a_checkpoint_of_a_newer_version_is_not_judged() {
    let left = Left::make(true).await;
    let (_kept, dir) = left.copy();
    let newest = checkpoints(&dir).pop().expect("a checkpoint");
    let mut newer = fs::read(&newest).expect("read");
    newer[7] = b'2';
    fs::write(&newest, newer).expect("written");
    let why = look(&dir).await.expect_err("of another version").to_string();
    assert!(why.contains(name(&newest)) && why.contains("newer version"), "{why}");
    assert!(!why.contains("backup"), "{why}");
}

#[tokio::test]
async fn a_checkpoint_without_its_journal_is_told() {
    let left = Left::make(true).await;
    let (_kept, dir) = left.copy();
    segments(&dir).iter().for_each(|file| fs::remove_file(file).expect("removed"));
    let report = look(&dir).await.expect("looked at");
    found(&report, Weight::Damage, &["there is no journal file"]);
    start(&dir).await.expect_err("refused");
}

/// There is no memory for it before it is known that it cannot be: such a flip costs no gigabyte.
#[tokio::test]
async fn a_length_that_is_damaged_is_not_believed() {
    let left = Left::make(true).await;
    let (_kept, dir) = left.copy();
    let newest = checkpoints(&dir).pop().expect("a checkpoint");
    let mut contents = fs::read(&newest).expect("read");
    contents[11] ^= 0x20;
    fs::write(&newest, contents).expect("written");
    let report = look(&dir).await.expect("looked at");
    found(&report, Weight::Damage, &[name(&newest), "longer than the rest of the file"]);
}
