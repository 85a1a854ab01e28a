//! The oracle and the exact search come to one verdict, on right histories and on altered ones.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::draw::{Shape, draw};
use super::exact::explainable;
use super::told;
use crate::oracle::history::{History, Kv, Outcome, Reply, Revision, Time, Truth};
use crate::oracle::judge;

const SMALL: Shape = Shape { clients: 4, keys: 2, steps: 34, all: false };

fn alter(history: &mut History, truth: &mut Truth, random: &mut StdRng) {
    if history.calls.is_empty() {
        return;
    }
    let place = random.random_range(0..history.calls.len());
    let other = random.random_range(0..history.calls.len());
    let begin = history.calls[other].begin;
    match random.random_range(0..9) {
        0 => history.calls[place].outcome = None,
        1 => {
            let outcome = history.calls[other].outcome.clone();
            let other = std::mem::replace(&mut history.calls[place].outcome, outcome);
            let found = random.random_range(0..history.calls.len());
            history.calls[found].outcome = other.or(history.calls[found].outcome.clone());
        }
        2 | 3 => {
            // Later or earlier than it was, as a whole.
            let call = &mut history.calls[place];
            let long = call.end.map(|end| end.0 - call.begin.0);
            call.begin = begin;
            call.end = long.map(|long| Time(begin.0 + long));
        }
        4 => {
            let call = &mut history.calls[place];
            call.end = call.end.map(|end| Time(end.0.min(call.begin.0 + 1)));
        }
        5 | 6 => {
            let call = &mut history.calls[place];
            if let Some(Outcome::Done { revision, reply }) = &mut call.outcome {
                if random.random_bool(0.5) {
                    *revision = Revision(revision.0 + random.random_range(-1..=1));
                } else {
                    spoil(reply, random);
                }
            }
        }
        7 => {
            let events = &mut truth.logs[0].events;
            if let Some(event) = events.choose(random).cloned() {
                let revision = event.kv.mod_revision;
                events.retain(|event| event.kv.mod_revision < revision);
                truth.logs[0].to = Revision(revision.0 - 1);
            }
        }
        _ => {
            let call = history.calls[place].clone();
            history.calls[other].op = call.op;
        }
    }
}

fn spoil(reply: &mut Reply, random: &mut StdRng) {
    let kv = |kv: &mut Kv| kv.mod_revision.0 += 1;
    match reply {
        Reply::Put { prev: Some(prev) } => kv(prev),
        Reply::Delete { deleted, .. } => *deleted += 1,
        Reply::Range { kvs, count, .. } => match kvs.last_mut() {
            Some(last) if random.random_bool(0.5) => last.version += 1,
            _ => *count += 1,
        },
        Reply::Txn { succeeded, .. } => *succeeded = !*succeeded,
        _ => {}
    }
}

#[test]
fn the_oracle_and_an_exact_search_agree() {
    let (mut right, mut wrong) = (0, 0);
    for seed in 0..6000 {
        let (mut history, mut truth) = draw(seed, SMALL);
        // Values must stay unique, and only what has values can be told apart: so calls are
        // altered, not copied.
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..seed % 3 {
            alter(&mut history, &mut truth, &mut random);
        }
        history.positions.clear();
        history.digests.clear();
        truth.logs.truncate(1);
        let findings = judge(&history, &truth);
        let explained = explainable(&history, &truth);
        let calls: String = history.calls.iter().map(|call| format!("{call}\n")).collect();
        let told = told(&findings);
        assert_eq!(findings.is_empty(), explained, "seed {seed}:\n{told}{calls}{:?}", truth.logs);
        assert!(explained || seed % 3 != 0, "seed {seed}: a right history is not explained");
        if explained { right += 1 } else { wrong += 1 }
    }
    assert!(right > 2500 && wrong > 1500, "{right} right, {wrong} wrong: too few of one kind");
}
