//! Objects in the container: the suite, and what is left of what was broken off.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use journal::{Archive, FolderObjects, JournalError, Objects, Pieces};
use tokio::time::Instant;

use super::objects_suite::{
    an_object_is_whole_or_not_there, one_of_two_that_put_the_same_name_wins, pieces,
};
use super::{open, options};
use crate::fake::{Container, Fate, Odds};
use crate::item::Name;
use crate::layout::Layout;
use crate::throughput::Throughput;
use crate::{CosmosJournal, Purpose};

/// What is there of objects: notes of uploads, objects, pieces.
fn held(container: &Container) -> [usize; 3] {
    let names = container.names();
    let count = |is: &dyn Fn(&Name) -> bool| names.iter().filter(|name| is(name)).count();
    [
        count(&|name| name.id.starts_with("upload.")),
        count(&|name| name.id.starts_with("object.")),
        count(&|name| name.partition.contains("/object/")),
    ]
}

fn broken_off(sizes: &[usize]) -> Pieces {
    let end = JournalError::Unavailable("broken off".into());
    pieces(sizes).chain(futures::stream::iter([Err(end)])).boxed()
}

async fn read(journal: &CosmosJournal, name: &str) -> Result<Option<Vec<u8>>, JournalError> {
    let Some(pieces) = journal.get(name).await? else { return Ok(None) };
    let pieces: Vec<Bytes> = pieces.try_collect().await?;
    Ok(Some(pieces.concat()))
}

#[test]
fn in_a_container_and_listed_there_and_kept_in_a_folder() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let container = Container::new(5);
    let openers = [(); 2].map(|()| Arc::new(runtime.block_on(open(&container))));
    let [one, other] = &openers;
    an_object_is_whole_or_not_there(&**one, &**other);
    one_of_two_that_put_the_same_name_wins(&**one, &**other);
    let folder = tempfile::tempdir().expect("a folder");
    let archives = [0, 1].map(|opener: usize| {
        let place = FolderObjects::open(folder.path(), "cluster").expect("open");
        let list: Arc<dyn Objects> = Arc::clone(&openers[opener]) as _;
        Archive::elsewhere(list, Arc::new(place), "file:///shared".to_owned())
    });
    for round in 0..5 {
        runtime.block_on(openers[0].delete(&format!("object {round}"))).expect("delete");
    }
    for name in ["one", "an empty one"] {
        runtime.block_on(openers[1].delete(name)).expect("delete");
    }
    an_object_is_whole_or_not_there(&archives[0], &archives[1]);
}

