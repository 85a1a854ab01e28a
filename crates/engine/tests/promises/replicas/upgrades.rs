//! One replica after the other is replaced, and the clients of those that are left alone go on: nobody waits for
//! who leaves, who comes, or the level to rise. Time is virtual, so all that takes any is waited for on purpose.

use std::sync::Arc;
use std::time::Duration;

use engine::replicas::Role;
use state::Level;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster, Replica, agree};
use super::distant::Distant;
use crate::support::put;

/// A client waits for a batch under way and its own; the level's own entry stands between them once. The rest is
/// the way to the writer and the client's own pause.
const ALONE: Duration = Duration::from_millis(15);
/// The goal of a hand-over.
const HANDED_OVER: Duration = Duration::from_millis(50);

/// A client that writes as often as it is answered; its longest pause until it is asked.
struct Client(JoinHandle<Duration>, tokio::sync::oneshot::Sender<()>);

impl Client {
    fn of(replica: &Replica) -> Self {
        let (engine, member) = (replica.engine.clone(), replica.member);
        let (end, mut ended) = tokio::sync::oneshot::channel();
        let client = async move {
            let (mut longest, mut last, key) = (Duration::ZERO, Instant::now(), member.to_string());
            while ended.try_recv().is_err() {
                engine.commit(put(&key, "x")).await.expect("it is answered");
                longest = longest.max(last.elapsed());
                last = Instant::now();
                sleep(Duration::from_millis(1)).await;
            }
            longest
        };
        Self(tokio::spawn(client), end)
    }

    async fn longest(self) -> Duration {
        self.1.send(()).expect("it is at work");
        self.0.await.expect("it has not failed")
    }
}

async fn longest(clients: [Client; 2]) -> Duration {
    let [one, other] = clients;
    one.longest().await.max(other.longest().await)
}

fn distant() -> Cluster {
    Cluster::new(Arc::new(Distant::default()))
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_follower_that_is_replaced_nor_for_the_level() {
    let cluster = distant();
    let [first, mut second, third] = [
        cluster.start_at(1, Level(2)).await,
        cluster.start_at(2, Level(1)).await,
        cluster.start_at(3, Level(2)).await,
    ];
    for to in [1, 2] {
        let clients = [&first, &third].map(Client::of);
        sleep(Duration::from_millis(500)).await;
        second.stop().await;
        sleep(Duration::from_millis(500)).await;
        second = cluster.start_at(2, Level(to)).await;
        sleep(Duration::from_secs(3)).await;
        let paused = longest(clients).await;
        assert!(paused <= ALONE, "to level {to}: {paused:?}");
        assert_eq!(first.engine.status().cluster.level(), Level(to));
        assert_eq!(first.engine.role(), Role::Writer);
    }
    agree(&[&first, &second, &third]).await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_replaced_is_hardly_missed() {
    let cluster = distant();
    let [mut first, second, third] = [
        cluster.start_at(1, Level(1)).await,
        cluster.start_at(2, Level(2)).await,
        cluster.start_at(3, Level(2)).await,
    ];
    let clients = [&second, &third].map(Client::of);
    sleep(Duration::from_millis(500)).await;
    first.engine.hand_over(None).await.expect("another follows");
    first.stop().await;
    sleep(Duration::from_millis(500)).await;
    first = cluster.start_at(1, Level(2)).await;
    sleep(Duration::from_secs(3)).await;
    let paused = longest(clients).await;
    assert!(paused <= HANDED_OVER, "{paused:?}");
    assert_eq!(third.engine.status().cluster.level(), Level(2));
    agree(&[&first, &second, &third]).await;
}
