//! A state made from what another store holds: its records in the order of their revisions, its
//! leases, its alarms, its users and rights. What it was asked to compact and had not yet is compacted
//! here. Its members stay behind, as with etcd: what is restored begins a cluster of its own.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::auth::{Auth, PasswordHash, Permission, User};
use crate::ids::{AuthRevision, Epoch, LeaseId, ModRevision, Position, Revision};
use crate::keyspace::Keyspace;
use crate::mvcc::{KeyHash, KvRef, Loader, Unloadable};
use crate::outcome::Alarm;
use crate::state::State;

/// Contents that cannot be a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportError {
    /// A record does not fit where it stands.
    Record(Unloadable),
    /// A record without a key.
    NoKey(ModRevision),
    /// A lease that is there twice, or has a number or a time to live that none can have.
    Lease(LeaseId),
    /// More revisions than there are numbers.
    Revision(Revision),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Record(error) => error.fmt(f),
            Self::NoKey(at) => write!(f, "record {}_{} has no key", at.main, at.sub),
            Self::Lease(id) => write!(f, "lease {:016x} cannot be", id.0),
            Self::Revision(from) => write!(f, "no revision is left after {from} and as many more"),
        }
    }
}

impl std::error::Error for ImportError {}

impl From<Unloadable> for ImportError {
    fn from(error: Unloadable) -> Self {
        Self::Record(error)
    }
}

/// A user of another store.
#[derive(Clone, Debug, Default)]
pub struct ImportedUser {
    /// Its name.
    pub name: String,
    /// What its password hashes to; empty if it has none.
    pub password: PasswordHash,
    /// Made to have no password.
    pub no_password: bool,
    /// Its roles.
    pub roles: Vec<String>,
}

/// Who may do what in another store.
#[derive(Clone, Debug, Default)]
pub struct ImportedAuth {
    /// Whether anybody asks.
    pub enabled: bool,
    /// How often it was changed.
    pub revision: AuthRevision,
    /// The roles by name, and what each allows.
    pub roles: Vec<(String, Vec<Permission>)>,
    /// The users.
    pub users: Vec<ImportedUser>,
}

/// Takes the contents in. Leases and records may come in any order between one another.
pub struct Import {
    keys: Loader,
    /// Up to where the other store has carried its compactions out.
    compacted: Revision,
    state: State,
    /// The versions that name a lease, overwritten ones among them.
    leased: Vec<ModRevision>,
}

impl Import {
    /// Of a store that has carried out its compactions up to `compacted`; what it holds of that and
    /// before is what compaction left. `hash` is for [`Loader::with_hash`].
    #[must_use]
    pub fn new(compacted: Revision, hash: KeyHash) -> Self {
        // Which revision is the last, the last record tells.
        let keys = Loader::with_hash(Revision(i64::MAX), compacted, hash);
        Self { keys, compacted, state: State::new(), leased: Vec::new() }
    }

