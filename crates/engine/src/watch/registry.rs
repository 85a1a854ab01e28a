//! All streams and watchers of one engine, behind the hub's one lock: who is up to date, and how a
//! new view's revisions reach them. Never waits, never reads more history than the newest
//! revisions.

use std::collections::VecDeque;
use std::sync::Arc;

use slab::Slab;
use state::{KeyRange, Revision, View};

use super::change::Batch;
use super::index::{Index, Member, Place, Slot, Tag};
use super::queue::{Queue, Straggler};

/// After so much of any of these the hub lets go of the lock and of its thread.
const REVISIONS_AT_ONCE: usize = 512;
const PARCELS_AT_ONCE: usize = 16_384;
const BYTES_AT_ONCE: usize = 8 << 20;
/// Views kept for what compactions will take from the next.
const MAX_PINNED: usize = 8;

#[derive(Debug)]
struct Watcher {
    member: Member,
    range: KeyRange,
    /// Where the index has it; nowhere while it is behind.
    place: Option<Place>,
}

/// A response on its way to a stream's queue.
#[derive(Debug)]
struct Parcel {
    slot: Slot,
    tag: Tag,
    batch: Arc<Batch>,
}

#[derive(Debug)]
struct Feed {
    queue: Arc<Queue>,
    outbox: Vec<Parcel>,
}

/// See the module.
pub(super) struct Registry {
    index: Index,
    watchers: Slab<Watcher>,
    feeds: Slab<Feed>,
    /// Everything up to here has been handed to the queues of whoever was up to date.
    seen: Revision,
    synced: usize,
    /// Feeds with something in their outbox.
    laden: Vec<usize>,
    /// What was to be seen before a compaction that the hub has not come to.
    pinned: VecDeque<Arc<View>>,
    /// Streams to wake when `seen` has moved.
    waiting: Vec<usize>,
    closed: bool,
}

impl Registry {
    pub(super) fn new(seen: Revision) -> Self {
        Self {
            index: Index::default(),
            watchers: Slab::new(),
            feeds: Slab::new(),
            seen,
            synced: 0,
            laden: Vec::new(),
            pinned: VecDeque::new(),
            waiting: Vec::new(),
            closed: false,
        }
    }

    pub(super) fn seen(&self) -> Revision {
        self.seen
    }

    pub(super) fn streams(&self) -> usize {
        self.feeds.len()
    }

    pub(super) fn watchers(&self) -> usize {
        self.watchers.len()
    }

    pub(super) fn slow_watchers(&self) -> usize {
        self.watchers.len() - self.synced
    }

    /// Adds a stream.
    pub(super) fn open(&mut self, queue: Arc<Queue>) -> usize {
        if self.closed {
            queue.close();
        }
        self.feeds.insert(Feed { queue, outbox: Vec::new() })
    }

    /// Forgets a stream; its watchers have left before.
    pub(super) fn shut(&mut self, stream: usize) {
        self.waiting.retain(|waiting| *waiting != stream);
        self.feeds.remove(stream);
    }

