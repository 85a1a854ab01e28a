//! What a check found, in lines for a person.

use std::fmt::Write;
use std::path::Path;

use engine::check::{Report, Weight};

/// The report.
pub(super) fn text(dir: &Path, report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    write(&mut text, dir, report).unwrap_or_default();
    text
}

fn write(out: &mut String, dir: &Path, report: &Report) -> std::fmt::Result {
    writeln!(out, "{}", dir.display())?;
    for checkpoint in &report.checkpoints {
        let (position, revision) = (checkpoint.position, checkpoint.revision);
        writeln!(
            out,
            "checkpoint at slot {position}: revision {revision}, {}",
            size(checkpoint.bytes)
        )?;
    }
    journal(out, report)?;
    reached(out, report)?;
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    let count = |weight| report.findings.iter().filter(|found| found.weight == weight).count();
    let (lost, spared) = (count(Weight::Damage), count(Weight::Spared));
    match (lost, spared) {
        (0, 0) => writeln!(out, "no damage"),
        (0, spared) => writeln!(out, "damaged in {spared} places; no data is lost"),
        (lost, spared) => writeln!(out, "damaged in {} places", lost + spared),
    }
}

fn journal(out: &mut String, report: &Report) -> std::fmt::Result {
    let (Some(oldest), Some(newest)) = (report.segments.first(), report.segments.last()) else {
        return writeln!(out, "journal: no files");
    };
    let files = report.segments.len();
    let bytes: u64 = report.segments.iter().map(|file| file.bytes).sum();
    let frames: u64 = report.segments.iter().map(|file| file.end).sum();
    let log = report.log.map_or_else(|| "unknown".to_owned(), |log| format!("{log:032x}"));
    let last = newest.slots.1.0.saturating_sub(1);
    writeln!(
        out,
        "journal: {files} files of {}, of which {} are written; slots {} to {last}; log {log}",
        size(bytes),
        size(frames),
        oldest.slots.0,
    )?;
    match &report.sealed {
        Some(successor) => writeln!(out, "the log was ended, and goes on at {}", successor.0),
        None => Ok(()),
    }
}

fn reached(out: &mut String, report: &Report) -> std::fmt::Result {
    let Some(reached) = &report.reached else {
        return writeln!(out, "replayed: nothing, see below");
    };
    let compacted = match reached.compacted.0 {
        never if never < 0 => "never compacted".to_owned(),
        at => format!("compacted at {at}"),
    };
    writeln!(
        out,
        "replayed: from slot {} to {}; revision {} ({compacted}), {} keys, {} leases, epoch {}, HashKV {}",
        reached.from,
        reached.position,
        reached.revision,
        reached.keys,
        reached.leases,
        reached.epoch.0,
        reached.digest.keys,
    )?;
    if reached.digests > 0 {
        writeln!(out, "{} digests in the journal were computed again", reached.digests)?;
    }
    if reached.void > 0 {
        writeln!(out, "{} entries of replaced writers have no effect", reached.void)?;
    }
    Ok(())
}

fn size(bytes: u64) -> String {
    if bytes < 1 << 20 {
        return format!("{bytes} bytes");
    }
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
