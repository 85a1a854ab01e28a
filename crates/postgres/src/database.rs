//! The database as all connections of one journal know it: its address, what it guarantees, how
//! far the log is known to reach.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::future::BoxFuture;
use journal::{JournalError, Nonce, Successor};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Row, Statement};

use crate::address::Address;
use crate::failure::{Failure, Kind};
use crate::guarantee::{Dialect, Guarantee, Level, look_at};
use crate::link::{Answer, Link, launch};
use crate::stats::Stats;

/// Longest body. PostgreSQL would take more; a body is sent, kept and read as a whole.
pub const MAX_BODY: usize = 60 << 20;

/// Longest name of a log.
const MAX_NAME: usize = 200;

/// What the journal is told beside its address.
#[derive(Clone, Debug)]
pub struct Options {
    /// The log's name; many logs share one database. The cluster's token.
    pub log: String,
    /// Whose log it is, in any words; another cluster's log is not opened.
    pub cluster: String,
    /// How long opening waits for a server that cannot be reached or takes no writes.
    pub patience: Duration,
    /// How long a statement may take before its connection is dropped, at the most. It is given up
    /// sooner as long as the server was quick before.
    pub deadline: Duration,
    /// How often the server's settings are looked at again.
    pub look_every: Duration,
    /// Appends on the wire at once. 1 holds each one back until its predecessor is decided.
    pub pipeline: usize,
    /// Opens the journal although the server runs with `fsync=off`.
    pub unsafe_no_fsync: bool,
    /// Where the connection that appends lives: best beside whoever appends, for then no thread has to be
    /// woken on the way there and back. `None` is where the journal is opened.
    pub appends_from: Option<Handle>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            log: "etcd-cluster".into(),
            cluster: String::new(),
            patience: Duration::from_secs(60),
            deadline: Duration::from_secs(10),
            look_every: Duration::from_secs(60),
            pipeline: 4,
            unsafe_no_fsync: false,
            appends_from: None,
        }
    }
}

/// How long a statement is waited for. A connection that hangs is given up soon, since a new one is
/// likely to do better. If that hangs as well, perhaps a standby is missing: then each is given twice the
/// time of the one before it, so that no crowd of sessions waits on the server.
#[derive(Debug)]
pub(crate) struct Patience {
    now: Duration,
    most: Duration,
}

impl Patience {
    pub(crate) fn new(most: Duration) -> Self {
        Self { now: SOON.min(most), most }
    }

    pub(crate) const fn get(&self) -> Duration {
        self.now
    }

    /// An answer came after so long.
    pub(crate) fn answered(&mut self, took: Duration) {
        self.now = (took * 4).max(SOON).min(self.most);
    }

    /// None came.
    pub(crate) fn exhausted(&mut self) {
        self.now = (self.now * 2).min(self.most);
    }
}

/// The least patience.
const SOON: Duration = Duration::from_millis(1500);

/// See the module's words.
pub(crate) struct Database {
    pub(crate) address: Address,
    pub(crate) options: Options,
    pub(crate) log: Arc<str>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) runtime: Handle,
    guarantee: Mutex<Guarantee>,
    /// Grows when a connection that is older must not be used any more.
    generation: AtomicU64,
    /// No slot below is free, as far as anybody saw; a hint.
    tail: AtomicU64,
    end: Mutex<Option<(u64, Successor)>>,
}

impl Database {
    pub(crate) fn new(address: Address, options: Options) -> Result<Self, Failure> {
        let named = !options.log.is_empty() && options.log.len() <= MAX_NAME;
        if !named || options.log.contains('\0') {
            let why = format!("a log's name has 1 to {MAX_NAME} bytes and no zero among them");
            return Err(Failure::new(Kind::Local, why));
        }
        Ok(Self {
            log: Arc::from(options.log.as_str()),
            address,
            options,
            stats: Arc::default(),
            runtime: Handle::current(),
            guarantee: Mutex::default(),
            generation: AtomicU64::new(0),
            tail: AtomicU64::new(1),
            end: Mutex::default(),
        })
    }

    /// A connection, and its statements prepared by `prepare`.
    pub(crate) async fn connect(&self) -> Answer<Link> {
        let generation = self.generation();
        let mut link = Link::open(&self.address, self.options.unsafe_no_fsync).await?;
        link.generation = generation;
        self.guarantees(&link.host, &link.guarantee);
        Ok(link)
    }

    /// Notes what the server guarantees, and says so if that is news.
    fn guarantees(&self, host: &str, found: &Guarantee) {
        let before = std::mem::replace(&mut *self.guarantee.lock(), found.clone());
        if before == *found {
            return;
        }
        let guarantee = &found.words;
        if found.survives_a_machine() {
            tracing::info!(host, guarantee, "journal in a database");
        } else {
            tracing::warn!(host, guarantee, "journal in a database that one machine can lose");
        }
    }

