//! What "implements [`journal::Objects`]" means: whole or not at all, whoever looks. Places in crates of their
//! own include this file.

use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt, TryStreamExt};
use journal::{JournalError, Objects, Pieces};

pub(crate) fn pieces(sizes: &[usize]) -> Pieces {
    let pieces: Vec<_> =
        sizes.iter().enumerate().map(|(at, size)| Ok(Bytes::from(vec![at as u8; *size]))).collect();
    futures::stream::iter(pieces).boxed()
}

pub(crate) fn bytes(objects: &dyn Objects, name: &str) -> Option<Vec<u8>> {
    let pieces = block_on(objects.get(name)).expect("get")?;
    let pieces: Vec<Bytes> = block_on(pieces.try_collect()).expect("the pieces");
    Some(pieces.concat())
}

pub(crate) fn an_object_is_whole_or_not_there(objects: &dyn Objects, other: &dyn Objects) {
    let sizes = [1, 300_000, 0, 700_000, 5];
    let all: Vec<u8> =
        sizes.iter().enumerate().flat_map(|(at, size)| vec![at as u8; *size]).collect();
    assert_eq!(bytes(objects, "one"), None);
    block_on(objects.put("one", pieces(&sizes))).expect("put");
    block_on(objects.put("an empty one", pieces(&[]))).expect("put");
    assert!(bytes(other, "one").as_ref() == Some(&all), "it came back changed");
    assert_eq!(bytes(other, "an empty one"), Some(Vec::new()));
    let listed = |objects: &dyn Objects| -> Vec<_> {
        let listed = block_on(objects.list()).expect("list");
        listed.into_iter().map(|object| (object.name, object.size)).collect()
    };
    let both = [("an empty one".to_owned(), 0), ("one".to_owned(), all.len() as u64)];
    assert_eq!(listed(other), both);

    let taken = block_on(other.put("one", pieces(&[7])));
    assert!(matches!(taken, Err(JournalError::Occupied(_))), "{taken:?}");
    assert!(bytes(objects, "one") == Some(all), "an object was replaced");

    let broken = JournalError::Unavailable("broken off".into());
    let half = pieces(&[400_000]).chain(futures::stream::iter([Err(broken)])).boxed();
    block_on(objects.put("half", half)).expect_err("it never was whole");
    assert_eq!(bytes(objects, "half"), None);
    assert_eq!(listed(other).len(), 2);

    block_on(other.delete("one")).expect("delete");
    block_on(objects.delete("one")).expect("it is gone already");
    assert_eq!(bytes(objects, "one"), None);
    assert_eq!(listed(objects).len(), 1);
    block_on(objects.put("one", pieces(&[3]))).expect("the name is free again");
    assert_eq!(bytes(other, "one"), Some(vec![0; 3]));
}

pub(crate) fn one_of_two_that_put_the_same_name_wins(one: &dyn Objects, other: &dyn Objects) {
    for round in 0..5 {
        let name = format!("object {round}");
        let puts = [one.put(&name, pieces(&[600_000])), other.put(&name, pieces(&[1, 1]))];
        let [first, second] =
            <[_; 2]>::try_from(block_on(futures::future::join_all(puts))).expect("two of them");
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        let held = bytes(other, &name).expect("one of them").len();
        assert_eq!(held, if first.is_ok() { 600_000 } else { 2 });
    }
}
