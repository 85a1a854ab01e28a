//! The conditions of transactions.

use std::cmp::Ordering;

use crate::command::{Compare, CompareResult, CompareTarget};
use crate::ids::{LeaseId, Revision};
use crate::mvcc::KvRef;
use crate::range::RangeQuery;
use crate::source::Source;

const NO_KEY: KvRef<'_> = KvRef {
    key: &[],
    value: &[],
    create_revision: Revision(0),
    mod_revision: Revision(0),
    sub: 0,
    version: 0,
    lease: LeaseId::NONE,
    tombstone: false,
    previous: None,
};

impl Compare {
    /// Whether the condition holds for every key of its range. No key at all is one key of which
    /// everything is 0, except that it has no value: comparing that always fails.
    pub(crate) fn holds(&self, source: &impl Source) -> bool {
        if self.range.is_point() {
            return match source.get(&self.range.key) {
                Some(kv) => self.holds_for(&kv),
                None => self.holds_for_none(),
            };
        }
        let query = RangeQuery {
            range: self.range.clone(),
            keys_only: !matches!(self.target, CompareTarget::Value(_)),
            ..RangeQuery::default()
        };
        match source.range(&query) {
            Ok(page) if page.is_empty() => self.holds_for_none(),
            Ok(page) => page.iter().all(|kv| self.holds_for(&kv)),
            Err(_) => false,
        }
    }

    fn holds_for_none(&self) -> bool {
        !matches!(self.target, CompareTarget::Value(_)) && self.holds_for(&NO_KEY)
    }

    fn holds_for(&self, kv: &KvRef<'_>) -> bool {
        let order = match &self.target {
            CompareTarget::Version(version) => kv.version.cmp(version),
            CompareTarget::Create(revision) => kv.create_revision.cmp(revision),
            CompareTarget::Mod(revision) => kv.mod_revision.cmp(revision),
            CompareTarget::Value(value) => kv.value.cmp(value.as_ref()),
            CompareTarget::Lease(lease) => kv.lease.cmp(lease),
            CompareTarget::Unknown(_) => Ordering::Equal,
        };
        match self.result {
            CompareResult::Equal => order.is_eq(),
            CompareResult::Greater => order.is_gt(),
            CompareResult::Less => order.is_lt(),
            CompareResult::NotEqual => order.is_ne(),
            CompareResult::Unknown(_) => true,
        }
    }
}
