//! A checkpoint's bytes, without the file: the whole state, pinned, cut into blocks. `docs/format.md`
//! draws them. Made on any thread while the machine goes on.

pub(crate) mod auth;
mod block;
mod load;
mod transcript;

use std::fmt;
use std::iter::Peekable;
use std::sync::Arc;

use bytes::{BufMut, Bytes};

use crate::auth::Auth;
use crate::cluster::Cluster;
use crate::codec::{DecodeError, put_signed, put_unsigned};
use crate::digest::{self, Digest};
use crate::entry::alarm_number;
use crate::ids::{Epoch, LeaseId, ModRevision, Position, Revision, Timestamp};
use crate::level::Level;
use crate::mvcc::{KvRef, View};
use crate::outcome::Alarm;
use crate::state::State;
use block::{Kind, record};

pub use load::{ImageLoader, Newer, NewerSum};
pub use transcript::{Transcript, Untold};

const MAGIC: &[u8; 8] = b"MERIDIAN";
/// What is written when there is nothing that older versions do not know, so that they read it.
const FIRST_FORMAT: u64 = 1;
/// With a block of users and rights, or one about the cluster, or both.
const SECOND_FORMAT: u64 = 2;
/// With members listed in the block about the cluster.
const THIRD_FORMAT: u64 = 3;
/// With the cluster's level in it, which all members can apply: so no lower one has to read this.
const FORMAT: u64 = 4;
/// A block is closed when it has so many bytes.
const BLOCK: usize = 1 << 20;

/// A state pinned at a position.
pub struct Image {
    pub(crate) position: Position,
    pub(crate) epoch: Epoch,
    pub(crate) clock: Timestamp,
    pub(crate) alarms: Vec<Alarm>,
    pub(crate) cluster: Cluster,
    /// By id. What is attached follows from the keys.
    pub(crate) leases: Vec<(LeaseId, i64)>,
    pub(crate) view: View,
    /// None, if nobody ever asked for any.
    pub(crate) auth: Option<Arc<Auth>>,
}

/// Why an image could not be read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// A block is damaged or newer; the offset counts from the beginning of the image.
    Block(DecodeError),
    /// Every block is sound, but together they are not the state that was written.
    Digest {
        /// What the image says.
        written: Digest,
        /// What was loaded.
        loaded: Digest,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(error) => write!(f, "image: {error}"),
            Self::Digest { written, loaded } => {
                write!(f, "image: written with digest {written}, loaded with {loaded}")
            }
        }
    }
}

impl std::error::Error for ImageError {}

impl From<DecodeError> for ImageError {
    fn from(error: DecodeError) -> Self {
        Self::Block(error)
    }
}

impl Image {
    pub(crate) fn of(state: &State) -> Self {
        Self {
            position: state.position,
            epoch: state.epoch,
            clock: state.clock,
            alarms: state.alarms().collect(),
            cluster: state.cluster.clone(),
            leases: state.leases().collect(),
            view: state.view(),
            auth: Some(Arc::clone(&state.auth)).filter(|auth| !auth.is_untouched()),
        }
    }

    /// The newest entry it holds.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// The keys.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The writer's epoch at that position.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The alarms that were on, by member.
    #[must_use]
    pub fn alarms(&self) -> &[Alarm] {
        &self.alarms
    }

    /// What the cluster kept about itself.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Every lease and its time to live, by id.
    #[must_use]
    pub fn leases(&self) -> &[(LeaseId, i64)] {
        &self.leases
    }

    /// Users and rights; none, if nobody ever asked for any.
    #[must_use]
    pub fn auth(&self) -> Option<&Auth> {
        self.auth.as_deref()
    }

