//! An image back into a state. Damaged bytes are an error that says where; nothing is repaired.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::block::{self, Kind, record};
use super::{FORMAT, ImageError, MAGIC, auth};
use crate::cluster::Cluster;
use crate::codec::{DecodeError, Reader};
use crate::digest::{self, Digest};
use crate::entry::alarm_type;
use crate::ids::{Epoch, LeaseId, MemberId, ModRevision, Position, Revision, Timestamp};
use crate::keyspace::Keyspace;
use crate::mvcc::{KeyHash, Loader, Sum, View};
use crate::outcome::Alarm;
use crate::state::State;

/// How many records are read before they are loaded.
const TOGETHER: usize = 64;

/// Takes an image's bytes in any portions and gives the state back.
#[derive(Default)]
pub struct ImageLoader {
    unread: BytesMut,
    /// How many bytes went before `unread`.
    offset: usize,
    state: State,
    hash: Option<KeyHash>,
    keys: Option<Loader>,
    /// The kind of the block before.
    last: Option<Kind>,
    records: u64,
    /// The versions that name a lease, overwritten ones among them.
    leased: Vec<ModRevision>,
    written: Option<Digest>,
}

impl ImageLoader {
    /// Before the first byte.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Before the first byte, with a hash of keys for [`Loader::with_hash`].
    #[must_use]
    pub fn with_hash(hash: KeyHash) -> Self {
        Self { hash: Some(hash), ..Self::default() }
    }

    /// Takes the next portion.
    ///
    /// # Errors
    /// What is wrong with it; the loader is of no use afterwards.
    pub fn push(&mut self, portion: &[u8]) -> Result<(), ImageError> {
        self.unread.extend_from_slice(portion);
        while let Some((kind, length)) = block::first(&self.unread, self.offset)? {
            let block = self.unread.split_to(length).freeze();
            self.block(kind, &block)?;
        }
        Ok(())
    }

    /// As [`ImageLoader::push`], without a copy of blocks that are whole.
    ///
    /// # Errors
    /// What is wrong with it; the loader is of no use afterwards.
    pub fn push_owned(&mut self, mut portion: Bytes) -> Result<(), ImageError> {
        while self.unread.is_empty() {
            let Some((kind, length)) = block::first(&portion, self.offset)? else { break };
            let block = portion.split_to(length);
            self.block(kind, &block)?;
        }
        self.push(&portion)
    }

    /// The state, if the image was whole.
    ///
    /// # Errors
    /// It ends too early, or is not the state that was written.
    pub fn finish(self) -> Result<State, ImageError> {
        let newer = self.newer();
        self.finish_with(|| newer.sum())
    }

    /// The longer part of what [`ImageLoader::finish`] has to do, for another thread. After all portions.
    #[must_use]
    pub fn newer(&self) -> Newer {
        Newer(self.keys.as_ref().map(Loader::history_alone))
    }

    /// As [`ImageLoader::finish`], where somebody else computes [`Newer::sum`] meanwhile: it is asked
    /// for in the end.
    ///
    /// # Errors
    /// It ends too early, or is not the state that was written.
    pub fn finish_with(mut self, newer: impl FnOnce() -> NewerSum) -> Result<State, ImageError> {
        let offset = self.offset + self.unread.len();
        let whole = self.unread.is_empty();
        let (Some(written), Some(keys), true) = (self.written, self.keys.take(), whole) else {
            return Err(DecodeError::Damaged { what: "it ends too early", offset }.into());
        };
        self.state.keyspace.mvcc = keys.finish();
        self.attach();
        let image = self.state.image();
        let keys = image.view.hash_with(newer().0);
        let loaded = Digest { keys, rest: digest::rest(&image) };
        if written != loaded {
            return Err(ImageError::Digest { written, loaded });
        }
        Ok(self.state)
    }

    fn block(&mut self, kind: Kind, block: &Bytes) -> Result<(), DecodeError> {
        let begin = self.offset + block::HEAD;
        let payload = block.slice(block::HEAD..);
        self.payload(kind, &payload).map_err(|error| shift(error, begin))?;
        self.offset = begin + payload.len();
        Ok(())
    }

