//! One client's stream of watches: takes its requests, gives out its responses, and reads history
//! for those of its watchers that are behind. Everything goes through one ordered queue.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use state::{KeyRange, Revision, View};
use tokio::time::{Instant, Sleep};

use super::behind::Behind;
use super::change::Batch;
use super::hub::Shared;
use super::index::{Slot, Tag};
use super::queue::{Item, Queue, Straggler};
use super::{Create, NO_WATCH, Response};

mod fragment;
mod progress;
mod revoke;

const EMPTY_RANGE: &str = "mvcc: watcher range is empty";
const DUPLICATE_ID: &str = "mvcc: duplicate watch ID provided on the WatchStream";
const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
const TOO_MANY: &str = "meridian: too many watchers on this stream";

/// While new events keep coming, history gets its turn after so many responses.
const HISTORY_EVERY: usize = 32;
/// Watchers that change sides under one hold of the hub's lock.
const WATCHERS_AT_ONCE: usize = 256;
/// Answers that may wait before [`Stream::has_room`] says no.
const MAX_NOTICES: usize = 256;

#[derive(Debug)]
struct Watch {
    /// Nothing once compaction has ended it: the id stays taken until the client cancels it, as in
    /// etcd.
    slot: Option<Slot>,
    progress_notify: bool,
    /// No event since the last tick.
    quiet: bool,
    /// Progress means nothing to it before this revision.
    progress_from: Revision,
}

/// A stream of watches. Dropping it ends them.
pub struct Stream {
    shared: Arc<Shared>,
    key: usize,
    queue: Arc<Queue>,
    watches: HashMap<i64, Watch>,
    next_id: i64,
    behind: Behind,
    /// Fragments of the response that is being sent; nothing may come between them.
    fragments: VecDeque<Response>,
    /// Watchers that were taken away while the word of it is still in the queue.
    muted: Vec<i64>,
    notices: usize,
    /// Responses of the last round of history that are still in the queue.
    past: usize,
    since_history: usize,
    idle: bool,
    /// Revisions at which progress was asked for, before the hub had come so far.
    asked: VecDeque<Revision>,
    interval: Duration,
    next_tick: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Stream {
    pub(super) fn new(shared: Arc<Shared>, key: usize, queue: Arc<Queue>) -> Self {
        let interval = progress::interval(&shared.options);
        Self {
            shared,
            key,
            queue,
            watches: HashMap::new(),
            next_id: 0,
            behind: Behind::default(),
            fragments: VecDeque::new(),
            muted: Vec::new(),
            notices: 0,
            past: 0,
            since_history: 0,
            idle: true,
            asked: VecDeque::new(),
            interval,
            next_tick: Instant::now() + interval,
            alarm: None,
        }
    }

    /// Makes a watcher, or says why not; the answer comes out of [`Self::next`] before any of its
    /// events.
    pub fn create(&mut self, create: Create) {
        let range = own_range(&create.range);
        if create.start_revision < Revision(0) {
            return self.refuse(COMPACTED);
        }
        if !range.is_point() && !range.is_open() && range.key >= range.range_end {
            return self.refuse(EMPTY_RANGE);
        }
        if create.watch_id != 0 && self.watches.contains_key(&create.watch_id) {
            return self.refuse(DUPLICATE_ID);
        }
        if self.watches.len() >= self.shared.options.max_watchers_per_stream {
            return self.refuse(TOO_MANY);
        }
        let watch_id = if create.watch_id == 0 { self.free_id() } else { create.watch_id };
        self.admit(watch_id, range, &create);
    }

    /// Answers a create with no watcher and a reason: for what is judged elsewhere, such as
    /// permission.
    pub fn refuse(&mut self, reason: impl Into<Cow<'static, str>>) {
        let revision = self.shared.revision();
        self.notify(Response {
            watch_id: NO_WATCH,
            revision,
            created: true,
            canceled: true,
            cancel_reason: reason.into(),
            ..Response::default()
        });
    }

    /// Ends a watcher and says so; nothing of it follows. An unknown one is passed over in silence.
    pub fn cancel(&mut self, watch_id: i64) {
        self.end(watch_id, Cow::Borrowed(""));
    }

    fn end(&mut self, watch_id: i64, cancel_reason: Cow<'static, str>) {
        let Some(watch) = self.watches.remove(&watch_id) else {
            return;
        };
        if let Some(slot) = watch.slot {
            self.shared.registry.lock().leave(slot);
            self.take_in(self.queue.take_stragglers());
            self.behind.remove(slot);
        }
        let revision = self.shared.revision();
        self.notify(Response {
            watch_id,
            revision,
            canceled: true,
            cancel_reason,
            ..Response::default()
        });
    }

    /// Whether another request should be taken. When not, take responses first: every request may
    /// leave an answer here, and this is what bounds them.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.notices < MAX_NOTICES
    }

