//! The commands that change who may do what.

use std::sync::Arc;

use super::permission::Permission;
use super::secret::{PasswordHash, TokenDigest};
use crate::ids::AuthRevision;
use crate::range::KeyRange;

/// A change of users, roles, tokens, or of whether anybody asks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthChange {
    /// From now on commands are judged by who asks.
    Enable,
    /// From now on nobody is asked. Every token ends.
    Disable,
    /// Makes a user.
    UserAdd {
        /// Its name.
        name: Arc<str>,
        /// What its password hashes to; empty with `no_password`.
        password: PasswordHash,
        /// It cannot be authenticated by a password.
        no_password: bool,
    },
    /// Removes a user and ends its tokens.
    UserDelete {
        /// Which.
        name: Arc<str>,
    },
    /// Gives a user another password and ends its tokens.
    UserChangePassword {
        /// Which.
        name: Arc<str>,
        /// What the password hashes to.
        password: PasswordHash,
    },
    /// Gives a user a role.
    UserGrantRole {
        /// The user.
        user: Arc<str>,
        /// The role.
        role: Arc<str>,
    },
    /// Takes a role from a user.
    UserRevokeRole {
        /// The user.
        user: Arc<str>,
        /// The role.
        role: Arc<str>,
    },
    /// Makes a role.
    RoleAdd {
        /// Its name.
        name: Arc<str>,
    },
    /// Removes a role, from the users that have it, too.
    RoleDelete {
        /// Which.
        name: Arc<str>,
    },
    /// Lets a role do something.
    RoleGrantPermission {
        /// The role.
        role: Arc<str>,
        /// What.
        permission: Permission,
    },
    /// Takes from a role what it may do on exactly this range.
    RoleRevokePermission {
        /// The role.
        role: Arc<str>,
        /// Where.
        range: KeyRange,
    },
    /// A token stands for a user from now on. Made by the server, after it has checked the password.
    TokenIssue {
        /// The user.
        user: Arc<str>,
        /// The token's digest.
        digest: TokenDigest,
        /// When the password was checked: it may be another one since.
        auth_revision: AuthRevision,
    },
    /// Tokens that nobody has used for long end. Made by the server.
    TokensEnd {
        /// Which.
        digests: Vec<TokenDigest>,
    },
}

impl AuthChange {
    /// Whether only the server makes it, so that nobody's rights are asked for.
    pub(crate) fn is_of_tokens(&self) -> bool {
        matches!(self, Self::TokenIssue { .. } | Self::TokensEnd { .. })
    }
}
