//! One field of a right history altered at random: what contradicts a guarantee must be found, and
//! what a client merely does not know must not be.

use rand::rngs::StdRng;
use rand::seq::{IndexedMutRandom, IndexedRandom};
use rand::{Rng, SeedableRng};

use super::draw::{Shape, draw};
use super::told;
use crate::oracle::effect;
use crate::oracle::finding::Findings;
use crate::oracle::history::{
    Call, History, Kv, Op, Outcome, Refusal, Reply, Revision, Time, Truth, WatchResponse,
};
use crate::oracle::judge;
use crate::oracle::timeline::Timeline;

const SHAPE: Shape = Shape { clients: 6, keys: 6, steps: 900, all: true };
const SEEDS: u64 = 60;

/// Alters something; `None` if there was nothing to alter.
type Mutation = fn(&mut History, &mut Truth, &mut StdRng) -> Option<()>;

/// What is altered, how, and which share (in percent) must be found at least.
const MUTATIONS: [(&str, Mutation, u32); 14] = [
    ("a key in a page", key_in_page, 100),
    ("a key left out of a page", key_left_out, 100),
    ("count or more of a page", count, 100),
    ("the branch of a transaction", branch, 100),
    ("the revision of a write", revision_of_write, 100),
    ("a linearizable read answered from far behind", stale, 95),
    ("a write called refused", refused, 95),
    ("an event of a watch left out", event_left_out, 90),
    ("an event of a watch twice", event_twice, 100),
    ("an event of a watch altered", event_altered, 100),
    ("two messages of a watch swapped", messages_swapped, 95),
    ("an event of one member's log altered", truth_altered, 100),
    ("the last revisions lost", truth_cut, 100),
    ("a write moved behind a later one", moved, 95),
];

fn pick<'a>(
    history: &'a mut History,
    random: &mut StdRng,
    fits: impl Fn(&Call) -> bool,
) -> Option<&'a mut Call> {
    let places: Vec<usize> =
        (0..history.calls.len()).filter(|place| fits(&history.calls[*place])).collect();
    Some(&mut history.calls[*places.choose(random)?])
}

fn has_keys(call: &Call) -> bool {
    matches!(&call.outcome, Some(Outcome::Done { reply: Reply::Range { kvs, .. }, .. }) if !kvs.is_empty())
}

fn wrote(call: &Call) -> bool {
    matches!(&call.outcome, Some(Outcome::Done { reply, .. }) if effect::changed(&call.op, reply))
}

fn reply(call: &mut Call) -> Option<&mut Reply> {
    match &mut call.outcome {
        Some(Outcome::Done { reply, .. }) => Some(reply),
        _ => None,
    }
}

fn spoil(kv: &mut Kv, random: &mut StdRng) {
    match random.random_range(0..6) {
        0 => kv.value.push(b'!'),
        1 => kv.version += 1,
        2 => kv.create_revision.0 -= 1,
        3 => kv.mod_revision.0 -= 1,
        4 => kv.lease.0 += 1,
        _ => kv.key.push(b'!'),
    }
}

fn key_in_page(history: &mut History, _: &mut Truth, random: &mut StdRng) -> Option<()> {
    let Reply::Range { kvs, .. } = reply(pick(history, random, has_keys)?)? else { return None };
    let place = random.random_range(0..kvs.len());
    spoil(&mut kvs[place], random);
    Some(())
}

fn key_left_out(history: &mut History, _: &mut Truth, random: &mut StdRng) -> Option<()> {
    let Reply::Range { kvs, .. } = reply(pick(history, random, has_keys)?)? else { return None };
    kvs.remove(random.random_range(0..kvs.len()));
    Some(())
}

fn count(history: &mut History, _: &mut Truth, random: &mut StdRng) -> Option<()> {
    let Reply::Range { count, more, .. } = reply(pick(history, random, has_keys)?)? else {
        return None;
    };
    if random.random_bool(0.5) {
        *count += 1
    } else {
        *more = !*more
    }
    Some(())
}

fn branch(history: &mut History, _: &mut Truth, random: &mut StdRng) -> Option<()> {
    let txn =
        |call: &Call| matches!(call.outcome, Some(Outcome::Done { reply: Reply::Txn { .. }, .. }));
    let Reply::Txn { succeeded, .. } = reply(pick(history, random, txn)?)? else { return None };
    *succeeded = !*succeeded;
    Some(())
}

fn revision_of_write(history: &mut History, _: &mut Truth, random: &mut StdRng) -> Option<()> {
    let Some(Outcome::Done { revision, .. }) = &mut pick(history, random, wrote)?.outcome else {
        return None;
    };
    revision.0 += if random.random_bool(0.5) { 1 } else { -1 };
    Some(())
}

