//! Programs of different levels over one journal: nothing is written that one of them cannot apply, until
//! none of them is left, and whoever meets something above its own level stops and says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::replicas::{Role, held_back};
use engine::{Engine, Fault};
use journal::{JournalError, MemoryJournal, Slot};
use parking_lot::Mutex;
use state::{ClusterVersion, Command, Entry, Level, MemberId, Position, Reply, State};
use tokio::task::JoinHandle;

use super::cluster::{Cluster, Replica, agree};
use super::distant::Distant;
use super::lying::Lying;
use crate::support::{Node, get, put};

const OLD: Level = Level(1);
const NEW: Level = Level(2);
/// Milliseconds, within which a member comes and the level rises.
const OFFSETS: u64 = 80;

fn memory() -> Cluster {
    Cluster::new(Arc::new(MemoryJournal::default()))
}

fn level(of: &Replica) -> Level {
    of.engine.status().cluster.level()
}

/// Waits for the cluster to be there, on this replica.
async fn reaches(of: &Replica, wanted: Level) {
    for _ in 0..1_000 {
        if level(of) == wanted {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!(
        "the level is {}, held back by {:?}",
        level(of),
        held_back(&of.engine.status().cluster, NEW)
    );
}

/// Clients that count up a key each, at whichever replica serves. A put of unknown outcome may have taken
/// effect once, and no other may.
struct Load {
    engines: Arc<Mutex<Vec<Engine>>>,
    ended: Arc<AtomicBool>,
    clients: Vec<JoinHandle<u64>>,
}

impl Load {
    fn begin(of: &[&Replica]) -> Self {
        let engines = of.iter().map(|one| one.engine.clone()).collect();
        let (engines, ended) = (Arc::new(Mutex::new(engines)), Arc::new(AtomicBool::new(false)));
        let clients =
            (0..6).map(|n| tokio::spawn(client(n, Arc::clone(&engines), Arc::clone(&ended))));
        Self { clients: clients.collect(), engines, ended }
    }

    /// Another program takes the place of the `at`-th.
    async fn replace(&self, cluster: &Cluster, at: usize, old: Replica, level: Level) -> Replica {
        tokio::time::sleep(Duration::from_millis(300)).await;
        if old.engine.role() == Role::Writer {
            old.engine.hand_over(None).await.expect("another follows");
        }
        old.stop().await;
        let new = cluster.start_at(at as u64 + 1, level).await;
        self.engines.lock()[at] = new.engine.clone();
        new
    }

    async fn end(self) {
        self.ended.store(true, Ordering::Release);
        for client in self.clients {
            assert!(client.await.expect("no client has failed") > 20, "they were at work");
        }
    }
}

async fn client(n: usize, engines: Arc<Mutex<Vec<Engine>>>, ended: Arc<AtomicBool>) -> u64 {
    let (key, mut least, mut most, mut turn) = (format!("count-{n}"), 0, 0, n);
    while !ended.load(Ordering::Acquire) {
        turn += 1;
        let engine = engines.lock()[turn % 3].clone();
        match engine.commit(put(&key, &turn.to_string())).await {
            Ok(outcome) => {
                let Ok(Reply::Put { prev_kv }) = outcome.result else { panic!("refused") };
                let before = prev_kv.map_or(0, |kv| kv.version);
                assert!((least..=most).contains(&before), "{key}: {before} puts took effect");
                (least, most) = (before + 1, before + 1);
            }
            Err(Fault::Timeout | Fault::Unavailable(_)) => most += 1,
            Err(Fault::Stopped) => {}
            Err(fault) => panic!("{fault}"),
        }
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    let engine = engines.lock()[0].clone();
    engine.linearizable_view().await.unwrap();
    let version = get(&engine, &key).map_or(0, |kv| kv.version);
    assert!((least..=most).contains(&version), "{key}: {version} puts took effect");
    version.unsigned_abs()
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_rolled_to_another_level_and_back_under_load() {
    let cluster = memory();
    let [mut first, mut second, mut third] = [
        cluster.start_at(1, OLD).await,
        cluster.start_at(2, OLD).await,
        cluster.start_at(3, OLD).await,
    ];
    let load = Load::begin(&[&first, &second, &third]);
    // Two of three go forward, and back again.
    for to in [NEW, OLD] {
        second = load.replace(&cluster, 1, second, to).await;
        first = load.replace(&cluster, 0, first, to).await;
        third.engine.linearizable_view().await.unwrap();
        let known = third.engine.status().cluster;
        assert_eq!([1, 2, 3].map(|id| known.members()[&MemberId(id)].level), [to, to, OLD]);
        assert_eq!(level(&third), OLD);
    }
    // All go forward: that is for good.
    third = load.replace(&cluster, 2, third, NEW).await;
    second = load.replace(&cluster, 1, second, NEW).await;
    assert_eq!(level(&third), OLD, "the first holds them back");
    first = load.replace(&cluster, 0, first, NEW).await;
    for one in [&first, &second, &third] {
        reaches(one, NEW).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    load.end().await;
    agree(&[&first, &second, &third]).await;
    third.stop().await;
    let refused = cluster.try_start_at(3, OLD).await.err().expect("it is refused").to_string();
    assert!(refused.contains("takes level 2") && refused.contains("--hold-level"), "{refused}");
    let third = cluster.start(3).await;
    agree(&[&first, &second, &third]).await;
}

#[tokio::test(start_paused = true)]
async fn a_member_of_a_lower_level_holds_the_writer_back() {
    let cluster = memory();
    let (first, second) = (cluster.start_at(1, NEW).await, cluster.start_at(2, NEW).await);
    let raise = || Command::LevelRaise { level: NEW };
    let held = first.engine.commit(raise()).await;
    let Err(Fault::HeldBack(why)) = &held else { panic!("{held:?}") };
    assert!(why.contains("which has not started"), "{why}");
    let third = cluster.start_at(3, OLD).await;
    for one in [&first, &second, &third] {
        one.engine.linearizable_view().await.unwrap();
        let held = one.engine.commit(raise()).await;
        let Err(Fault::HeldBack(why)) = &held else { panic!("{held:?}") };
        let words = ["takes level 2", "the cluster's is 1", "replica3, which can apply level 1"];
        assert!(words.iter().all(|words| why.contains(words)), "{why}");
        assert_eq!(one.engine.status().cluster.level(), OLD);
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(level(&first), OLD, "and nobody else proposes it");
    // Neither is it there any more once it is gone for good.
    first.engine.commit(Command::MemberRemove { member: third.member }).await.unwrap();
    for one in [&first, &second] {
        reaches(one, NEW).await;
        assert_eq!(held_back(&one.engine.status().cluster, NEW), None);
        one.engine.commit(raise()).await.unwrap().result.expect("it is there");
    }
    agree(&[&first, &second]).await;
}

#[tokio::test]
async fn the_one_owner_of_a_journal_goes_by_its_own_level() {
    let options = engine::Options { level: OLD, ..engine::Options::default() };
    let node = Node::start(Arc::new(MemoryJournal::default()), options).await;
    let held = node.engine.commit(Command::LevelRaise { level: NEW }).await;
    let Err(Fault::HeldBack(why)) = &held else { panic!("{held:?}") };
    assert!(why.contains("this replica goes up to level 1"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn who_comes_with_too_low_a_level_is_refused_and_leaves_nothing() {
    let cluster = memory();
    let [first, second, third] = cluster.three().await;
    reaches(&first, NEW).await;
    agree(&[&first, &second, &third]).await;
    let before = first.engine.status().applied;
    let refused = cluster.try_start_at(4, OLD).await.err().expect("it is refused").to_string();
    let words = ["the journal's entry at slot", "takes level 2", "held at level 1"];
    assert!(words.iter().all(|words| refused.contains(words)), "{refused}");
    agree(&[&first, &second, &third]).await;
    assert_eq!(first.engine.status().cluster.members().len(), 3);
    assert_eq!(first.engine.status().applied, before, "it has written nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_checkpoint_above_ones_level_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut cluster = memory();
    cluster.folder = Some(folder.path().to_owned());
    cluster.options.checkpoint_after = 20_000;
    let [first, second, third] = cluster.three().await;
    reaches(&first, NEW).await;
    let raised = first.engine.status().applied.0;
    loop {
        let there = cluster.journal.read(Slot(raised), 1).await;
        if matches!(there, Err(JournalError::Trimmed { .. })) {
            break;
        }
        second.engine.commit(put("key", &"v".repeat(1_000))).await.unwrap();
    }
    // What took the level is gone from the journal; the checkpoint tells.
    let refused = cluster.try_start_at(4, OLD).await.err().expect("it is refused").to_string();
    assert!(refused.contains("the checkpoint at slot"), "{refused}");
    assert!(refused.contains("takes level 2"), "{refused}");
    let fourth = cluster.start_at(4, NEW).await;
    agree(&[&first, &second, &third, &fourth]).await;
}

#[tokio::test(start_paused = true)]
async fn who_speaks_only_older_versions_is_refused_and_leaves_nothing() {
    let mut cluster = memory();
    cluster.version = ClusterVersion { major: 3, minor: 8 };
    let [first, second, third] = cluster.three().await;
    reaches(&first, NEW).await;
    cluster.version = ClusterVersion { major: 3, minor: 7 };
    let refused = cluster.try_start(4).await.err().expect("it is refused").to_string();
    let words = ["the cluster's version is 3.8.0", "speaks 3.7.0 at most", "start the version"];
    assert!(words.iter().all(|words| refused.contains(words)), "{refused}");
    agree(&[&first, &second, &third]).await;
    assert_eq!(first.engine.status().cluster.members().len(), 3);
}

/// As one of a later version would have written it.
fn with_what_is_unknown(body: &Bytes) -> Bytes {
    let marked = body.windows(7).any(|bytes| bytes == b"unknown");
    if marked { Bytes::from_static(b"\xe5\x01\x01\x02\x2b\x00\x01") } else { body.clone() }
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_not_known_stops_a_replica_and_the_others_go_on() {
    let journal = MemoryJournal::default();
    let cluster = Cluster::new(Arc::new(journal.clone()));
    let (first, second) = (cluster.start(1).await, cluster.start(2).await);
    let lying = || Arc::new(Lying(journal.clone(), with_what_is_unknown));
    let third = cluster.try_start_on(lying(), 3).await.unwrap();
    reaches(&third, NEW).await;
    // It reads the journal, and waits for its own command meanwhile.
    cluster.network.cut(MemberId(1), MemberId(3), true);
    second.engine.commit(put("unknown", "to some")).await.unwrap();
    let slot = first.engine.status().applied;
    let engine = third.engine.clone();
    let stopped = engine.commit(put("after", "that")).await.expect_err("it stops").to_string();
    let words = [
        &format!("the journal's entry at slot {slot} cannot be understood"),
        "command 43 at byte 4 was made by a newer version",
        "start the version of Meridian that wrote it",
    ];
    assert!(words.iter().all(|words| stopped.contains(words)), "{stopped}");
    assert!(engine.stopping());
    assert!(get(&engine, "unknown").is_none(), "nothing was guessed");
    third.kill().await;
    // Nor does it start.
    let refused = cluster.try_start_on(lying(), 3).await.err().expect("it is refused").to_string();
    assert!(words.iter().all(|words| refused.contains(words)), "{refused}");
    // The others have not noticed, and one that knows takes its place.
    second.engine.commit(put("key", "value")).await.unwrap();
    cluster.network.cut(MemberId(1), MemberId(3), false);
    let third = cluster.start(3).await;
    agree(&[&first, &second, &third]).await;
    assert!(get(&third.engine, "after").is_none());
}

/// A member that was added and has not started may turn out to be of any level: a raise that stood behind its
/// addition would be refused, and stop it all the same.
#[tokio::test(start_paused = true)]
async fn a_raise_waits_until_all_before_it_is_applied() {
    let mut raised = 0;
    for offset in 0..OFFSETS {
        let cluster = Cluster::new(Arc::new(Distant::default()));
        let (first, second) = (cluster.start(1).await, cluster.start(2).await);
        cluster.start_at(3, OLD).await.stop().await;
        let peer_urls = vec!["http://late:2380".to_owned()];
        let add = Command::MemberAdd { member: MemberId(9), peer_urls, learner: false };
        let added = async {
            tokio::time::sleep(Duration::from_millis(offset)).await;
            first.engine.commit(add).await.unwrap().result.unwrap();
        };
        let (third, ()) = tokio::join!(cluster.start_at(3, NEW), added);
        tokio::time::sleep(Duration::from_millis(300)).await;
        agree(&[&first, &second, &third]).await;
        let mut state = State::default();
        let tail = cluster.journal.tail().await.unwrap();
        while state.position().0 + 1 < tail.0 {
            let from = Slot(state.position().0 + 1);
            for record in cluster.journal.read(from, 1 << 20).await.unwrap() {
                let entry = Entry::decode(&record.body).unwrap();
                let outcomes = state.apply(Position(record.slot.0), &entry);
                for (command, outcome) in entry.commands.iter().zip(outcomes) {
                    if matches!(command, Command::LevelRaise { .. }) {
                        assert!(outcome.result.is_ok(), "{offset} ms: {outcome:?}");
                        raised += 1;
                    }
                }
            }
        }
    }
    assert!((1..OFFSETS).contains(&raised), "{raised}: before and after it");
}
