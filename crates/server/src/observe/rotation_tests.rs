//! Files are put aside, counted, aged and compressed; nothing else is touched.

use std::io::Read;

use flate2::read::GzDecoder;

use super::*;

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn eventually(check: impl Fn() -> bool) {
    for _ in 0..500 {
        if check() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("never came about");
}

fn small() -> Rotation {
    Rotation { max_bytes: 100, ..Rotation::default() }
}

#[test]
fn a_file_that_has_grown_is_put_aside_whole_lines_and_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/etcd.log");
    let mut log = RotatingFile::open(&path, small()).unwrap();
    for n in 0..10 {
        log.write_all(format!("{n:029}\n").as_bytes()).unwrap();
    }
    let files = names(path.parent().unwrap());
    assert_eq!(files.len(), 4, "three lines each: {files:?}");
    assert_eq!(files[3], "etcd.log");
    for file in &files[..3] {
        let stamp = file.strip_prefix("etcd-").unwrap().strip_suffix(".log").unwrap();
        assert!(is_stamp(stamp), "{stamp}");
    }
    let all: String =
        files.iter().map(|n| fs::read_to_string(path.with_file_name(n)).unwrap()).collect();
    let lines: Vec<u32> = all.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(lines, (0..10).collect::<Vec<_>>());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, MODE);
    drop(log);
    // A new process goes on where the last one stopped, and a line over the limit stands alone.
    let mut log = RotatingFile::open(&path, small()).unwrap();
    log.write_all(&[b'x'; 69]).unwrap();
    assert_eq!(names(path.parent().unwrap()).len(), 4);
    log.write_all(&[b'y'; 500]).unwrap();
    assert_eq!(names(path.parent().unwrap()).len(), 5);
    assert_eq!(fs::metadata(&path).unwrap().len(), 500);
}

#[test]
fn the_oldest_go_and_others_files_stay() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let others = ["log-notes", "log-2006-01-02.gz", "other-2006-01-02T15-04-05.000"];
    for name in
        others.iter().chain(&["log-2006-01-02T15-04-05.000", "log-2006-01-02T15-04-05.000.gz"])
    {
        fs::write(folder.path().join(name), "x").unwrap();
    }
    let rotation = Rotation { max_backups: Some(2), ..small() };
    let mut log = RotatingFile::open(&path, rotation).unwrap();
    assert_eq!(names(folder.path()).len(), 6, "both forms of the one count as one");
    for n in 0..6 {
        log.write_all(&[b'0' + n; 60]).unwrap();
    }
    eventually(|| names(folder.path()).len() == others.len() + 3);
    let left = names(folder.path());
    assert!(others.iter().all(|name| left.iter().any(|left| left == name)), "{left:?}");
    assert!(!left.iter().any(|name| name.starts_with("log-2006-01-02T")), "{left:?}");
    let kept = left.iter().filter(|name| name.starts_with("log-20") && name.len() == 27);
    let kept: Vec<_> =
        kept.map(|name| fs::read_to_string(folder.path().join(name)).unwrap()).collect();
    assert_eq!(kept, ["3".repeat(60), "4".repeat(60)], "the newest are kept");
}

#[test]
fn a_name_that_is_free_again_is_not_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = RotatingFile::open(&folder.path().join("log"), small()).unwrap();
    let mut last = String::new();
    for n in 0..200 {
        log.write_all(&[b'a'; 90]).unwrap();
        let files = names(folder.path());
        let Some(aside) = files.iter().find(|name| name.starts_with("log-")) else { continue };
        assert!(*aside > last, "{n}: {aside} after {last}");
        last.clone_from(aside);
        fs::remove_file(folder.path().join(aside)).unwrap();
    }
}

#[test]
fn old_age_is_counted_from_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let day = Duration::from_secs(24 * 3600);
    let path = folder.path().join("a.log");
    let now = SystemTime::now();
    for age in [1, 2, 4] {
        fs::write(put_aside(&path, now - day * age), "x").unwrap();
    }
    let rotation = Rotation { max_age: Some(day * 3), ..small() };
    Old { path, rotation }.tidy(now).unwrap();
    assert_eq!(names(folder.path()).len(), 2);
}

#[test]
fn what_is_put_aside_is_compressed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let mut log = RotatingFile::open(&path, Rotation { compress: true, ..small() }).unwrap();
    log.write_all(&[b'a'; 90]).unwrap();
    log.write_all(&[b'b'; 90]).unwrap();
    let compressed = || names(folder.path()).into_iter().find(|name| name.ends_with(".log.gz"));
    eventually(|| compressed().is_some() && names(folder.path()).len() == 2);
    let file = File::open(folder.path().join(compressed().unwrap())).unwrap();
    let mut text = String::new();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    assert_eq!(text, "a".repeat(90));
    assert_eq!(fs::read_to_string(&path).unwrap(), "b".repeat(90));
}
