//! What must not be shown: the two kinds of secret that the machine keeps traces of. Neither can be
//! printed.

use std::fmt;

use bytes::Bytes;

/// A password as bcrypt has hashed it; empty for a user without one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PasswordHash(pub Bytes);

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl PasswordHash {
    /// A copy that is no slice of a larger buffer.
    pub(crate) fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(not shown)")
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest(not shown)")
    }
}
