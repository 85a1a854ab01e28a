//! Leases, as far as they are the same on every replica: which there are, how long each was granted
//! for, what is attached. When one is due is the business of `engine/lease`, which has a clock.
//!
//! A key is attached to the lease its newest version names, so attachments are found again from the
//! keys and are in no checkpoint.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::auth::LeaseKeys;
use crate::ids::LeaseId;
use crate::outcome::Refusal;

/// The longest time to live, in seconds.
pub const MAX_LEASE_TTL: i64 = 9_000_000_000;

/// A lease as the machine knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseInfo {
    /// Its name.
    pub id: LeaseId,
    /// Seconds, as granted.
    pub ttl: i64,
    /// The keys attached to it, in order.
    pub keys: Vec<bytes::Bytes>,
}

/// All leases.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    ttls: BTreeMap<LeaseId, i64>,
    /// Only leases that have a key. The keys are copies: a slice would keep a whole batch in memory.
    attached: BTreeMap<LeaseId, BTreeSet<Box<[u8]>>>,
}

impl Leases {
    /// The server raises a time to live below the least one *before* it makes the command: what is too
    /// short depends on its settings, and the machine must not.
    pub(crate) fn grant(&mut self, id: LeaseId, ttl: i64) -> Result<(), Refusal> {
        if id == LeaseId::NONE {
            return Err(Refusal::LeaseNotFound);
        }
        if ttl > MAX_LEASE_TTL {
            return Err(Refusal::LeaseTtlTooLarge);
        }
        if self.exists(id) {
            return Err(Refusal::LeaseExists);
        }
        self.ttls.insert(id, ttl);
        Ok(())
    }

    /// Ends a lease. Returns the keys that were attached to it, in order, for deletion.
    pub(crate) fn revoke(&mut self, id: LeaseId) -> Result<BTreeSet<Box<[u8]>>, Refusal> {
        self.ttls.remove(&id).ok_or(Refusal::LeaseNotFound)?;
        Ok(self.attached.remove(&id).unwrap_or_default())
    }

    /// The key belongs to `new` from now on, and no longer to `old`.
    pub(crate) fn attach(&mut self, key: &[u8], old: LeaseId, new: LeaseId) {
        if old == new {
            return;
        }
        self.detach(key, old);
        if new != LeaseId::NONE {
            assert!(self.exists(new), "key attached to a lease that is not there");
            self.attached.entry(new).or_default().insert(key.into());
        }
    }

    /// The key belongs to no lease from now on.
    pub(crate) fn detach(&mut self, key: &[u8], old: LeaseId) {
        if let Some(keys) = self.attached.get_mut(&old) {
            keys.remove(key);
            if keys.is_empty() {
                self.attached.remove(&old);
            }
        }
    }

    pub(crate) fn exists(&self, id: LeaseId) -> bool {
        self.ttls.contains_key(&id)
    }

    /// Whether no key can be attached to anything.
    pub(crate) fn none_attached(&self) -> bool {
        self.attached.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.ttls.len()
    }

    pub(crate) fn info(&self, id: LeaseId) -> Option<LeaseInfo> {
        let ttl = *self.ttls.get(&id)?;
        let keys = self.keys(id).map(bytes::Bytes::copy_from_slice).collect();
        Some(LeaseInfo { id, ttl, keys })
    }

    pub(crate) fn keys(&self, id: LeaseId) -> impl Iterator<Item = &[u8]> {
        self.attached.get(&id).into_iter().flatten().map(|key| &**key)
    }

    pub(crate) fn ttl(&self, id: LeaseId) -> Option<i64> {
        self.ttls.get(&id).copied()
    }

    /// Leases above `after` and the keys attached to them; those that have none are left out.
    pub(crate) fn attached_after(
        &self,
        after: Option<LeaseId>,
    ) -> impl Iterator<Item = (LeaseId, &BTreeSet<Box<[u8]>>)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.attached.range((from, Bound::Unbounded)).map(|(id, keys)| (*id, keys))
    }

    /// Every lease and its time to live, by id.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (LeaseId, i64)> + '_ {
        self.ttls.iter().map(|(id, ttl)| (*id, *ttl))
    }
}

impl LeaseKeys for Leases {
    fn keys(&self, id: LeaseId) -> impl Iterator<Item = &[u8]> {
        Self::keys(self, id)
    }
}
