//! Immutable named objects beside the log: checkpoints that replicas share. They are streamed in
//! both directions, so an object may be larger than memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use futures::{FutureExt, TryStreamExt};
use parking_lot::Mutex;

use crate::JournalError;

/// An object's bytes, in pieces of any size. A stream that ends with an error is not an object.
pub type Pieces = BoxStream<'static, Result<Bytes, JournalError>>;

/// An object, as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub size: u64,
}

/// A place for immutable named objects.
///
/// All methods may be called from any thread, and by many replicas at once.
pub trait Objects: Send + Sync + 'static {
    /// Keeps an object. It is there as a whole, and durable, when this returns, and not visible
    /// before; after an error it may be there as a whole, or not at all. A name that is taken is
    /// [`JournalError::Occupied`]; an object is never replaced.
    fn put(&self, name: &str, pieces: Pieces) -> BoxFuture<'_, Result<(), JournalError>>;

    /// The object's bytes; `None` if there is none of this name. The stream ends with an error when
    /// the object is deleted meanwhile.
    fn get(&self, name: &str) -> BoxFuture<'_, Result<Option<Pieces>, JournalError>>;

    /// All objects, by name. May lag a moment behind another replica's `put` or `delete`.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Object>, JournalError>>;

    /// Removes an object. One that is not there is none already.
    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), JournalError>>;
}

/// Objects in memory, for tests. A clone sees the same ones.
#[derive(Clone, Debug, Default)]
pub struct MemoryObjects(Arc<Mutex<BTreeMap<String, Vec<Bytes>>>>);

impl Objects for MemoryObjects {
    fn put(&self, name: &str, pieces: Pieces) -> BoxFuture<'_, Result<(), JournalError>> {
        let name = name.to_owned();
        async move {
            let pieces = pieces.try_collect().await?;
            let mut held = self.0.lock();
            if held.contains_key(&name) {
                return Err(JournalError::Occupied(format!("there is an object {name:?} already")));
            }
            held.insert(name, pieces);
            Ok(())
        }
        .boxed()
    }

    fn get(&self, name: &str) -> BoxFuture<'_, Result<Option<Pieces>, JournalError>> {
        let found = self.0.lock().get(name).cloned();
        async move { Ok(found.map(|pieces| stream::iter(pieces).map(Ok).boxed())) }.boxed()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Object>, JournalError>> {
        async move {
            let size = |pieces: &Vec<Bytes>| pieces.iter().map(|piece| piece.len() as u64).sum();
            let held = self.0.lock();
            Ok(held.iter().map(|(n, p)| Object { name: n.clone(), size: size(p) }).collect())
        }
        .boxed()
    }

    fn delete(&self, name: &str) -> BoxFuture<'_, Result<(), JournalError>> {
        self.0.lock().remove(name);
        async { Ok(()) }.boxed()
    }
}
