//! Every entry decoded, and those behind the checkpoint applied, as at a start.

use std::collections::BTreeMap;
use std::path::Path;

use journal::file::{Readable, Survey};
use journal::{Journal, Record, Slot};
use state::{Command, Digest, Entry, Epoch, Level, MemberId, Position, State};

use super::{Finding, Progress, Reached, Report, Weight, log};
use crate::archive::Written;
use crate::entries;
use crate::recover;
use crate::restore::Unusable;

/// Bytes of entries read at a time.
const READ_BYTES: usize = 8 << 20;
/// So many digests wait for what the writer says of them.
const DIGESTS: usize = 8;

/// Decodes and replays. `base` is the state to begin from.
pub(super) async fn judge(
    dir: &Path,
    survey: &Survey,
    base: Option<State>,
    report: &mut Report,
    progress: Progress<'_>,
) -> Result<(), Unusable> {
    let base = base.unwrap_or_default();
    let begin = Slot(base.position().0).next();
    for (first, next) in survey.stretches() {
        let Some(journal) = survey.readable(first) else { continue };
        decode(survey, &journal, first, next.min(begin), report).await?;
    }
    let Some(journal) = bridge(dir, survey, begin, report) else { return Ok(()) };
    let from = base.position();
    let tail = log::tail(survey).0;
    let mut watched = Watched::new(&base);
    let written = Written { position: from, ..Written::default() };
    let mut applied = |record: &Record, entry: &Entry, state: &State| {
        watched.applied(record, entry, state);
        progress("replaying the journal, slots", record.slot.0 - from.0, tail - begin.0);
    };
    let replayed = recover::replay(&journal, base, written, Level::NEWEST, &mut applied).await;
    match replayed {
        Ok(recovered) => report.reached = Some(watched.reached(from, &recovered.state)),
        Err(error) => {
            let slot = watched.next;
            report.findings.push(undecoded(survey, slot, &error.to_string()));
        }
    }
    report.findings.extend(watched.wrong.into_iter().map(|(slot, what)| {
        let means = "the entries do not lead to the state that the writer had: a bug, or a file of \
                     another time";
        let place = survey.place(slot);
        let file = place.as_ref().map_or(dir, |(file, _)| file.as_path());
        Finding::new(Weight::Damage, file, what).means(means).advice(
            "keep the directory as it is, report this, and bring the files back from a backup",
        )
    }));
    Ok(())
}

/// The entries from `begin` on, or why there is nothing to go on with.
fn bridge(dir: &Path, survey: &Survey, begin: Slot, report: &mut Report) -> Option<Readable> {
    let (first, tail) = survey.slots()?;
    let gap = |what: String, means: String| {
        Finding::new(Weight::Damage, dir, what).means(means).advice(
            "bring back the files that are missing from a backup; a server does not start without them",
        )
    };
    if first > begin {
        let what = format!(
            "the journal begins at slot {first}, and no checkpoint that is whole holds what is before"
        );
        let means = format!("slots {begin} to {} are missing", first.0 - 1);
        report.findings.push(gap(what, means));
        return None;
    }
    if tail < begin {
        let what = format!(
            "the newest checkpoint stands at slot {}, and the journal ends before slot {tail}",
            begin.0 - 1
        );
        let means = "the journal's files are not those that belong to this checkpoint, or the newest of \
                     them are missing";
        report.findings.push(gap(what, means.to_owned()));
        return None;
    }
    // What stands in the way was named with its file.
    survey.readable(begin)
}

/// Decodes entries that a checkpoint holds, and that no start would read.
async fn decode(
    survey: &Survey,
    journal: &Readable,
    from: Slot,
    to: Slot,
    report: &mut Report,
) -> Result<(), Unusable> {
    let mut next = from;
    while next < to {
        let records = match journal.read(next, READ_BYTES).await {
            Ok(records) if !records.is_empty() => records,
            Ok(_) => return Ok(()),
            Err(error) => return Err(Unusable(error.to_string())),
        };
        for record in records.iter().take_while(|record| record.slot < to) {
            if let Err(error) = entries::decode(record.slot, &record.body, Level::NEWEST) {
                report.findings.push(undecoded(survey, record.slot, &error.to_string()));
            }
        }
        next = records.last().map_or(to, |record| record.slot.next());
    }
    Ok(())
}

fn undecoded(survey: &Survey, slot: Slot, what: &str) -> Finding {
    let (file, offset) = survey.place(slot).unwrap_or_default();
    Finding::new(Weight::Damage, &file, format!("at byte {offset}: {what}"))
        .means("its checksum holds, so it was written so: by a newer version, or by a bug")
        .advice("use the version that wrote it; if that is this one, report it")
}

/// What is noted while entries are applied.
struct Watched {
    next: Slot,
    epoch: Epoch,
    member: Option<MemberId>,
    void: u64,
    digests: u64,
    computed: BTreeMap<Position, Digest>,
    wrong: Vec<(Slot, String)>,
}

impl Watched {
    fn new(base: &State) -> Self {
        Self {
            next: Slot(base.position().0).next(),
            epoch: base.epoch(),
            member: None,
            void: 0,
            digests: 0,
            computed: BTreeMap::new(),
            wrong: Vec::new(),
        }
    }

    fn applied(&mut self, record: &Record, entry: &Entry, state: &State) {
        self.next = record.slot.next();
        if entry.epoch > self.epoch {
            let what = format!(
                "slot {}: the entry is of epoch {}, and nobody had claimed one after {}",
                record.slot, entry.epoch.0, self.epoch.0
            );
            self.wrong.push((record.slot, what));
        }
        if entry.epoch != self.epoch {
            self.void += 1;
            return;
        }
        self.epoch = state.epoch();
        for command in &entry.commands {
            self.command(record.slot, command.bare(), state);
        }
    }

    fn command(&mut self, slot: Slot, command: &Command, state: &State) {
        match command {
            Command::Claim { epoch, member } if *epoch == state.epoch() => {
                self.member = Some(*member);
            }
            Command::DigestDue => {
                self.computed.insert(Position(slot.0), state.digest());
                if self.computed.len() > DIGESTS {
                    self.computed.pop_first();
                }
            }
            Command::DigestIs { position, digest } => self.compare(slot, *position, *digest),
            _ => {}
        }
    }

    fn compare(&mut self, slot: Slot, position: Position, said: Digest) {
        let Some(computed) = self.computed.remove(&position) else { return };
        self.digests += 1;
        if computed != said {
            let what = format!(
                "slot {slot}: the state at slot {position} has the digest {computed}, and the writer \
                 said {said}"
            );
            self.wrong.push((slot, what));
        }
    }

    fn reached(&self, from: Position, state: &State) -> Reached {
        Reached {
            from,
            position: state.position(),
            revision: state.revision(),
            compacted: state.compact_revision(),
            epoch: state.epoch(),
            member: self.member,
            digest: state.digest(),
            keys: state.view().len() as u64,
            leases: state.lease_count(),
            digests: self.digests,
            void: self.void,
        }
    }
}
