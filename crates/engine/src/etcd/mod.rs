//! What etcd 3.7's database holds: its buckets, and what stands in them, to the byte. One file for each
//! family of buckets, writing beside reading: [`Export`] does the one, [`restore`](crate::restore) the
//! other. Of the file itself the crate `bolt` knows.

pub(crate) mod alarm;
pub(crate) mod auth;
mod export;
pub(crate) mod key;
pub(crate) mod lease;
pub(crate) mod member;
pub(crate) mod meta;
pub(crate) mod protobuf;

use std::fmt;

pub use export::Export;
pub use member::Member;
use state::ClusterVersion;

/// The version of the schema, which is also that of the cluster, as long as no downgrade is under way.
pub const STORAGE_VERSION: ClusterVersion = ClusterVersion { major: 3, minor: 7 };

/// The names of the buckets, in their order in the file.
pub(crate) mod bucket {
    pub(crate) const ALARM: &[u8] = b"alarm";
    pub(crate) const AUTH: &[u8] = b"auth";
    pub(crate) const AUTH_ROLES: &[u8] = b"authRoles";
    pub(crate) const AUTH_USERS: &[u8] = b"authUsers";
    pub(crate) const CLUSTER: &[u8] = b"cluster";
    pub(crate) const KEY: &[u8] = b"key";
    pub(crate) const LEASE: &[u8] = b"lease";
    pub(crate) const MEMBERS: &[u8] = b"members";
    pub(crate) const MEMBERS_REMOVED: &[u8] = b"members_removed";
    pub(crate) const META: &[u8] = b"meta";
}

/// An entry of a bucket that is none of etcd's: what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl From<protobuf::Malformed> for Malformed {
    fn from(_: protobuf::Malformed) -> Self {
        Self("not a protobuf message")
    }
}

/// A number of eight bytes, or what is wrong.
fn number(bytes: &[u8], wrong: &'static str) -> Result<u64, Malformed> {
    bytes.try_into().map(u64::from_be_bytes).map_err(|_| Malformed(wrong))
}

/// A key and a value of a small bucket.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

#[cfg(test)]
mod tests;