fn stale(history: &mut History, truth: &mut Truth, random: &mut StdRng) -> Option<()> {
    let timeline = Timeline::build(truth, &mut Findings::default());
    let newest = |call: &Call| {
        let linearizable =
            matches!(&call.op, Op::Range(range) if !range.serializable && range.revision.0 == 0);
        let late = matches!(&call.outcome, Some(Outcome::Done { revision, .. }) if revision.0 > 30);
        linearizable && late
    };
    let call = pick(history, random, newest)?;
    let Some(Outcome::Done { revision, reply }) = &mut call.outcome else { return None };
    let behind = Revision(revision.0 - random.random_range(8..20));
    *reply = effect::of(&call.op, &timeline, behind).ok()?.replies.pop()?;
    *revision = behind;
    Some(())
}

fn refused(history: &mut History, _: &mut Truth, random: &mut StdRng) -> Option<()> {
    let call = pick(history, random, wrote)?;
    call.outcome = Some(Outcome::Refused(Refusal::Other("busy".to_owned())));
    Some(())
}

/// A watch's messages, and which of them has events.
fn with_events<'a>(
    history: &'a mut History,
    random: &mut StdRng,
) -> Option<(&'a mut Vec<WatchResponse>, usize)> {
    let mut places = Vec::new();
    for (watch, seen) in history.watches.iter().enumerate() {
        for (place, response) in seen.responses.iter().enumerate() {
            if !response.events.is_empty() {
                places.push((watch, place));
            }
        }
    }
    let (watch, place) = *places.choose(random)?;
    Some((&mut history.watches[watch].responses, place))
}

fn event_left_out(history: &mut History, _: &mut Truth, random: &mut StdRng) -> Option<()> {
    let (responses, place) = with_events(history, random)?;
    let events = &mut responses[place].events;
    events.remove(random.random_range(0..events.len()));
    if events.is_empty() {
        responses.remove(place);
    }
    Some(())
}

fn event_twice(history: &mut History, _: &mut Truth, random: &mut StdRng) -> Option<()> {
    let (responses, place) = with_events(history, random)?;
    let events = &mut responses[place].events;
    let event = random.random_range(0..events.len());
    events.insert(event, events[event].clone());
    Some(())
}

fn event_altered(history: &mut History, _: &mut Truth, random: &mut StdRng) -> Option<()> {
    let (responses, place) = with_events(history, random)?;
    let events = &mut responses[place].events;
    let event = random.random_range(0..events.len());
    spoil(&mut events[event].kv, random);
    Some(())
}

fn messages_swapped(history: &mut History, _: &mut Truth, random: &mut StdRng) -> Option<()> {
    let (responses, place) = with_events(history, random)?;
    let other = responses.get(place + 1).filter(|other| !other.events.is_empty())?;
    let (events, revision) = (other.events.clone(), other.revision);
    responses[place + 1].events = std::mem::replace(&mut responses[place].events, events);
    responses[place + 1].revision = revision.max(responses[place].revision);
    responses[place].revision = responses[place + 1].revision;
    Some(())
}

fn truth_altered(_: &mut History, truth: &mut Truth, random: &mut StdRng) -> Option<()> {
    let log = truth.logs.choose_mut(random)?;
    let place = random.random_range(0..log.events.len());
    log.events[place].kv.value.push(b'!');
    Some(())
}

fn truth_cut(_: &mut History, truth: &mut Truth, random: &mut StdRng) -> Option<()> {
    let newest = truth.logs.iter().map(|log| log.to.0).max()?;
    let to = newest - random.random_range(5..20);
    for log in &mut truth.logs {
        log.to.0 = log.to.0.min(to);
        log.events.retain(|event| event.kv.mod_revision.0 <= to);
    }
    Some(())
}

fn moved(history: &mut History, _: &mut Truth, random: &mut StdRng) -> Option<()> {
    let later = history.calls[history.calls.len() * 3 / 4].begin;
    let call = pick(history, random, |call| wrote(call) && call.begin.0 * 2 < later.0)?;
    let long = call.end?.0 - call.begin.0;
    (call.begin, call.end) = (later, Some(Time(later.0 + long)));
    Some(())
}

#[test]
fn what_is_altered_is_found() {
    let mut table = String::new();
    let mut missed = Vec::new();
    for (name, mutation, least) in MUTATIONS {
        let (mut done, mut found) = (0, 0);
        for seed in 0..SEEDS {
            let (mut history, mut truth) = draw(seed, SHAPE);
            let mut random = StdRng::seed_from_u64(seed);
            if mutation(&mut history, &mut truth, &mut random).is_some() {
                done += 1;
                found += u32::from(!judge(&history, &truth).is_empty());
            }
        }
        table += &format!("{name}: {found} of {done}\n");
        if done < SEEDS as u32 / 3 || found * 100 < done * least {
            missed.push(name);
        }
    }
    assert!(missed.is_empty(), "{missed:?}\n{table}");
    eprintln!("{table}");
}

#[test]
fn what_is_forgotten_is_not_held_against_anybody() {
    for seed in 0..SEEDS {
        let (mut history, truth) = draw(seed, SHAPE);
        let mut random = StdRng::seed_from_u64(seed);
        for call in &mut history.calls {
            if random.random_bool(0.2) {
                call.outcome = None;
            }
        }
        let findings = judge(&history, &truth);
        assert!(findings.is_empty(), "seed {seed}:\n{}", told(&findings));
    }
}
