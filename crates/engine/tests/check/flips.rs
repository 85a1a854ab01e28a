//! Bits flipped anywhere, files cut anywhere: `check` names the file, and a start refuses it by name or
//! serves what was there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use engine::check::Weight;

use crate::support::{Left, Random, Served, all_files, look, start};

const FLIPS: u64 = 300;
const CUTS: u64 = 60;

/// How bad `check` found it; it must have named `file`, and come to the right state if to any.
async fn judged(dir: &Path, file: &Path, expected: &Served, what: &str) -> Weight {
    let report = look(dir).await.unwrap_or_else(|why| panic!("{what}: {why}"));
    let about = report.findings.iter().filter(|found| found.file == file);
    let weight = about.map(|found| found.weight).max();
    let weight = weight.unwrap_or_else(|| panic!("{what}: not named: {:?}", report.findings));
    let others = report.findings.iter().filter(|found| found.weight == Weight::Damage);
    let others = others.filter(|found| found.file != file && found.file != dir).count();
    assert_eq!(others, 0, "{what}: others are blamed: {:?}", report.findings);
    if weight < Weight::Damage {
        let reached = report.reached.unwrap_or_else(|| panic!("{what}: nothing replayed"));
        assert_eq!(reached.digest, expected.digest, "{what}");
        assert_eq!(reached.position, expected.position, "{what}");
    }
    weight
}

/// Starts, and compares: a start on damage refuses it by name; one that serves, serves what was there.
async fn started(dir: &Path, file: &Path, weight: Weight, expected: &Served, what: &str) -> bool {
    match start(dir).await {
        Ok(served) => {
            assert_eq!(
                served.digest.keys, expected.digest.keys,
                "{what}: something wrong is served"
            );
            assert_eq!(served.revision, expected.revision, "{what}: something wrong is served");
            assert_ne!(
                weight,
                Weight::Damage,
                "{what}: check calls it damage, and a server starts"
            );
            true
        }
        Err(why) => {
            let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
            assert!(why.contains(name), "{what}: not named: {why}");
            assert_ne!(
                weight,
                Weight::Note,
                "{what}: check sees nothing, and a server refuses: {why}"
            );
            false
        }
    }
}

#[tokio::test]
async fn a_flip_anywhere_is_named_and_nothing_wrong_is_served() {
    let left = Left::make(true).await;
    let mut random = Random(77);
    let mut outcomes: BTreeMap<(Weight, bool), u32> = BTreeMap::new();
    for flip in 0..FLIPS {
        let (_kept, dir) = left.copy();
        let mut files = all_files(&dir);
        // What stands in it is for people, and means nothing.
        files.retain(|path| !path.ends_with("LOCK"));
        let file = &files[(flip % files.len() as u64) as usize];
        let mut contents = fs::read(file).expect("read");
        // Where something stands, anywhere, and in the zeros behind it.
        let end = contents.iter().rposition(|byte| *byte != 0).map_or(1, |at| at + 1);
        let within = match random.below(3) {
            0 if end < contents.len() => end..contents.len(),
            1 => 0..end,
            _ => 0..contents.len(),
        };
        let (at, bit) = (within.start as u64 + random.below(within.len() as u64), random.below(8));
        contents[at as usize] ^= 1 << bit;
        fs::write(file, contents).expect("written");
        let what = format!("flip {flip}: bit {bit} of byte {at} of {}", file.display());
        let weight = judged(&dir, file, &left.served, &what).await;
        let serves = started(&dir, file, weight, &left.served, &what).await;
        *outcomes.entry((weight, serves)).or_default() += 1;
    }
    let of = |weight, serves| outcomes.get(&(weight, serves)).copied().unwrap_or_default();
    assert!(of(Weight::Damage, false) > 80, "{outcomes:?}");
    assert!(of(Weight::Spared, false) > 20, "covered by the checkpoint: {outcomes:?}");
    assert!(of(Weight::Spared, true) > 0, "behind the frames of an older file: {outcomes:?}");
    assert!(of(Weight::Note, true) > 0, "behind the tail: {outcomes:?}");
}

#[tokio::test]
async fn a_file_cut_anywhere_is_named_and_refused() {
    let left = Left::make(true).await;
    let mut random = Random(78);
    for cut in 0..CUTS {
        let (_kept, dir) = left.copy();
        let mut files = all_files(&dir);
        files.retain(|path| !path.ends_with("LOCK"));
        let file = &files[(cut % files.len() as u64) as usize];
        let contents = fs::read(file).expect("read");
        let length = match cut / files.len() as u64 {
            0 => 0,
            1 => contents.len() - 1,
            _ => random.below(contents.len() as u64) as usize,
        };
        fs::write(file, &contents[..length]).expect("written");
        let what = format!("{} cut to {length} bytes", file.display());
        let weight = judged(&dir, file, &left.served, &what).await;
        assert_ne!(weight, Weight::Note, "{what}");
        assert!(
            !started(&dir, file, weight, &left.served, &what).await,
            "{what}: it is served from"
        );
    }
}
