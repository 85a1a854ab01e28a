//! Ranges: etcd's whole `Range`, answered with the places of the records and not with copies.

use std::ops::Range;

use super::history::{Segments, Spot};
use super::index::Counts;
use super::record::KvRef;
use super::view::View;
use crate::ids::{ModRevision, Revision};
use crate::range::{KeyRange, RangeQuery, Sort, SortOrder, SortTarget};

/// The answer to a range request: a pinned view, and where in it the keys stand.
#[derive(Clone)]
pub struct RangePage {
    view: View,
    places: Vec<Spot>,
    keys_only: bool,
    /// Whether the limit left some out.
    pub more: bool,
    /// How many keys the range holds, whatever limit and filters left out.
    pub count: i64,
}

impl RangePage {
    /// How many keys it has.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// What it was read from.
    #[must_use]
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// The keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = KvRef<'_>> {
        self.part(0..self.len())
    }

    /// Some of the keys, by their numbers, counted from 0.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn part(&self, numbers: Range<usize>) -> impl ExactSizeIterator<Item = KvRef<'_>> {
        let keys_only = self.keys_only;
        self.view.history().walk(&self.places[numbers]).map(move |mut kv| {
            if keys_only {
                kv.value = &[];
            }
            kv
        })
    }
}

impl View {
    /// Answers `query` at a revision that was checked already.
    pub(super) fn page(&self, query: &RangeQuery, at: Revision) -> RangePage {
        let range = &query.range;
        let mut page = RangePage {
            view: self.clone(),
            places: Vec::new(),
            keys_only: query.keys_only,
            more: false,
            count: 0,
        };
        if query.count_only {
            page.count = self.count_at(range, at);
            return page;
        }
        let limit = usize::try_from(query.limit).ok().filter(|limit| *limit > 0);
        if let Some(limit) = limit.filter(|_| self.asks_for_last(query, at)) {
            let handles;
            (handles, page.count) = self.last_handles(range, limit);
            page.more = page.count > limit as i64;
            page.places = self.history().spots(&handles);
            return page;
        }
        let early = limit.filter(|_| is_key_order(query.sort) && !has_filters(query));
        let mut handles = self.handles(range, at, early.map(|limit| limit.saturating_add(1)));
        page.count = match early {
            Some(limit) if handles.len() > limit => self.count_at(range, at),
            _ => handles.len() as i64,
        };
        if has_filters(query) {
            handles.retain(|at| passes(query, &self.history().named(*at)));
        }
        sort(&mut handles, query.sort, self.history());
        if let Some(limit) = limit.filter(|limit| handles.len() > *limit) {
            handles.truncate(limit);
            page.more = true;
        }
        page.places = self.history().spots(&handles);
        page
    }

    /// Where the first keys of a range stand, in their order.
    pub(super) fn handles(
        &self,
        range: &KeyRange,
        at: Revision,
        limit: Option<usize>,
    ) -> Vec<ModRevision> {
        if range.is_point() {
            let newest = self.index().get(&range.key, self.history());
            let found = newest.and_then(|newest| self.version_at(newest.at, at));
            return found.iter().map(KvRef::at).collect();
        }
        let held = self.held(range);
        let limit = limit.unwrap_or(usize::MAX);
        let mut cursor = self.index().seek(&range.key, self.history());
        if at >= self.revision() {
            let wanted = limit.min(held.live as usize);
            let mut handles = Vec::with_capacity(wanted);
            handles.extend(std::iter::from_fn(|| cursor.next_live()).take(wanted).map(|e| e.at));
            return handles;
        }
        let entries = cursor.take(held.entries as usize);
        let visible = entries.filter_map(|entry| {
            if entry.at.main <= at {
                return (!entry.tombstone).then_some(entry.at);
            }
            self.version_at(entry.at, at).map(|kv| kv.at())
        });
        visible.take(limit).collect()
    }

    /// Whether `query` is for the last keys of a range, which need no look at the others.
    fn asks_for_last(&self, query: &RangeQuery, at: Revision) -> bool {
        let descend = Sort { order: SortOrder::Descend, target: SortTarget::Key };
        let newest = at >= self.revision();
        query.sort == descend && newest && !has_filters(query) && !query.range.is_point()
    }

