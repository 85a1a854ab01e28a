//! The bucket `meta`: where in its log the store stands, how far compaction got, who votes, the version
//! of all this.

use state::{Epoch, Position, Revision};

use super::key::encode_main;
use super::{Pair, STORAGE_VERSION};

pub(crate) const CONF_STATE: &[u8] = b"confState";
pub(crate) const CONSISTENT_INDEX: &[u8] = b"consistent_index";
pub(crate) const FINISHED_COMPACTION: &[u8] = b"finishedCompactRev";
pub(crate) const SCHEDULED_COMPACTION: &[u8] = b"scheduledCompactRev";
pub(crate) const VERSION: &[u8] = b"storageVersion";
pub(crate) const TERM: &[u8] = b"term";

/// What the bucket says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    /// etcd's index in its log is the position in our journal,
    pub(crate) position: Position,
    /// and its term the epoch.
    pub(crate) epoch: Epoch,
    pub(crate) compact_revision: Revision,
    /// The one member.
    pub(crate) voter: u64,
}

impl Meta {
    /// The entries, in their order. Compaction is always finished: what it has yet to remove is left out.
    pub(crate) fn encode(&self) -> Vec<Pair> {
        let voters = format!("{{\"voters\":[{}],\"auto_leave\":false}}", self.voter);
        let index = self.position.0.to_be_bytes().to_vec();
        let mut pairs =
            vec![(CONF_STATE.to_vec(), voters.into_bytes()), (CONSISTENT_INDEX.to_vec(), index)];
        let compacted = (self.compact_revision > Revision(0)).then_some(self.compact_revision);
        for name in [FINISHED_COMPACTION, SCHEDULED_COMPACTION] {
            pairs.extend(compacted.map(|revision| (name.to_vec(), encode_main(revision))));
        }
        pairs.push((VERSION.to_vec(), STORAGE_VERSION.as_bytes().to_vec()));
        pairs.push((TERM.to_vec(), self.epoch.0.to_be_bytes().to_vec()));
        pairs
    }
}