    /// See [`State::digest`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        let keys = self.view.hash(Revision(0)).expect("the newest revision can be read");
        Digest { keys: keys.hash, rest: digest::rest(self) }
    }

    /// The bytes, in blocks of about a mebibyte, each made when it is asked for.
    pub fn chunks(&self) -> impl Iterator<Item = Bytes> + '_ {
        self.chunks_with(|| self.digest())
    }

    /// As [`Image::chunks`], where somebody else computes the [`Image::digest`] meanwhile: it is asked
    /// for in the end.
    pub fn chunks_with<'a>(
        &'a self,
        digest: impl FnOnce() -> Digest + 'a,
    ) -> impl Iterator<Item = Bytes> + 'a {
        Chunks { image: self, stage: Stage::Header, digest: Some(Box::new(digest)) }
    }

    fn format(&self) -> u64 {
        if self.cluster.level() > Level::FIRST {
            FORMAT
        } else if !self.cluster.members().is_empty() {
            THIRD_FORMAT
        } else if self.auth.is_some() || !self.cluster.is_silent() {
            SECOND_FORMAT
        } else {
            FIRST_FORMAT
        }
    }

    fn header(&self) -> Bytes {
        let mut out = block::begin(256);
        out.put_slice(MAGIC);
        put_unsigned(&mut out, self.format());
        put_unsigned(&mut out, self.position.0);
        put_unsigned(&mut out, self.epoch.0);
        put_unsigned(&mut out, self.clock.0);
        put_signed(&mut out, self.view.revision().0);
        put_signed(&mut out, self.view.compact_revision().0);
        put_unsigned(&mut out, self.alarms.len() as u64);
        for alarm in &self.alarms {
            put_unsigned(&mut out, alarm.member.0);
            out.put_u8(alarm_number(alarm.alarm));
        }
        block::finish(out, Kind::Header)
    }

    fn auth_block(&self) -> Option<Bytes> {
        let mut out = block::begin(1024);
        auth::encode(&mut out, self.auth.as_ref()?);
        Some(block::finish(out, Kind::Auth))
    }

    fn cluster_block(&self) -> Option<Bytes> {
        let mut out = block::begin(256);
        self.cluster.encode(&mut out);
        (!self.cluster.is_silent()).then(|| block::finish(out, Kind::Cluster))
    }

    fn lease_block(&self, from: usize) -> (Bytes, usize) {
        let mut out = block::begin(BLOCK.min(16 + 20 * (self.leases.len() - from)));
        let mut next = from;
        while next < self.leases.len() && out.len() < BLOCK {
            let (id, ttl) = self.leases[next];
            put_signed(&mut out, id.0);
            put_signed(&mut out, ttl);
            next += 1;
        }
        (block::finish(out, Kind::Leases), next)
    }

    fn trailer(&self, records: u64, digest: Digest) -> Bytes {
        let mut out = block::begin(64);
        put_unsigned(&mut out, records);
        put_unsigned(&mut out, self.leases.len() as u64);
        out.put_u32_le(digest.keys);
        out.put_u32_le(digest.rest);
        block::finish(out, Kind::Trailer)
    }
}

/// The blocks in their order: header, rights, cluster, leases, records, trailer.
struct Chunks<'a> {
    image: &'a Image,
    stage: Stage<'a>,
    digest: Option<Box<dyn FnOnce() -> Digest + 'a>>,
}

enum Stage<'a> {
    Header,
    Auth,
    Cluster,
    Leases { next: usize },
    Records { rest: Peekable<Box<dyn Iterator<Item = KvRef<'a>> + 'a>>, count: u64 },
    Done,
}

impl Chunks<'_> {
    /// The next block in front of the records, if there is one more.
    fn next_before_records(&mut self) -> Option<Bytes> {
        let image = self.image;
        match &mut self.stage {
            Stage::Header => {
                self.stage = Stage::Auth;
                Some(image.header())
            }
            Stage::Auth => {
                self.stage = Stage::Cluster;
                image.auth_block().or_else(|| self.next_before_records())
            }
            Stage::Cluster => {
                self.stage = Stage::Leases { next: 0 };
                image.cluster_block().or_else(|| self.next_before_records())
            }
            Stage::Leases { next } if *next < image.leases.len() => {
                let block;
                (block, *next) = image.lease_block(*next);
                Some(block)
            }
            _ => None,
        }
    }
}

impl Iterator for Chunks<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        if let Some(block) = self.next_before_records() {
            return Some(block);
        }
        let image = self.image;
        match &mut self.stage {
            Stage::Header | Stage::Auth | Stage::Cluster => None,
            Stage::Leases { .. } => {
                let rest: Box<dyn Iterator<Item = _>> = Box::new(image.view.records());
                self.stage = Stage::Records { rest: rest.peekable(), count: 0 };
                self.next()
            }
            Stage::Records { rest, count } => {
                if rest.peek().is_some() {
                    return Some(records(rest, count));
                }
                let count = *count;
                self.stage = Stage::Done;
                let digest = self.digest.take().map_or_else(|| image.digest(), |digest| digest());
                Some(image.trailer(count, digest))
            }
            Stage::Done => None,
        }
    }
}

fn records<'a>(rest: &mut impl Iterator<Item = KvRef<'a>>, count: &mut u64) -> Bytes {
    let mut out = block::begin(BLOCK + BLOCK / 16);
    let mut last = ModRevision::default();
    while out.len() < BLOCK {
        let Some(kv) = rest.next() else { break };
        record::encode(&mut out, &mut last, &kv);
        *count += 1;
    }
    block::finish(out, Kind::Records)
}
