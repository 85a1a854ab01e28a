//! Objects in the database: pieces under a random upload, then one row that names it. Until that
//! row is there the object is not; an upload that was broken off is cleared a day later.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use journal::{JournalError, Object, Objects, Pieces};
use rand::Rng;
use tokio::sync::mpsc;
use tokio_postgres::Row;

use crate::database::{Value, column, slot_of, unavailable};
use crate::failure::{Failure, Kind};
use crate::journal::PostgresJournal;
use crate::keeping::Keeper;
use crate::link::Answer;
use crate::statements as sql;

/// Bytes in a piece.
const PIECE: usize = 256 << 10;

/// Pieces on their way at once.
const AT_ONCE: usize = 4;

/// Pieces that one statement removes.
const REMOVED_AT_ONCE: u64 = 256;

/// An upload that began longer ago was broken off.
const BROKEN_OFF: Duration = Duration::from_secs(24 * 3600);

/// In place of the count of pieces: an upload under way, or an object about to go.
const PENDING: i64 = -1;

/// What one row says.
struct Entry {
    name: String,
    upload: Bytes,
    started: i64,
    size: u64,
    parts: i64,
}

impl Entry {
    fn read(row: &Row) -> Answer<Self> {
        Ok(Self {
            name: column(row, 0)?,
            upload: Bytes::copy_from_slice(column(row, 1)?),
            started: column(row, 2)?,
            size: slot_of(row, 3)?,
            parts: column(row, 4)?,
        })
    }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// The name under which an upload is noted until it is done. No object may have it.
fn pending_name(upload: &[u8]) -> Value {
    let digits: String = upload.iter().map(|byte| format!("{byte:02x}")).collect();
    Value::Text(format!("\u{1}upload {digits}").into())
}

impl Keeper {
    async fn put(&self, name: String, mut pieces: Pieces) -> Result<(), JournalError> {
        if name.is_empty() || name.contains(['\0', '\u{1}']) {
            return Err(unavailable(format!("{name:?} cannot be an object's name")));
        }
        self.sweep().await.map_err(Failure::into_journal)?;
        let upload = Bytes::copy_from_slice(&rand::rng().random::<[u8; 16]>());
        self.note(&upload, now()).await.map_err(Failure::into_journal)?;
        let named = match self.upload(&upload, &mut pieces).await {
            Ok((size, parts)) => self.name(&name, &upload, size, parts).await,
            Err(error) => Err(error),
        };
        if let Err(error) = named {
            // What cannot be cleared now is cleared by a later sweep, unless it was named after all.
            if matches!(error, JournalError::Occupied(_) | JournalError::Full(_)) {
                drop(self.clear(&upload).await);
            }
            return Err(error);
        }
        let finish = async {
            self.change(sql::REMOVE_OBJECT, [self.database.text(), pending_name(&upload)]).await?;
            self.barrier().await
        };
        finish.await.map_err(Failure::into_journal)
    }

    /// Notes an upload, so that a sweep finds what is left of it.
    async fn note(&self, upload: &Bytes, started: i64) -> Answer<()> {
        let values = [
            self.database.text(),
            pending_name(upload),
            Value::Bytes(upload.clone()),
            Value::Int(started),
            Value::Int(0),
            Value::Int(PENDING),
        ];
        self.change(sql::OBJECT, values).await.map(drop)
    }

    /// Writes the pieces, a few at once; answers the size and how many there were.
    async fn upload(
        &self,
        upload: &Bytes,
        pieces: &mut Pieces,
    ) -> Result<(u64, u64), JournalError> {
        let (mut size, mut parts) = (0, 0);
        let mut filling = BytesMut::with_capacity(PIECE);
        let mut writing = FuturesUnordered::new();
        let mut ended = false;
        while !ended || !filling.is_empty() {
            while filling.len() < PIECE && !ended {
                match pieces.next().await.transpose()? {
                    Some(piece) => filling.extend_from_slice(&piece),
                    None => ended = true,
                }
            }
            if filling.is_empty() {
                break;
            }
            let piece = filling.split_to(filling.len().min(PIECE)).freeze();
            size += piece.len() as u64;
            let text = self.database.text();
            let values =
                [text, Value::Bytes(upload.clone()), Value::from(parts), Value::Bytes(piece)];
            writing.push(self.change(sql::CHUNK, values));
            parts += 1;
            if writing.len() >= AT_ONCE
                && let Some(written) = writing.next().await
            {
                written.map_err(Failure::into_journal)?;
            }
        }
        while let Some(written) = writing.next().await {
            written.map_err(Failure::into_journal)?;
        }
        Ok((size, parts))
    }

    async fn name(
        &self,
        name: &str,
        upload: &Bytes,
        size: u64,
        parts: u64,
    ) -> Result<(), JournalError> {
        let values = [
            self.database.text(),
            Value::Text(name.into()),
            Value::Bytes(upload.clone()),
            Value::Int(now()),
            size.into(),
            parts.into(),
        ];
        self.change(sql::OBJECT, values).await.map_err(Failure::into_journal)?;
        match self.find(name).await.map_err(Failure::into_journal)? {
            Some(entry) if entry.upload == *upload => Ok(()),
            _ => Err(JournalError::Occupied(format!("there is an object {name:?} already"))),
        }
    }

