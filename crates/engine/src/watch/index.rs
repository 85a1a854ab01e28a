//! Who watches this key? Watchers in groups of identical ranges: single keys in a map, ranges in a
//! tree. The hub has one of all watchers that are up to date; a stream has one of its watchers that
//! are behind.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use slab::Slab;
use state::{KeyRange, KvRef, Revision, View};

use super::change::{Batch, Change};
use super::intervals::Intervals;

/// A watcher's place in the registry, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot(pub(super) usize);

/// What has to be known of a watcher to make its responses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag {
    pub(super) watch_id: i64,
    pub(super) prev_kv: bool,
    pub(super) no_put: bool,
    pub(super) no_delete: bool,
    pub(super) fragment: bool,
    pub(super) progress_notify: bool,
}

/// A watcher as the index keeps it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) slot: Slot,
    /// Its stream's number in the registry.
    pub(super) stream: usize,
    pub(super) tag: Tag,
    /// The first revision it still wants.
    pub(super) from: Revision,
}

/// Where in an index a watcher stands. Changes when another leaves its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    group: u32,
    position: u32,
}

#[derive(Debug)]
struct Group {
    range: KeyRange,
    members: Vec<Member>,
    /// How many of them want previous values.
    want_previous: usize,
    /// Collected, not yet handed out.
    pending: Vec<Arc<Change>>,
}

/// Watchers by what they watch.
#[derive(Debug, Default)]
pub(super) struct Index {
    points: HashMap<Bytes, u32>,
    ranges: Intervals,
    groups: Slab<Group>,
    /// Groups with something pending.
    touched: Vec<u32>,
    /// Scratch: the groups the record at hand belongs to.
    hits: Vec<u32>,
}

/// What collecting one record cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Collected {
    /// Bytes copied.
    pub(super) weight: usize,
    /// Watchers that it may go to.
    pub(super) matches: usize,
}

impl Index {
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Adds a watcher.
    pub(super) fn insert(&mut self, range: &KeyRange, member: Member) -> Place {
        let group = self.group_of(range);
        let entry = &mut self.groups[group as usize];
        entry.want_previous += usize::from(member.tag.prev_kv);
        entry.members.push(member);
        let position = u32::try_from(entry.members.len() - 1).expect("fewer than 2^32 watchers");
        Place { group, position }
    }

    /// Takes a watcher out. Another one may have moved into its place and must be told so.
    pub(super) fn remove(&mut self, place: Place) -> Option<Slot> {
        let group = &mut self.groups[place.group as usize];
        let gone = group.members.swap_remove(place.position as usize);
        group.want_previous -= usize::from(gone.tag.prev_kv);
        let moved = group.members.get(place.position as usize).map(|member| member.slot);
        if group.members.is_empty() {
            let group = self.groups.remove(place.group as usize);
            debug_assert!(group.pending.is_empty(), "a group leaves between deliveries");
            if group.range.is_point() {
                self.points.remove(&group.range.key);
            } else {
                self.ranges.remove(&group.range);
            }
        }
        moved
    }

    /// Moves a watcher on: it has everything before `from`.
    pub(super) fn advance(&mut self, place: Place, from: Revision) {
        self.groups[place.group as usize].members[place.position as usize].from = from;
    }

    /// Every watcher.
    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.groups.iter().flat_map(|(_, group)| &group.members)
    }

    /// Notes a record for the groups that watch its key. Copies nothing if there are none.
    pub(super) fn collect(&mut self, view: &View, record: &KvRef<'_>) -> Collected {
        self.hits.clear();
        if let Some(group) = self.points.get(record.key) {
            self.hits.push(*group);
        }
        let hits = &mut self.hits;
        self.ranges.holding(record.key, &mut |group| hits.push(group));
        if self.hits.is_empty() {
            return Collected::default();
        }
        let groups = &self.groups;
        let with_previous = self.hits.iter().any(|hit| groups[*hit as usize].want_previous > 0);
        let change = Arc::new(Change::read(view, record, with_previous));
        let mut collected = Collected { weight: change.weight(), matches: 0 };
        for hit in &self.hits {
            let group = &mut self.groups[*hit as usize];
            if group.pending.is_empty() {
                self.touched.push(*hit);
            }
            group.pending.push(change.clone());
            collected.matches += group.members.len();
        }
        collected
    }

    /// Hands out what was collected: once for each group, with all its watchers.
    pub(super) fn hand_out(
        &mut self,
        revision: Revision,
        mut deliver: impl FnMut(Arc<Batch>, &[Member]),
    ) {
        for touched in self.touched.drain(..) {
            let group = &mut self.groups[touched as usize];
            let batch = Batch::new(revision, std::mem::take(&mut group.pending));
            deliver(Arc::new(batch), &group.members);
        }
    }

    fn group_of(&mut self, range: &KeyRange) -> u32 {
        let known = if range.is_point() {
            self.points.get(&range.key).copied()
        } else {
            self.ranges.find(range)
        };
        if let Some(group) = known {
            return group;
        }
        let group = Group {
            range: range.clone(),
            members: Vec::new(),
            want_previous: 0,
            pending: Vec::new(),
        };
        let number = u32::try_from(self.groups.insert(group)).expect("fewer than 2^32 ranges");
        if range.is_point() {
            self.points.insert(range.key.clone(), number);
        } else {
            self.ranges.insert(range.clone(), number);
        }
        number
    }
}
