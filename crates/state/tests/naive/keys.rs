//! The naive machine's keys: put, delete, range.

use std::cmp::Ordering;

use bytes::Bytes;
use state::{
    DeleteRange, KeyRange, KeyValue, LeaseId, Put, RangeQuery, Refusal, Revision, SortOrder,
    SortTarget,
};

use super::{Change, Keys, Naive};

impl Naive {
    pub(super) fn check_put(&self, put: &Put) -> Result<(), Refusal> {
        if put.lease != LeaseId(0) && !self.leases.contains_key(&put.lease) {
            return Err(Refusal::LeaseNotFound);
        }
        if (put.ignore_value || put.ignore_lease) && !self.newest().contains_key(&put.key) {
            return Err(Refusal::KeyNotFound);
        }
        Ok(())
    }

    pub(super) fn put(&mut self, put: &Put) -> Option<KeyValue> {
        let revision = Revision(self.revision() + 1);
        let old = self.work.get(&put.key).cloned();
        let mut kv = KeyValue {
            key: put.key.clone(),
            value: put.value.clone(),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
            lease: put.lease,
        };
        if let Some(old) = &old {
            kv.create_revision = old.create_revision;
            kv.version = old.version + 1;
            if put.ignore_value {
                kv.value = old.value.clone();
            }
            if put.ignore_lease {
                kv.lease = old.lease;
            }
        }
        self.change(false, kv.clone());
        self.work.insert(put.key.clone(), kv);
        old.filter(|_| put.prev_kv)
    }

    pub(super) fn delete(&mut self, delete: &DeleteRange) -> Vec<KeyValue> {
        let doomed: Vec<KeyValue> = inside(&self.work, &delete.range).cloned().collect();
        doomed.iter().for_each(|kv| self.tombstone(kv.key.clone()));
        doomed
    }

    pub(super) fn tombstone(&mut self, key: Bytes) {
        self.work.remove(&key);
        let mod_revision = Revision(self.revision() + 1);
        self.change(true, KeyValue { key, mod_revision, ..KeyValue::default() });
    }

    fn change(&mut self, tombstone: bool, kv: KeyValue) {
        let sub = self.pending.len() as u32;
        self.pending.push(Change { sub, tombstone, kv });
    }

    /// What the command at hand reads at this revision, 0 and less being its own.
    pub(super) fn seen(&self, revision: Revision) -> &Keys {
        if revision.0 <= 0 { &self.work } else { self.keys(revision.0) }
    }

    /// A range outside of transactions.
    pub(crate) fn range(&self, query: &RangeQuery) -> Result<Found, Refusal> {
        if query.revision.0 > self.revision() {
            return Err(Refusal::FutureRevision);
        }
        if query.revision.0 > 0 && query.revision.0 < self.compacted {
            return Err(Refusal::Compacted);
        }
        let newest = query.revision.0 <= 0;
        Ok(find(if newest { self.newest() } else { self.keys(query.revision.0) }, query))
    }
}

/// The keys, whether there are more, and the count.
type Found = (Vec<KeyValue>, bool, i64);

fn inside<'a>(keys: &'a Keys, range: &'a KeyRange) -> impl Iterator<Item = &'a KeyValue> {
    keys.values().filter(|kv| match &*range.range_end {
        b"" => kv.key == range.key,
        b"\0" => kv.key >= range.key,
        end => kv.key >= range.key && *kv.key < *end,
    })
}

pub(super) fn find(keys: &Keys, query: &RangeQuery) -> Found {
    let mut found: Vec<KeyValue> = inside(keys, &query.range).cloned().collect();
    let count = found.len() as i64;
    if query.count_only {
        return (Vec::new(), false, count);
    }
    let limit = usize::try_from(query.limit).ok().filter(|limit| *limit > 0);
    let limit = limit.unwrap_or(usize::MAX - 1);
    let bounds = [
        query.min_mod_revision,
        query.max_mod_revision,
        query.min_create_revision,
        query.max_create_revision,
    ];
    let bounded = bounds.iter().any(|bound| bound.0 != 0);
    let by_key = query.sort.target == SortTarget::Key && query.sort.order == SortOrder::Ascend;
    if (by_key || query.sort.order == SortOrder::None) && !bounded {
        found.truncate(limit + 1);
    }
    let [min_mod, max_mod, min_create, max_create] = bounds;
    let above = |bound: Revision, revision| bound.0 == 0 || revision >= bound;
    let below = |bound: Revision, revision| bound.0 == 0 || revision <= bound;
    found.retain(|kv| above(min_mod, kv.mod_revision) && below(max_mod, kv.mod_revision));
    found.retain(|kv| above(min_create, kv.create_revision));
    found.retain(|kv| below(max_create, kv.create_revision));
    // Keys that sort alike stay in their order: etcd leaves it open, but replicas must agree.
    let descend = query.sort.order == SortOrder::Descend;
    found.sort_by(|left, right| {
        let order = order(query.sort.target, left, right);
        if descend { order.reverse() } else { order }
    });
    let more = found.len() > limit;
    found.truncate(limit);
    if query.keys_only {
        found.iter_mut().for_each(|kv| kv.value.clear());
    }
    (found, more, count)
}

fn order(target: SortTarget, left: &KeyValue, right: &KeyValue) -> Ordering {
    match target {
        SortTarget::Key => left.key.cmp(&right.key),
        SortTarget::Version => left.version.cmp(&right.version),
        SortTarget::Create => left.create_revision.cmp(&right.create_revision),
        SortTarget::Mod => left.mod_revision.cmp(&right.mod_revision),
        SortTarget::Value => left.value.cmp(&right.value),
    }
}
