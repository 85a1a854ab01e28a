//! Watches: exactly the events of the range from the start on, in order, each once, a revision
//! never split; notices say no more than was delivered; only what is compacted is given up.

use std::collections::BTreeMap;

use super::Case;
use super::finding::{Findings, invariant};
use super::history::{Event, EventKind, Revision, Time, Watch, WatchResponse};

/// A watch that is up to date survives so many compactions that are carried out before it is served.
const VIEWS_KEPT: usize = 8;

/// Judges every watch up to the first thing that is wrong with it.
pub(super) fn judge(case: &Case<'_>, findings: &mut Findings) {
    let by_id: BTreeMap<u64, &Watch> =
        case.history.watches.iter().map(|watch| (watch.id, watch)).collect();
    for watch in &case.history.watches {
        if let Err(wrong) = Follower::new(case, watch).follow() {
            findings.add(invariant::WATCHES, format!("{watch}; {wrong}"));
        }
        let before = watch.resumes.map(|id| (id, by_id.get(&id)));
        let wrong = before.and_then(|(id, before)| match before {
            Some(before) => misresumed(watch, before),
            None => Some(format!("it resumes {id}, which nobody began")),
        });
        if let Some(wrong) = wrong {
            findings.add(invariant::WATCHES, format!("{watch}; {wrong}"));
        }
    }
}

/// Goes through the messages of a watch and the truth side by side.
struct Follower<'a> {
    case: &'a Case<'a>,
    watch: &'a Watch,
    start: Revision,
    created: bool,
    over: bool,
    /// What has not been delivered yet, its range and filters not applied.
    rest: &'a [Event],
    /// The last revision delivered.
    last: Revision,
    /// Whether the message it came in announced more of it.
    more: bool,
    /// Whether it began with what was new, and cannot have fallen behind since.
    up_to_date: bool,
}

impl<'a> Follower<'a> {
    fn new(case: &'a Case<'a>, watch: &'a Watch) -> Self {
        let rest = case.timeline.events_from(watch.start);
        let (start, last) = (watch.start, Revision(0));
        let (created, over, more, up_to_date) = (false, false, false, false);
        Self { case, watch, start, created, over, rest, last, more, up_to_date }
    }

    fn follow(mut self) -> Result<(), String> {
        for response in &self.watch.responses {
            self.response(response).map_err(|wrong| format!("{response}; {wrong}"))?;
        }
        let Some(settled) = self.watch.settled.filter(|_| !self.over) else { return Ok(()) };
        match self.next() {
            _ if !self.created => Err("it was never created".to_owned()),
            Some(next) if next.kv.mod_revision <= settled => {
                Err(format!("all up to {settled} must have come, but not {next}"))
            }
            _ => Ok(()),
        }
    }