    /// Looks at the server's settings again. If it may not be relied on any more, no connection that was
    /// made before is used again.
    pub(crate) async fn look_again(&self, link: &Link) -> Answer<()> {
        match look_at(&link.client(), self.options.unsafe_no_fsync).await {
            Ok((_, found)) => self.guarantees(&link.host, &found),
            Err(failure) => {
                if matches!(failure.kind, Kind::Unsafe | Kind::ReadOnly) {
                    tracing::error!(host = link.host, why = %failure, "the journal's database has changed");
                    let words = failure.text.clone();
                    *self.guarantee.lock() = Guarantee { level: Level::Nothing, words };
                    self.generation.fetch_add(1, Ordering::SeqCst);
                }
                return Err(failure);
            }
        }
        Ok(())
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    pub(crate) fn guarantee(&self) -> Guarantee {
        self.guarantee.lock().clone()
    }

    pub(crate) fn tail(&self) -> u64 {
        self.tail.load(Ordering::SeqCst)
    }

    /// Notes that every slot below `tail` is taken.
    pub(crate) fn reaches(&self, tail: u64) {
        self.tail.fetch_max(tail, Ordering::SeqCst);
    }

    /// Takes back a hint that was too high.
    pub(crate) fn reached(&self, tail: u64) {
        self.tail.store(tail, Ordering::SeqCst);
    }

    /// Where the log ends, if that is known.
    pub(crate) fn end(&self) -> Option<(u64, Successor)> {
        self.end.lock().clone()
    }

    pub(crate) fn ends(&self, at: u64, successor: Successor) {
        self.end.lock().get_or_insert((at, successor));
    }

    pub(crate) fn text(&self) -> Value {
        Value::Text(Arc::clone(&self.log))
    }
}

/// Longest body that stands in its row; longer ones are written in parts first.
pub(crate) fn inline_limit(dialect: Dialect) -> usize {
    match dialect {
        Dialect::Postgres => 1 << 20,
        Dialect::Portable => 256 << 10,
    }
}

/// A value on its way into a statement. Bytes are not copied before they are encoded.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Arc<str>),
    Int(i64),
    Bytes(Bytes),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<Nonce> for Value {
    fn from(nonce: Nonce) -> Self {
        Self::Bytes(Bytes::copy_from_slice(&nonce.0.to_le_bytes()))
    }
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Text(text) => text.as_ref().to_sql(ty, out),
            Self::Int(number) => number.to_sql(ty, out),
            Self::Bytes(bytes) => {
                out.put_slice(bytes);
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::TEXT | Type::INT8 | Type::BYTEA)
    }

    to_sql_checked!();
}

/// Sends a question now; the rows come later.
pub(crate) fn ask<const N: usize>(
    client: Arc<Client>,
    statement: &Statement,
    values: [Value; N],
) -> BoxFuture<'static, Answer<Vec<Row>>> {
    let statement = statement.clone();
    launch(async move {
        let values = values.each_ref().map(|value| value as &(dyn ToSql + Sync));
        Ok(client.query(&statement, &values).await?)
    })
}

/// Sends a change now; how many rows it changed comes later.
pub(crate) fn change<const N: usize>(
    client: Arc<Client>,
    statement: &Statement,
    values: [Value; N],
) -> BoxFuture<'static, Answer<u64>> {
    let statement = statement.clone();
    launch(async move {
        let values = values.each_ref().map(|value| value as &(dyn ToSql + Sync));
        Ok(client.execute(&statement, &values).await?)
    })
}

/// The checksum of a row: what it holds, and where.
pub(crate) fn checksum(slot: u64, nonce: Nonce, kind: i64, body: &[u8]) -> u32 {
    let mut sum = crc32c::crc32c(&slot.to_le_bytes());
    sum = crc32c::crc32c_append(sum, &nonce.0.to_le_bytes());
    sum = crc32c::crc32c_append(sum, &kind.to_le_bytes());
    crc32c::crc32c_append(sum, body)
}

/// A column, or what is wrong with the table.
pub(crate) fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    at: usize,
) -> Answer<T> {
    row.try_get(at).map_err(|error| {
        Failure::new(Kind::Schema, format!("a table is not the one we make: {error}"))
    })
}

/// A slot as it stands in a row.
pub(crate) fn slot_of(row: &Row, at: usize) -> Answer<u64> {
    u64::try_from(column::<i64>(row, at)?)
        .map_err(|_| Failure::new(Kind::Schema, "a slot is below zero"))
}

/// A nonce as it stands in a row; what is none is nobody's.
pub(crate) fn nonce_of(row: &Row, at: usize) -> Answer<Nonce> {
    let bytes: &[u8] = column(row, at)?;
    Ok(Nonce(bytes.try_into().map_or(0, u128::from_le_bytes)))
}

pub(crate) fn unavailable(why: impl Into<String>) -> JournalError {
    JournalError::Unavailable(why.into())
}