#[tokio::test(start_paused = true)]
async fn what_was_broken_off_is_cleared_a_day_later() {
    let container = Container::new(1);
    let journal = open(&container).await;
    journal.put("whole", pieces(&[400_000])).await.expect("put");
    assert_eq!(held(&container), [0, 1, 2]);
    journal.put("half", broken_off(&[900_000])).await.expect_err("broken off");
    assert_eq!(held(&container), [1, 1, 4], "its whole pieces, and a note of them");
    journal.put("another", pieces(&[1])).await.expect("put");
    assert_eq!(held(&container), [1, 2, 5], "it may still go on");
    let layout = Layout::new(&options().log).expect("a log");
    let names = container.names();
    let note = names.iter().find(|name| name.id.starts_with("upload.")).expect("a note");
    container.tamper(note, |item| {
        item.body = r#"{"touched":1000,"cleared":false}"#.into();
    });
    journal.put("a third", pieces(&[1])).await.expect("put");
    assert_eq!(held(&container), [0, 3, 4], "{:?}", layout.objects());
    assert_eq!(read(&journal, "whole").await.expect("read").map(|held| held.len()), Some(400_000));
    let listed = journal.list().await.expect("list");
    let listed: Vec<_> = listed.iter().map(|object| (&*object.name, object.size)).collect();
    assert_eq!(listed, [("a third", 1), ("another", 1), ("whole", 400_000)]);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_was_swept_meanwhile_is_not_named() {
    for note in [r#"{"touched":1000,"cleared":false}"#, r#"{"touched":9000000000,"cleared":true}"#]
    {
        let container = Container::new(1);
        let (journal, other) = (open(&container).await, open(&container).await);
        let (into, rest) = futures::channel::mpsc::unbounded();
        let putting = journal.put("slow", rest.boxed());
        let sweeping = async {
            into.unbounded_send(Ok(Bytes::from(vec![1; 800_000]))).expect("taken");
            tokio::time::sleep(Duration::from_secs(10)).await;
            let names = container.names();
            let upload = names.iter().find(|name| name.id.starts_with("upload.")).expect("a note");
            container.tamper(upload, |item| item.body = note.into());
            other.put("another", pieces(&[1])).await.expect("put");
            drop(into);
        };
        let (put, ()) = futures::join!(putting, sweeping);
        let why = put.expect_err("its pieces are gone, or go").to_string();
        assert!(why.contains("put the object again"), "{why}");
        assert_eq!(read(&other, "slow").await, Ok(None));
    }
}

#[tokio::test(start_paused = true)]
async fn objects_are_whole_or_not_there_whatever_answers_are_lost() {
    let (mut done, mut failed) = (0, 0);
    for seed in 0..60 {
        let container = Container::new(seed);
        let journal = open(&container).await;
        container.odds(Odds { creates: 300, others: 200 });
        let sizes = [1_000_000, 5, 300_000];
        let put = journal.put("one", pieces(&sizes)).await;
        container.odds(Odds { creates: 0, others: 0 });
        container.deliver();
        let whole: Vec<u8> = [vec![0; 1_000_000], vec![1; 5], vec![2; 300_000]].concat();
        let held = read(&journal, "one").await.expect("read");
        match put {
            Ok(()) => {
                assert!(held.as_ref() == Some(&whole), "{seed}");
                done += 1;
            }
            Err(why) => {
                assert!(held.is_none_or(|held| held == whole), "{seed}: {why}");
                failed += 1;
            }
        }
        container.odds(Odds { creates: 300, others: 200 });
        let deleted = journal.delete("one").await;
        container.odds(Odds { creates: 0, others: 0 });
        if deleted.is_ok() {
            assert_eq!(read(&journal, "one").await, Ok(None), "{seed}");
        }
    }
    assert!(done > 20 && failed > 0, "{done} {failed}");
}

#[tokio::test(start_paused = true)]
async fn what_may_still_be_named_keeps_its_pieces() {
    let container = Container::new(1);
    let journal = open(&container).await;
    // A note, one piece, and the name, which is held up.
    let fates = [Fate::Honest, Fate::Honest, Fate::Late(1000), Fate::Full];
    container.script_of(Purpose::Objects, fates);
    let put = journal.put("one", pieces(&[7])).await;
    assert!(matches!(put, Err(JournalError::Unavailable(_))), "{put:?}");
    assert_eq!(read(&journal, "one").await, Ok(None));
    container.deliver();
    assert_eq!(read(&journal, "one").await, Ok(Some(vec![0; 7])));
    container.script_of(Purpose::Objects, [Fate::Honest, Fate::Honest, Fate::Full]);
    let put = journal.put("two", pieces(&[7])).await;
    assert!(matches!(put, Err(JournalError::Full(_))), "{put:?}");
    assert_eq!(held(&container), [1, 1, 1], "what cannot be named is cleared");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_changed_or_went_are_not_an_object() {
    let container = Container::new(1);
    let journal = open(&container).await;
    journal.put("one", pieces(&[0, 800_000])).await.expect("put");
    let names = container.names();
    let piece = names.iter().rfind(|name| name.partition.contains("/object/")).expect("a piece");
    container.tamper(piece, |item| {
        let mut body = item.body.to_vec();
        body[0] ^= 1;
        item.body = body.into();
    });
    let damaged = read(&journal, "one").await;
    assert!(matches!(damaged, Err(JournalError::Damaged(_))), "{damaged:?}");
    container.remove(piece);
    let gone = read(&journal, "one").await;
    assert!(matches!(gone, Err(JournalError::Unavailable(_))), "{gone:?}");
}

#[tokio::test(start_paused = true)]
async fn objects_take_no_more_than_their_share() {
    let container = Container::new(1);
    container.spends(Throughput::Manual(8));
    let journal = open(&container).await;
    let began = Instant::now();
    journal.put("one", pieces(&[7_200_000])).await.expect("put");
    let took = began.elapsed().as_secs_f64();
    let spent = [Purpose::Objects, Purpose::Trim].map(|of| journal.stats().charge(of));
    let spent = spent[0] + spent[1];
    assert!(took > spent / 2.0 - 4.0 && took < spent / 2.0 + 1.0, "{spent} in {took}");
    let refused = journal.put("", pieces(&[1])).await;
    assert!(matches!(refused, Err(JournalError::Unavailable(_))), "{refused:?}");
}
