//! What a survey of the journal's files means, given the slot up to which a checkpoint holds everything.

use std::path::Path;

use journal::Slot;
use journal::file::{Survey, Surveyed};

use super::{Finding, Report, Segment, Weight};

const RESTORE: &str =
    "keep the directory as it is, check the disk, and bring the files back from a backup";

/// Notes the files and what is wrong with them.
pub(super) fn judge(dir: &Path, survey: &Survey, covered: Slot, report: &mut Report) {
    report.log = survey.log;
    report.sealed.clone_from(&survey.sealed);
    for damage in &survey.strange {
        let found = Finding::new(Weight::Damage, &damage.file, damage.to_string());
        report.findings.push(
            found
                .means("a server does not start: it may be a journal file that was renamed")
                .advice(
                    "give it back its name if it had another; else move it out of the directory",
                ),
        );
    }
    for (at, file) in survey.files.iter().enumerate() {
        let slots = (file.first, file.next);
        let (bytes, end) = (file.size, file.end);
        report.segments.push(Segment { file: file.file.clone(), bytes, end, slots });
        let following = survey.files.get(at + 1).map(|file| file.first);
        report.findings.extend(damaged(file, following, covered));
        report.findings.extend(litter(file));
    }
    if let Some(cut) = &survey.torn {
        let what =
            format!("at byte {}: {} bytes behind the last whole entry", cut.offset, cut.bytes);
        let found = Finding::new(Weight::Note, &cut.file, what);
        report.findings.push(
            found
                .means(format!(
                    "a torn tail, as a crash leaves it: nothing behind slot {} had been acknowledged, \
                     or it was the very last write and is damaged, which cannot be told apart",
                    tail(survey).0.saturating_sub(1)
                ))
                .advice("nothing: the next start cuts it"),
        );
    }
    if survey.files.is_empty() && covered > Slot(0) {
        let found = Finding::new(Weight::Damage, dir, "there is no journal file");
        report.findings.push(
            found.means(format!("whatever was written after slot {covered} is lost")).advice(
                "bring the files back; or `meridian restore` the checkpoint into a new directory",
            ),
        );
    }
}

pub(super) fn tail(survey: &Survey) -> Slot {
    survey.slots().map_or(Slot(1), |(_, tail)| tail)
}

/// What damage to a file means: which slots are gone, and whether a checkpoint has them.
fn damaged(file: &Surveyed, following: Option<Slot>, covered: Slot) -> Option<Finding> {
    let damage = file.damage.as_ref()?;
    let finding = |weight| Finding::new(weight, &file.file, damage.to_string());
    let Some(following) = following else {
        return Some(
            finding(Weight::Damage)
                .means(format!(
                    "acknowledged data may be lost: slot {} and whatever comes after it",
                    file.next
                ))
                .advice(RESTORE),
        );
    };
    let last = Slot(following.0 - 1);
    if last <= covered {
        return Some(
            finding(Weight::Spared)
                .means(format!(
                    "slots {} to {last} cannot be read, and a checkpoint holds all up to slot {covered}",
                    file.next
                ))
                .advice(format!(
                    "a server does not start before this file and all journal files before it are moved \
                     away; the log then begins at slot {following}, and nothing is missing"
                )),
        );
    }
    let means = format!("acknowledged data is lost: slots {} to {last}", file.next);
    Some(finding(Weight::Damage).means(means).advice(RESTORE))
}

fn litter(file: &Surveyed) -> Option<Finding> {
    let last = file.litter?;
    let what = format!("at byte {last}: this should be zero, the entries end at byte {}", file.end);
    let found = Finding::new(Weight::Spared, &file.file, what);
    Some(found.means("nothing: no entry stands there").advice("check the disk"))
}
