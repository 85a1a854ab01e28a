//! Members: what they applied is durable and in the journal, and where they are at the same place
//! they hold the same.

use std::collections::BTreeMap;

use super::finding::{Findings, invariant};
use super::history::{DigestAt, History, Truth};

/// Judges positions, digests and the hashes at the end.
pub(super) fn judge(history: &History, truth: &Truth, findings: &mut Findings) {
    for at in &history.positions {
        if at.applied > at.durable || at.durable > at.tail {
            let (applied, durable, tail) = (at.applied, at.durable, at.tail);
            let text = format!(
                "member {} at {}: applied {applied}, durable {durable}, tail {tail}",
                at.member, at.time
            );
            findings.add(invariant::POSITIONS, text);
        }
    }
    let mut digests: BTreeMap<u64, DigestAt> = BTreeMap::new();
    for at in &history.digests {
        let first = *digests.entry(at.position).or_insert(*at);
        if first.digest != at.digest {
            let text = format!(
                "at position {} member {} has the digest {:016x} (at {}), member {} {:016x} (at {})",
                at.position, at.member, at.digest, at.time, first.member, first.digest, first.time
            );
            findings.add(invariant::DIGESTS, text);
        }
    }
    let Some(first) = truth.hashes.first() else { return };
    for at in &truth.hashes {
        let same = (at.revision, at.compact_revision, at.hash)
            == (first.revision, first.compact_revision, first.hash);
        if !same {
            let told = |at: &super::history::HashAt| {
                let (revision, compacted) = (at.revision, at.compact_revision);
                format!("{:08x} at {revision} (compacted {compacted})", at.hash)
            };
            let text = format!(
                "HashKV of member {} is {}, of member {} {}",
                at.member,
                told(at),
                first.member,
                told(first)
            );
            findings.add(invariant::AGREEMENT, text);
        }
    }
}
