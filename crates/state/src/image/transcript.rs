//! An image made while the records of another store come by, without the keys in memory: byte for byte
//! what the state of those records would write. Possible where compaction was carried out: of what
//! lies up to it, each key has one record. Otherwise [`Untold`], and the state has to be made first.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::BuildHasherDefault;

use bytes::{Bytes, BytesMut};

use super::block::{self, Kind, record};
use super::{BLOCK, Chunks, Image, Stage};
use crate::digest::{self, Digest};
use crate::ids::{LeaseId, ModRevision, Revision};
use crate::mvcc::{Hashed, KeyHash, KvRef, MAX_CHANGES, Sum, Unloadable};

/// Why the records do not make an image as they come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untold {
    /// They make none at all.
    Never(Unloadable),
    /// Only who has all of them knows which of them stay.
    Superseded,
}

impl fmt::Display for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never(error) => error.fmt(f),
            Self::Superseded => f.write_str("records are there that compaction has not removed"),
        }
    }
}

impl std::error::Error for Untold {}

/// Two hashes of a key, which nobody foresees: no two keys have both.
type Print = (u64, u64);

/// What compaction has left: a record up to the compacted revision for each key that has one.
#[derive(Default)]
struct Old {
    /// By the first hash: the second, and which of them in their order.
    keys: HashMap<u64, (u64, usize), BuildHasherDefault<Hashed>>,
    /// In their order: whether its key exists, and has no newer version.
    newest: Vec<bool>,
}

/// See the module. First [`Transcript::beginning`], then each record to [`Transcript::record`], then the
/// older ones again to [`Transcript::again`] if it [wants](Transcript::wants_again) them, then
/// [`Transcript::finish`].
pub struct Transcript {
    /// Of everything but the keys.
    image: Image,
    compacted: Revision,
    hashes: [KeyHash; 2],
    open: BytesMut,
    /// The last record, and the last in the open block.
    last: ModRevision,
    last_in_block: ModRevision,
    count: u64,
    old: Old,
    /// Whether the last record is a key that exists.
    last_lives: bool,
    /// Keys whose newest version names a lease that is not there.
    astray: HashSet<Print>,
    old_sum: Sum,
    new_sum: Sum,
    /// How many of the older records were shown again.
    shown_again: usize,
}

impl Transcript {
    /// Of the records to come and of everything else in `image`, which has no keys. `hashes` are two
    /// that those who choose keys cannot foresee.
    #[must_use]
    pub fn new(image: Image, hashes: [KeyHash; 2]) -> Self {
        let compacted = image.view.compact_revision();
        Self {
            image,
            compacted,
            hashes,
            open: block::begin(BLOCK + BLOCK / 16),
            last: ModRevision::default(),
            last_in_block: ModRevision::default(),
            count: 0,
            old: Old::default(),
            last_lives: false,
            astray: HashSet::new(),
            old_sum: Sum::begin(),
            new_sum: Sum::behind(),
            shown_again: 0,
        }
    }