    /// The next response. None: the engine stopped. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Response> {
        loop {
            if let Some(fragment) = self.fragments.pop_front() {
                return Some(fragment);
            }
            self.settle_progress();
            // Not each time: a look at the clock costs as much as the rest of this.
            if self.idle || self.since_history.is_multiple_of(HISTORY_EVERY) {
                self.tick_if_due();
            }
            if self.history_is_due() {
                self.read_history(&self.shared.view());
            }
            let taken = self.queue.take();
            self.idle = taken.item.is_none();
            self.take_in(taken.stragglers);
            match taken.item {
                Some(item) => {
                    if let Some(response) = self.render(item) {
                        return Some(response);
                    }
                }
                None if taken.closed => return None,
                None if self.behind.is_empty() => self.pause().await,
                None => tokio::task::yield_now().await,
            }
        }
    }

    /// How many records of history were read for its watchers, ever.
    #[cfg(test)]
    pub(super) fn history_read(&self) -> u64 {
        self.behind.scanned()
    }

    fn admit(&mut self, watch_id: i64, range: KeyRange, create: &Create) {
        let tag = Tag {
            watch_id,
            prev_kv: create.prev_kv,
            no_put: create.no_put,
            no_delete: create.no_delete,
            fragment: create.fragment,
            progress_notify: create.progress_notify,
        };
        let shared = self.shared.clone();
        let mut registry = shared.registry.lock();
        // Under the lock, so that the hub cannot pass this revision before the watcher has joined.
        let current = shared.revision();
        let start = create.start_revision;
        let is_new = start == Revision(0) || start > current;
        let from = if is_new { start.max(current.next()) } else { start };
        let member = registry.admit(self.key, tag, range.clone(), from);
        if is_new {
            let joined = registry.join(member.slot, from);
            assert!(joined, "the hub never passes what was published");
        } else {
            self.behind.insert(Straggler { member, range });
        }
        drop(registry);
        let watch = Watch {
            slot: Some(member.slot),
            progress_notify: create.progress_notify,
            quiet: true,
            progress_from: start.max(current),
        };
        self.watches.insert(watch_id, watch);
        let revision = current;
        self.notify(Response { watch_id, revision, created: true, ..Response::default() });
    }

    fn free_id(&mut self) -> i64 {
        while self.watches.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    fn notify(&mut self, response: Response) {
        self.notices += 1;
        self.queue.push(Item::Notice(Box::new(response)));
    }

    fn take_in(&mut self, stragglers: Vec<Straggler>) {
        for straggler in stragglers {
            // One that was cancelled meanwhile left its name here, and nothing else.
            let watch = self.watches.get(&straggler.member.tag.watch_id);
            if watch.is_some_and(|watch| watch.slot == Some(straggler.member.slot)) {
                self.behind.insert(straggler);
            }
        }
    }

    /// Until there may be something to do.
    async fn pause(&mut self) {
        let next_tick = self.next_tick;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next_tick)));
        tokio::select! {
            () = self.queue.changed() => {}
            () = alarm.as_mut() => {}
        }
    }

    fn render(&mut self, item: Item) -> Option<Response> {
        self.since_history += 1;
        let (tag, batch) = match item {
            Item::Notice(response) => {
                self.notices -= 1;
                self.unmute(&response);
                return Some(*response);
            }
            Item::Past(tag, batch) => {
                self.past -= 1;
                (tag, batch)
            }
            Item::Live(tag, batch) => (tag, batch),
        };
        if self.is_muted(tag.watch_id) {
            return None;
        }
        if tag.progress_notify
            && let Some(watch) = self.watches.get_mut(&tag.watch_id)
        {
            watch.quiet = false;
        }
        Some(self.events(&tag, &batch))
    }

    fn events(&mut self, tag: &Tag, batch: &Batch) -> Response {
        let events = batch.events_for(tag);
        self.shared.tally.sent.fetch_add(events.len() as u64, Ordering::Relaxed);
        let (watch_id, revision) = (tag.watch_id, batch.revision);
        let whole = Response { watch_id, revision, events, ..Response::default() };
        if !tag.fragment {
            return whole;
        }
        self.fragments = fragment::cut(whole, self.shared.options.max_response_bytes);
        self.fragments.pop_front().expect("a response has a first fragment")
    }

    fn history_is_due(&self) -> bool {
        let in_turn = self.idle || self.since_history >= HISTORY_EVERY;
        // One round at a time is in the queue: that bounds what history can add to it.
        !self.behind.is_empty() && self.past == 0 && in_turn
    }

    pub(super) fn read_history(&mut self, view: &View) {
        let round = self.behind.round(view, self.shared.options.max_response_bytes);
        self.since_history = 0;
        for member in round.compacted {
            self.shared.registry.lock().leave(member.slot);
            if let Some(watch) = self.watches.get_mut(&member.tag.watch_id) {
                watch.slot = None;
            }
            self.notify(Response {
                watch_id: member.tag.watch_id,
                canceled: true,
                compact_revision: view.compact_revision(),
                ..Response::default()
            });
        }
        self.past = round.batches.len();
        for (tag, batch) in round.batches {
            self.queue.push(Item::Past(tag, batch));
        }
        self.rejoin(view.revision());
    }

    /// Gives watchers that have everything up to `revision` back to the hub, if it has not gone on.
    fn rejoin(&mut self, revision: Revision) {
        let shared = self.shared.clone();
        for slots in self.behind.caught_up(revision).chunks(WATCHERS_AT_ONCE) {
            let mut registry = shared.registry.lock();
            for slot in slots {
                if !registry.join(*slot, revision.next()) {
                    return;
                }
                let straggler = self.behind.remove(*slot).expect("it was behind");
                let watch = self.watches.get_mut(&straggler.member.tag.watch_id);
                let watch = watch.expect("a watcher that is behind is known");
                watch.progress_from = watch.progress_from.max(revision);
            }
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let slots: Vec<Slot> = self.watches.values().filter_map(|watch| watch.slot).collect();
        for slots in slots.chunks(WATCHERS_AT_ONCE) {
            let mut registry = self.shared.registry.lock();
            slots.iter().for_each(|slot| registry.leave(*slot));
        }
        self.shared.registry.lock().shut(self.key);
    }
}

/// Copies the range, which may be a slice of a larger buffer, and puts the smallest key for no key.
fn own_range(range: &KeyRange) -> KeyRange {
    let key = if range.key.is_empty() { b"\0" } else { &range.key[..] };
    KeyRange {
        key: Bytes::copy_from_slice(key),
        range_end: Bytes::copy_from_slice(&range.range_end),
    }
}
