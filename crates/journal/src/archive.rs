//! An archive: objects that are listed beside the journal, and whose bytes may stand elsewhere. The list is
//! the journal's, so it is as durable and as old as the journal is, and a replica that has another archive
//! than the others finds that what is listed is not there.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use futures::{FutureExt, TryStreamExt};
use parking_lot::Mutex;
use rand::Rng;

use crate::{JournalError, Object, Objects, Pieces};

/// Begins what is listed in the place of an object.
const MAGIC: &str = "meridian: this object is kept in an archive\n";
/// No pointer is larger.
const MAX_POINTER: u64 = 1 << 10;
/// Ends the name under which something is listed that is on its way to another place.
const PENDING: &str = ".pending";
/// What is on its way for so long was broken off.
const BROKEN_OFF: Duration = Duration::from_secs(24 * 3600);

/// Another place for an object's bytes.
#[derive(Clone)]
struct Place {
    objects: Arc<dyn Objects>,
    /// As it was named, for messages.
    name: String,
}

/// Objects that are listed in one place and may be kept in another.
#[derive(Clone)]
pub struct Archive {
    list: Arc<dyn Objects>,
    place: Option<Place>,
}

impl Archive {
    /// All stands where it is listed; what was kept elsewhere cannot be read.
    #[must_use]
    pub fn beside(list: Arc<dyn Objects>) -> Self {
        Self { list, place: None }
    }

    /// What is put from now on is kept in `place`, whose name is for messages.
    #[must_use]
    pub fn elsewhere(list: Arc<dyn Objects>, place: Arc<dyn Objects>, name: String) -> Self {
        Self { list, place: Some(Place { objects: place, name }) }
    }

    /// Whether everything that is listed can be found.
    ///
    /// # Errors
    /// What is missing, and why that may be; or that it cannot be learnt now.
    pub async fn check(&self) -> Result<(), JournalError> {
        self.pointers().await.map(drop)
    }

    /// What is listed and kept elsewhere. Every one of them must be there.
    async fn pointers(&self) -> Result<Vec<Pointer>, JournalError> {
        let held = match &self.place {
            Some(place) => place.objects.list().await?,
            None => Vec::new(),
        };
        let mut pointers = Vec::new();
        for listed in self.list.list().await?.into_iter().filter(|object| !is_pending(object)) {
            let Some(pointer) = self.pointer(&listed).await? else { continue };
            let there = held.iter().any(|object| object.name == pointer.name);
            // Kept after we looked, it is there now; deleted meanwhile, it is not listed any more.
            if !there && self.missing(&listed, &pointer).await? {
                return Err(self.elsewhere_than(&listed.name));
            }
            pointers.push(pointer);
        }
        Ok(pointers)
    }

    async fn missing(&self, listed: &Object, pointer: &Pointer) -> Result<bool, JournalError> {
        if let Some(place) = &self.place
            && place.objects.get(&pointer.name).await?.is_some()
        {
            return Ok(false);
        }
        Ok(self.pointer(listed).await?.as_ref() == Some(pointer))
    }

    async fn pointer(&self, listed: &Object) -> Result<Option<Pointer>, JournalError> {
        if listed.size > MAX_POINTER {
            return Ok(None);
        }
        let Some(pieces) = self.list.get(&listed.name).await? else { return Ok(None) };
        let pieces: Vec<Bytes> = pieces.try_collect().await?;
        Ok(Pointer::decode(&pieces.concat()))
    }

    fn elsewhere_than(&self, name: &str) -> JournalError {
        JournalError::Unavailable(match &self.place {
            Some(place) => format!(
                "{name:?} was put into an archive and is not in {}: all replicas must name the same \
                 --archive, and it must be mounted",
                place.name
            ),
            None => format!(
                "{name:?} was put into an archive, and this replica has none: start it with the \
                 --archive that the others have"
            ),
        })
    }

    async fn keep(&self, name: &str, pieces: Pieces) -> Result<(), JournalError> {
        let Some(place) = &self.place else { return self.list.put(name, pieces).await };
        let taken = self.list.list().await?.iter().any(|object| object.name == name);
        if taken {
            return Err(JournalError::Occupied(format!("there is an object {name:?} already")));
        }
        // Into a wrong place nothing is put: the journal would be trimmed behind what others cannot read.
        let pointers = self.pointers().await?;
        self.sweep(place, &pointers).await?;
        let random: u64 = rand::rng().random();
        let kept = format!("{name}.{:x}.{random:016x}", now().as_secs());
        let pending = format!("{kept}{PENDING}");
        self.list.put(&pending, stream::empty().boxed()).await?;
        let (measured, pieces) = measure(pieces);
        place.objects.put(&kept, pieces).await?;
        let (size, sum) = *measured.lock();
        let pointer = Pointer { name: kept.clone(), size, sum };
        let listed = self.list.put(name, stream::iter([Ok(pointer.encode())]).boxed()).await;
        if matches!(listed, Err(JournalError::Occupied(_))) {
            place.objects.delete(&kept).await?;
        }
        if matches!(listed, Ok(()) | Err(JournalError::Occupied(_))) {
            self.list.delete(&pending).await?;
        }
        listed
    }

