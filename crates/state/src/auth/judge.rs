//! Whether who asks may have it. What is judged is what was asked for, before anything of it is looked
//! up: both branches of a transaction, those inside it, comparisons, and the keys on a lease.

use super::identity::Identity;
use super::rights::Rights;
use super::store::Auth;
use crate::command::{Command, DeleteRange, Op, Put, Txn};
use crate::ids::LeaseId;
use crate::outcome::Refusal;
use crate::range::KeyRange;

/// What is attached to a lease; nothing, if there is no such lease.
pub(crate) trait LeaseKeys {
    /// In order.
    fn keys(&self, id: LeaseId) -> impl Iterator<Item = &[u8]>;
}

impl Auth {
    /// Whether who asks has the root role. How old its identity is does not matter: so etcd has it.
    ///
    /// # Errors
    /// [`Refusal::UserEmpty`], [`Refusal::UserNotFound`] or [`Refusal::PermissionDenied`].
    pub fn may_administer(&self, who: Option<&Identity>) -> Result<(), Refusal> {
        if !self.enabled {
            return Ok(());
        }
        let name = match who {
            Some(Identity::Server) => return Ok(()),
            Some(Identity::User { name, .. }) if !name.is_empty() => name,
            _ => return Err(Refusal::UserEmpty),
        };
        let user = self.user(name).ok_or(Refusal::UserNotFound)?;
        if user.is_root() { Ok(()) } else { Err(Refusal::PermissionDenied) }
    }

    /// Whether who asks is anybody at all.
    ///
    /// # Errors
    /// [`Refusal::UserEmpty`].
    pub fn is_somebody(&self, who: Option<&Identity>) -> Result<(), Refusal> {
        if self.enabled && who.is_none() { Err(Refusal::UserEmpty) } else { Ok(()) }
    }

    /// Whether who asks may read all of a range.
    ///
    /// # Errors
    /// [`Refusal::UserEmpty`], [`Refusal::AuthOldRevision`] or [`Refusal::PermissionDenied`].
    pub fn may_read(&self, who: Option<&Identity>, range: &KeyRange) -> Result<(), Refusal> {
        self.access(who).read(range)
    }

    /// Whether who asks may have a transaction that only reads.
    ///
    /// # Errors
    /// As [`Auth::may_read`], and refused if it writes.
    pub fn may_read_txn(&self, who: Option<&Identity>, txn: &Txn) -> Result<(), Refusal> {
        self.access(who).txn(txn, &NoLeases)
    }

    /// Whether who asks may read every one of these keys; one with the root role may.
    ///
    /// # Errors
    /// As [`Auth::may_read`].
    pub fn may_read_keys<'a>(
        &self,
        who: Option<&Identity>,
        mut keys: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Refusal> {
        self.is_somebody(who)?;
        if self.may_administer(who).is_ok() {
            return Ok(());
        }
        let access = self.access(who);
        keys.try_for_each(|key| access.read_key(key))
    }

