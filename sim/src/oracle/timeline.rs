//! The truth put in order: which events made which revision, and so the state at each of them.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::effect;
use super::finding::{Findings, invariant};
use super::history::{Event, EventKind, KeyRange, Kv, Log, Revision, Truth};
use super::show;

/// The empty store has this revision.
const FIRST: i64 = 1;

/// Every event from revision 2 to the last one without a gap before it.
#[derive(Debug)]
pub(super) struct Timeline {
    events: Vec<Event>,
    /// Where in `events` revision `FIRST + 1 + index` begins.
    begins: Vec<usize>,
    /// The places of a key's events, oldest first.
    keys: BTreeMap<Vec<u8>, Vec<usize>>,
    newest: Revision,
}

type Revisions<'a> = BTreeMap<Revision, (u32, &'a [Event])>;

impl KeyRange {
    /// Whether `key` lies inside.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        if self.end.is_empty() {
            return *self.key == *key;
        }
        *self.key <= *key && (self.end == b"\0" || *key < *self.end)
    }
}

impl Timeline {
    /// Merges what members told; where they differ, contradict themselves or leave something out is
    /// found.
    pub(super) fn build(truth: &Truth, findings: &mut Findings) -> Self {
        let mut revisions = Revisions::new();
        for log in &truth.logs {
            merge(log, &mut revisions, findings);
        }
        let newest = truth.logs.iter().map(|log| log.to).max().unwrap_or(Revision(FIRST));
        let (events, begins, keys) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut timeline = Self { events, begins, keys, newest };
        for (revision, (member, events)) in &revisions {
            if revision.0 != timeline.end().0 + 1 {
                break;
            }
            timeline.push(*revision, *member, events, findings);
        }
        if newest > timeline.end() {
            let gap = timeline.end().0 + 1;
            let text = format!(
                "the truth has no events of revision {gap}, but reaches to {newest}: \
                 what names {gap} or later is not judged"
            );
            findings.add(invariant::RECORD, text);
        }
        timeline
    }

    fn push(&mut self, revision: Revision, member: u32, events: &[Event], findings: &mut Findings) {
        for event in events {
            let before = self.at(&event.kv.key, self.end());
            if let Some(wrong) = misfit(revision, event, before) {
                findings.add(
                    invariant::EXACT,
                    format!("member {member} tells of revision {revision}: {event}; {wrong}"),
                );
            }
        }
        self.begins.push(self.events.len());
        for event in events {
            let places = self.keys.entry(event.kv.key.clone()).or_default();
            if places.last().is_some_and(|last| self.events[*last].kv.mod_revision == revision) {
                let key = show::bytes(&event.kv.key);
                let text = format!("member {member} tells of two events of {key} at {revision}");
                findings.add(invariant::EXACT, text);
            }
            places.push(self.events.len());
            let kv = Kv { mod_revision: revision, ..event.kv.clone() };
            self.events.push(Event { kv, prev: None, ..event.clone() });
        }
    }

    /// The last revision known without a gap before it.
    pub(super) fn end(&self) -> Revision {
        Revision(FIRST + self.begins.len() as i64)
    }

    /// The newest revision that any member told of.
    pub(super) fn newest(&self) -> Revision {
        self.newest
    }

    /// Whether the state at `revision` is known.
    pub(super) fn knows(&self, revision: Revision) -> bool {
        revision.0 >= 0 && revision <= self.end()
    }

    /// The events that made a revision; none if it is not known.
    pub(super) fn events(&self, revision: Revision) -> &[Event] {
        let Ok(index) = usize::try_from(revision.0 - FIRST - 1) else { return &[] };
        let Some(begin) = self.begins.get(index) else { return &[] };
        let end = self.begins.get(index + 1).copied().unwrap_or(self.events.len());
        &self.events[*begin..end]
    }

    /// All events from a revision on, in order.
    pub(super) fn events_from(&self, revision: Revision) -> &[Event] {
        let index = usize::try_from(revision.0 - FIRST - 1).unwrap_or(0);
        match self.begins.get(index) {
            Some(begin) => &self.events[*begin..],
            None => &[],
        }
    }

    /// A key as it was at a revision.
    pub(super) fn at(&self, key: &[u8], revision: Revision) -> Option<&Kv> {
        self.version(self.keys.get(key)?, revision)
    }

    fn version(&self, places: &[usize], revision: Revision) -> Option<&Kv> {
        let upto = places.partition_point(|place| self.events[*place].kv.mod_revision <= revision);
        let event = &self.events[*places.get(upto.checked_sub(1)?)?];
        (event.kind == EventKind::Put).then_some(&event.kv)
    }

    /// The keys of a range as they were at a revision, in order.
    pub(super) fn range(&self, range: &KeyRange, revision: Revision) -> Vec<&Kv> {
        if range.end.is_empty() {
            return self.at(&range.key, revision).into_iter().collect();
        }
        let open = range.end == b"\0";
        if !open && range.key >= range.end {
            return Vec::new();
        }
        let upper = if open { Bound::Unbounded } else { Bound::Excluded(range.end.as_slice()) };
        let bounds = (Bound::Included(range.key.as_slice()), upper);
        let keys = self.keys.range::<[u8], _>(bounds);
        keys.filter_map(|(_, places)| self.version(places, revision)).collect()
    }
}

/// Takes over the revisions of a log, comparing those that were known already.
fn merge<'a>(log: &'a Log, revisions: &mut Revisions<'a>, findings: &mut Findings) {
    let member = log.member;
    let mut rest = log.events.as_slice();
    let mut expected = Revision(log.from.0.max(FIRST + 1));
    while let Some(first) = rest.first() {
        let revision = first.kv.mod_revision;
        let same = rest.iter().take_while(|event| event.kv.mod_revision == revision).count();
        let (events, behind) = rest.split_at(same);
        rest = behind;
        if revision < expected || revision > log.to {
            let text = format!("member {member} tells of {first} outside its order and bounds");
            findings.add(invariant::RECORD, text);
            continue;
        }
        empty_revisions(member, expected, revision, findings);
        expected = Revision(revision.0 + 1);
        match revisions.get(&revision) {
            None => {
                revisions.insert(revision, (member, events));
            }
            Some((_, known)) if effect::alike(known, events) => {}
            Some((other, known)) => findings.add(
                invariant::AGREEMENT,
                format!(
                    "revision {revision} is ({}) at member {member}, but ({}) at member {other}",
                    show::list(events),
                    show::list(known)
                ),
            ),
        }
    }
    empty_revisions(member, expected, Revision(log.to.0 + 1), findings);
}

fn empty_revisions(member: u32, from: Revision, before: Revision, findings: &mut Findings) {
    if from < before {
        let last = before.0 - 1;
        findings.add(
            invariant::REVISIONS,
            format!("member {member} has no event for revisions {from} to {last}"),
        );
    }
}

/// What in an event does not follow from the key before it.
fn misfit(revision: Revision, event: &Event, before: Option<&Kv>) -> Option<String> {
    let kv = &event.kv;
    match (event.kind, before) {
        (EventKind::Delete, None) => Some("there was no such key".to_owned()),
        (EventKind::Delete, Some(_)) => None,
        (EventKind::Put, before) => {
            let version = before.map_or(0, |before| before.version) + 1;
            let created = before.map_or(revision, |before| before.create_revision);
            (kv.version != version || kv.create_revision != created)
                .then(|| format!("version must be {version} and created {created}"))
        }
    }
}