    /// The engine stopped.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for (_, feed) in &self.feeds {
            feed.queue.close();
        }
    }

    /// Makes a watcher, behind until it joins. Nothing before `from` will reach it.
    pub(super) fn admit(
        &mut self,
        stream: usize,
        tag: Tag,
        range: KeyRange,
        from: Revision,
    ) -> Member {
        let slot = Slot(self.watchers.vacant_key());
        let member = Member { slot, stream, tag, from };
        self.watchers.insert(Watcher { member, range, place: None });
        member
    }

    /// Puts a watcher that has everything before `from` among those that are up to date. Refused if
    /// the hub has passed that point already: what it would have been given then is history now.
    #[must_use]
    pub(super) fn join(&mut self, slot: Slot, from: Revision) -> bool {
        if from <= self.seen {
            return false;
        }
        let watcher = &mut self.watchers[slot.0];
        assert!(watcher.place.is_none(), "a watcher joins once");
        watcher.member.from = from;
        watcher.place = Some(self.index.insert(&watcher.range, watcher.member));
        self.synced += 1;
        true
    }

    /// Ends a watcher.
    pub(super) fn leave(&mut self, slot: Slot) {
        self.detach(slot);
        self.watchers.remove(slot.0);
    }

    pub(super) fn range(&self, slot: Slot) -> &KeyRange {
        &self.watchers[slot.0].range
    }

    pub(super) fn is_synced(&self, slot: Slot) -> bool {
        self.watchers[slot.0].place.is_some()
    }

    /// Wakes the stream when `seen` has moved.
    pub(super) fn wait(&mut self, stream: usize) {
        if !self.waiting.contains(&stream) {
            self.waiting.push(stream);
        }
    }

    /// Keeps a view from which to hand out what a compaction is about to take from the next one.
    /// With too many of them the oldest goes, and who needed it is told that it was compacted.
    pub(super) fn pin(&mut self, view: Arc<View>) {
        if view.revision() > self.seen {
            if self.pinned.len() == MAX_PINNED {
                self.pinned.pop_front();
            }
            self.pinned.push_back(view);
        }
    }

    /// Hands the published view's new revisions out, or a piece of them. Says whether that was all.
    pub(super) fn advance(&mut self, published: &View) -> bool {
        // Never from a view that is ahead of the published one: nobody may see that yet.
        let due = |pinned: &&Arc<View>| pinned.revision() <= published.revision();
        if let Some(pinned) = self.pinned.front().filter(due).cloned() {
            if self.advance_to(&pinned) {
                self.pinned.pop_front();
            }
            return false;
        }
        self.advance_to(published)
    }

    fn advance_to(&mut self, view: &View) -> bool {
        if view.revision() > self.seen {
            if self.index.is_empty() {
                self.seen = view.revision();
            } else {
                self.leave_behind_compaction(view);
                self.seen = self.gather(view);
                self.send_out();
            }
        }
        let done = self.seen >= view.revision();
        if done {
            for stream in self.waiting.drain(..) {
                self.feeds[stream].queue.wake();
            }
        }
        done
    }

    /// Fills the outboxes; the revision up to which it came.
    fn gather(&mut self, view: &View) -> Revision {
        let (mut revisions, mut parcels, mut bytes) = (0, 0, 0);
        let from = self.seen.next().max(view.compact_revision());
        let mut current = Revision(from.0 - 1);
        let events = view.events(from).expect("it begins where history does");
        for record in events {
            if record.mod_revision != current {
                parcels += self.address(current);
                revisions += 1;
                if revisions > REVISIONS_AT_ONCE
                    || parcels >= PARCELS_AT_ONCE
                    || bytes >= BYTES_AT_ONCE
                {
                    return current;
                }
                assert!(record.mod_revision > current, "history is in revision order");
                current = record.mod_revision;
            }
            bytes += self.index.collect(view, &record).weight;
        }
        self.address(current);
        view.revision()
    }

    /// One revision's events, to the outboxes of who watches them.
    fn address(&mut self, revision: Revision) -> usize {
        let mut parcels = 0;
        let (feeds, laden) = (&mut self.feeds, &mut self.laden);
        self.index.hand_out(revision, |batch, members| {
            for member in members {
                if member.from > revision || !batch.concerns(&member.tag) {
                    continue;
                }
                let outbox = &mut feeds[member.stream].outbox;
                if outbox.is_empty() {
                    laden.push(member.stream);
                }
                outbox.push(Parcel { slot: member.slot, tag: member.tag, batch: batch.clone() });
                parcels += 1;
            }
        });
        parcels
    }

    /// Outboxes to queues. A watcher whose events find no room falls behind, from that revision on.
    fn send_out(&mut self) {
        for stream in std::mem::take(&mut self.laden) {
            let mut outbox = std::mem::take(&mut self.feeds[stream].outbox);
            let queue = self.feeds[stream].queue.clone();
            queue.deliver(|room| {
                for parcel in outbox.drain(..) {
                    if !self.is_synced(parcel.slot) {
                        continue;
                    }
                    if room.fits(&parcel.batch) {
                        room.push(parcel.tag, parcel.batch);
                    } else {
                        room.give_up(self.fall_behind(parcel.slot, parcel.batch.revision));
                    }
                }
            });
            self.feeds[stream].outbox = outbox;
        }
    }

    /// The hub was overtaken by a compaction: history may lack what it has not handed out yet, so
    /// the watchers have to be told.
    fn leave_behind_compaction(&mut self, view: &View) {
        let next = self.seen.next();
        if next >= view.compact_revision() {
            return;
        }
        let members = self.index.members();
        let lost = members.filter(|member| member.from < view.compact_revision());
        let lost: Vec<Member> = lost.copied().collect();
        for member in lost {
            let straggler = self.fall_behind(member.slot, member.from.max(next));
            let mut straggler = Some(straggler);
            self.feeds[member.stream].queue.deliver(|room| {
                straggler.take().into_iter().for_each(|straggler| room.give_up(straggler));
            });
        }
    }

    fn fall_behind(&mut self, slot: Slot, from: Revision) -> Straggler {
        self.detach(slot);
        let watcher = &mut self.watchers[slot.0];
        watcher.member.from = from;
        Straggler { member: watcher.member, range: watcher.range.clone() }
    }

    fn detach(&mut self, slot: Slot) {
        let Some(place) = self.watchers[slot.0].place.take() else {
            return;
        };
        self.synced -= 1;
        if let Some(moved) = self.index.remove(place) {
            self.watchers[moved.0].place = Some(place);
        }
    }
}
