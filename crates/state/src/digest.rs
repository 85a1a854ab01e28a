//! The number that replicas agree on when they agree on the journal.

use std::fmt;

use crate::codec::{put_signed, put_unsigned};
use crate::entry::alarm_number;
use crate::image::{Image, auth};

/// A checksum over all of a state that anybody can see. What compaction has yet to remove is left out,
/// since replicas remove it each in its own time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// etcd's HashKV at the newest revision.
    pub keys: u32,
    /// Everything else: position, epoch, clock, revisions, alarms, leases, users and rights.
    pub rest: u32,
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}{:08x}", self.keys, self.rest)
    }
}

/// Everything but the keys.
pub(crate) fn rest(image: &Image) -> u32 {
    let mut bytes = Vec::with_capacity(64 + image.leases.len() * 8);
    put_unsigned(&mut bytes, image.position.0);
    put_unsigned(&mut bytes, image.epoch.0);
    put_unsigned(&mut bytes, image.clock.0);
    put_signed(&mut bytes, image.view.revision().0);
    put_signed(&mut bytes, image.view.compact_revision().0);
    put_unsigned(&mut bytes, image.alarms.len() as u64);
    for alarm in &image.alarms {
        put_unsigned(&mut bytes, alarm.member.0);
        bytes.push(alarm_number(alarm.alarm));
    }
    put_unsigned(&mut bytes, image.leases.len() as u64);
    for (id, ttl) in &image.leases {
        put_signed(&mut bytes, id.0);
        put_signed(&mut bytes, *ttl);
    }
    if let Some(rights) = &image.auth {
        auth::encode(&mut bytes, rights);
    }
    crc32c::crc32c(&bytes)
}
