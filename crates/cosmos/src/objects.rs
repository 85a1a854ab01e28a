//! Objects in the container: pieces under a random token, then one item that names it. Until that item is
//! there the object is not; an upload that was broken off is cleared a day later.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use futures::{FutureExt, TryFutureExt};
use journal::{JournalError, Nonce, Object, Objects, Pieces};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::failure::{Failure, Kind};
use crate::item::{Item, Name};
use crate::items::{Created, Range};
use crate::journal::CosmosJournal;
use crate::layout::{from_json, kind};
use crate::log::{Answer, Log, unavailable};
use crate::parts::PART as PIECE;
use crate::stats::Purpose;

/// Pieces that are read ahead.
const AHEAD: usize = 3;

/// No object has more pieces: its logical partition would hold more than 20 GB.
const MAX_PIECES: u64 = 1 << 20;

/// Pieces of a broken upload that are listed at once.
const LISTED: usize = 16;

/// An upload that nobody touched for so long was broken off.
const BROKEN_OFF: u64 = 24 * 3600;

/// How often an upload is touched.
const TOUCHED: Duration = Duration::from_secs(3600);

/// What one item says of an object. Its nonce is the token.
#[derive(Clone, Serialize, Deserialize)]
struct Entry {
    name: String,
    size: u64,
    /// CRC-32C of all bytes.
    sum: u32,
    pieces: u64,
}

/// What one item says of an upload under way. Its nonce is the token.
#[derive(Serialize, Deserialize)]
struct Upload {
    /// When it was touched last, in seconds since 1970.
    touched: u64,
    /// Somebody clears it: it must not be named any more.
    cleared: bool,
}

