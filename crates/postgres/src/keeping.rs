//! One connection for what is not in a hurry: trimming, long bodies, objects.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use journal::{JournalError, Nonce};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Row, Statement};

use crate::database::{Database, Value, ask, change, slot_of};
use crate::failure::{Failure, Kind};
use crate::guarantee::Dialect;
use crate::link::{Answer, Link};
use crate::parts;
use crate::reading::State;
use crate::statements::{self as sql, prepare};

/// Slots that one statement removes.
const REMOVED_AT_ONCE: u64 = 1000;

/// Removed slots after which the table is vacuumed.
const VACUUM_AFTER: u64 = 5000;

/// How long a vacuum may take.
const VACUUM_DEADLINE: Duration = Duration::from_secs(600);

/// How often something harmless is tried again, and the first pause between.
const ATTEMPTS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(100);

/// The connection with its statements.
pub(crate) struct Desk {
    pub(crate) link: Link,
    statements: Vec<Statement>,
}

const STATEMENTS: [(&str, &[tokio_postgres::types::Type]); 14] = [
    sql::PART,
    sql::TRIM,
    sql::LOWEST,
    sql::REMOVE,
    sql::LOWEST_PART,
    sql::REMOVE_PARTS,
    sql::CHUNK,
    sql::CHUNK_OF,
    sql::LOWEST_CHUNK,
    sql::REMOVE_CHUNKS,
    sql::OBJECT,
    sql::OBJECTS,
    sql::OBJECT_OF,
    sql::REMOVE_OBJECT,
];

impl Desk {
    async fn open(database: &Database) -> Answer<Self> {
        let link = database.connect().await?;
        let mut statements = Vec::with_capacity(STATEMENTS.len());
        for statement in STATEMENTS {
            statements.push(prepare(&link.client(), statement).await?);
        }
        Ok(Self { link, statements })
    }

    /// The prepared form of one of [`STATEMENTS`].
    fn statement(&self, (text, _): (&str, &[tokio_postgres::types::Type])) -> Answer<&Statement> {
        let at = STATEMENTS.iter().position(|(known, _)| *known == text);
        at.and_then(|at| self.statements.get(at))
            .ok_or_else(|| Failure::new(Kind::Local, "a statement was not prepared"))
    }
}

/// See the module's words.
pub(crate) struct Keeper {
    pub(crate) database: Arc<Database>,
    desk: Mutex<Option<Arc<Desk>>>,
    connected: AtomicBool,
    /// Slots below have been removed.
    cleared: AtomicU64,
    /// Slots removed since the last vacuum.
    removed: AtomicU64,
    may_vacuum: AtomicBool,
}

impl Keeper {
    pub(crate) fn new(database: Arc<Database>) -> Self {
        Self {
            database,
            desk: Mutex::new(None),
            connected: AtomicBool::new(false),
            cleared: AtomicU64::new(0),
            removed: AtomicU64::new(0),
            may_vacuum: AtomicBool::new(true),
        }
    }

    pub(crate) async fn desk(&self) -> Answer<Arc<Desk>> {
        let mut desk = self.desk.lock().await;
        if let Some(open) = desk.as_ref().filter(|desk| !desk.link.is_closed()) {
            return Ok(Arc::clone(open));
        }
        let open = Arc::new(Desk::open(&self.database).await?);
        if self.connected.swap(true, Ordering::Relaxed) {
            self.database.stats.reconnected();
        }
        *desk = Some(Arc::clone(&open));
        Ok(open)
    }

    /// Drops a connection that did not answer.
    async fn discard(&self, bad: &Arc<Desk>) {
        let mut desk = self.desk.lock().await;
        desk.take_if(|desk| Arc::ptr_eq(desk, bad));
    }

    /// Runs a change that may be run again; a row that is there already is as good as made.
    pub(crate) async fn change<const N: usize>(
        &self,
        statement: (&str, &[tokio_postgres::types::Type]),
        values: [Value; N],
    ) -> Answer<u64> {
        self.insist(|desk| {
            let sent = change(desk.link.client(), desk.statement(statement)?, values.clone());
            Ok(Box::pin(async move {
                match sent.await {
                    Err(failure) if failure.kind == Kind::Duplicate => Ok(0),
                    answer => answer,
                }
            }))
        })
        .await
    }

    /// Asks, as often as it takes within reason.
    pub(crate) async fn ask<const N: usize>(
        &self,
        statement: (&str, &[tokio_postgres::types::Type]),
        values: [Value; N],
    ) -> Answer<Vec<Row>> {
        self.insist(|desk| Ok(ask(desk.link.client(), desk.statement(statement)?, values.clone())))
            .await
    }