    /// Where the last keys of a range stand, the last one first, and how many there are in all.
    fn last_handles(&self, range: &KeyRange, limit: usize) -> (Vec<ModRevision>, i64) {
        let held = self.held(range).live;
        let wanted = limit.min(held as usize) as u32;
        let before = self.index().rank(&range.key, self.history()).live;
        let mut cursor = self.index().seek_live(before + held - wanted);
        let next = std::iter::from_fn(|| cursor.next_live()).take(wanted as usize);
        let mut handles: Vec<_> = next.map(|entry| entry.at).collect();
        handles.reverse();
        (handles, i64::from(held))
    }

    /// How many keys a range holds at a revision that was checked already. At an older revision: either
    /// the newest count with the changes since taken back, or one by one, whichever has fewer to see.
    pub(super) fn count_at(&self, range: &KeyRange, at: Revision) -> i64 {
        if range.is_point() {
            return self.handles(range, at, None).len() as i64;
        }
        let held = self.held(range);
        if at >= self.revision() {
            return i64::from(held.live);
        }
        let since = ModRevision { main: at.next(), sub: 0 };
        let entries = held.entries as usize;
        if self.history().count_from(since, entries) > entries {
            return self.handles(range, at, None).len() as i64;
        }
        let events = super::Events::new(self, at.next());
        let grown: i64 = events.filter(|kv| range.contains(kv.key)).map(|kv| growth(&kv)).sum();
        i64::from(held.live) - grown
    }

    /// What the index holds of a range.
    fn held(&self, range: &KeyRange) -> Counts {
        let index = self.index();
        let end = if range.is_open() {
            index.counts()
        } else {
            index.rank(&range.range_end, self.history())
        };
        end - index.rank(&range.key, self.history())
    }
}

/// By how many the keys became more with this change.
const fn growth(kv: &KvRef<'_>) -> i64 {
    match kv {
        KvRef { tombstone: true, .. } => -1,
        kv if kv.is_create() => 1,
        _ => 0,
    }
}

/// Whether the order asked for is the one that keys come in. Only then a limit can be applied while
/// reading; `order: None` with another target counts as well, and is sorted afterwards.
fn is_key_order(sort: Sort) -> bool {
    sort.order == SortOrder::None
        || (sort.target == SortTarget::Key && sort.order == SortOrder::Ascend)
}

fn has_filters(query: &RangeQuery) -> bool {
    [
        query.min_mod_revision,
        query.max_mod_revision,
        query.min_create_revision,
        query.max_create_revision,
    ]
    .iter()
    .any(|bound| bound.0 != 0)
}

fn passes(query: &RangeQuery, kv: &KvRef<'_>) -> bool {
    let within = |revision: Revision, min: Revision, max: Revision| {
        (min.0 == 0 || revision >= min) && (max.0 == 0 || revision <= max)
    };
    within(kv.mod_revision, query.min_mod_revision, query.max_mod_revision)
        && within(kv.create_revision, query.min_create_revision, query.max_create_revision)
}

/// Stable in both directions: equals stay in the order of their keys.
fn sort(handles: &mut [ModRevision], sort: Sort, history: &Segments) {
    let descend = sort.order == SortOrder::Descend;
    match sort.target {
        SortTarget::Key if descend => handles.reverse(),
        SortTarget::Key => {}
        SortTarget::Version => sort_by_number(handles, descend, |at| history.named(at).version),
        SortTarget::Create => {
            sort_by_number(handles, descend, |at| history.named(at).create_revision.0);
        }
        SortTarget::Mod => sort_by_number(handles, descend, |at| at.main.0),
        SortTarget::Value => handles.sort_by(|one, other| {
            let order = history.named(*one).value.cmp(history.named(*other).value);
            if descend { order.reverse() } else { order }
        }),
    }
}

fn sort_by_number(handles: &mut [ModRevision], descend: bool, number: impl Fn(ModRevision) -> i64) {
    if descend {
        handles.sort_by_cached_key(|at| std::cmp::Reverse(number(*at)));
    } else {
        handles.sort_by_cached_key(|at| number(*at));
    }
}
