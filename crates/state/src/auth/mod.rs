//! Who may do what: users, roles, the tokens that stand for users, and the judgement of commands.
//!
//! As etcd has it, down to the order in which it looks. Passwords come here as hashes and tokens as
//! digests: what a client must not see is never in the machine.

mod change;
mod identity;
mod judge;
mod permission;
mod rights;
mod secret;
mod store;
mod tokens;
mod user;

pub use change::AuthChange;
pub use identity::{As, Identity};
pub(crate) use judge::LeaseKeys;
pub use permission::{Permission, PermissionType};
pub use secret::{PasswordHash, TokenDigest};
pub use store::Auth;
pub(crate) use tokens::Tokens;
pub use user::User;

/// The user, and the role, that may do everything.
pub const ROOT: &str = "root";
