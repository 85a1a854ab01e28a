//! Invariant 7, and restarts: newest checkpoint and tail, unfinished ones removed, damaged ones refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use engine::{OpenError, Options};
use journal::{Journal, JournalError, MemoryJournal};
use state::Revision;

use crate::support::{Gauge, Node, memory, put_on, reopen, until};

fn often() -> Options {
    Options { checkpoint_after: 4 << 10, ..Options::default() }
}

/// The positions of the checkpoints that stand under their final names.
fn positions(folder: &Path) -> Vec<u64> {
    let Ok(files) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<u64> = files
        .filter_map(|file| {
            file.unwrap().file_name().to_str()?.strip_suffix(".checkpoint")?.parse().ok()
        })
        .collect();
    found.sort_unstable();
    found
}

async fn write_until_checkpointed(node: &Node, times: usize) {
    let mut seen = node.engine.status().checkpoint;
    let mut times = times;
    // By time, not by number: on a busy disk many puts go into the journal beside one checkpoint.
    let begun = std::time::Instant::now();
    for n in 0.. {
        assert!(begun.elapsed().as_secs() < 60, "no checkpoint was written within a minute");
        node.put(&format!("k{}", n % 50), &"v".repeat(100)).await.unwrap();
        let now = node.engine.status().checkpoint;
        if now > seen {
            (seen, times) = (now, times - 1);
            if times == 0 {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trim_stays_behind_the_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("checkpoints");
    let (trims, looked) = (Arc::new(AtomicU64::new(0)), folder.clone());
    let counted = Arc::clone(&trims);
    let on_trim = Box::new(move |before: journal::Slot| {
        let newest = positions(&looked).last().copied().unwrap_or(0);
        assert!(before.0 <= newest + 1, "trim before {before} with a checkpoint at {newest}");
        let file = looked.join(format!("{newest:020}.checkpoint"));
        assert!(std::fs::metadata(file).unwrap().len() > 0);
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let gauge = Arc::new(Gauge { on_trim, ..Gauge::memory() });
    let journal: Arc<dyn Journal> = Arc::<Gauge>::clone(&gauge);
    let node = Node::try_start(Arc::clone(&journal), Some(folder.clone()), often()).await.unwrap();
    write_until_checkpointed(&node, 4).await;
    let (_, digest) = node.digest().await;
    node.stop().await;
    assert!(trims.load(Ordering::SeqCst) >= 4);
    assert_eq!(positions(&folder).len(), 1, "older checkpoints are gone");
    // What is left is enough.
    let node = Node::try_start(journal, Some(folder), often()).await.unwrap();
    let keys = node.engine.view().hash(Revision(0)).unwrap().hash;
    assert_eq!(keys, digest.keys);
    node.stop().await;
}

/// Pitfall l: a restart changes no hash, whatever it starts from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_from_checkpoint_and_tail_is_the_same_state() {
    let dir = tempfile::tempdir().unwrap();
    let (log, folder) = (dir.path().join("log"), dir.path().join("checkpoints"));
    let node = Node::try_start(reopen(&log), Some(folder.clone()), often()).await.unwrap();
    node.grant(7, 1_000).await;
    node.engine.commit(put_on("leased", 7)).await.unwrap();
    write_until_checkpointed(&node, 2).await;
    let revision = Revision(node.engine.view().revision().0 - 5);
    node.engine.commit(state::Command::Compact { revision }).await.unwrap().result.unwrap();
    node.put("tail", "1").await.unwrap();
    let (position, digest) = node.digest().await;
    let image = node.engine.ask(|state| state.lease(state::LeaseId(7))).await.unwrap();
    let view = node.engine.view();
    let past: Vec<_> =
        (revision.0..=view.revision().0).map(|at| view.hash(Revision(at)).unwrap()).collect();
    node.stop().await;
    // Without the claim that a restart adds the digest is the same.
    let journal = reopen(&log);
    let newest = *positions(&folder).last().unwrap();
    assert!(newest > 0 && newest < position.0, "{newest} < {position}");
    let node = Node::try_start(journal, Some(folder), often()).await.unwrap();
    let (_, again) = node.digest().await;
    assert_eq!(again.keys, digest.keys);
    let view = node.engine.view();
    let now: Vec<_> =
        (revision.0..=view.revision().0).map(|at| view.hash(Revision(at)).unwrap()).collect();
    assert_eq!(now, past, "HashKV at every revision that can be read");
    assert_eq!(node.engine.ask(|state| state.lease(state::LeaseId(7))).await.unwrap(), image);
    assert_eq!(node.engine.leases(), [state::LeaseId(7)]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_checkpoint_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let journal = memory();
    let unfinished = dir.path().join("00000000000000000099.unfinished");
    std::fs::write(&unfinished, b"half of").unwrap();
    let node = Node::try_start(journal, Some(dir.path().into()), often()).await.unwrap();
    assert!(!unfinished.exists());
    node.stop().await;
}

async fn checkpointed() -> (tempfile::TempDir, Arc<MemoryJournal>, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let journal = memory();
    let shared: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(&journal);
    let node = Node::try_start(shared, Some(dir.path().into()), often()).await.unwrap();
    write_until_checkpointed(&node, 1).await;
    node.stop().await;
    let newest = *positions(dir.path()).last().unwrap();
    let file = dir.path().join(format!("{newest:020}.checkpoint"));
    (dir, journal, file)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_checkpoint_is_refused_with_file_and_offset() {
    let (dir, journal, file) = checkpointed().await;
    let whole = std::fs::read(&file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap().to_owned();
    let steps = (0..whole.len()).step_by((whole.len() / 97).max(1));
    for at in steps.clone().chain([whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&file, &damaged).unwrap();
        refused(&dir, &journal, &name, &format!("byte {at} changed")).await;
    }
    for length in steps {
        std::fs::write(&file, &whole[..length]).unwrap();
        refused(&dir, &journal, &name, &format!("cut to {length}")).await;
    }
    std::fs::write(&file, &whole).unwrap();
    let shared: Arc<dyn Journal> = journal;
    let node = Node::try_start(shared, Some(dir.path().into()), often()).await.unwrap();
    node.stop().await;
}

/// Neither the file's own format nor the image's: left alone, and nobody is sent to a backup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_of_a_newer_version_is_refused_and_left_alone() {
    let (dir, journal, file) = checkpointed().await;
    let whole = std::fs::read(&file).unwrap();
    let mut of_file = whole.clone();
    of_file[7] = b'2';
    let (mut of_image, length) =
        (whole.clone(), u32::from_le_bytes(whole[8..12].try_into().unwrap()));
    let block = &mut of_image[16..16 + length as usize];
    assert_eq!(block[9..17], *b"MERIDIAN");
    block[17] = 9;
    let sum = crc32c::crc32c_append(crc32c::crc32c(&block[..5]), &block[9..]);
    block[5..9].copy_from_slice(&sum.to_le_bytes());
    let sum = crc32c::crc32c(block);
    of_image[12..16].copy_from_slice(&sum.to_le_bytes());
    for (newer, words) in [(of_file, "its format at byte 7 is 2"), (of_image, "image format 9")] {
        std::fs::write(&file, &newer).unwrap();
        let shared: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(&journal);
        let opened = Node::try_start(shared, Some(dir.path().into()), often()).await;
        let Err(OpenError::Newer(text)) = opened.map(|_| ()) else { panic!("{words}") };
        assert!(text.contains(words) && text.contains("start the version"), "{text}");
        assert!(text.contains("newer version") && !text.contains("backup"), "{text}");
        assert_eq!(std::fs::read(&file).unwrap(), newer, "{words}");
    }
}

async fn refused(dir: &tempfile::TempDir, journal: &Arc<MemoryJournal>, name: &str, what: &str) {
    let shared: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(journal);
    let before = journal.tail().await.unwrap();
    let opened = Node::try_start(shared, Some(dir.path().into()), often()).await;
    let Err(OpenError::Checkpoint(text)) = opened.map(|_| ()) else { panic!("{what}: accepted") };
    assert!(text.contains(name) && text.contains("at byte "), "{what}: {text}");
    assert_eq!(journal.tail().await.unwrap(), before, "{what}: nothing was changed");
}

/// The checkpoint is gone or older than what was trimmed: refused, never an empty store.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_checkpoint_is_refused() {
    let (dir, journal, file) = checkpointed().await;
    std::fs::remove_file(file).unwrap();
    let opened = Node::try_start(journal, Some(dir.path().into()), often()).await;
    assert!(opened.is_err());
    // And one that belongs to another journal.
    let (dir, _, _) = checkpointed().await;
    let opened = Node::try_start(memory(), Some(dir.path().into()), often()).await;
    let Err(OpenError::Entry(text)) = opened.map(|_| ()) else { panic!("accepted") };
    assert!(text.contains("belong"), "{text}");
}

/// Another member writes a newer checkpoint and trims behind it after the older one was read, and
/// before the entries behind that are: recovery begins again with the newer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recovery_that_is_overtaken_begins_again() {
    let (dir, journal, file) = checkpointed().await;
    let aside = tempfile::tempdir().unwrap();
    let older = aside.path().join(file.file_name().unwrap());
    std::fs::copy(&file, &older).unwrap();
    let shared: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(&journal);
    let node = Node::try_start(shared, Some(dir.path().into()), often()).await.unwrap();
    write_until_checkpointed(&node, 1).await;
    node.put("last", "1").await.unwrap();
    node.stop().await;
    let newest = *positions(dir.path()).last().unwrap();
    let name = format!("{newest:020}.checkpoint");
    // Alone, the older one is no place to begin: what follows it is gone.
    let shared: Arc<dyn Journal> = Arc::<MemoryJournal>::clone(&journal);
    let alone = Node::try_start(shared, Some(aside.path().into()), often()).await;
    let Err(OpenError::Journal(JournalError::Trimmed { first })) = alone.map(|_| ()) else {
        panic!("accepted")
    };
    assert_eq!(first.0, newest + 1);
    let (from, to) = (dir.path().join(&name), aside.path().join(&name));
    let on_tail = Box::new(move || drop(std::fs::copy(&from, &to)));
    let gauge = Arc::new(Gauge { on_tail, ..Gauge::over(journal) });
    let node = Node::try_start(gauge, Some(aside.path().into()), often()).await.unwrap();
    assert_eq!(node.engine.status().checkpoint.0, newest);
    assert!(node.get("last").is_some());
    node.stop().await;
}

/// A checkpoint that cannot be written harms nobody, trims nothing, and is tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_fails_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("checkpoints");
    let trims = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&trims);
    let on_trim = Box::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let gauge = Arc::new(Gauge { on_trim, ..Gauge::memory() });
    let node = Node::try_start(gauge, Some(folder.clone()), often()).await.unwrap();
    std::fs::write(&folder, b"a file where a folder should be").unwrap();
    for _ in 0..200 {
        node.put("k", &"v".repeat(100)).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(trims.load(Ordering::SeqCst), 0);
    std::fs::remove_file(&folder).unwrap();
    node.clock.go(Duration::from_secs(31));
    until("a checkpoint is written", || node.engine.status().checkpoint.0 > 0).await;
    assert_eq!(trims.load(Ordering::SeqCst), 1);
    node.stop().await;
}
