//! The places for objects that the suite runs over, and what an archive does when it is not the right one.

use std::path::Path;
use std::sync::Arc;

use futures::executor::block_on;
use journal::{Archive, FolderObjects, JournalError, MemoryObjects, Objects};

use crate::objects::{
    an_object_is_whole_or_not_there, bytes, one_of_two_that_put_the_same_name_wins, pieces,
};

fn both(one: &dyn Objects, other: &dyn Objects) {
    an_object_is_whole_or_not_there(one, other);
    one_of_two_that_put_the_same_name_wins(one, other);
}

fn folder(of: &Path) -> FolderObjects {
    FolderObjects::open(of, "a cluster/of ours").expect("open")
}

fn archive(list: &MemoryObjects, of: &Path) -> Archive {
    Archive::elsewhere(Arc::new(list.clone()), Arc::new(folder(of)), "file:///here".to_owned())
}

#[test]
fn in_memory() {
    let objects = MemoryObjects::default();
    both(&objects, &objects.clone());
}

#[test]
fn in_a_folder() {
    let shared = tempfile::tempdir().expect("a folder");
    both(&folder(shared.path()), &folder(shared.path()));
    let others = FolderObjects::open(shared.path(), "another cluster").expect("open");
    assert_eq!(block_on(others.list()), Ok(Vec::new()));
}

#[test]
fn listed_in_memory_and_kept_there_or_in_a_folder() {
    let list = MemoryObjects::default();
    let alone = Archive::beside(Arc::new(list.clone()));
    both(&alone, &alone.clone());
    let (list, shared) = (MemoryObjects::default(), tempfile::tempdir().expect("a folder"));
    both(&archive(&list, shared.path()), &archive(&list, shared.path()));
    let listed = block_on(list.list()).expect("listed");
    assert!(listed.iter().all(|object| object.size < 200), "{listed:?}");
    let kept = block_on(folder(shared.path()).list()).expect("listed");
    let pending = |name: &str| name.ends_with(".pending");
    let listed = listed.iter().filter(|object| !pending(&object.name)).count();
    assert_eq!(kept.len(), listed, "what lost is gone, and what was broken off");
}

#[test]
fn what_was_broken_off_is_cleared_a_day_later_and_nothing_of_others() {
    let (list, shared) = (MemoryObjects::default(), tempfile::tempdir().expect("a folder"));
    let place = folder(shared.path());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("a clock").as_secs();
    let [old, young, others] = [now - 90_000, now - 80_000, now - 90_000]
        .map(|began| format!("one.{began:x}.0123456789abcdef"));
    let others = format!("{others}1");
    for kept in [&old, &young, &others] {
        block_on(place.put(kept, pieces(&[1]))).expect("put");
    }
    for kept in [&old, &young] {
        block_on(list.put(&format!("{kept}.pending"), pieces(&[]))).expect("put");
    }
    let archive = archive(&list, shared.path());
    block_on(archive.put("two", pieces(&[1]))).expect("put");
    let kept = block_on(place.list()).expect("listed");
    let kept: Vec<_> = kept.iter().filter(|one| one.name.starts_with("one")).collect();
    assert!(kept.len() == 2 && kept[0].name != old && kept[1].name != old, "{kept:?}");
    assert_eq!(block_on(archive.list()).expect("listed").len(), 1);
}

#[test]
fn a_folder_that_is_not_there_is_not_made() {
    let shared = tempfile::tempdir().expect("a folder");
    let refused = FolderObjects::open(&shared.path().join("not mounted"), "cluster");
    assert!(matches!(refused, Err(JournalError::Unavailable(_))), "{refused:?}");
}

#[test]
fn another_archive_than_the_others_is_found_out_and_nothing_is_put_there() {
    let [right, wrong] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let list = MemoryObjects::default();
    let ours = archive(&list, right.path());
    block_on(ours.put("one", pieces(&[5]))).expect("put");
    block_on(ours.check()).expect("it is there");
    let told = |objects: &Archive, words: &str| {
        let got = block_on(objects.get("one")).err().map(|error| error.to_string());
        let checked = block_on(objects.check()).err().map(|error| error.to_string());
        for told in [got, checked] {
            assert!(told.as_ref().is_some_and(|told| told.contains(words)), "{told:?}");
        }
    };
    let theirs = archive(&list, wrong.path());
    told(&theirs, "is not in file:///here: all replicas must name the same --archive");
    block_on(theirs.put("two", pieces(&[5]))).expect_err("others could not read it");
    assert_eq!(block_on(folder(wrong.path()).list()), Ok(Vec::new()));
    let none = Archive::beside(Arc::new(list.clone()));
    told(&none, "this replica has none: start it with the --archive that the others have");
    // Without an archive all goes on: what is put stands where it is listed, and both read it.
    block_on(none.put("three", pieces(&[7]))).expect("put");
    assert_eq!(bytes(&ours, "three").map(|held| held.len()), Some(7));
    block_on(none.delete("one")).expect("deleted");
    block_on(theirs.check()).expect("nothing is missing any more");
}

#[test]
fn bytes_that_changed_are_not_an_object() {
    let shared = tempfile::tempdir().expect("a folder");
    let (list, objects) = (MemoryObjects::default(), folder(shared.path()));
    let read = |objects: &dyn Objects| {
        let pieces = block_on(objects.get("one"))?.expect("it is there");
        block_on(futures::TryStreamExt::try_collect::<Vec<_>>(pieces)).map(drop)
    };
    let file = shared.path().join("a%20cluster%2fof%20ours/one");
    let len = 300_000;
    for at in [0, len - 1, len, len + 8, len + 15] {
        block_on(objects.put("one", pieces(&[0, len]))).expect("put");
        let mut held = std::fs::read(&file).expect("the file");
        held[at] ^= 1;
        std::fs::write(&file, held).expect("written");
        let damaged = read(&objects);
        assert!(matches!(damaged, Err(JournalError::Damaged(_))), "{at}: {damaged:?}");
        block_on(objects.delete("one")).expect("deleted");
    }
    // A whole object, but not the one that was put.
    let archive = archive(&list, shared.path());
    block_on(archive.put("one", pieces(&[3]))).expect("put");
    let kept = block_on(objects.list()).expect("listed").remove(0).name;
    block_on(objects.delete(&kept)).expect("deleted");
    block_on(objects.put(&kept, pieces(&[0, 3]))).expect("put");
    let damaged = read(&archive);
    assert!(matches!(damaged, Err(JournalError::Damaged(_))), "{damaged:?}");
}
