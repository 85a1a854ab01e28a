//! The bucket `meta`: where in its log the store stands, how far compaction got, who votes, the version
//! of all this.

use state::{ClusterVersion, Epoch, Position, Revision};

use super::key::{decode_main, encode_main};
use super::{Malformed, Member, Pair, number};

pub(crate) const CONF_STATE: &[u8] = b"confState";
pub(crate) const CONSISTENT_INDEX: &[u8] = b"consistent_index";
pub(crate) const FINISHED_COMPACTION: &[u8] = b"finishedCompactRev";
pub(crate) const SCHEDULED_COMPACTION: &[u8] = b"scheduledCompactRev";
pub(crate) const VERSION: &[u8] = b"storageVersion";
pub(crate) const TERM: &[u8] = b"term";

/// Where a store stands, as the bucket says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// etcd's index in its log is the position in our journal,
    pub(crate) position: Position,
    /// and its term the epoch.
    pub(crate) epoch: Epoch,
    /// Up to where compaction was carried out,
    pub(crate) compacted: Revision,
    /// and up to where it was asked for.
    pub(crate) scheduled: Revision,
}

/// What it means where nothing is said, as old etcds say little.
impl Default for Meta {
    fn default() -> Self {
        Self {
            position: Position(0),
            epoch: Epoch(0),
            compacted: Revision::NEVER_COMPACTED,
            scheduled: Revision::NEVER_COMPACTED,
        }
    }
}

impl Meta {
    /// The entries in their order, those of the members and of the version among them.
    pub(crate) fn encode(&self, members: &[Member], version: ClusterVersion) -> Vec<Pair> {
        let voters = conf_state(members);
        let index = self.position.0.to_be_bytes().to_vec();
        let mut pairs =
            vec![(CONF_STATE.to_vec(), voters.into_bytes()), (CONSISTENT_INDEX.to_vec(), index)];
        let compactions =
            [(FINISHED_COMPACTION, self.compacted), (SCHEDULED_COMPACTION, self.scheduled)];
        for (name, revision) in compactions.into_iter().filter(|(_, at)| *at > Revision(0)) {
            pairs.push((name.to_vec(), encode_main(revision)));
        }
        pairs.push((VERSION.to_vec(), version.to_string().into_bytes()));
        pairs.push((TERM.to_vec(), self.epoch.0.to_be_bytes().to_vec()));
        pairs
    }

    /// Takes in what an entry says.
    pub(crate) fn decode(&mut self, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        let revision = |wrong| decode_main(value).ok_or(Malformed(wrong));
        match key {
            CONSISTENT_INDEX => {
                self.position = Position(number(value, "its consistent index is not a number")?);
            }
            TERM => self.epoch = Epoch(number(value, "its term is not a number")?),
            FINISHED_COMPACTION => self.compacted = revision("its compacted revision is not one")?,
            SCHEDULED_COMPACTION => self.scheduled = revision("its scheduled revision is not one")?,
            _ => {}
        }
        Ok(())
    }
}

/// Who votes and who does not yet, in JSON as Go writes it.
fn conf_state(members: &[Member]) -> String {
    let ids = |learner| {
        let ids = members.iter().filter(|member| member.learner == learner);
        ids.map(|member| member.id.to_string()).collect::<Vec<_>>().join(",")
    };
    let (voters, learners) = (ids(false), ids(true));
    let learners =
        if learners.is_empty() { learners } else { format!(",\"learners\":[{learners}]") };
    format!("{{\"voters\":[{voters}]{learners},\"auto_leave\":false}}")
}

/// The version that an entry `storageVersion` names; 0 for what is no number.
pub(crate) fn decode_version(value: &[u8]) -> ClusterVersion {
    let text = String::from_utf8_lossy(value);
    let mut parts = text.split('.').map_while(|part| part.parse().ok());
    let mut next = || parts.next().unwrap_or(0);
    ClusterVersion { major: next(), minor: next() }
}
