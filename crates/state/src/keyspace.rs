//! The keys and what they are attached to: the two change together or not at all.

use crate::command::{DeleteRange, Put};
use crate::ids::{LeaseId, Revision};
use crate::lease::Leases;
use crate::mvcc::Mvcc;
use crate::outcome::{KeyValue, Refusal};

/// All versions of all keys, and the leases.
#[derive(Default)]
pub(crate) struct Keyspace {
    pub(crate) mvcc: Mvcc,
    pub(crate) leases: Leases,
}

impl Keyspace {
    /// Whether a put by itself can be carried out.
    pub(crate) fn check_put(&self, put: &Put) -> Result<(), Refusal> {
        if put.lease != LeaseId::NONE && !self.leases.exists(put.lease) {
            return Err(Refusal::LeaseNotFound);
        }
        if (put.ignore_value || put.ignore_lease) && self.mvcc.get(&put.key).is_none() {
            return Err(Refusal::KeyNotFound);
        }
        Ok(())
    }

    /// Writes a key that was checked. Returns what was there, if asked for.
    pub(crate) fn put(&mut self, put: &Put) -> Option<KeyValue> {
        let keeps = put.ignore_value || put.ignore_lease;
        let attaches = put.lease != LeaseId::NONE || !self.leases.none_attached();
        if !keeps && !put.prev_kv && !attaches {
            self.mvcc.put(&put.key, &put.value, LeaseId::NONE);
            return None;
        }
        let old = self.mvcc.get(&put.key);
        let old_lease = old.as_ref().map_or(LeaseId::NONE, |old| old.lease);
        let lease = if put.ignore_lease { old_lease } else { put.lease };
        let owned = (put.prev_kv || put.ignore_value).then(|| old.map(|old| old.to_owned()));
        let owned = owned.flatten();
        let kept = owned.as_ref().filter(|_| put.ignore_value).map(|old| &old.value);
        self.mvcc.put(&put.key, kept.unwrap_or(&put.value), lease);
        self.leases.attach(&put.key, old_lease, lease);
        owned.filter(|_| put.prev_kv)
    }

    /// Deletes the keys of a range. Returns how many, and what they held if asked for.
    pub(crate) fn delete_range(&mut self, delete: &DeleteRange) -> (i64, Vec<KeyValue>) {
        let deleted = self.mvcc.delete_range(&delete.range);
        if !self.leases.none_attached() {
            for at in &deleted {
                if let Some(old) = self.mvcc.record(*at) {
                    self.leases.detach(old.key, old.lease);
                }
            }
        }
        let old = deleted.iter().filter(|_| delete.prev_kv);
        let old = old.filter_map(|at| self.mvcc.record(*at).map(|old| old.to_owned()));
        (deleted.len() as i64, old.collect())
    }

    /// Ends a lease and deletes its keys, in their order.
    pub(crate) fn revoke(&mut self, id: LeaseId) -> Result<(), Refusal> {
        for key in self.leases.revoke(id)? {
            let deleted = self.mvcc.delete(&key);
            assert!(deleted, "a key attached to a lease exists");
        }
        Ok(())
    }

    /// The revision that a read sees now: the command's own as soon as it has changed anything.
    pub(crate) fn visible_revision(&self) -> Revision {
        self.mvcc.visible_revision()
    }
}