    fn payload(&mut self, kind: Kind, payload: &Bytes) -> Result<(), DecodeError> {
        let mut reader = Reader::new(payload);
        if self.written.is_some() {
            return reader.damaged("something follows the end");
        }
        let in_place = match self.last.replace(kind) {
            None => kind == Kind::Header,
            Some(last) => kind.may_follow(last),
        };
        if !in_place {
            return reader.damaged("a block out of place");
        }
        match kind {
            Kind::Header => self.header(&mut reader)?,
            Kind::Auth => self.state.auth = Arc::new(auth::decode(&mut reader)?),
            Kind::Cluster => self.state.cluster = Cluster::decode(&mut reader)?,
            Kind::Leases => self.leases(&mut reader)?,
            Kind::Records => self.records(&mut reader)?,
            Kind::Trailer => self.trailer(&mut reader)?,
        }
        if reader.remaining() != 0 {
            return reader.damaged("a block with something left over");
        }
        Ok(())
    }

    fn header(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        for expected in MAGIC {
            if reader.byte()? != *expected {
                return reader.damaged("not an image");
            }
        }
        let offset = reader.offset();
        let found = reader.unsigned()?;
        if found == 0 {
            return reader.damaged("format 0");
        }
        if found > FORMAT {
            let (what, understood) = ("image format", FORMAT);
            return Err(DecodeError::Newer { what, found, understood, offset });
        }
        self.state.position = Position(reader.unsigned()?);
        self.state.epoch = Epoch(reader.unsigned()?);
        self.state.clock = Timestamp(reader.unsigned()?);
        let revision = Revision(reader.signed()?);
        let compact_revision = Revision(reader.signed()?);
        let bounds = Revision::NEVER_COMPACTED..=revision;
        if revision < Revision::FIRST || !bounds.contains(&compact_revision) {
            return reader.damaged("revisions that cannot be");
        }
        for _ in 0..reader.count()? {
            let member = MemberId(reader.unsigned()?);
            self.state.alarms.raise(Alarm { member, alarm: alarm_type(reader)? });
        }
        self.keys = Some(match self.hash.take() {
            Some(hash) => Loader::with_hash(revision, compact_revision, hash),
            None => Loader::new(revision, compact_revision),
        });
        Ok(())
    }

    fn leases(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        while reader.remaining() > 0 {
            let id = LeaseId(reader.signed()?);
            let ttl = reader.signed()?;
            if self.state.keyspace.leases.grant(id, ttl).is_err() {
                return reader.damaged("a lease that cannot be");
            }
        }
        Ok(())
    }

    fn records(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut last = ModRevision::default();
        let Some(keys) = &mut self.keys else { return reader.damaged("records before the header") };
        while reader.remaining() > 0 {
            let mut some = Vec::with_capacity(TOGETHER);
            while reader.remaining() > 0 && some.len() < TOGETHER {
                some.push(record::decode(reader, &mut last)?);
            }
            let some: Vec<_> = some.iter().map(record::Record::as_kv).collect();
            if some.iter().any(|kv| kv.key.is_empty()) || keys.push(&some).is_err() {
                return reader.damaged("a record that cannot be");
            }
            let leased = some.iter().filter(|kv| kv.lease != LeaseId::NONE);
            self.leased.extend(leased.map(|kv| kv.at()));
            self.records += some.len() as u64;
        }
        Ok(())
    }

    fn trailer(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let records = reader.unsigned()?;
        let leases = reader.unsigned()?;
        if records != self.records || leases != self.state.lease_count() as u64 {
            return reader.damaged("records or leases are missing");
        }
        self.written = Some(Digest { keys: reader.fixed32()?, rest: reader.fixed32()? });
        Ok(())
    }

    /// A key belongs to the lease that its newest version names.
    fn attach(&mut self) {
        let Keyspace { mvcc, leases } = &mut self.state.keyspace;
        for at in self.leased.drain(..) {
            let Some(kv) = mvcc.record(at) else { continue };
            if mvcc.get(kv.key).is_none_or(|newest| newest.at() != at) {
                continue;
            }
            leases.reattach(kv.key, kv.lease);
        }
    }
}

/// The loaded records above the compacted revision, of which the digest is made.
pub struct Newer(Option<View>);

/// What they come to.
pub struct NewerSum(Sum);

impl Newer {
    /// Reads all of them.
    #[must_use]
    pub fn sum(&self) -> NewerSum {
        NewerSum(self.0.as_ref().map_or_else(Sum::behind, View::sum_of_newer))
    }
}

fn shift(error: DecodeError, by: usize) -> DecodeError {
    match error {
        DecodeError::Newer { what, found, understood, offset } => {
            DecodeError::Newer { what, found, understood, offset: offset + by }
        }
        DecodeError::Damaged { what, offset } => DecodeError::Damaged { what, offset: offset + by },
    }
}