    /// Sends until there is an answer without a doubt.
    async fn insist<T>(
        &self,
        send: impl Fn(&Desk) -> Answer<BoxFuture<'static, Answer<T>>>,
    ) -> Answer<T> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            let failure = match self.once(&send).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            if attempt == ATTEMPTS || !failure.passes() || failure.kind == Kind::Full {
                return Err(failure);
            }
            sleep(pause).await;
            pause *= 2;
        }
        Err(Failure::new(Kind::Ambiguous, "no attempt was made"))
    }

    async fn once<T>(
        &self,
        send: &impl Fn(&Desk) -> Answer<BoxFuture<'static, Answer<T>>>,
    ) -> Answer<T> {
        let desk = self.desk().await?;
        let doubts = desk.link.doubts();
        let deadline = self.database.options.deadline;
        let answer = match timeout(deadline, send(&desk)?).await {
            Ok(answer) if desk.link.doubts() == doubts => answer,
            Ok(_) => Err(Failure::new(Kind::Ambiguous, "the server warned")),
            Err(_) => Err(Failure::new(Kind::Ambiguous, format!("no answer within {deadline:?}"))),
        };
        if answer.as_ref().is_err_and(|failure| {
            matches!(failure.kind, Kind::Ambiguous | Kind::ReadOnly | Kind::Unreachable)
        }) {
            self.discard(&desk).await;
        }
        answer
    }

    /// Waits until all that was written here is as durable as the server makes it.
    pub(crate) async fn barrier(&self) -> Answer<()> {
        if self.desk().await?.link.dialect == Dialect::Portable {
            return Ok(());
        }
        self.insist(|desk| {
            let client = desk.link.client();
            Ok(Box::pin(async move {
                client.query(sql::BARRIER.0, &[]).await?;
                Ok(())
            }))
        })
        .await
    }

    /// Writes the parts of a long body.
    pub(crate) async fn store(&self, slot: u64, nonce: Nonce, body: &Bytes) -> Answer<()> {
        let desk = self.desk().await?;
        let statement = desk.statement(sql::PART)?;
        let log = self.database.text();
        let client = desk.link.client();
        let doubts = desk.link.doubts();
        let storing = parts::store(&client, statement, log, (slot, nonce), body);
        let stored = match timeout(self.database.options.deadline, storing).await {
            // A doubt is settled by the append: it commits behind the parts and waits for them.
            Ok(stored) => stored,
            Err(_) => Err(Failure::new(Kind::Ambiguous, "long body not written in time")),
        };
        let bad = desk.link.doubts() != doubts;
        if bad || stored.as_ref().is_err_and(|failure| failure.kind == Kind::Ambiguous) {
            self.discard(&desk).await;
        }
        stored
    }

    /// Removes the parts of an offer that lost.
    pub(crate) async fn drop_parts(&self, slot: u64, nonce: Nonce) {
        let values = [self.database.text(), slot.into(), nonce.into()];
        if let Err(failure) = self.change(sql::REMOVE_PARTS, values).await {
            tracing::debug!(slot, error = %failure, "parts are left for the next trim");
        }
    }

    /// Forgets the slots before `before`, and removes them.
    pub(crate) async fn trim(&self, before: u64, state: &State) -> Result<(), JournalError> {
        self.forget(before, state).await.map_err(Failure::into_journal)
    }

    async fn forget(&self, before: u64, state: &State) -> Answer<()> {
        let before = before.min(state.tail).max(state.first);
        if before > state.first {
            self.change(sql::TRIM, [self.database.text(), before.into()]).await?;
        }
        // The row before the first one that is kept stays: it holds the place of all before it.
        self.remove_slots(before.saturating_sub(1)).await?;
        self.remove_parts(before).await?;
        if self.removed.load(Ordering::Relaxed) >= VACUUM_AFTER {
            self.removed.store(0, Ordering::Relaxed);
            self.vacuum().await;
        }
        Ok(())
    }

    async fn remove_slots(&self, before: u64) -> Answer<()> {
        loop {
            let cleared = self.cleared.load(Ordering::Relaxed);
            let rows = self.ask(sql::LOWEST, [self.database.text(), cleared.into()]).await?;
            let Some(lowest) = rows.first() else { return Ok(()) };
            let from = slot_of(lowest, 0)?;
            if from >= before {
                return Ok(());
            }
            let end = before.min(from + REMOVED_AT_ONCE);
            let values = [self.database.text(), from.into(), end.into()];
            let removed = self.change(sql::REMOVE, values).await?;
            self.removed.fetch_add(removed, Ordering::Relaxed);
            self.cleared.fetch_max(end, Ordering::Relaxed);
        }
    }

    async fn remove_parts(&self, before: u64) -> Answer<()> {
        loop {
            let rows = self.ask(sql::LOWEST_PART, [self.database.text(), before.into()]).await?;
            let Some(row) = rows.first() else { return Ok(()) };
            let (slot, nonce) = (slot_of(row, 0)?, crate::database::nonce_of(row, 1)?);
            let values = [self.database.text(), slot.into(), nonce.into()];
            self.change(sql::REMOVE_PARTS, values).await?;
        }
    }

    /// Makes the room of removed rows usable again, where that is ours to do.
    async fn vacuum(&self) {
        let Ok(desk) = self.desk().await else { return };
        if desk.link.dialect == Dialect::Portable || !self.may_vacuum.load(Ordering::Relaxed) {
            return;
        }
        let doubts = desk.link.doubts();
        let client = desk.link.client();
        let vacuum = async {
            client.batch_execute("SET vacuum_cost_delay = 1").await?;
            client.batch_execute("VACUUM meridian_journal").await?;
            client.batch_execute("VACUUM meridian_part").await
        };
        let refused = match timeout(VACUUM_DEADLINE, vacuum).await {
            Ok(Ok(())) if desk.link.doubts() == doubts => return,
            Ok(Ok(())) => "the server warned".into(),
            Ok(Err(error)) => Failure::from(error).text,
            Err(_) => {
                self.discard(&desk).await;
                format!("not done within {VACUUM_DEADLINE:?}")
            }
        };
        self.may_vacuum.store(false, Ordering::Relaxed);
        tracing::info!(why = refused, "cannot vacuum the journal's table; autovacuum has to do it");
    }
}
