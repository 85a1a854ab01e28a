//! Permissions on ranges against a naive reading of them: a range may be had if each of its keys may.

use proptest::collection::vec;
use proptest::prelude::*;
use state::{KeyRange, PermissionType};

use crate::support::{Machine, range};

/// Every key of up to four of these letters. Bounds have at most two, so that between any two of
/// them stands one of these if any key does.
fn universe() -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..4 {
        last = last
            .iter()
            .flat_map(|key| ["\0", "a", "b"].map(|letter| format!("{key}{letter}")))
            .collect();
        all.extend(last.iter().cloned());
    }
    all.retain(|key| !key.is_empty());
    all
}

fn bound() -> impl Strategy<Value = String> {
    "[\0ab]{1,2}"
}

fn end() -> impl Strategy<Value = String> {
    prop_oneof![2 => Just(String::new()), 1 => Just("\0".to_owned()), 4 => bound()]
}

fn kind() -> impl Strategy<Value = PermissionType> {
    prop_oneof![
        Just(PermissionType::Read),
        Just(PermissionType::Write),
        Just(PermissionType::ReadWrite),
        Just(PermissionType::Unknown(7)),
    ]
}

fn is_sound((_, key, end): &(PermissionType, String, String)) -> bool {
    end.is_empty() || end == "\0" || key < end
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_range_may_be_had_if_each_of_its_keys_may(
        granted in vec((kind(), bound(), end()).prop_filter("sound", is_sound), 0..6),
        asked in vec((bound(), end()), 1..12),
    ) {
        let universe = universe();
        let mut machine = Machine::guarded();
        machine.user("u", &["r0", "r1"]);
        for (at, (kind, key, end)) in granted.iter().enumerate() {
            machine.grant(["r0", "r1"][at % 2], *kind, key, end);
        }
        // A later grant on the same range of the same role takes the place of an earlier one, so what
        // counts is what the roles say in the end.
        let auth = machine.0.auth();
        let held: Vec<_> = auth.roles().flat_map(|(_, role)| role.to_vec()).collect();
        let reads = |kind| matches!(kind, PermissionType::Read | PermissionType::ReadWrite);
        let allowed: Vec<&KeyRange> =
            held.iter().filter(|p| reads(p.kind)).map(|permission| &permission.range).collect();
        let may = |key: &str| allowed.iter().any(|range| range.contains(key.as_bytes()));
        for (key, end) in &asked {
            let asked = range(key, end);
            let mut inside = universe.iter().filter(|key| asked.contains(key.as_bytes()));
            // Of an empty range, which holds no key, its own key is looked at: so etcd has it.
            let mut expected = inside.all(|key| may(key)) && may(key);
            if asked.is_open() {
                // No finite universe shows that a range has no end.
                let last = "b".repeat(9);
                expected &= may(&last);
            }
            prop_assert_eq!(machine.may_read("u", key, end), expected, "{:?} {:?}", key, end);
        }
    }
}

#[test]
fn neighbours_add_up_and_a_gap_does_not() {
    let mut machine = Machine::guarded();
    machine.user("u", &["r"]);
    machine.grant("r", PermissionType::Read, "a", "c");
    machine.grant("r", PermissionType::Read, "c", "");
    assert!(machine.may_read("u", "a", "c\0"));
    machine.grant("r", PermissionType::Read, "c\0", "e");
    assert!(machine.may_read("u", "a", "e"));
    machine.grant("r", PermissionType::Read, "e\0", "\0");
    assert!(!machine.may_read("u", "a", "f") && !machine.may_read("u", "a", "\0"));
    assert!(machine.may_read("u", "e\0", "\0") && !machine.may_read("u", "e", ""));
    machine.grant("r", PermissionType::Read, "e", "");
    assert!(machine.may_read("u", "a", "\0") && !machine.may_read("u", "\0", "\0"));
    machine.grant("r", PermissionType::Read, "\0", "\0");
    assert!(machine.may_read("u", "\0", "\0"));
}
