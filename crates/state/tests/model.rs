//! Random histories: the real machine against the naive one, and replicas against each other.

mod naive;
mod random;

use naive::Naive;
use proptest::collection::vec;
use proptest::prelude::*;
use state::{
    Command, Entry, Epoch, ImageLoader, LeaseId, Level, Member, MemberId, Position, RangeQuery,
    Reply, Revision, State, Timestamp, check,
};

/// What happens to the machine.
#[derive(Clone, Debug)]
enum Step {
    /// An entry of the current epoch, or else of a stale one.
    Apply { commands: Vec<Command>, clock: u64, stale: bool },
    /// A part of what compactions left to do.
    Maintain(usize),
    /// Go on with what an image gives back.
    Reload,
    /// Ask.
    Read(RangeQuery),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let commands = prop_oneof![
        8 => vec(random::command(), 1..4),
        1 => vec(random::members(), 4..12),
    ];
    let commands = commands.prop_map(|mut commands| {
        commands.retain(|command| check(command, 128).is_ok());
        commands
    });
    let stale = prop::bool::weighted(0.05);
    let apply = (commands, 0u64..1000, stale).prop_map(|(commands, clock, stale)| Step::Apply {
        commands,
        clock,
        stale,
    });
    let step = prop_oneof![
        12 => apply,
        2 => (1usize..20).prop_map(Step::Maintain),
        1 => Just(Step::Reload),
        6 => random::range().prop_map(Step::Read),
    ];
    vec(step, 1..60)
}

fn reload(state: &State) -> State {
    let mut loader = ImageLoader::new();
    for chunk in state.image().chunks() {
        loader.push(&chunk).expect("an image just written");
    }
    loader.finish().expect("an image just written")
}

fn entry(epoch: Epoch, step: (&[Command], u64, bool)) -> Entry {
    let (commands, clock, stale) = step;
    let epoch = if stale { Epoch(epoch.0 + 1) } else { epoch };
    Entry { epoch, clock: Timestamp(clock), commands: commands.to_vec(), origins: Vec::new() }
}

fn next(state: &State) -> Position {
    Position(state.position().0 + 1)
}

/// Leases, alarms, members, epoch, clock and the newest keys are the same.
fn agree(state: &State, naive: &Naive) {
    assert_eq!(state.revision().0, naive.revision());
    assert_eq!(state.view().compact_revision().0, naive.compacted);
    assert_eq!((state.epoch(), state.clock()), (naive.epoch, naive.clock));
    assert!(state.alarms().eq(naive.alarms.iter().copied()));
    assert!(state.leases().eq(naive.leases.iter().map(|(id, ttl)| (*id, *ttl))));
    for (id, ttl) in &naive.leases {
        let lease = state.lease(*id).expect("a lease");
        assert_eq!((lease.ttl, lease.keys), (*ttl, naive.attached(*id)));
    }
    assert!(state.lease(LeaseId(99)).is_none());
    assert_eq!(state.cluster().downgrade(), naive.downgrade);
    members_agree(state, naive);
}

fn members_agree(state: &State, naive: &Naive) {
    let cluster = state.cluster();
    for id in (0..6).map(MemberId) {
        let listed = naive.member(id);
        assert_eq!(cluster.members().get(&id), listed);
        let urls = listed.map(|member| &member.peer_urls).or_else(|| naive.peer_urls.get(&id));
        assert_eq!(cluster.peer_urls(id), urls.map(Vec::as_slice));
        assert_eq!(cluster.is_removed(id), naive.removed.contains(&id));
    }
    assert_eq!(cluster.members().len(), naive.members.len());
    assert_eq!(cluster.removed().len(), naive.removed.len());
    let writer = naive.writer.filter(|writer| naive.member(*writer).is_some());
    assert_eq!(cluster.writer(), writer);
    assert_eq!(cluster.version(), naive.version);
    assert_eq!(cluster.level(), if naive.raised { Level(2) } else { Level(1) });
}

