//! Invariant 6: a batch lands in one slot or in none, a request takes effect once or not at all.

use std::sync::Arc;

use engine::{Fault, Options};
use journal::faulty::{Fate, Happens, Odds, Reported};
use journal::{Faulty, MemoryJournal};
use state::Reply;

use crate::support::{Node, put, replay};

async fn load(node: &Node, clients: usize, puts: usize) {
    let clients = (0..clients).map(|client| {
        let engine = node.engine.clone();
        tokio::spawn(async move {
            let key = format!("client{client}");
            let mut version = 0;
            for n in 0..puts {
                match engine.commit(put(&key, &n.to_string())).await {
                    Ok(outcome) => {
                        let Ok(Reply::Put { prev_kv }) = outcome.result else { panic!("refused") };
                        assert_eq!(prev_kv.map_or(0, |kv| kv.version), version);
                        version += 1;
                    }
                    // Injected: nothing was written.
                    Err(Fault::NoSpace) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            let found = crate::support::get(&engine, &key).map_or(0, |kv| kv.version);
            assert_eq!(found, version, "each took effect once");
            version
        })
    });
    let versions = futures::future::join_all(clients).await;
    assert!(versions.into_iter().map(Result::unwrap).sum::<i64>() > 0);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_append_takes_effect_once() {
    for seed in 0..24 {
        let odds = Odds { append: 600, ..Odds::default() };
        let journal = Arc::new(Faulty::seeded(MemoryJournal::default(), seed, odds));
        let faulty = Arc::<Faulty<MemoryJournal>>::clone(&journal);
        // Tiny batches, all of them eager, so that several slots are unsettled at once.
        let options = Options { max_batch_bytes: 100, ..Options::default() };
        let node = Node::try_start(faulty, None, options).await;
        let Ok(node) = node else { continue };
        load(&node, 8, 40).await;
        let (position, digest) = node.digest().await;
        journal.heal();
        node.stop().await;
        assert_eq!(replay(journal.inner(), position).await.digest(), digest);
    }
}

/// Written, but the answer got lost; then written only long after it was given up for lost.
#[tokio::test(start_paused = true)]
async fn an_append_that_lands_late_is_not_repeated() {
    let unknown = |happens| Fate { happens, reported: Reported::Unknown, stall: 0 };
    let script = [
        Fate::HONEST,
        unknown(Happens::Written),
        Fate::HONEST,
        unknown(Happens::WrittenLater { after: 3 }),
        unknown(Happens::NotWritten),
        unknown(Happens::NotWritten),
    ];
    let journal = Arc::new(Faulty::scripted(MemoryJournal::default(), script));
    let node = Node::start(journal, Options::default()).await;
    node.put("a", "1").await.unwrap();
    node.put("a", "2").await.unwrap();
    let kv = node.get("a").unwrap();
    assert_eq!((kv.version, kv.mod_revision.0), (2, 3));
    node.stop().await;
}
