//! A machine with users, and who asks it.

use std::sync::Arc;

use bytes::Bytes;
use state::{
    AuthChange, AuthRevision, Command, Entry, Identity, KeyRange, LeaseId, Outcome, PasswordHash,
    Permission, PermissionType, Position, Put, Refusal, Reply, State, TokenDigest,
};

/// A state and the next entry's place.
pub(crate) struct Machine(pub(crate) State);

impl Machine {
    pub(crate) fn new() -> Self {
        Self(State::new())
    }

    /// With root, and auth on.
    pub(crate) fn guarded() -> Self {
        let mut machine = Self::new();
        machine.user("root", &["root"]);
        machine.change(AuthChange::Enable);
        machine
    }

    pub(crate) fn apply(&mut self, command: Command) -> Outcome {
        let (epoch, clock) = (self.0.epoch(), self.0.clock());
        let entry = Entry { epoch, clock, commands: vec![command], origins: Vec::new() };
        let entry = Entry::decode(&entry.encode()).expect("what was just encoded");
        let position = Position(self.0.position().0 + 1);
        self.0.apply(position, &entry).remove(0)
    }

    /// Carried out for the server.
    pub(crate) fn own(&mut self, command: Command) -> Result<Reply, Refusal> {
        self.apply(command.by(Identity::Server)).result
    }

    pub(crate) fn change(&mut self, change: AuthChange) {
        assert_eq!(self.own(Command::Auth(change.clone())), Ok(Reply::Auth), "{change:?}");
    }

    pub(crate) fn refuses(&mut self, change: AuthChange) -> Refusal {
        let before = self.0.digest().keys;
        let auth = Arc::clone(self.0.auth());
        let refusal = self.own(Command::Auth(change)).expect_err("a refusal");
        assert!(Arc::ptr_eq(&auth, self.0.auth()) && self.0.digest().keys == before);
        refusal
    }

    /// A user with roles, which are made if they are not there.
    pub(crate) fn user(&mut self, name: &str, roles: &[&str]) {
        let password = hash(name);
        self.change(AuthChange::UserAdd { name: name.into(), password, no_password: false });
        for role in roles {
            if *role != "root" && self.0.auth().role(role).is_none() {
                self.change(AuthChange::RoleAdd { name: (*role).into() });
            }
            self.change(AuthChange::UserGrantRole { user: name.into(), role: (*role).into() });
        }
    }

    pub(crate) fn grant(&mut self, role: &str, kind: PermissionType, key: &str, end: &str) {
        let permission = Permission { kind, range: range(key, end) };
        self.change(AuthChange::RoleGrantPermission { role: role.into(), permission });
    }

    /// As the server would know this user now.
    pub(crate) fn identity(&self, name: &str) -> Identity {
        Identity::User { name: name.into(), auth_revision: self.0.auth().revision() }
    }

    pub(crate) fn by(&mut self, name: &str, command: Command) -> Result<Reply, Refusal> {
        let who = self.identity(name);
        self.apply(command.by(who)).result
    }

    pub(crate) fn may_read(&self, name: &str, key: &str, end: &str) -> bool {
        self.0.auth().may_read(Some(&self.identity(name)), &range(key, end)).is_ok()
    }

    pub(crate) fn auth_revision(&self) -> u64 {
        self.0.auth().revision().0
    }

    pub(crate) fn issue(&mut self, user: &str, seed: u8) -> TokenDigest {
        let (digest, auth_revision) = (TokenDigest([seed; 32]), self.0.auth().revision());
        let user = user.into();
        self.change(AuthChange::TokenIssue { user, digest, auth_revision });
        digest
    }
}

pub(crate) fn revision(number: u64) -> AuthRevision {
    AuthRevision(number)
}

pub(crate) fn hash(of: &str) -> PasswordHash {
    PasswordHash(format!("hash of {of}").into())
}

pub(crate) fn range(key: &str, end: &str) -> KeyRange {
    KeyRange { key: bytes(key), range_end: bytes(end) }
}

pub(crate) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(crate) fn put(key: &str) -> Put {
    Put { key: bytes(key), value: bytes("v"), ..Put::default() }
}

pub(crate) fn on_lease(key: &str, lease: i64) -> Command {
    Command::Put(Put { lease: LeaseId(lease), ..put(key) })
}
