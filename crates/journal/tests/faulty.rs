//! The faulty wrapper does what its script says, and never lies.

use bytes::Bytes;
use futures::FutureExt;
use futures::executor::block_on;
use journal::faulty::{Fate, Faulty, Happens, Odds, Reported};
use journal::{Append, Journal, JournalError, MemoryJournal, Nonce, Slot};

const ONE: Slot = Slot(1);
const OURS: Nonce = Nonce(1);

fn faulty(happens: Happens, reported: Reported) -> Faulty<MemoryJournal> {
    Faulty::scripted(MemoryJournal::default(), [Fate { happens, reported, stall: 2 }])
}

fn offer(journal: &impl Journal) -> Append {
    block_on(journal.append(ONE, OURS, Bytes::from_static(b"ours")))
}

fn holds(journal: &Faulty<MemoryJournal>) -> bool {
    block_on(journal.inner().tail()) == Ok(Slot(2))
}

#[test]
fn written_and_told() {
    let journal = faulty(Happens::Written, Reported::Truth);
    assert!(matches!(offer(&journal), Append::Won) && holds(&journal));
}

#[test]
fn written_and_unknown() {
    let journal = faulty(Happens::Written, Reported::Unknown);
    assert!(matches!(offer(&journal), Append::Unknown(_)) && holds(&journal));
    assert!(matches!(offer(&journal), Append::Won), "the same nonce settles it");
}

#[test]
fn not_written_and_unknown() {
    let journal = faulty(Happens::NotWritten, Reported::Unknown);
    assert!(matches!(offer(&journal), Append::Unknown(_)) && !holds(&journal));
    assert!(matches!(offer(&journal), Append::Won) && holds(&journal));
}

#[test]
fn not_written_and_refused() {
    let journal = faulty(Happens::NotWritten, Reported::Refused);
    assert!(matches!(offer(&journal), Append::Refused(JournalError::Full(_))) && !holds(&journal));
}

#[test]
fn it_lands_after_a_reader_saw_nothing() {
    let journal = faulty(Happens::WrittenLater { after: 3 }, Reported::Unknown);
    assert!(matches!(offer(&journal), Append::Unknown(_)));
    assert_eq!(block_on(journal.tail()), Ok(ONE));
    assert_eq!(block_on(journal.read(ONE, 100)), Ok(vec![]), "absence proves nothing");
    assert_eq!(block_on(journal.tail()), Ok(Slot(2)), "it has landed");
    let rival = block_on(journal.append(ONE, Nonce(2), Bytes::new()));
    assert!(matches!(rival, Append::Lost));
}

#[test]
fn an_offer_held_up_loses_to_a_rival() {
    let journal = faulty(Happens::WrittenLater { after: 2 }, Reported::Unknown);
    assert!(matches!(offer(&journal), Append::Unknown(_)));
    let rival = block_on(journal.append(ONE, Nonce(2), Bytes::new()));
    assert!(matches!(rival, Append::Won));
    journal.heal();
    assert!(matches!(offer(&journal), Append::Lost));
}

#[test]
fn what_may_have_got_through_is_never_refused() {
    let unknown = Fate { happens: Happens::Written, reported: Reported::Unknown, stall: 0 };
    let refused = Fate { happens: Happens::NotWritten, reported: Reported::Refused, stall: 0 };
    let journal = Faulty::scripted(MemoryJournal::default(), [unknown, refused]);
    assert!(matches!(offer(&journal), Append::Unknown(_)));
    assert!(matches!(offer(&journal), Append::Unknown(_)), "a refusal would be a lie");
}

#[test]
#[should_panic(expected = "never lies")]
fn a_lie_is_not_accepted() {
    drop(faulty(Happens::NotWritten, Reported::Truth));
}

#[test]
fn a_stalled_future_is_pending_and_the_offer_made() {
    let journal = faulty(Happens::Written, Reported::Truth);
    let append = journal.append(ONE, OURS, Bytes::new());
    assert!(append.now_or_never().is_none(), "it stalls");
    assert!(holds(&journal), "and the dropped future withdrew nothing");
}

#[test]
fn a_seed_repeats_itself() {
    let run = |seed| {
        let journal = Faulty::seeded(MemoryJournal::default(), seed, Odds::default());
        let outcomes: Vec<_> = (0..200).map(|_| format!("{:?}", offer(&journal))).collect();
        outcomes
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
