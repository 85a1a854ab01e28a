//! Entries whose checksums hold and that are wrong all the same.

use engine::check::{Report, Weight};
use journal::{Append, Body, Journal, Nonce, Slot};
use state::{Command, Digest, Entry, Epoch, MemberId, Position, Put, State, Timestamp};

use crate::support::{files, look};

async fn looked(bodies: Vec<Body>) -> Report {
    let kept = tempfile::tempdir().expect("a directory");
    let journal = files(kept.path());
    for (slot, body) in (1..).zip(bodies) {
        let append = journal.append(Slot(slot), Nonce(slot.into()), body).await;
        assert!(matches!(append, Append::Won));
    }
    drop(journal);
    look(kept.path()).await.expect("looked at")
}

fn entry(epoch: u64, commands: Vec<Command>) -> Entry {
    Entry { epoch: Epoch(epoch), clock: Timestamp(5), commands, origins: Vec::new() }
}

fn claim(epoch: u64) -> Entry {
    entry(epoch - 1, vec![Command::Claim { epoch: Epoch(epoch), member: MemberId(9) }])
}

fn put() -> Command {
    Command::Put(Put { key: "k".into(), value: "v".into(), ..Put::default() })
}

fn bodies(entries: &[Entry]) -> Vec<Body> {
    entries.iter().map(Entry::encode).collect()
}

#[tokio::test]
async fn digests_are_computed_again() {
    let mut entries = vec![claim(1), entry(1, vec![put(), Command::DigestDue])];
    let mut state = State::new();
    for (position, entry) in (1..).map(Position).zip(&entries) {
        state.apply(position, entry);
    }
    let position = state.position();
    let said = |digest| entry(1, vec![Command::DigestIs { position, digest }]);
    entries.push(said(state.digest()));
    let report = looked(bodies(&entries)).await;
    assert!(!report.is_damaged(), "{:?}", report.findings);
    assert_eq!(report.reached.map(|reached| reached.digests), Some(1));
    entries[2] = said(Digest { keys: 1, rest: 2 });
    let report = looked(bodies(&entries)).await;
    assert!(report.is_damaged());
    let said = report.findings[0].to_string();
    assert!(said.contains("slot 3") && said.contains(".journal"), "{said}");
}

#[tokio::test]
async fn an_entry_of_nobodys_epoch_is_told() {
    let report = looked(bodies(&[claim(1), entry(1, vec![put()]), entry(4, vec![put()])])).await;
    assert_eq!(report.findings[0].weight, Weight::Damage);
    assert!(report.findings[0].what.contains("slot 3"), "{}", report.findings[0]);
    let report = looked(bodies(&[claim(1), claim(2), entry(1, vec![put()])])).await;
    assert!(!report.is_damaged(), "a replaced writer's: {:?}", report.findings);
    assert_eq!(report.reached.map(|reached| reached.void), Some(1));
}

#[tokio::test]
async fn an_entry_that_cannot_be_understood_is_told_with_its_place() {
    let mut bodies = bodies(&[claim(1), entry(1, vec![put()])]);
    bodies.push(Body::from_static(b"no entry"));
    let report = looked(bodies).await;
    let said = report.findings[0].to_string();
    for word in ["slot 3", "at byte", "00000000000000000001.journal", "newer version"] {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
    assert_eq!(report.findings[0].weight, Weight::Damage);
    assert_eq!(report.reached, None);
}
