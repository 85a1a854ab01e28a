//! A directory with nothing wrong, and those that are not to be looked at.

use std::fs;
use std::time::SystemTime;

use engine::check::Weight;
use state::Epoch;

use crate::support::{Left, all_files, checkpoints, files, look, segments};

#[tokio::test]
async fn a_whole_directory_is_told_as_it_is() {
    for checkpoint in [true, false] {
        let left = Left::make(checkpoint).await;
        let report = look(&left.dir()).await.expect("looked at");
        let worse = report.findings.iter().filter(|found| found.weight != Weight::Note);
        assert_eq!(worse.count(), 0, "{:?}", report.findings);
        assert!(!report.is_damaged());
        assert_eq!(report.checkpoints.len(), usize::from(checkpoint));
        assert!(report.segments.len() >= 5, "{:?}", report.segments);
        let reached = report.reached.expect("replayed");
        assert_eq!(
            (reached.position, reached.revision),
            (left.served.position, left.served.revision)
        );
        assert_eq!(reached.digest, left.served.digest);
        assert_eq!((reached.epoch, reached.void), (Epoch(2), 0), "two starts");
        assert_eq!(reached.member, Some(state::MemberId(7)));
        assert_eq!(reached.from.0 > 0, checkpoint);
    }
}

/// Also where there is no lock file: that would be made otherwise.
#[tokio::test]
async fn nothing_is_written() {
    let left = Left::make(true).await;
    let (_kept, dir) = left.copy();
    let last = segments(&dir).pop().expect("a segment");
    let mut torn = fs::read(&last).expect("read");
    let end = torn.len() - 9;
    torn[end] = 1;
    fs::write(&last, torn).expect("written");
    fs::remove_file(dir.join("LOCK")).expect("removed");
    fs::write(dir.join("spare.tmp"), "half").expect("written");
    fs::write(dir.join("checkpoints/00000000000000009999.unfinished"), "half").expect("written");
    let seen = || {
        let seen = all_files(&dir).into_iter().map(|path| {
            let changed: SystemTime =
                path.metadata().and_then(|file| file.modified()).expect("read");
            (fs::read(&path).expect("read"), path, changed)
        });
        seen.collect::<Vec<_>>()
    };
    let before = seen();
    let report = look(&dir).await.expect("looked at");
    assert!(report.findings.iter().any(|found| found.file == last), "the torn tail is told");
    assert!(!report.is_damaged(), "{:?}", report.findings);
    assert_eq!(report.findings.len(), 3, "{:?}", report.findings);
    assert!(seen() == before, "changed");
}

#[tokio::test]
async fn what_is_in_use_is_left_alone() {
    let left = Left::make(false).await;
    let open = files(&left.dir());
    let why = look(&left.dir()).await.expect_err("in use").0;
    assert!(why.contains("in use") && why.contains(&std::process::id().to_string()), "{why}");
    drop(open);
    look(&left.dir()).await.expect("free again");
}

#[tokio::test]
async fn what_is_no_directory_of_ours_is_said_so() {
    let kept = tempfile::tempdir().expect("a directory");
    let why = look(kept.path()).await.expect_err("empty").0;
    assert!(why.contains("no data directory"), "{why}");
    look(&kept.path().join("absent")).await.expect_err("absent");
    fs::create_dir_all(kept.path().join("member/wal")).expect("made");
    let why = look(kept.path()).await.expect_err("an etcd's").0;
    assert!(why.contains("of an etcd"), "{why}");
    let left = Left::make(true).await;
    fs::write(left.dir().join("RESTORING"), "").expect("written");
    let why = look(&left.dir()).await.expect_err("not whole").0;
    assert!(why.contains("not whole"), "{why}");
    assert_eq!(checkpoints(&left.dir()).len(), 1);
}
