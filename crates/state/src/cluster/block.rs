//! What the cluster keeps about itself, to bytes and back.

use bytes::{BufMut, Bytes};

use super::{Cluster, ClusterVersion, Member};
use crate::codec::{DecodeError, Reader, put_string, put_unsigned};
use crate::ids::MemberId;
use crate::level::Level;

/// Longer version numbers are no versions.
const LARGEST_VERSION: u64 = i64::MAX as u64;
/// A member's level stands above the minor number of its version: programs of the first level, which know no
/// levels, keep it there.
const LEVEL_SHIFT: u32 = 16;
const MINOR: u64 = (1 << LEVEL_SHIFT) - 1;

impl Cluster {
    pub(crate) fn encode(&self, out: &mut impl BufMut) {
        put_unsigned(out, self.peer_urls.len() as u64);
        for (member, urls) in &self.peer_urls {
            put_member(out, *member, urls);
        }
        put_version_or_none(out, self.downgrade);
        // What is written while nobody is listed stays what was written before anybody could be.
        if self.members.is_empty() {
            return;
        }
        put_unsigned(out, self.members.len() as u64);
        for (id, member) in &self.members {
            put_member(out, *id, &member.peer_urls);
            member.encode(out);
        }
        put_unsigned(out, self.removed.len() as u64);
        self.removed.iter().for_each(|member| put_unsigned(out, member.0));
        put_unsigned(out, self.writer.0);
        put_version_or_none(out, self.version);
        // As the members were: what is not above the first level stays what that could read.
        if self.level > Level::FIRST {
            put_unsigned(out, u64::from(self.level.0));
        }
    }

    /// Reads to the end of what there is.
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut cluster = Self::default();
        for _ in 0..reader.count()? {
            let (member, urls) = member(reader)?;
            if cluster.peer_urls.insert(member, urls).is_some() {
                return reader.damaged("a member twice");
            }
        }
        cluster.downgrade = version_or_none(reader)?;
        if reader.remaining() > 0 {
            cluster.decode_members(reader)?;
        }
        Ok(cluster)
    }

    fn decode_members(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        for _ in 0..reader.count()? {
            let (id, peer_urls) = member(reader)?;
            let member = Member { peer_urls, ..Member::decode(reader)? };
            if self.members.insert(id, member).is_some() {
                return reader.damaged("a member twice");
            }
        }
        if self.voters() == 0 {
            return reader.damaged("members of whom none may write");
        }
        for _ in 0..reader.count()? {
            let removed = MemberId(reader.unsigned()?);
            if self.members.contains_key(&removed) || !self.removed.insert(removed) {
                return reader.damaged("a removed member twice, or still there");
            }
        }
        self.writer = MemberId(reader.unsigned()?);
        self.version = version_or_none(reader)?;
        if reader.remaining() > 0 {
            self.level = level(reader)?;
        }
        Ok(())
    }
}

impl Member {
    /// All but the peer URLs.
    fn encode(&self, out: &mut impl BufMut) {
        put_string(out, self.name.as_bytes());
        put_unsigned(out, self.client_urls.len() as u64);
        self.client_urls.iter().for_each(|url| put_string(out, url.as_bytes()));
        out.put_u8(u8::from(self.learner));
        out.put_u8(u8::from(self.version.is_some()));
        if let Some(version) = self.version {
            put_spoken(out, version, self.level);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let name = text(reader)?;
        let client_urls = texts(reader)?;
        let learner = reader.flag()?;
        let spoken = if reader.flag()? { Some(spoken(reader)?) } else { None };
        let (version, level) = spoken.unzip();
        let level = level.unwrap_or_default();
        Ok(Self { name, client_urls, learner, version, level, ..Self::default() })
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
    Ok((MemberId(reader.unsigned()?), texts(reader)?))
}

fn texts(reader: &mut Reader<'_>) -> Result<Vec<String>, DecodeError> {
    let count = reader.count()?;
    let mut texts = Vec::with_capacity(count.min(16));
    for _ in 0..count {
        texts.push(text(reader)?);
    }
    Ok(texts)
}

/// A string that is text.
pub(crate) fn text(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    let bytes: Bytes = reader.string()?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => reader.damaged("a name or URL that is no text"),
    }
}

/// What a member speaks and can apply.
pub(crate) fn put_spoken(out: &mut impl BufMut, version: ClusterVersion, level: Level) {
    assert!(version.minor <= MINOR && level >= Level::FIRST, "a version and a level of ours");
    let minor = version.minor | u64::from(level.0 - Level::FIRST.0) << LEVEL_SHIFT;
    put_version(out, ClusterVersion { minor, ..version });
}

/// See [`put_spoken`].
pub(crate) fn spoken(reader: &mut Reader<'_>) -> Result<(ClusterVersion, Level), DecodeError> {
    let version = version(reader)?;
    let above = u32::try_from(version.minor >> LEVEL_SHIFT).ok();
    let Some(level) = above.and_then(|above| above.checked_add(Level::FIRST.0)) else {
        return reader.damaged("a level out of range");
    };
    Ok((ClusterVersion { minor: version.minor & MINOR, ..version }, Level(level)))
}

/// A level that the journal may hold, if this program can apply it.
pub(crate) fn level(reader: &mut Reader<'_>) -> Result<Level, DecodeError> {
    let offset = reader.offset();
    let (found, understood) = (reader.unsigned()?, u64::from(Level::NEWEST.0));
    match u32::try_from(found) {
        Ok(level) if found <= understood && level > Level::FIRST.0 => Ok(Level(level)),
        Ok(_) if found <= understood => reader.damaged("a level that is never said"),
        _ => Err(DecodeError::Newer { what: "level", found, understood, offset }),
    }
}

/// A version's two numbers.
fn put_version(out: &mut impl BufMut, version: ClusterVersion) {
    put_unsigned(out, version.major);
    put_unsigned(out, version.minor);
}

/// See [`put_version`].
fn version(reader: &mut Reader<'_>) -> Result<ClusterVersion, DecodeError> {
    let (major, minor) = (reader.unsigned()?, reader.unsigned()?);
    if major.max(minor) > LARGEST_VERSION {
        return reader.damaged("a version out of range");
    }
    Ok(ClusterVersion { major, minor })
}

/// A byte that says whether there is one, and its version.
pub(crate) fn put_version_or_none(out: &mut impl BufMut, to: Option<ClusterVersion>) {
    out.put_u8(u8::from(to.is_some()));
    if let Some(to) = to {
        put_version(out, to);
    }
}

/// See [`put_version_or_none`].
pub(crate) fn version_or_none(
    reader: &mut Reader<'_>,
) -> Result<Option<ClusterVersion>, DecodeError> {
    match reader.byte()? {
        0 => Ok(None),
        1 => version(reader).map(Some),
        _ => reader.damaged("neither a version nor none"),
    }
}