    /// Whether who asks may write every one of these keys; one with the root role may.
    ///
    /// # Errors
    /// As [`Auth::may_read`].
    pub(crate) fn may_write_keys<'a>(
        &self,
        who: Option<&Identity>,
        mut keys: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), Refusal> {
        self.is_somebody(who)?;
        if self.may_administer(who).is_ok() {
            return Ok(());
        }
        let access = self.access(who);
        keys.try_for_each(|key| access.write(key, &[]))
    }

    /// Whether a command may be carried out for who asks.
    pub(crate) fn judge(
        &self,
        who: Option<&Identity>,
        command: &Command,
        leases: &impl LeaseKeys,
    ) -> Result<(), Refusal> {
        if !self.enabled {
            return Ok(());
        }
        match command {
            Command::Put(put) => self.access(who).put(put, leases),
            Command::DeleteRange(delete) => self.access(who).delete_range(delete),
            Command::Txn(txn) => self.access(who).txn(txn, leases),
            Command::LeaseGrant { .. } => self.is_somebody(who),
            Command::LeaseRevoke { id } => self.may_write_keys(who, leases.keys(*id)),
            Command::Compact { .. }
            | Command::Alarm { .. }
            | Command::MemberAdd { .. }
            | Command::LearnerAdd { .. }
            | Command::MemberRemove { .. }
            | Command::MemberPromote { .. }
            | Command::MemberUpdate { .. }
            | Command::Downgrade { .. } => self.may_administer(who),
            Command::Auth(change) if change.is_of_tokens() => Ok(()),
            Command::Auth(_) => self.may_administer(who),
            // Replicas are no clients, and a command stands in no two names.
            Command::Claim { .. }
            | Command::MemberPublish { .. }
            | Command::LevelRaise { .. }
            | Command::LeaseRenew { .. }
            | Command::DigestDue
            | Command::DigestIs { .. } => Ok(()),
            Command::As(_) => Err(Refusal::PermissionDenied),
        }
    }

    fn access(&self, who: Option<&Identity>) -> Access<'_> {
        if !self.enabled {
            return Access::All;
        }
        let (name, auth_revision) = match who {
            None => return Access::Refused(Refusal::UserEmpty),
            Some(Identity::Server) => return Access::All,
            Some(Identity::User { name, auth_revision }) => (name, *auth_revision),
        };
        if auth_revision.0 == 0 {
            return Access::Refused(Refusal::UserEmpty);
        }
        if auth_revision < self.revision {
            return Access::Refused(Refusal::AuthOldRevision);
        }
        match self.user(name) {
            None => Access::Refused(Refusal::PermissionDenied),
            Some(user) if user.is_root() => Access::All,
            Some(user) => Access::Some(&user.rights),
        }
    }
}

/// What is left to judge once it is known who asks.
enum Access<'a> {
    All,
    Some(&'a Rights),
    /// Refused as soon as anything is asked for; a transaction of nothing is not.
    Refused(Refusal),
}

impl Access<'_> {
    fn judge(&self, allowed: impl FnOnce(&Rights) -> bool) -> Result<(), Refusal> {
        match self {
            Self::All => Ok(()),
            Self::Some(rights) if allowed(rights) => Ok(()),
            Self::Some(_) => Err(Refusal::PermissionDenied),
            Self::Refused(why) => Err(*why),
        }
    }

    fn read(&self, range: &KeyRange) -> Result<(), Refusal> {
        self.judge(|rights| rights.may_read(range))
    }

    fn read_key(&self, key: &[u8]) -> Result<(), Refusal> {
        self.judge(|rights| rights.may_read_key(key))
    }

    fn write(&self, key: &[u8], range_end: &[u8]) -> Result<(), Refusal> {
        self.judge(|rights| rights.may_write(key, range_end))
    }

    /// Whoever attaches a key to a lease can end the lease, and with it the keys that are on it.
    fn put(&self, put: &Put, leases: &impl LeaseKeys) -> Result<(), Refusal> {
        self.write(&put.key, &[])?;
        if !matches!(self, Self::All) {
            leases.keys(put.lease).try_for_each(|key| self.write(key, &[]))?;
        }
        if put.prev_kv { self.read_key(&put.key) } else { Ok(()) }
    }

    fn delete_range(&self, delete: &DeleteRange) -> Result<(), Refusal> {
        self.write(&delete.range.key, &delete.range.range_end)?;
        if delete.prev_kv { self.read(&delete.range) } else { Ok(()) }
    }

    fn txn(&self, txn: &Txn, leases: &impl LeaseKeys) -> Result<(), Refusal> {
        if matches!(self, Self::All) {
            return Ok(());
        }
        txn.compare.iter().try_for_each(|compare| self.read(&compare.range))?;
        txn.success.iter().chain(&txn.failure).try_for_each(|op| match op {
            Op::Range(query) => self.read(&query.range),
            Op::Put(put) => self.put(put, leases),
            Op::DeleteRange(delete) => self.delete_range(delete),
            Op::Txn(txn) => self.txn(txn, leases),
        })
    }
}

/// For what attaches nothing.
struct NoLeases;

impl LeaseKeys for NoLeases {
    fn keys(&self, _: LeaseId) -> impl Iterator<Item = &[u8]> {
        std::iter::empty()
    }
}
