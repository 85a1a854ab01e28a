//! A journal whose answers do not come for as long as its opener sleeps.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use journal::{Append, Body, Journal, JournalError, Nonce, Record, Slot, Successor};
use tokio::sync::watch;

pub(crate) struct Sleeper {
    inner: Arc<dyn Journal>,
    pub(crate) sleeps: watch::Sender<bool>,
}

impl Sleeper {
    pub(crate) fn over(inner: &Arc<dyn Journal>) -> Self {
        Self { inner: Arc::clone(inner), sleeps: watch::channel(false).0 }
    }

    async fn awake(&self) {
        drop(self.sleeps.subscribe().wait_for(|sleeps| !sleeps).await);
    }
}

impl Journal for Sleeper {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        async move {
            self.awake().await;
            self.inner.append(slot, nonce, body).await
        }
        .boxed()
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        async move {
            self.awake().await;
            self.inner.read(from, limit).await
        }
        .boxed()
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        async move {
            self.awake().await;
            self.inner.tail().await
        }
        .boxed()
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
