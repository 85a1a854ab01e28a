//! A user.

use std::sync::Arc;

use super::rights::Rights;
use super::secret::PasswordHash;
use super::{Permission, ROOT};

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Its password's hash; empty if it has none.
    pub(crate) password: PasswordHash,
    /// Made to have none: it cannot be authenticated by one, only by a certificate.
    pub(crate) no_password: bool,
    /// In order.
    pub(crate) roles: Vec<Arc<str>>,
    /// What the roles allow together. Follows from them.
    pub(crate) rights: Arc<Rights>,
}

/// A role's permissions, by key.
pub(crate) type Role = Vec<Permission>;

impl User {
    /// Its password's hash; empty if it has none.
    #[must_use]
    pub fn password(&self) -> &PasswordHash {
        &self.password
    }

    /// Whether it was made to have no password.
    #[must_use]
    pub fn has_no_password(&self) -> bool {
        self.no_password
    }

    /// Its roles, in order.
    #[must_use]
    pub fn roles(&self) -> &[Arc<str>] {
        &self.roles
    }

    /// Whether it has a role.
    #[must_use]
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.binary_search_by(|have| (**have).cmp(role)).is_ok()
    }

    /// Whether it may do everything.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.has_role(ROOT)
    }
}
