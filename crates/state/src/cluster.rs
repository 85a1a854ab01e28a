//! What the cluster keeps about itself: peer URLs that were changed, and a downgrade under way.
//!
//! Who the members are is not decided here: a file journal has one, and its identity stands beside it.

use std::collections::BTreeMap;
use std::fmt;

use bytes::{BufMut, Bytes};

use crate::codec::{DecodeError, Reader, put_string, put_unsigned};
use crate::ids::MemberId;
use crate::outcome::Refusal;

/// Longer version numbers are no versions.
const LARGEST_VERSION: u64 = i64::MAX as u64;

/// What the cluster was told about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    peer_urls: BTreeMap<MemberId, Vec<String>>,
    downgrade: Option<ClusterVersion>,
}

/// The version that all members of a cluster can speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterVersion {
    /// As in 3.7
    pub major: u64,
    /// As in 3.7
    pub minor: u64,
}

impl fmt::Display for ClusterVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.0", self.major, self.minor)
    }
}

impl Cluster {
    /// The peer URLs a member was given since it joined, in the order in which they were named.
    #[must_use]
    pub fn peer_urls(&self, member: MemberId) -> Option<&[String]> {
        self.peer_urls.get(&member).map(Vec::as_slice)
    }

    /// The version that the members are to be exchanged for.
    #[must_use]
    pub fn downgrade(&self) -> Option<ClusterVersion> {
        self.downgrade
    }

    pub(crate) fn update(&mut self, member: MemberId, peer_urls: &[String]) {
        self.peer_urls.insert(member, peer_urls.to_vec());
    }

    /// Begins a downgrade, or ends the one under way.
    pub(crate) fn downgrade_to(&mut self, to: Option<ClusterVersion>) -> Result<(), Refusal> {
        match (to, self.downgrade) {
            (Some(_), Some(_)) => Err(Refusal::DowngradeInProgress),
            (None, None) => Err(Refusal::NoDowngrade),
            _ => {
                self.downgrade = to;
                Ok(())
            }
        }
    }

    /// Whether nothing was ever said: then it takes no room in an image or a digest.
    pub(crate) fn is_silent(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        put_unsigned(out, self.peer_urls.len() as u64);
        for (member, urls) in &self.peer_urls {
            put_member(out, *member, urls);
        }
        put_downgrade(out, self.downgrade);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut cluster = Self::default();
        for _ in 0..reader.count()? {
            let (member, urls) = member(reader)?;
            if cluster.peer_urls.insert(member, urls).is_some() {
                return reader.damaged("a member twice");
            }
        }
        cluster.downgrade = downgrade(reader)?;
        Ok(cluster)
    }
}

/// A member and its peer URLs.
pub(crate) fn put_member(out: &mut impl BufMut, member: MemberId, urls: &[String]) {
    put_unsigned(out, member.0);
    put_unsigned(out, urls.len() as u64);
    urls.iter().for_each(|url| put_string(out, url.as_bytes()));
}

/// See [`put_member`].
pub(crate) fn member(reader: &mut Reader<'_>) -> Result<(MemberId, Vec<String>), DecodeError> {
    let member = MemberId(reader.unsigned()?);
    let count = reader.count()?;
    let mut urls = Vec::with_capacity(count.min(16));
    for _ in 0..count {
        urls.push(text(reader)?);
    }
    Ok((member, urls))
}

fn text(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let bytes: Bytes = reader.string()?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => reader.damaged("an URL that is no text"),
    }
}

/// A byte that says whether there is one, and its version.
pub(crate) fn put_downgrade(out: &mut impl BufMut, to: Option<ClusterVersion>) {
    out.put_u8(u8::from(to.is_some()));
    if let Some(to) = to {
        put_unsigned(out, to.major);
        put_unsigned(out, to.minor);
    }
}

/// See [`put_downgrade`].
pub(crate) fn downgrade(reader: &mut Reader<'_>) -> Result<Option<ClusterVersion>, DecodeError> {
    let (major, minor) = match reader.byte()? {
        0 => return Ok(None),
        1 => (reader.unsigned()?, reader.unsigned()?),
        _ => return reader.damaged("neither a downgrade nor none"),
    };
    if major.max(minor) > LARGEST_VERSION {
        return reader.damaged("a version out of range");
    }
    Ok(Some(ClusterVersion { major, minor }))
}