/// Each revision above the compacted one is there, with each change of it, in order.
fn events_are_complete(state: &State, naive: &Naive) {
    let from = naive.compacted.max(1);
    let view = state.view();
    let events = view.events(Revision(from)).expect("events from the compacted revision on");
    let got: Vec<_> = events
        .filter(|event| event.mod_revision.0 > naive.compacted || event.tombstone)
        .map(|event| (event.sub, event.tombstone, event.to_owned()))
        .collect();
    let changes = (from..=naive.revision()).flat_map(|revision| {
        let changes = &naive.changes[(revision - 1) as usize];
        changes.iter().filter(move |change| revision > naive.compacted || change.tombstone)
    });
    let want: Vec<_> = changes.map(|c| (c.sub, c.tombstone, c.kv.clone())).collect();
    assert_eq!(got, want);
}

fn answers_alike(state: &State, naive: &Naive, query: &RangeQuery) {
    let got = state.view().range(query).map(|page| {
        let kvs: Vec<_> = page.iter().map(|kv| kv.to_owned()).collect();
        (kvs, page.more, page.count)
    });
    assert_eq!(got, naive.range(query), "{query:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_machine_is_what_the_naive_machine_is(steps in steps()) {
        let (mut state, mut naive) = (State::new(), Naive::default());
        for step in &steps {
            match step {
                Step::Apply { commands, clock, stale } => {
                    let entry = entry(naive.epoch, (commands, *clock, *stale));
                    let bytes = entry.encode();
                    let decoded = Entry::decode(&bytes).expect("an entry just written");
                    prop_assert_eq!(&decoded, &entry);
                    let outcomes = state.apply(next(&state), &decoded);
                    prop_assert_eq!(outcomes, naive.apply(&entry));
                }
                Step::Maintain(budget) => {
                    state.maintain(*budget);
                }
                Step::Reload => state = reload(&state),
                Step::Read(query) => answers_alike(&state, &naive, query),
            }
            agree(&state, &naive);
        }
        events_are_complete(&state, &naive);
        for revision in naive.compacted.max(1)..=naive.revision() {
            let range = state::KeyRange { key: "\0".into(), range_end: "\0".into() };
            let query = RangeQuery { range, revision: Revision(revision), ..Default::default() };
            answers_alike(&state, &naive, &query);
        }
    }

    /// DESIGN §9, 1: the revision grows by exactly one for each command that changes a key, and not at
    /// all otherwise. Whether a key was changed is read from the events.
    #[test]
    fn revision_grows_by_one_per_changing_command(steps in steps()) {
        let mut state = State::new();
        for step in &steps {
            let Step::Apply { commands, clock, stale } = step else { continue };
            let before = state.revision();
            let entry = entry(state.epoch(), (commands, *clock, *stale));
            let outcomes = state.apply(next(&state), &entry);
            let mut last = before;
            for outcome in &outcomes {
                prop_assert!(outcome.revision == last || outcome.revision == last.next());
                let grew = outcome.revision != last;
                let void = matches!(outcome.result, Ok(Reply::Void));
                prop_assert!(!(grew && (void || outcome.result.is_err())));
                last = outcome.revision;
            }
            prop_assert_eq!(last, state.revision());
            let view = state.view();
            if before.next() < view.compact_revision() {
                continue;
            }
            let events = view.events(before.next()).expect("not compacted");
            let mut revisions: Vec<i64> = events.map(|event| event.mod_revision.0).collect();
            revisions.dedup();
            let grown: Vec<i64> = (before.0 + 1..=last.0).collect();
            prop_assert!(revisions.iter().all(|revision| grown.contains(revision)));
            let readable = grown.iter().filter(|revision| **revision > view.compact_revision().0);
            prop_assert!(readable.clone().all(|revision| revisions.contains(revision)));
        }
    }

    /// But for a downgrade, which is how it is told: one that was begun names what it fell to.
    #[test]
    fn the_version_never_falls_without_a_downgrade(commands in vec(random::members(), 1..100)) {
        let mut state = State::new();
        for command in &commands {
            let before = state.cluster().version();
            let alone = std::slice::from_ref(command);
            state.apply(next(&state), &entry(state.epoch(), (alone, 0, false)));
            let (cluster, after) = (state.cluster(), state.cluster().version());
            let begun = matches!(command, Command::Downgrade { to: Some(_) });
            prop_assert!(after >= before || (begun && after == cluster.downgrade()));
            let started = |member: &&Member| member.version.is_some();
            let mut started = cluster.members().values().filter(started);
            let understood = after.is_none() || started.all(|member| member.version >= after);
            prop_assert!(understood, "{cluster:?}");
        }
    }

    /// Whoever has started can apply what the journal may hold.
    #[test]
    fn the_level_never_falls_and_all_can_apply_it(commands in vec(random::members(), 1..100)) {
        let mut state = State::new();
        for command in &commands {
            let before = state.cluster().level();
            let alone = std::slice::from_ref(command);
            state.apply(next(&state), &entry(state.epoch(), (alone, 0, false)));
            let cluster = state.cluster();
            prop_assert!(cluster.level() >= before);
            let mut started = cluster.members().values().filter(|one| one.version.is_some());
            prop_assert!(started.all(|member| member.level >= cluster.level()), "{cluster:?}");
        }
    }

    /// DESIGN §9, 4: replicas that agree on the journal's bytes agree on the state's digest, whenever
    /// each of them carries out its compactions and whether it was rebuilt from an image or not.
    #[test]
    fn same_bytes_same_digest(steps in steps(), others in steps()) {
        let (mut one, mut two) = (State::new(), State::new());
        let mut idle = others.into_iter();
        for step in &steps {
            if let Step::Apply { commands, clock, stale } = step {
                let bytes = entry(one.epoch(), (commands, *clock, *stale)).encode();
                let decode = || Entry::decode(&bytes).expect("an entry just written");
                let first = one.apply(next(&one), &decode());
                prop_assert_eq!(first, two.apply(next(&two), &decode()));
            }
            match idle.next() {
                Some(Step::Maintain(budget)) => {
                    two.maintain(budget);
                }
                Some(Step::Reload) => two = reload(&two),
                _ => {}
            }
            prop_assert_eq!(one.digest(), two.digest());
        }
    }

    /// The digest would notice: one byte of one value, or one lease's time to live.
    #[test]
    fn another_history_has_another_digest(steps in steps(), key in "[a-z]{1,8}") {
        let lease = |ttl| Command::LeaseGrant { id: LeaseId(50), ttl };
        let put = |value: &'static str| {
            let (key, value) = (key.clone().into(), value.into());
            Command::Put(state::Put { key, value, ..Default::default() })
        };
        for (one, other) in [(lease(1), lease(2)), (put("1"), put("2"))] {
            let digests = [one, other].map(|last| {
                let mut state = State::new();
                for step in &steps {
                    if let Step::Apply { commands, clock, .. } = step {
                        let calm = commands.iter().filter(|c| !matches!(c, Command::Alarm { .. }));
                        let calm: Vec<_> = calm.cloned().collect();
                        state.apply(next(&state), &entry(state.epoch(), (&calm, *clock, false)));
                    }
                }
                let outcomes = state.apply(next(&state), &entry(state.epoch(), (&[last], 0, false)));
                assert!(outcomes[0].result.is_ok(), "{outcomes:?}");
                state.digest()
            });
            prop_assert_ne!(digests[0], digests[1]);
        }
    }
}

#[test]
#[should_panic(expected = "entries are applied one after the other")]
fn an_entry_is_not_skipped() {
    State::new().apply(Position(2), &entry(Epoch(0), (&[], 0, false)));
}
