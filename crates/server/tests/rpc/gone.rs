//! Pitfall ab: nothing grows with clients that came and went.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, future};
use journal::{Append, Body, Journal, JournalError, MemoryJournal, Nonce, Record, Slot, Successor};
use server::wire::etcdserverpb as pb;
use tokio::sync::watch;

use super::support::{Client, Server, eventually, everything};
use super::watch::create;

const CLIENTS: usize = 40;

/// A journal whose appends come to no end while it is stuck.
#[derive(Default)]
struct Sticky {
    inner: MemoryJournal,
    stuck: watch::Sender<bool>,
}

impl Journal for Sticky {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        let mut stuck = self.stuck.subscribe();
        let answer = self.inner.append(slot, nonce, body);
        async move {
            stuck.wait_for(|stuck| !stuck).await.expect("the journal lives");
            answer.await
        }
        .boxed()
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        self.inner.read(from, limit)
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.inner.tail()
    }

    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        self.inner.trim(before)
    }

    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.inner.seal(successor)
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        self.inner.successor()
    }
}

/// A client with two watchers on a stream, a keep-alive stream, and whatever it asks for next.
async fn visitor(server: &Server) -> (Client, impl Sized) {
    let mut client = server.client().await;
    let (say, mut hear) = client.talk("/etcdserverpb.Watch/Watch").await;
    for _ in 0..2 {
        say.send(create(pb::WatchCreateRequest::default())).await.unwrap();
        let created: pb::WatchResponse = hear.message().await.unwrap().unwrap();
        assert!(created.created);
    }
    let (renew, mut renewed) = client.talk("/etcdserverpb.Lease/LeaseKeepAlive").await;
    renew.send(pb::LeaseKeepAliveRequest { id: 7 }).await.unwrap();
    let answer: pb::LeaseKeepAliveResponse = renewed.message().await.unwrap().unwrap();
    assert_eq!(answer.ttl, 60);
    (client, (say, hear, renew, renewed))
}

#[tokio::test]
async fn clients_that_came_and_went_leave_nothing_behind() {
    let journal = Arc::new(Sticky::default());
    let shared: Arc<dyn Journal> = Arc::<Sticky>::clone(&journal);
    let request_timeout = Duration::from_secs(600);
    let options = engine::Options { request_timeout, ..engine::Options::default() };
    let server = Server::over(shared, options).await;
    let mut stays = server.client().await;
    let grant = pb::LeaseGrantRequest { ttl: 60, id: 7 };
    let path = "/etcdserverpb.Lease/LeaseGrant";
    stays.call::<_, pb::LeaseGrantResponse>(path, grant).await.unwrap();
    journal.stuck.send_replace(true);
    let mut held = stays.clone();
    let held = tokio::spawn(async move { held.put("held", "v").await });
    let engine = server.engine.clone();
    eventually("one put is on its way", || engine.status().pending == 1).await;
    let tasks = tokio::runtime::Handle::current().metrics();
    let before = tasks.num_alive_tasks();

    let mut visitors = Vec::new();
    for _ in 0..CLIENTS {
        visitors.push(visitor(&server).await);
    }
    let asked: Vec<_> = visitors
        .iter()
        .map(|(client, _)| {
            let mut client = client.clone();
            tokio::spawn(async move { client.put("gone", "v").await })
        })
        .collect();
    eventually("their puts wait", || engine.status().pending == 1 + CLIENTS).await;
    let counts = engine.watch_counts();
    assert_eq!((counts.streams, counts.watchers), (CLIENTS, 2 * CLIENTS));
    assert!(tasks.num_alive_tasks() > before + CLIENTS);

    for put in &asked {
        put.abort();
    }
    drop(future::join_all(asked).await);
    drop(visitors);
    eventually("no stream, no watcher, no task is left", || {
        let counts = engine.watch_counts();
        (counts.streams, counts.watchers) == (0, 0) && tasks.num_alive_tasks() <= before
    })
    .await;
    journal.stuck.send_replace(false);
    assert_eq!(held.await.unwrap().header.unwrap().revision, 2);
    eventually("no request is left", || engine.status().pending == 0).await;
    let listed = stays.range(everything()).await.unwrap();
    assert_eq!((listed.header.unwrap().revision, listed.count), (2, 1), "they went unheard");
}