    /// The next event that is due.
    fn next(&mut self) -> Option<&'a Event> {
        let rest = self.rest;
        let skipped = rest.iter().take_while(|event| !self.wants(event)).count();
        self.rest = &rest[skipped..];
        self.rest.first()
    }

    fn wants(&self, event: &Event) -> bool {
        let filtered = match event.kind {
            EventKind::Put => self.watch.no_put,
            EventKind::Delete => self.watch.no_delete,
        };
        !filtered && self.watch.range.contains(&event.kv.key)
    }

    fn response(&mut self, response: &WatchResponse) -> Result<(), String> {
        if self.over {
            return Err("it was over".to_owned());
        }
        if response.created == self.created {
            return Err("the first message, and no other, says created".to_owned());
        }
        if response.fragment && !self.watch.fragment {
            return Err("a fragment, which was not asked for".to_owned());
        }
        if response.created {
            self.created = true;
            let new = self.start.0 <= 0 || self.start > response.revision;
            self.up_to_date = new && self.watch.wide;
            if self.start.0 <= 0 {
                self.start = Revision(response.revision.0 + 1);
                self.rest = self.case.timeline.events_from(self.start);
            }
        }
        for event in &response.events {
            self.event(event, response)?;
        }
        self.boundary(response)?;
        if response.canceled {
            self.over = true;
            return self.canceled(response);
        }
        if response.events.is_empty() && !response.created {
            return self.notice(response.revision);
        }
        Ok(())
    }

    fn event(&mut self, event: &Event, response: &WatchResponse) -> Result<(), String> {
        let revision = event.kv.mod_revision;
        if response.revision < revision {
            return Err(format!("the header is behind {event}"));
        }
        if revision < self.start {
            return Err(format!("{event} is before the start, {}", self.start));
        }
        if revision > self.case.timeline.end() {
            // What is behind a gap of the truth is not judged, and the gap is a finding of its own.
            self.rest = &[];
            return Ok(());
        }
        let Some(next) = self.next() else {
            return Err(format!("{event} came twice, or never happened"));
        };
        if next.kind != event.kind || next.kv != event.kv {
            let late = revision <= self.last && revision < next.kv.mod_revision;
            let again = if late { "; what is behind the last one came again" } else { "" };
            return Err(format!("expected {next}, got {event}{again}"));
        }
        self.rest = &self.rest[1..];
        self.last = revision;
        self.prev(event, response.time)
    }

    fn prev(&self, event: &Event, time: Time) -> Result<(), String> {
        let before = Revision(event.kv.mod_revision.0 - 1);
        let prev = self.case.timeline.at(&event.kv.key, before).filter(|_| self.watch.prev_kv);
        let compacted = event.prev.is_none() && before < self.case.compactions.possibly(time);
        if event.prev.as_ref() == prev || compacted {
            return Ok(());
        }
        let prev = prev.map_or("nothing".to_owned(), ToString::to_string);
        Err(format!("{event} must show {prev} as what was before"))
    }

    /// A revision goes on in the next message only if that was announced.
    fn boundary(&mut self, response: &WatchResponse) -> Result<(), String> {
        let (last, announced) = (self.last, self.more);
        let open = self.next().is_some_and(|next| next.kv.mod_revision == last);
        if !response.events.is_empty() {
            self.more = response.fragment;
            if open && !response.fragment {
                return Err(format!("revision {last} is split, or not all of it came"));
            }
        } else if announced && open {
            return Err(format!("the rest of revision {last} was announced"));
        }
        Ok(())
    }

    fn canceled(&mut self, response: &WatchResponse) -> Result<(), String> {
        let compacted = response.compact_revision;
        if compacted == Revision(0) {
            return Ok(());
        }
        let needed = self.start.max(Revision(self.last.0 + 1));
        if needed >= compacted {
            return Err(format!("it was given up for a compaction, but needs only {needed}"));
        }
        if !self.case.compactions.asked(compacted, response.time) {
            return Err(format!("nobody had asked for a compaction at {compacted}"));
        }
        let since = self.case.sight.at_the_earliest(needed);
        if self.up_to_date && self.case.compactions.between(since, response.time) <= VIEWS_KEPT {
            return Err(format!(
                "it was given up for a compaction, but was up to date at {needed}"
            ));
        }
        Ok(())
    }

    fn notice(&mut self, revision: Revision) -> Result<(), String> {
        if revision < self.watch.start {
            return Err(format!("a notice before the start, {}", self.watch.start));
        }
        if revision < self.last {
            return Err(format!("a notice behind {}, which was delivered", self.last));
        }
        match self.next() {
            Some(next) if next.kv.mod_revision <= revision => {
                Err(format!("a notice ahead of {next}"))
            }
            _ => Ok(()),
        }
    }
}

/// Why a watch leaves a gap behind the one it goes on with.
fn misresumed(watch: &Watch, before: &Watch) -> Option<String> {
    let created = before.responses.iter().find(|response| response.created)?;
    let first = if before.start.0 > 0 { before.start.0 } else { created.revision.0 + 1 };
    let mut needed = Revision(first);
    for response in before.responses.iter().filter(|response| !response.created) {
        let told = match response.events.last() {
            _ if response.canceled => response.compact_revision.0,
            Some(event) => event.kv.mod_revision.0 + 1,
            None => response.revision.0 + 1,
        };
        needed = needed.max(Revision(told));
    }
    let gap = watch.start.0 <= 0 || watch.start > needed;
    gap.then(|| format!("it goes on with watch {}, which needs all from {needed}", before.id))
}