fn unix() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn taken(name: &str) -> JournalError {
    JournalError::Occupied(format!("there is an object {name:?} already"))
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// The objects of one log.
pub(crate) struct Store(Arc<Log>);

impl Store {
    async fn put(&self, name: &str, mut pieces: Pieces) -> Result<(), JournalError> {
        self.0.check().map_err(Failure::into_journal)?;
        let place = self.0.layout.object(name).map_err(Failure::into_journal)?;
        self.sweep().await.map_err(Failure::into_journal)?;
        let token = Nonce(rand::random());
        self.note(token, &Upload { touched: unix(), cleared: false })
            .await
            .map_err(Failure::into_journal)?;
        let uploaded = self.upload(token, &mut pieces).await;
        let named = match uploaded {
            Ok((size, sum, pieces)) => {
                let entry = Entry { name: name.to_owned(), size, sum, pieces };
                self.name(place, token, &entry).await
            }
            Err(error) => Err(error),
        };
        // What is not cleared now is cleared by a later sweep, unless it was named after all.
        match named {
            Err(error @ (JournalError::Occupied(_) | JournalError::Full(_))) => {
                drop(self.clear(token).await);
                Err(error)
            }
            Err(error) => Err(error),
            Ok(()) => {
                let note = self.0.layout.upload(token);
                self.0.delete(Purpose::Objects, note).await.map_err(Failure::into_journal)
            }
        }
    }

    fn upload_item(&self, token: Nonce, upload: &Upload, tag: Option<String>) -> Item {
        let (name, body) = (self.0.layout.upload(token), json(upload));
        Item { name, slot: 1, nonce: token, kind: kind::UPLOAD, body, tag }
    }

    /// Notes an upload, so that a sweep finds what is left of it.
    async fn note(&self, token: Nonce, upload: &Upload) -> Answer<()> {
        let item = self.upload_item(token, upload, None);
        self.0.create(Purpose::Objects, item).await.map(drop)
    }

    /// Says that the upload goes on, unless somebody clears it already.
    async fn touch(&self, token: Nonce) -> Answer<()> {
        loop {
            let name = self.0.layout.upload(token);
            let item = self.get(&name).await?;
            let swept = || {
                let why = "the upload was taken for broken off, and cleared; put the object again";
                Failure::new(Kind::Ambiguous, why)
            };
            let item = item.ok_or_else(swept)?;
            let upload: Upload = from_json(&item, kind::UPLOAD)?;
            if upload.cleared {
                return Err(swept());
            }
            let touched = Upload { touched: unix(), cleared: false };
            if self.replace(&self.upload_item(token, &touched, item.tag)).await? {
                return Ok(());
            }
        }
    }

    async fn replace(&self, item: &Item) -> Answer<bool> {
        self.0.insist(|| self.0.items.replace(Purpose::Objects, item.clone())).await
    }

    async fn get(&self, name: &Name) -> Answer<Option<Item>> {
        self.0.insist(|| self.0.items.get(Purpose::Objects, name.clone())).await
    }

    /// Writes the pieces, one after another; answers the size, the checksum and how many there were.
    async fn upload(
        &self,
        token: Nonce,
        pieces: &mut Pieces,
    ) -> Result<(u64, u32, u64), JournalError> {
        let (mut size, mut sum, mut count) = (0, 0, 0);
        let mut filling = BytesMut::with_capacity(PIECE);
        let mut ended = false;
        let mut touched = Instant::now();
        loop {
            while filling.len() < PIECE && !ended {
                match pieces.next().await.transpose()? {
                    Some(piece) => filling.extend_from_slice(&piece),
                    None => ended = true,
                }
            }
            if filling.is_empty() {
                return Ok((size, sum, count));
            }
            if touched.elapsed() >= TOUCHED {
                self.touch(token).await.map_err(Failure::into_journal)?;
                touched = Instant::now();
            }
            let body = filling.split_to(filling.len().min(PIECE)).freeze();
            size += body.len() as u64;
            sum = crc32c::crc32c_append(sum, &body);
            let name = self.0.layout.piece(token, count);
            let item = Item { name, slot: count, nonce: token, kind: kind::PIECE, body, tag: None };
            self.0.pace.turn().await;
            // One that is there is ours: nobody else has the token.
            self.0.create(Purpose::Objects, item).map_err(Failure::into_journal).await?;
            count += 1;
        }
    }

    /// Makes the object, whole and at once.
    async fn name(&self, name: Name, token: Nonce, entry: &Entry) -> Result<(), JournalError> {
        self.touch(token).await.map_err(Failure::into_journal)?;
        let body = json(entry);
        let item =
            Item { name: name.clone(), slot: 0, nonce: token, kind: kind::OBJECT, body, tag: None };
        let doubted = AtomicBool::new(false);
        let once = || {
            // Until there is an answer it may have happened, also when nobody waits for it any more.
            let doubted = &doubted;
            let before = doubted.swap(true, Ordering::Relaxed);
            let created = self.0.items.create(Purpose::Objects, item.clone());
            let settled = move |answer: &Answer<Created>| {
                if !matches!(answer, Err(failure) if failure.kind == Kind::Ambiguous) {
                    doubted.store(before, Ordering::Relaxed);
                }
            };
            created.inspect(settled).boxed()
        };
        let created = self.0.insist(once).await;
        // What may still come must find its pieces.
        let doubted = doubted.into_inner();
        match created {
            Ok(Created::New) => return Ok(()),
            Ok(Created::Taken) => {}
            Err(failure) if doubted => return Err(unavailable(failure.text)),
            Err(failure) => return Err(failure.into_journal()),
        }
        match self.get(&name).await.map_err(Failure::into_journal)? {
            Some(held) if held.nonce == token => Ok(()),
            _ if doubted => Err(unavailable(format!(
                "there is an object {:?} already, or it was put and deleted again",
                entry.name
            ))),
            _ => Err(taken(&entry.name)),
        }
    }

    async fn find(&self, name: &str) -> Answer<Option<(Nonce, Entry)>> {
        let item = self.get(&self.0.layout.object(name)?).await?;
        item.map(|item| Ok((item.nonce, from_json(&item, kind::OBJECT)?))).transpose()
    }

    /// What is said of objects, or of uploads.
    async fn listed(&self, slot: u64) -> Answer<Vec<Item>> {
        let partition = self.0.layout.objects();
        let (most, bytes) = (usize::MAX, usize::MAX);
        let range = Range { partition, from: slot, to: slot + 1, most, bytes };
        self.0.insist(|| self.0.items.range(Purpose::Objects, range.clone())).await
    }

    /// Removes an upload's pieces, then what is said of it.
    async fn clear(&self, token: Nonce) -> Answer<()> {
        let partition = self.0.layout.pieces(token);
        let range =
            Range { partition, from: 0, to: MAX_PIECES, most: LISTED, bytes: LISTED * PIECE };
        loop {
            self.0.pace.turn().await;
            let pieces =
                self.0.insist(|| self.0.items.range(Purpose::Objects, range.clone())).await?;
            if pieces.is_empty() {
                break;
            }
            for piece in pieces {
                self.remove(piece.name).await?;
            }
        }
        self.0.delete(Purpose::Objects, self.0.layout.upload(token)).await
    }

    async fn remove(&self, piece: Name) -> Answer<()> {
        self.0.pace.turn().await;
        self.0.delete(Purpose::Objects, piece).await
    }

    /// Clears what was left half done long ago.
    async fn sweep(&self) -> Answer<()> {
        let oldest = unix().saturating_sub(BROKEN_OFF);
        for item in self.listed(1).await? {
            let upload: Upload = from_json(&item, kind::UPLOAD)?;
            if upload.touched >= oldest {
                continue;
            }
            let token = item.nonce;
            let claimed = Upload { cleared: true, ..upload };
            if !self.replace(&self.upload_item(token, &claimed, item.tag)).await? {
                // It goes on, or somebody else clears it.
                continue;
            }
            if self.listed(0).await?.iter().any(|object| object.nonce == token) {
                self.0.delete(Purpose::Objects, item.name).await?;
            } else {
                self.clear(token).await?;
            }
        }
        Ok(())
    }

    async fn delete(&self, name: &str) -> Answer<()> {
        self.0.check()?;
        let Some((token, entry)) = self.find(name).await? else { return Ok(()) };
        self.note(token, &Upload { touched: 0, cleared: true }).await?;
        self.0.delete(Purpose::Objects, self.0.layout.object(name)?).await?;
        for piece in 0..entry.pieces {
            self.remove(self.0.layout.piece(token, piece)).await?;
        }
        self.0.delete(Purpose::Objects, self.0.layout.upload(token)).await
    }

    /// One piece of an object.
    async fn piece(&self, token: Nonce, piece: u64, object: &str) -> Answer<Bytes> {
        self.0.pace.turn().await;
        let item = self.get(&self.0.layout.piece(token, piece)).await?;
        item.map(|item| item.body).ok_or_else(|| {
            let why = format!("object {object:?} was deleted while it was read");
            Failure::new(Kind::Missing, why)
        })
    }

    /// Sends the pieces as fast as they are taken, and an error behind them if they are not what was put.
    async fn stream(
        &self,
        token: Nonce,
        entry: &Entry,
        into: mpsc::Sender<Result<Bytes, JournalError>>,
    ) {
        let (mut size, mut sum) = (0, 0);
        let pieces = (0..entry.pieces).map(|piece| self.piece(token, piece, &entry.name));
        let mut pieces = stream::iter(pieces).buffered(AHEAD);
        while let Some(piece) = pieces.next().await {
            if let Ok(bytes) = &piece {
                size += bytes.len() as u64;
                sum = crc32c::crc32c_append(sum, bytes);
            }
            let last = piece.is_err();
            if into.send(piece.map_err(Failure::into_journal)).await.is_err() || last {
                return;
            }
        }
        if (size, sum) != (entry.size, entry.sum) {
            let why = format!("object {:?} in the container is not what was put", entry.name);
            drop(into.send(Err(JournalError::Damaged(why))).await);
        }
    }
}

impl CosmosJournal {
    fn store(&self) -> Store {
        Store(self.log())
    }
}

impl Objects for CosmosJournal {
    fn put(&self, name: &str, pieces: Pieces) -> BoxFuture<'_, Result<(), JournalError>> {
        let (store, name) = (self.store(), name.to_owned());
        self.run(async move { store.put(&name, pieces).await })
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Option<Pieces>, JournalError>> {
        let (store, name) = (self.store(), name.to_owned());
        self.run(async move {
            let found = store.find(&name).await.map_err(Failure::into_journal)?;
            let Some((token, entry)) = found else { return Ok(None) };
            let (into, mut pieces) = mpsc::channel(1);
            tokio::spawn(async move { store.stream(token, &entry, into).await });
            Ok(Some(stream::poll_fn(move |context| pieces.poll_recv(context)).boxed()))
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Object>, JournalError>> {
        let store = self.store();
        self.run(async move {
            let items = store.listed(0).await.map_err(Failure::into_journal)?;
            let object = |item: &Item| -> Answer<Object> {
                let Entry { name, size, .. } = from_json(item, kind::OBJECT)?;
                Ok(Object { name, size })
            };
            let objects: Answer<Vec<Object>> = items.iter().map(object).collect();
            let mut objects = objects.map_err(Failure::into_journal)?;
            objects.sort_unstable_by(|one, other| one.name.cmp(&other.name));
            Ok(objects)
        })
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), JournalError>> {
        let (store, name) = (self.store(), name.to_owned());
        self.run(async move { store.delete(&name).await.map_err(Failure::into_journal) })
    }
}
