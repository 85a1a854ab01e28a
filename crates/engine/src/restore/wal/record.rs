//! What the log's records hold: raft's entries and state, and whose log it is.

use crate::etcd::protobuf::{Fields, Malformed};

/// A record as it is framed. The checksum runs over the data of all records before it, too.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record<'a> {
    pub(super) kind: u64,
    pub(super) checksum: u32,
    pub(super) data: &'a [u8],
}

/// The kinds of records.
pub(super) const METADATA: u64 = 1;
pub(super) const ENTRY: u64 = 2;
pub(super) const STATE: u64 = 3;
pub(super) const CHECKSUM: u64 = 4;
pub(super) const SNAPSHOT: u64 = 5;

impl<'a> Record<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut record = Self::default();
        for field in Fields::of(bytes) {
            match field? {
                (1, value) => record.kind = value.number(),
                (2, value) => record.checksum = value.number() as u32,
                (3, value) => record.data = value.bytes(),
                _ => {}
            }
        }
        Ok(record)
    }
}

/// What is proposed in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proposal<'a> {
    /// A request, as etcd writes it for itself; empty when a leader was elected.
    Request(&'a [u8]),
    /// A voter comes or goes, or nothing about voters changes.
    Membership(Option<VoterChange>),
}

/// What a change of the members does to who votes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoterChange {
    /// The member votes from now on.
    Joins(u64),
    /// The member no longer does.
    Leaves(u64),
}

/// One entry of the raft log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its place.
    pub index: u64,
    /// The term of the leader that made it.
    pub term: u64,
    /// What for.
    pub proposal: Proposal<'a>,
}

impl<'a> Entry<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let (mut kind, mut index, mut term, mut data) = (0, 0, 0, &[][..]);
        for field in Fields::of(bytes) {
            match field? {
                (1, value) => kind = value.number(),
                (2, value) => term = value.number(),
                (3, value) => index = value.number(),
                (4, value) => data = value.bytes(),
                _ => {}
            }
        }
        let proposal = match kind {
            0 => Proposal::Request(data),
            1 => Proposal::Membership(voter_change(data)?),
            _ => return Err(Malformed),
        };
        Ok(Self { index, term, proposal })
    }
}

fn voter_change(bytes: &[u8]) -> Result<Option<VoterChange>, Malformed> {
    let (mut kind, mut member) = (0, 0);
    for field in Fields::of(bytes) {
        match field? {
            (2, value) => kind = value.number(),
            (3, value) => member = value.number(),
            _ => {}
        }
    }
    Ok(match kind {
        0 => Some(VoterChange::Joins(member)),
        1 => Some(VoterChange::Leaves(member)),
        _ => None,
    })
}

/// Whose log it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The member.
    pub member: u64,
    /// Its cluster.
    pub cluster: u64,
}

impl Owner {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let [_, member, cluster, _] = numbers(bytes)?;
        Ok(Self { member, cluster })
    }
}

/// The newest entry known to be committed, from raft's own notes.
pub(super) fn committed(state: &[u8]) -> Result<u64, Malformed> {
    let [.., commit] = numbers(state)?;
    Ok(commit)
}

/// The entry that a snapshot stands at.
pub(super) fn snapshot(bytes: &[u8]) -> Result<u64, Malformed> {
    let [_, index, ..] = numbers(bytes)?;
    Ok(index)
}

/// The fields 1 to 3, where they are numbers.
fn numbers(bytes: &[u8]) -> Result<[u64; 4], Malformed> {
    let mut numbers = [0; 4];
    for field in Fields::of(bytes) {
        let (number, value) = field?;
        if let Some(slot) = usize::try_from(number).ok().and_then(|at| numbers.get_mut(at)) {
            *slot = value.number();
        }
    }
    Ok(numbers)
}
