//! etcd's feature gates: every known name is accepted, an unknown one is refused.

use std::collections::BTreeMap;

use super::value::boolean;

/// A gate etcd 3.7.1 knows, its default there, and what it comes to here.
pub(crate) struct Gate {
    pub(crate) name: &'static str,
    pub(crate) default: bool,
    pub(crate) here: &'static str,
}

const fn gate(name: &'static str, default: bool, here: &'static str) -> Gate {
    Gate { name, default, here }
}

/// All of them, in etcd's order.
pub(crate) const GATES: &[Gate] = &[
    gate("AllAlpha", false, "switches etcd's own alpha gates, none of which changes anything here"),
    gate("AllBeta", false, "switches etcd's own beta gates, none of which changes anything here"),
    gate("CompactHashCheck", false, "replicas compare digests of the journal they share"),
    gate("FastLeaseKeepAlive", true, "keep-alives never wait for the journal here"),
    gate("InitialCorruptCheck", false, "every journal entry is checked when it is read at start"),
    gate("LeaseCheckpoint", false, "a change of writer gives every lease its full time again"),
    gate(
        "LeaseCheckpointPersist",
        false,
        "a change of writer gives every lease its full time again",
    ),
    gate("PriorityRequest", false, "expiry of leases is ordered with all other requests"),
    gate("SetMemberLocalAddr", false, "there is no peer traffic to give a local address to"),
    gate(
        "StopGRPCServiceOnDefrag",
        false,
        "there is nothing to defragment, so service never stops",
    ),
    gate("TxnModeWriteWithSharedBuffer", true, "transactions read the machine's own state"),
];

/// Reads `Name=bool,...`; errors are worded as etcd words them.
pub(crate) fn parse(text: &str) -> Result<BTreeMap<String, bool>, String> {
    let mut set = BTreeMap::new();
    for item in text.split(',').filter(|item| !item.is_empty()) {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        let (name, value) = (name.trim(), value.trim());
        if !item.contains('=') {
            return Err(format!("missing bool value for {name}"));
        }
        let on = boolean(value).ok_or_else(|| {
            format!(
                "invalid value of {name}={value}, err: strconv.ParseBool: parsing {value:?}: \
                 invalid syntax"
            )
        })?;
        if !GATES.iter().any(|gate| gate.name == name) {
            return Err(format!("unrecognized feature gate: {name}"));
        }
        set.insert(name.to_owned(), on);
    }
    Ok(set)
}

/// Refuses the one combination that etcd refuses.
pub(crate) fn check(set: &BTreeMap<String, bool>) -> Result<(), String> {
    let on = |name: &str| set.get(name).or_else(|| set.get("AllAlpha")).copied().unwrap_or(false);
    if on("LeaseCheckpointPersist") && !on("LeaseCheckpoint") {
        return Err("enabling feature gate LeaseCheckpointPersist requires enabling feature gate \
                    LeaseCheckpoint"
            .to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn known_gates_are_accepted_and_unknown_ones_refused() {
        let set = super::parse("InitialCorruptCheck=true, AllBeta=0").unwrap();
        assert_eq!(
            set.into_iter().collect::<Vec<_>>(),
            [("AllBeta".to_owned(), false), ("InitialCorruptCheck".to_owned(), true)]
        );
        for (text, error) in [
            ("Nope=true", "unrecognized feature gate: Nope"),
            ("AllBeta", "missing bool value for AllBeta"),
            (
                "AllBeta=x",
                "invalid value of AllBeta=x, err: strconv.ParseBool: parsing \"x\": invalid syntax",
            ),
        ] {
            assert_eq!(super::parse(text), Err(error.to_owned()));
        }
        let alone = super::parse("LeaseCheckpointPersist=true").unwrap();
        assert!(super::check(&alone).is_err());
        let both = super::parse("LeaseCheckpointPersist=true,LeaseCheckpoint=true").unwrap();
        assert_eq!(super::check(&both), Ok(()));
    }
}
