//! Users, roles and tokens, and how changes change them. The faults and their order are etcd's.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ROOT;
use super::change::AuthChange;
use super::permission::Permission;
use super::rights::Rights;
use super::secret::{PasswordHash, TokenDigest};
use super::tokens::Tokens;
use super::user::{Role, User};
use crate::ids::AuthRevision;
use crate::outcome::Refusal;
use crate::range::KeyRange;

/// How many tokens there may be at once.
const MAX_TOKENS: usize = 1 << 20;

/// Who may do what. Copying it is cheap, and so is copying it to change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    pub(crate) enabled: bool,
    pub(crate) revision: AuthRevision,
    pub(crate) users: Arc<BTreeMap<Arc<str>, Arc<User>>>,
    pub(crate) roles: Arc<BTreeMap<Arc<str>, Arc<Role>>>,
    pub(crate) tokens: Tokens,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            enabled: false,
            revision: AuthRevision(1),
            users: Arc::default(),
            roles: Arc::default(),
            tokens: Tokens::default(),
        }
    }
}

impl Auth {
    /// Whether commands are judged by who asks.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Counts the changes, from 1. Tokens are no change.
    #[must_use]
    pub fn revision(&self) -> AuthRevision {
        self.revision
    }

    /// A user.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<&User> {
        self.users.get(name).map(|user| &**user)
    }

    /// All users, by name.
    pub fn users(&self) -> impl Iterator<Item = (&Arc<str>, &User)> {
        self.users.iter().map(|(name, user)| (name, &**user))
    }

    /// What a role may do, by key; `None` if there is no such role.
    #[must_use]
    pub fn role(&self, name: &str) -> Option<&[Permission]> {
        self.roles.get(name).map(|role| &***role)
    }

    /// All roles and what they may do, by name.
    pub fn roles(&self) -> impl Iterator<Item = (&Arc<str>, &[Permission])> {
        self.roles.iter().map(|(name, role)| (name, &***role))
    }

    /// Which user a token stands for.
    #[must_use]
    pub fn token_user(&self, digest: &TokenDigest) -> Option<&Arc<str>> {
        self.tokens.user(digest)
    }

    /// All tokens and the users they stand for, by digest.
    pub fn tokens(&self) -> impl Iterator<Item = (&TokenDigest, &Arc<str>)> {
        self.tokens.iter()
    }

    /// How many tokens there are.
    #[must_use]
    pub fn token_count(&self) -> usize {
        self.tokens.len()
    }

    /// Carries out a change. A refused one changes nothing.
    pub(crate) fn change(&mut self, change: &AuthChange) -> Result<(), Refusal> {
        match change {
            AuthChange::Enable => self.enable(),
            AuthChange::Disable => {
                self.disable();
                Ok(())
            }
            AuthChange::UserAdd { name, password, no_password } => {
                self.user_add(name, password, *no_password)
            }
            AuthChange::UserDelete { name } => self.user_delete(name),
            AuthChange::UserChangePassword { name, password } => {
                self.user_change_password(name, password)
            }
            AuthChange::UserGrantRole { user, role } => self.user_grant_role(user, role),
            AuthChange::UserRevokeRole { user, role } => self.user_revoke_role(user, role),
            AuthChange::RoleAdd { name } => self.role_add(name),
            AuthChange::RoleDelete { name } => self.role_delete(name),
            AuthChange::RoleGrantPermission { role, permission } => {
                self.role_grant_permission(role, permission)
            }
            AuthChange::RoleRevokePermission { role, range } => {
                self.role_revoke_permission(role, range)
            }
            AuthChange::TokenIssue { user, digest, auth_revision } => {
                self.token_issue(user, *digest, *auth_revision)
            }
            AuthChange::TokensEnd { digests } => {
                digests.iter().for_each(|digest| self.tokens.remove(digest));
                Ok(())
            }
        }
    }

    /// Whether this is what there was in the beginning.
    pub(crate) fn is_untouched(&self) -> bool {
        *self == Self::default()
    }

    fn changed(&mut self) {
        self.revision = AuthRevision(self.revision.0 + 1);
    }

    // Not a change that is counted: so etcd has it.
    fn enable(&mut self) -> Result<(), Refusal> {
        if self.enabled {
            return Ok(());
        }
        let root = self.user(ROOT).ok_or(Refusal::RootUserNotExist)?;
        if !root.is_root() {
            return Err(Refusal::RootRoleNotExist);
        }
        self.enabled = true;
        Ok(())
    }

    fn disable(&mut self) {
        if self.enabled {
            self.enabled = false;
            self.tokens = Tokens::default();
            self.changed();
        }
    }

    fn user_add(
        &mut self,
        name: &Arc<str>,
        password: &PasswordHash,
        no_password: bool,
    ) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err(Refusal::UserEmpty);
        }
        if self.users.contains_key(name) {
            return Err(Refusal::UserAlreadyExists);
        }
        let password = if no_password { PasswordHash::default() } else { password.detached() };
        let user = User { password, no_password, ..User::default() };
        self.put_user(name, user);
        self.changed();
        Ok(())
    }

    fn user_delete(&mut self, name: &str) -> Result<(), Refusal> {
        if self.enabled && name == ROOT {
            return Err(Refusal::InvalidAuthManagement);
        }
        if !self.users.contains_key(name) {
            return Err(Refusal::UserNotFound);
        }
        Arc::make_mut(&mut self.users).remove(name);
        self.tokens.remove_of(name);
        self.changed();
        Ok(())
    }

    fn user_change_password(
        &mut self,
        name: &Arc<str>,
        password: &PasswordHash,
    ) -> Result<(), Refusal> {
        let mut user = self.user(name).ok_or(Refusal::UserNotFound)?.clone();
        // A user without a password stays one, and yet this counts as a change.
        if !user.no_password {
            user.password = password.detached();
        }
        self.put_user(name, user);
        self.tokens.remove_of(name);
        self.changed();
        Ok(())
    }

    fn user_grant_role(&mut self, name: &Arc<str>, role: &Arc<str>) -> Result<(), Refusal> {
        let mut user = self.user(name).ok_or(Refusal::UserNotFound)?.clone();
        if **role != *ROOT && !self.roles.contains_key(role) {
            return Err(Refusal::RoleNotFound);
        }
        let Err(at) = user.roles.binary_search(role) else { return Ok(()) };
        user.roles.insert(at, role.clone());
        user.rights = self.rights(&user.roles);
        self.put_user(name, user);
        self.changed();
        Ok(())
    }

    fn user_revoke_role(&mut self, name: &Arc<str>, role: &Arc<str>) -> Result<(), Refusal> {
        if self.enabled && **name == *ROOT && **role == *ROOT {
            return Err(Refusal::InvalidAuthManagement);
        }
        let mut user = self.user(name).ok_or(Refusal::UserNotFound)?.clone();
        let at = user.roles.binary_search(role).map_err(|_| Refusal::RoleNotGranted)?;
        user.roles.remove(at);
        user.rights = self.rights(&user.roles);
        self.put_user(name, user);
        self.changed();
        Ok(())
    }

    fn role_add(&mut self, name: &Arc<str>) -> Result<(), Refusal> {
        if name.is_empty() {
            return Err(Refusal::RoleEmpty);
        }
        if self.roles.contains_key(name) {
            return Err(Refusal::RoleAlreadyExists);
        }
        self.put_role(name, Role::new());
        self.changed();
        Ok(())
    }

    fn role_delete(&mut self, name: &str) -> Result<(), Refusal> {
        if self.enabled && name == ROOT {
            return Err(Refusal::InvalidAuthManagement);
        }
        if !self.roles.contains_key(name) {
            return Err(Refusal::RoleNotFound);
        }
        Arc::make_mut(&mut self.roles).remove(name);
        for (user, mut changed) in self.users_with(name) {
            changed.roles.retain(|role| **role != *name);
            changed.rights = self.rights(&changed.roles);
            self.put_user(&user, changed);
        }
        self.changed();
        Ok(())
    }

    fn role_grant_permission(
        &mut self,
        name: &Arc<str>,
        permission: &Permission,
    ) -> Result<(), Refusal> {
        if !permission.is_sound() {
            return Err(Refusal::InvalidAuthManagement);
        }
        let mut role = self.roles.get(name).ok_or(Refusal::RoleNotFound)?.to_vec();
        let key = &permission.range.key;
        let first = role.partition_point(|have| have.range.key < *key);
        // Of several with the same key only the first is ever changed: so etcd has it.
        match role.get_mut(first).filter(|have| have.range == permission.range) {
            Some(have) => have.kind = permission.kind,
            None => {
                let after = role.partition_point(|have| have.range.key <= *key);
                role.insert(after, permission.detached());
            }
        }
        self.role_changed(name, role);
        Ok(())
    }

    fn role_revoke_permission(&mut self, name: &Arc<str>, range: &KeyRange) -> Result<(), Refusal> {
        let mut role = self.roles.get(name).ok_or(Refusal::RoleNotFound)?.to_vec();
        let before = role.len();
        role.retain(|have| have.range != *range);
        if role.len() == before {
            return Err(Refusal::PermissionNotGranted);
        }
        self.role_changed(name, role);
        Ok(())
    }

    fn role_changed(&mut self, name: &Arc<str>, role: Role) {
        self.put_role(name, role);
        for (user, mut changed) in self.users_with(name) {
            changed.rights = self.rights(&changed.roles);
            self.put_user(&user, changed);
        }
        self.changed();
    }

    fn token_issue(
        &mut self,
        user: &Arc<str>,
        digest: TokenDigest,
        checked: AuthRevision,
    ) -> Result<(), Refusal> {
        if !self.enabled {
            return Err(Refusal::AuthNotEnabled);
        }
        if self.user(user).is_none_or(|user| user.no_password) {
            return Err(Refusal::AuthFailed);
        }
        if checked != self.revision {
            return Err(Refusal::AuthOldRevision);
        }
        if self.tokens.len() >= MAX_TOKENS {
            return Err(Refusal::TooManyTokens);
        }
        self.tokens.insert(digest, user.clone());
        Ok(())
    }

    fn put_user(&mut self, name: &Arc<str>, user: User) {
        Arc::make_mut(&mut self.users).insert(name.clone(), Arc::new(user));
    }

    fn put_role(&mut self, name: &Arc<str>, role: Role) {
        Arc::make_mut(&mut self.roles).insert(name.clone(), Arc::new(role));
    }

    fn users_with(&self, role: &str) -> Vec<(Arc<str>, User)> {
        let with = self.users.iter().filter(|(_, user)| user.has_role(role));
        with.map(|(name, user)| (name.clone(), (**user).clone())).collect()
    }

    /// What roles allow together.
    pub(crate) fn rights(&self, roles: &[Arc<str>]) -> Arc<Rights> {
        let roles = roles.iter().filter_map(|role| self.roles.get(role));
        Arc::new(Rights::of(roles.flat_map(|role| role.iter())))
    }
}
