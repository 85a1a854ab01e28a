//! What an account says of itself: its regions, which of them take writes, how consistent reads are. Judged
//! here, by rules that need no network.

use serde::Deserialize;

use crate::failure::{Failure, Kind};
use crate::guarantee::Guarantee;

/// How consistent the account's reads are, by the service's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Consistency {
    /// Every read sees what was acknowledged before, in every region.
    Strong,
    /// Other regions lag, by so many versions or seconds at most; the write region does not.
    Bounded {
        /// Versions of an item.
        versions: u64,
        /// Seconds.
        seconds: u64,
    },
}

/// A region of the account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Region {
    pub(crate) name: String,
}

/// The account as it was read last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) consistency: Consistency,
    pub(crate) write_region: String,
    /// All regions, the write region among them.
    pub(crate) regions: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    writable_locations: Vec<Region>,
    #[serde(default)]
    readable_locations: Vec<Region>,
    #[serde(default)]
    enable_multiple_write_locations: bool,
    user_consistency_policy: Option<Policy>,
    consistency_policy: Option<Policy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Policy {
    default_consistency_level: String,
    max_staleness_prefix: Option<u64>,
    max_interval_in_seconds: Option<u64>,
    #[serde(rename = "maxStalenessIntervalInSeconds")]
    max_staleness_interval: Option<u64>,
}

impl Account {
    /// Reads the account's document and judges it. An emulator's consistency is not asked for: it has one
    /// copy of everything.
    ///
    /// # Errors
    /// [`Kind::Unsafe`] when what is acknowledged could be lost or contradicted, and what to change.
    pub(crate) fn read(json: &[u8], emulator: bool) -> Result<Self, Failure> {
        let unsafe_ = |what: String| Failure::new(Kind::Unsafe, what);
        let document: Document = serde_json::from_slice(json).map_err(|why| {
            Failure::new(Kind::Ambiguous, format!("the account's answer is none: {why}"))
        })?;
        let writable = &document.writable_locations;
        if document.enable_multiple_write_locations || writable.len() > 1 {
            return Err(unsafe_(
                "the account takes writes in several regions, where two may both be told that they \
                 created the same item: turn multi-region writes off"
                    .into(),
            ));
        }
        let Some(write) = writable.first() else {
            let why = "the account names no region that takes writes";
            return Err(Failure::new(Kind::Ambiguous, why));
        };
        let consistency = consistency(&document, emulator)?;
        let mut regions: Vec<String> =
            document.readable_locations.into_iter().map(|region| region.name).collect();
        if !regions.contains(&write.name) {
            regions.insert(0, write.name.clone());
        }
        Ok(Self { consistency, write_region: write.name.clone(), regions })
    }

    /// What etcd's reads and acknowledgements mean here.
    pub(crate) fn guarantee(&self) -> Guarantee {
        Guarantee::of(self)
    }

    /// Whether a region's loss can take along what was acknowledged.
    pub(crate) fn may_lose(&self) -> bool {
        self.consistency != Consistency::Strong && self.regions.len() > 1
    }

    /// The regions whose reads may lag.
    pub(crate) fn lagging(&self) -> impl Iterator<Item = &str> {
        let strong = self.consistency == Consistency::Strong;
        let others = self.regions.iter().filter(move |name| !strong && **name != self.write_region);
        others.map(String::as_str)
    }
}

fn consistency(document: &Document, emulator: bool) -> Result<Consistency, Failure> {
    let policy = document.user_consistency_policy.as_ref().or(document.consistency_policy.as_ref());
    let Some(policy) = policy else {
        if emulator {
            return Ok(Consistency::Strong);
        }
        return Err(Failure::new(Kind::Ambiguous, "the account does not say how consistent it is"));
    };
    match policy.default_consistency_level.as_str() {
        "Strong" => Ok(Consistency::Strong),
        "BoundedStaleness" => Ok(Consistency::Bounded {
            versions: policy.max_staleness_prefix.unwrap_or_default(),
            seconds: policy
                .max_interval_in_seconds
                .or(policy.max_staleness_interval)
                .unwrap_or_default(),
        }),
        _ if emulator => Ok(Consistency::Strong),
        other => Err(Failure::new(
            Kind::Unsafe,
            format!(
                "the account's consistency is {other}, under which a read may miss what was \
                 acknowledged: set its default consistency to Strong (or Bounded Staleness)"
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(level: &str, write: &[&str], read: &[&str], many: bool) -> Vec<u8> {
        let named = |names: &[&str]| -> Vec<_> {
            names.iter().map(|name| serde_json::json!({ "name": name })).collect()
        };
        serde_json::to_vec(&serde_json::json!({
            "writableLocations": named(write),
            "readableLocations": named(read),
            "enableMultipleWriteLocations": many,
            "userConsistencyPolicy": {
                "defaultConsistencyLevel": level,
                "maxStalenessPrefix": 100_000,
                "maxIntervalInSeconds": 300
            },
        }))
        .expect("JSON")
    }

    #[test]
    fn strong_reads_are_good_everywhere() {
        let json = document("Strong", &["West Europe"], &["West Europe", "North Europe"], false);
        let account = Account::read(&json, false).expect("strong");
        assert_eq!(account.consistency, Consistency::Strong);
        assert_eq!(account.lagging().count(), 0);
        assert!(!account.may_lose());
    }

    #[test]
    fn bounded_staleness_reads_where_it_writes() {
        let both = ["West Europe", "North Europe"];
        let json = document("BoundedStaleness", &both[..1], &both, false);
        let account = Account::read(&json, false).expect("bounded");
        assert_eq!(account.consistency, Consistency::Bounded { versions: 100_000, seconds: 300 });
        assert_eq!(account.lagging().collect::<Vec<_>>(), ["North Europe"]);
        assert!(account.may_lose());
        let alone = document("BoundedStaleness", &both[..1], &both[..1], false);
        assert!(!Account::read(&alone, false).expect("one region").may_lose());
    }

    #[test]
    fn what_could_lose_or_contradict_is_refused() {
        let one = ["West Europe"];
        for level in ["Session", "ConsistentPrefix", "Eventual"] {
            let refused = Account::read(&document(level, &one, &one, false), false);
            let refused = refused.expect_err(level);
            assert_eq!(refused.kind, Kind::Unsafe);
            assert!(refused.text.contains(level) && refused.text.contains("Strong"), "{refused}");
        }
        let many = Account::read(&document("Strong", &one, &one, true), false).expect_err("many");
        assert_eq!(many.kind, Kind::Unsafe);
        let two = ["West Europe", "North Europe"];
        let two = Account::read(&document("Strong", &two, &two, false), false).expect_err("two");
        assert!(two.text.contains("multi-region writes off"), "{two}");
        let none = Account::read(&document("Strong", &[], &one, false), false).expect_err("none");
        assert_eq!(none.kind, Kind::Ambiguous, "in the middle of a failover");
    }

    #[test]
    fn an_emulator_has_one_copy() {
        let json = document("Session", &["South Central US"], &["South Central US"], false);
        let account = Account::read(&json, true).expect("an emulator");
        assert_eq!(account.consistency, Consistency::Strong);
        assert!(Account::read(&json, false).is_err());
    }
}