    /// Removes what was broken off long ago. Only what is listed as ours: others may use the place.
    async fn sweep(&self, place: &Place, pointers: &[Pointer]) -> Result<(), JournalError> {
        let oldest = now().saturating_sub(BROKEN_OFF);
        for object in self.list.list().await?.iter().filter(|object| is_pending(object)) {
            let kept = object.name.trim_end_matches(PENDING);
            let began = kept.rsplit('.').nth(1).map(|text| u64::from_str_radix(text, 16));
            let old = matches!(began, Some(Ok(began)) if Duration::from_secs(began) < oldest);
            if !old {
                continue;
            }
            if !pointers.iter().any(|pointer| pointer.name == kept) {
                place.objects.delete(kept).await?;
            }
            self.list.delete(&object.name).await?;
        }
        Ok(())
    }

    async fn fetch(&self, name: &str) -> Result<Option<Pieces>, JournalError> {
        let Some(mut pieces) = self.list.get(name).await? else { return Ok(None) };
        let mut first = Vec::new();
        while first.len() < MAGIC.len()
            && let Some(piece) = pieces.try_next().await?
        {
            first.extend_from_slice(&piece);
        }
        if !first.starts_with(MAGIC.as_bytes()) {
            return Ok(Some(stream::iter([Ok(first.into())]).chain(pieces).boxed()));
        }
        let rest: Vec<Bytes> = pieces.try_collect().await?;
        first.extend(rest.concat());
        let damaged = || JournalError::Damaged(format!("what is listed as {name:?} is no pointer"));
        let pointer = Pointer::decode(&first).ok_or_else(damaged)?;
        let found = match &self.place {
            Some(place) => place.objects.get(&pointer.name).await?,
            None => None,
        };
        let found = found.ok_or_else(|| self.elsewhere_than(name))?;
        Ok(Some(checked(found, pointer)))
    }

    async fn listed(&self) -> Result<Vec<Object>, JournalError> {
        let mut listed = self.list.list().await?;
        listed.retain(|object| !is_pending(object));
        for object in &mut listed {
            if let Some(pointer) = self.pointer(object).await? {
                object.size = pointer.size;
            }
        }
        Ok(listed)
    }

    async fn remove(&self, name: &str) -> Result<(), JournalError> {
        let listed = self.list.list().await?.into_iter().find(|object| object.name == name);
        let Some(listed) = listed else { return Ok(()) };
        let pointer = self.pointer(&listed).await?;
        self.list.delete(name).await?;
        if let (Some(pointer), Some(place)) = (pointer, &self.place) {
            place.objects.delete(&pointer.name).await?;
        }
        Ok(())
    }
}

impl Objects for Archive {
    fn put(&self, name: &str, pieces: Pieces) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        async move { self.keep(&name, pieces).await }.boxed()
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Option<Pieces>, JournalError>> {
        let name = name.to_owned();
        async move { self.fetch(&name).await }.boxed()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Object>, JournalError>> {
        self.listed().boxed()
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        async move { self.remove(&name).await }.boxed()
    }
}

/// Where an object's bytes are, and what they come to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pointer {
    name: String,
    size: u64,
    sum: u32,
}

impl Pointer {
    fn encode(&self) -> Bytes {
        format!("{MAGIC}{} {:08x}\n{}", self.size, self.sum, self.name).into()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.strip_prefix(MAGIC)?;
        let (numbers, name) = text.split_once('\n')?;
        let (size, sum) = numbers.split_once(' ')?;
        let (size, sum) = (size.parse().ok()?, u32::from_str_radix(sum, 16).ok()?);
        Some(Self { name: name.to_owned(), size, sum })
    }
}

fn is_pending(object: &Object) -> bool {
    object.name.ends_with(PENDING)
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

type Measured = Arc<Mutex<(u64, u32)>>;

/// The same pieces, and what they come to once they are all taken.
fn measure(pieces: Pieces) -> (Measured, Pieces) {
    let measured = Measured::default();
    let shared = Arc::clone(&measured);
    let pieces = pieces.inspect_ok(move |piece| {
        let mut so_far = shared.lock();
        so_far.0 += piece.len() as u64;
        so_far.1 = crc32c::crc32c_append(so_far.1, piece);
    });
    (measured, pieces.boxed())
}

/// The same pieces, with an error at the end if they are not what the pointer says.
fn checked(pieces: Pieces, pointer: Pointer) -> Pieces {
    let (measured, pieces) = measure(pieces);
    let verdict = stream::once(async move {
        let right = *measured.lock() == (pointer.size, pointer.sum);
        let what = || format!("{:?} in the archive is not what was put there", pointer.name);
        if right { Ok(Bytes::new()) } else { Err(JournalError::Damaged(what())) }
    });
    pieces.chain(verdict).boxed()
}