    /// The blocks before those of the records.
    pub fn beginning(&self) -> impl Iterator<Item = Bytes> + '_ {
        let mut chunks = Chunks { image: &self.image, stage: Stage::Header, digest: None };
        std::iter::from_fn(move || chunks.next_before_records())
    }

    /// The next record; a block, if that is full.
    ///
    /// # Errors
    /// [`Untold`]; nothing but a new beginning makes sense then.
    pub fn record(&mut self, kv: &KvRef<'_>) -> Result<Option<Bytes>, Untold> {
        let at = kv.at();
        if at <= self.last {
            return Err(Untold::Never(Unloadable::OutOfOrder(at)));
        }
        let revisions = Revision(1)..=self.image.view.revision();
        if !revisions.contains(&at.main) || at.sub >= MAX_CHANGES {
            return Err(Untold::Never(Unloadable::OutOfBounds(at)));
        }
        (self.last, self.last_lives) = (at, !kv.tombstone);
        if at.main <= self.compacted {
            self.note_old(kv)?;
        } else {
            self.note_new(kv);
        }
        record::encode(&mut self.open, &mut self.last_in_block, kv);
        self.count += 1;
        Ok((self.open.len() >= BLOCK).then(|| self.close()))
    }

    fn close(&mut self) -> Bytes {
        self.last_in_block = ModRevision::default();
        let next = block::begin(BLOCK + BLOCK / 16);
        block::finish(std::mem::replace(&mut self.open, next), Kind::Records)
    }

    fn print(&self, key: &[u8]) -> Print {
        let [one, other] = &self.hashes;
        (one(key), other(key))
    }

    fn note_old(&mut self, kv: &KvRef<'_>) -> Result<(), Untold> {
        let print = self.print(kv.key);
        let before = self.old.keys.insert(print.0, (print.1, self.old.newest.len()));
        if before.is_some() || (kv.tombstone && kv.mod_revision < self.compacted) {
            return Err(Untold::Superseded);
        }
        self.old.newest.push(!kv.tombstone);
        // A deletion exactly there stays, and does not count.
        if !kv.tombstone {
            self.old_sum.add(kv);
        }
        self.note_lease(kv, print);
        Ok(())
    }

    fn note_new(&mut self, kv: &KvRef<'_>) {
        self.new_sum.add(kv);
        if self.old.newest.is_empty() && self.astray.is_empty() && self.has_its_lease(kv) {
            return;
        }
        let print = self.print(kv.key);
        if let Some((_, nth)) = self.old.keys.get(&print.0).filter(|(other, _)| *other == print.1) {
            self.old.newest[*nth] = false;
        }
        self.note_lease(kv, print);
    }

    fn has_its_lease(&self, kv: &KvRef<'_>) -> bool {
        let leases = &self.image.leases;
        kv.lease == LeaseId::NONE || leases.binary_search_by_key(&kv.lease, |(id, _)| *id).is_ok()
    }

    fn note_lease(&mut self, kv: &KvRef<'_>, print: Print) {
        if !self.has_its_lease(kv) {
            self.astray.insert(print);
        } else if !self.astray.is_empty() {
            self.astray.remove(&print);
        }
    }

    /// Whether the records up to the compacted revision are to be shown again: HashKV counts those that
    /// are still their key's newest, and that was not known before.
    #[must_use]
    pub fn wants_again(&mut self) -> bool {
        let old = self.old.newest.iter().filter(|newest| **newest).count() as u64;
        if old == self.old_sum.records() {
            self.shown_again = self.old.newest.len();
            return false;
        }
        self.old_sum = Sum::begin();
        true
    }

    /// One of the older records, in their order, once more. Whether more of them are wanted.
    pub fn again(&mut self, kv: &KvRef<'_>) -> bool {
        if self.old.newest.get(self.shown_again).is_some_and(|newest| *newest) {
            self.old_sum.add(kv);
        }
        self.shown_again += 1;
        self.shown_again < self.old.newest.len()
    }

    /// The last blocks, the digest, and how many keys name a lease that is not there.
    ///
    /// # Errors
    /// [`Untold::Superseded`].
    pub fn finish(mut self) -> Result<(Vec<Bytes>, Digest, u64), Untold> {
        assert_eq!(self.shown_again, self.old.newest.len(), "the older ones were shown again");
        // Where no key is left, HashKV goes another way.
        let lives = self.last_lives || self.old_sum.records() > 0;
        if !lives && !self.old.newest.is_empty() {
            return Err(Untold::Superseded);
        }
        let mut blocks = Vec::with_capacity(2);
        if self.open.len() > block::HEAD {
            blocks.push(self.close());
        }
        let keys = self.old_sum.followed_by(self.new_sum);
        let digest = Digest { keys, rest: digest::rest(&self.image) };
        blocks.push(self.image.trailer(self.count, digest));
        Ok((blocks, digest, self.astray.len() as u64))
    }
}

#[cfg(test)]
#[path = "transcript_tests.rs"]
mod tests;