    /// The next records, in the order of their revisions. Better many at a time.
    ///
    /// # Errors
    /// [`ImportError::Record`] or [`ImportError::NoKey`].
    pub fn records(&mut self, records: &[KvRef<'_>]) -> Result<(), ImportError> {
        if let Some(record) = records.iter().find(|record| record.key.is_empty()) {
            return Err(ImportError::NoKey(record.at()));
        }
        self.keys.push(records)?;
        let leased = records.iter().filter(|record| record.lease != LeaseId::NONE);
        self.leased.extend(leased.map(KvRef::at));
        Ok(())
    }

    /// A lease and its time to live.
    ///
    /// # Errors
    /// [`ImportError::Lease`].
    pub fn lease(&mut self, id: LeaseId, ttl: i64) -> Result<(), ImportError> {
        self.state.keyspace.leases.grant(id, ttl).map_err(|_| ImportError::Lease(id))
    }

    /// An alarm that is on.
    pub fn alarm(&mut self, alarm: Alarm) {
        self.state.alarms.raise(alarm);
    }

    /// Who may do what. Tokens are not taken along: clients authenticate again.
    pub fn auth(&mut self, imported: ImportedAuth) {
        let roles = imported.roles.into_iter().map(|(name, mut permissions)| {
            permissions.sort_by(|a, b| a.range.key.cmp(&b.range.key));
            (Arc::from(name), Arc::new(permissions))
        });
        let mut auth = Auth {
            enabled: imported.enabled,
            revision: imported.revision.max(AuthRevision(1)),
            roles: Arc::new(roles.collect()),
            ..Auth::default()
        };
        let mut users = BTreeMap::new();
        for user in imported.users {
            let ImportedUser { name, password, no_password, roles } = user;
            let mut roles: Vec<Arc<str>> = roles.into_iter().map(Arc::from).collect();
            roles.sort();
            let rights = auth.rights(&roles);
            users.insert(Arc::from(name), Arc::new(User { password, no_password, roles, rights }));
        }
        auth.users = Arc::new(users);
        self.state.auth = Arc::new(auth);
    }

    /// The state, in the given epoch and before the first entry of a journal. `at_least` is a
    /// revision the other store has reached, also where no record tells of it, and `scheduled` the
    /// compaction it was asked for last. Says how many keys name a lease that is not there: they
    /// belong to the next of that name.
    ///
    /// # Errors
    /// [`ImportError::Revision`].
    pub fn finish(
        mut self,
        at_least: Revision,
        scheduled: Revision,
        epoch: Epoch,
    ) -> Result<(State, u64), ImportError> {
        let last = self.keys.last().main;
        let floors = [at_least, scheduled, self.compacted, Revision::FIRST];
        let revision = floors.into_iter().fold(last, Revision::max);
        if revision == Revision(i64::MAX) {
            return Err(ImportError::Revision(revision));
        }
        self.state.keyspace.mvcc = self.keys.finish_at(revision);
        self.state.epoch = epoch;
        let astray = attach(&mut self.state.keyspace, &self.leased);
        if scheduled > self.compacted {
            let compacted = self.state.keyspace.mvcc.compact(scheduled);
            assert!(compacted.is_ok(), "it is above the last and not above the newest revision");
            while self.state.maintain(usize::MAX) {}
        }
        Ok((self.state, astray))
    }
}

/// A key belongs to the lease that its newest version names. Returns how many such leases are not
/// there.
fn attach(keyspace: &mut Keyspace, leased: &[ModRevision]) -> u64 {
    let Keyspace { mvcc, leases } = keyspace;
    let mut astray = 0;
    for at in leased {
        let Some(kv) = mvcc.record(*at) else { continue };
        if mvcc.get(kv.key).is_none_or(|newest| newest.at() != *at) {
            continue;
        }
        astray += u64::from(!leases.reattach(kv.key, kv.lease));
    }
    astray
}

impl State {
    /// Goes `by` revisions forward without any change, and forgets what was before: what clients saw
    /// of another history that went on longer is then older than all that they see from now on.
    ///
    /// # Errors
    /// [`ImportError::Revision`].
    pub fn bump(&mut self, by: u64) -> Result<(), ImportError> {
        let before = self.revision();
        let after = i64::try_from(by).ok().and_then(|by| before.0.checked_add(by));
        let after = after.filter(|after| *after < i64::MAX).ok_or(ImportError::Revision(before))?;
        if Revision(after) > before {
            self.keyspace.mvcc.skip_to(Revision(after));
            let compacted = self.keyspace.mvcc.compact(Revision(after));
            assert!(compacted.is_ok(), "the newest revision was not compacted before");
            while self.maintain(usize::MAX) {}
        }
        Ok(())
    }

    /// The same state before the first entry of another journal. The members of this one are not the
    /// other's: nobody is listed, so that whoever comes first may write.
    pub fn begin_anew(&mut self) {
        self.position = Position::default();
        self.cluster.disband();
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