    async fn find(&self, name: &str) -> Answer<Option<Entry>> {
        let values = [self.database.text(), Value::Text(name.into())];
        let rows = self.ask(sql::OBJECT_OF, values).await?;
        let entry = rows.first().map(Entry::read).transpose()?;
        Ok(entry.filter(|entry| entry.parts != PENDING))
    }

    async fn entries(&self) -> Answer<Vec<Entry>> {
        let rows = self.ask(sql::OBJECTS, [self.database.text()]).await?;
        rows.iter().map(Entry::read).collect()
    }

    /// Removes an upload's pieces, then its note.
    async fn clear(&self, upload: &Bytes) -> Answer<()> {
        let owner = || Value::Bytes(upload.clone());
        loop {
            let rows = self.ask(sql::LOWEST_CHUNK, [self.database.text(), owner()]).await?;
            let Some(row) = rows.first() else { break };
            let from = slot_of(row, 0)?;
            let end = from + REMOVED_AT_ONCE;
            let values = [self.database.text(), owner(), from.into(), end.into()];
            self.change(sql::REMOVE_CHUNKS, values).await?;
        }
        self.change(sql::REMOVE_OBJECT, [self.database.text(), pending_name(upload)]).await?;
        Ok(())
    }

    /// Clears what was left half done long ago.
    async fn sweep(&self) -> Answer<()> {
        let entries = self.entries().await?;
        let oldest = now().saturating_sub(BROKEN_OFF.as_secs() as i64);
        for pending in entries.iter().filter(|e| e.parts == PENDING && e.started < oldest) {
            let named = entries.iter().any(|e| e.parts != PENDING && e.upload == pending.upload);
            if named {
                let note = [self.database.text(), pending_name(&pending.upload)];
                self.change(sql::REMOVE_OBJECT, note).await?;
            } else {
                self.clear(&pending.upload).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, name: &str) -> Answer<()> {
        let Some(entry) = self.find(name).await? else { return Ok(()) };
        self.note(&entry.upload, 0).await?;
        self.change(sql::REMOVE_OBJECT, [self.database.text(), Value::Text(name.into())]).await?;
        self.clear(&entry.upload).await
    }

    /// Sends the pieces as fast as they are taken.
    async fn stream(&self, entry: &Entry, into: mpsc::Sender<Result<Bytes, JournalError>>) {
        for part in 0..u64::try_from(entry.parts).unwrap_or(0) {
            let owner = Value::Bytes(entry.upload.clone());
            let values = [self.database.text(), owner, part.into()];
            let piece = match self.ask(sql::CHUNK_OF, values).await {
                Ok(rows) => match rows.first().map(|row| column::<&[u8]>(row, 0)) {
                    Some(Ok(bytes)) => Ok(Bytes::copy_from_slice(bytes)),
                    Some(Err(failure)) => Err(failure),
                    None => Err(Failure::new(
                        Kind::Failed,
                        format!("object {:?} was deleted while it was read", entry.name),
                    )),
                },
                Err(failure) => Err(failure),
            };
            let last = piece.is_err();
            if into.send(piece.map_err(Failure::into_journal)).await.is_err() || last {
                return;
            }
        }
    }
}

impl PostgresJournal {
    /// Runs on, whatever becomes of the caller.
    fn keep<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, JournalError>> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, JournalError>> {
        let task = self.database().runtime.spawn(work);
        task.map(|done| done.unwrap_or_else(|_| Err(unavailable("the journal has stopped"))))
            .boxed()
    }
}

impl Objects for PostgresJournal {
    fn put(&self, name: &str, pieces: Pieces) -> BoxFuture<'_, Result<(), JournalError>> {
        let (keeper, name) = (self.keeper(), name.to_owned());
        self.keep(async move { keeper.put(name, pieces).await })
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Option<Pieces>, JournalError>> {
        let (keeper, name) = (self.keeper(), name.to_owned());
        self.keep(async move {
            let found = keeper.find(&name).await.map_err(Failure::into_journal)?;
            let Some(entry) = found else { return Ok(None) };
            let (into, mut pieces) = mpsc::channel(2);
            tokio::spawn(async move { keeper.stream(&entry, into).await });
            let pieces = futures::stream::poll_fn(move |context| pieces.poll_recv(context));
            Ok(Some(pieces.boxed()))
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Object>, JournalError>> {
        let keeper: Arc<Keeper> = self.keeper();
        self.keep(async move {
            let entries = keeper.entries().await.map_err(Failure::into_journal)?;
            let named = entries.into_iter().filter(|entry| entry.parts != PENDING);
            let object = |entry: Entry| Object { name: entry.name, size: entry.size };
            let mut objects: Vec<_> = named.map(object).collect();
            objects.sort_unstable_by(|one, other| one.name.cmp(&other.name));
            Ok(objects)
        })
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), JournalError>> {
        let (keeper, name) = (self.keeper(), name.to_owned());
        self.keep(async move { keeper.delete(&name).await.map_err(Failure::into_journal) })
    }
}
