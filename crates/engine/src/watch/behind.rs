//! The watchers of one stream that have to read history. One scan serves all of them that stand at
//! or after the place where it begins, and every scan is bounded: in records, revisions, bytes and
//! deliveries.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use state::{KeyRange, Revision, View};

use super::change::Batch;
use super::index::{Index, Member, Place, Slot, Tag};
use super::queue::Straggler;

/// Revisions with events for somebody, and so the most that one response holds; etcd's number.
const REVISIONS_AT_ONCE: usize = 1000;
const RECORDS_AT_ONCE: usize = 8192;
const MATCHES_AT_ONCE: usize = 16_384;

#[derive(Debug)]
struct Lagging {
    member: Member,
    range: KeyRange,
    place: Place,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Behind {
    index: Index,
    lagging: HashMap<Slot, Lagging>,
    order: BTreeSet<(Revision, Slot)>,
    nearest: bool,
    scanned: u64,
}

/// What one round gave.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Events, one batch a watcher at most.
    pub(super) batches: Vec<(Tag, Arc<Batch>)>,
    /// Watchers whose next revision was compacted; they are gone from here.
    pub(super) compacted: Vec<Member>,
}

#[derive(Default)]
struct Spent {
    revisions: usize,
    records: usize,
    matches: usize,
    bytes: usize,
}

impl Spent {
    fn enough(&self, bytes: usize) -> bool {
        self.revisions >= REVISIONS_AT_ONCE
            || self.records >= RECORDS_AT_ONCE
            || self.matches >= MATCHES_AT_ONCE
            || self.bytes >= bytes
    }
}

impl Behind {
    pub(super) fn is_empty(&self) -> bool {
        self.lagging.is_empty()
    }

    /// How many records were read, ever.
    #[cfg(test)]
    pub(super) fn scanned(&self) -> u64 {
        self.scanned
    }

    pub(super) fn insert(&mut self, straggler: Straggler) {
        let Straggler { member, range } = straggler;
        let place = self.index.insert(&range, member);
        self.order.insert((member.from, member.slot));
        self.lagging.insert(member.slot, Lagging { member, range, place });
    }

    /// Takes a watcher out, if it is here.
    pub(super) fn remove(&mut self, slot: Slot) -> Option<Straggler> {
        let Lagging { member, range, place } = self.lagging.remove(&slot)?;
        self.order.remove(&(member.from, slot));
        if let Some(moved) = self.index.remove(place) {
            self.lagging.get_mut(&moved).expect("it is in the index").place = place;
        }
        Some(Straggler { member, range })
    }

    /// The watchers that have everything up to `revision`.
    pub(super) fn caught_up(&self, revision: Revision) -> Vec<Slot> {
        self.order.range((revision.next(), Slot(0))..).map(|(_, slot)| *slot).collect()
    }

    /// Reads one bounded piece of history for whoever needs it.
    pub(super) fn round(&mut self, view: &View, bytes: usize) -> Round {
        let mut round = Round { compacted: self.take_compacted(view), ..Round::default() };
        let Some(from) = self.choose(view) else {
            return round;
        };
        let end = self.scan(view, from, bytes);
        let batches = &mut round.batches;
        self.index.hand_out(view.revision(), |batch, members| {
            for member in members {
                // One further back than this scan began gets nothing of it: it would skip what lies
                // between.
                if member.from < from || batch.last().is_none_or(|last| last < member.from) {
                    continue;
                }
                let whole = batch.first().is_some_and(|first| first >= member.from);
                let batch = if whole { batch.clone() } else { Arc::new(batch.since(member.from)) };
                if batch.concerns(&member.tag) {
                    batches.push((member.tag, batch));
                }
            }
        });
        self.move_on(from, end.next());
        round
    }

    fn take_compacted(&mut self, view: &View) -> Vec<Member> {
        let lost = self.order.range(..(view.compact_revision(), Slot(0)));
        let lost: Vec<Slot> = lost.map(|(_, slot)| *slot).collect();
        lost.into_iter().filter_map(|slot| Some(self.remove(slot)?.member)).collect()
    }

    /// Where to begin: in turn with the furthest behind, whose scan picks up all others on its way,
    /// and with the nearest, which need not wait for that.
    fn choose(&mut self, view: &View) -> Option<Revision> {
        self.nearest = !self.nearest;
        let mut due = self.order.range(..(view.revision().next(), Slot(0)));
        let chosen = if self.nearest { due.next_back() } else { due.next() };
        chosen.map(|(from, _)| *from)
    }

    /// Collects events from `from` on; the last revision that was read whole.
    fn scan(&mut self, view: &View, from: Revision, bytes: usize) -> Revision {
        let mut spent = Spent::default();
        let mut current = Revision(from.0 - 1);
        let mut matched = false;
        let events = view.events(from).expect("who lost the revision to compaction is not here");
        for record in events {
            if record.mod_revision != current {
                if spent.enough(bytes) {
                    return current;
                }
                current = record.mod_revision;
                matched = false;
            }
            let collected = self.index.collect(view, &record);
            self.scanned += 1;
            spent.records += 1;
            spent.matches += collected.matches;
            spent.bytes += collected.weight;
            if collected.matches > 0 && !matched {
                matched = true;
                spent.revisions += 1;
            }
        }
        view.revision()
    }

    /// Whoever stood within what was read now stands after it.
    fn move_on(&mut self, from: Revision, next: Revision) {
        let read = self.order.range((from, Slot(0))..(next, Slot(0)));
        let read: Vec<(Revision, Slot)> = read.copied().collect();
        for key in read {
            self.order.remove(&key);
            self.order.insert((next, key.1));
            let lagging = self.lagging.get_mut(&key.1).expect("it is in the order");
            lagging.member.from = next;
            self.index.advance(lagging.place, next);
        }
    }
}
