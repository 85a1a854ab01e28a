//! The journal's bytes: how an [`Entry`] is written and read. `docs/format.md` draws them.
//!
//! Never changed in place: what a new version writes differently gets a new format number, and every
//! number ever released stays readable.

mod auth;
mod compare;
mod decode;
mod encode;

use bytes::{BufMut, Bytes, BytesMut};

use crate::codec::{DecodeError, Reader, put_unsigned};
use crate::command::{Command, Entry, Origin};
use crate::ids::{Epoch, Timestamp};

pub(crate) use auth::{decode_permission, encode_permission};
pub(crate) use decode::alarm_type;
pub(crate) use encode::alarm_number;

const MAGIC: u8 = 0xe5;
const FORMAT: u8 = 1;

/// How many transactions may stand inside one another. A request that nests deeper is refused before it
/// is ordered, and bytes that do are damaged.
pub const MAX_TXN_DEPTH: usize = 256;

/// The first byte of each command. [`END`](tag::END) closes the entry.
mod tag {
    pub(super) const END: u8 = 0;
    pub(super) const PUT: u8 = 1;
    pub(super) const DELETE_RANGE: u8 = 2;
    pub(super) const TXN: u8 = 3;
    pub(super) const COMPACT: u8 = 4;
    pub(super) const LEASE_GRANT: u8 = 5;
    pub(super) const LEASE_REVOKE: u8 = 6;
    pub(super) const ALARM: u8 = 7;
    pub(super) const CLAIM: u8 = 8;
    /// Only inside a transaction.
    pub(super) const RANGE: u8 = 9;
    pub(super) const AUTH: u8 = 10;
    /// Only around another command.
    pub(super) const AS_USER: u8 = 11;
    pub(super) const AS_SERVER: u8 = 12;
    /// Only before a command: it and those after it came from another replica.
    pub(super) const FROM: u8 = 13;
    pub(super) const MEMBER_UPDATE: u8 = 32;
    pub(super) const DOWNGRADE: u8 = 33;
    pub(super) const MEMBER_ADD: u8 = 34;
    pub(super) const MEMBER_REMOVE: u8 = 35;
    pub(super) const MEMBER_PROMOTE: u8 = 36;
    pub(super) const MEMBER_PUBLISH: u8 = 37;
    pub(super) const LEASE_RENEW: u8 = 38;
    pub(super) const DIGEST_DUE: u8 = 39;
    pub(super) const DIGEST_IS: u8 = 40;
    pub(super) const LEVEL_RAISE: u8 = 41;
    pub(super) const LEARNER_ADD: u8 = 42;
    pub(super) const GREATEST: u8 = LEARNER_ADD;

    /// Whether this version gives the number a meaning. 14 to 31 are left to come.
    pub(super) fn is_known(tag: u8) -> bool {
        matches!(tag, END..=FROM | MEMBER_UPDATE..=GREATEST)
    }
}

/// Writes an entry command by command, so that a batch need not be held twice.
#[derive(Debug)]
pub struct EntryWriter {
    out: BytesMut,
    commands: u64,
}

impl EntryWriter {
    /// Begins an entry.
    #[must_use]
    pub fn new(epoch: Epoch, clock: Timestamp) -> Self {
        let mut out = BytesMut::with_capacity(512);
        out.put_u8(MAGIC);
        out.put_u8(FORMAT);
        put_unsigned(&mut out, epoch.0);
        put_unsigned(&mut out, clock.0);
        Self { out, commands: 0 }
    }

    /// Appends a command.
    pub fn push(&mut self, command: &Command) {
        encode::command(&mut self.out, command);
        self.commands += 1;
    }

    /// Says where the next commands came from.
    fn origin(&mut self, origin: &Origin) {
        self.out.put_u8(tag::FROM);
        put_unsigned(&mut self.out, origin.member.0);
        put_unsigned(&mut self.out, origin.session);
        put_unsigned(&mut self.out, origin.first);
        put_unsigned(&mut self.out, origin.count);
    }

    /// How many commands it holds.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// How many bytes it holds so far; the end adds at most eleven.
    #[must_use]
    pub fn size(&self) -> usize {
        self.out.len()
    }

    /// Ends the entry.
    #[must_use]
    pub fn finish(mut self) -> Bytes {
        self.out.put_u8(tag::END);
        put_unsigned(&mut self.out, self.commands);
        self.out.freeze()
    }
}

impl Entry {
    /// The entry's bytes.
    ///
    /// # Panics
    /// If the origins are not in their order, or one of them is of no command: its sender would wait in
    /// vain for word of what it sent.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = EntryWriter::new(self.epoch, self.clock);
        let mut origins = self.origins.iter().peekable();
        for (at, command) in self.commands.iter().enumerate() {
            if let Some(origin) = origins.next_if(|origin| origin.at == at) {
                writer.origin(origin);
            }
            writer.push(command);
        }
        assert!(origins.next().is_none(), "runs stand in their order, each before a command");
        writer.finish()
    }

    /// Reads an entry. Keys and values are slices of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError::Newer`] if a later version wrote it, [`DecodeError::Damaged`] if nobody did.
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != MAGIC {
            return Err(DecodeError::Damaged { what: "not an entry", offset: 0 });
        }
        let format = reader.byte()?;
        if format == 0 {
            return Err(DecodeError::Damaged { what: "format 0", offset: 1 });
        }
        if format > FORMAT {
            let (found, understood) = (u64::from(format), u64::from(FORMAT));
            return Err(DecodeError::Newer { what: "entry format", found, understood, offset: 1 });
        }
        let epoch = Epoch(reader.unsigned()?);
        let clock = Timestamp(reader.unsigned()?);
        let (mut commands, mut origins) = (Vec::new(), Vec::new());
        loop {
            if let Some(origin) = decode::origin(&mut reader, commands.len())? {
                origins.push(origin);
            }
            let Some(command) = decode::command(&mut reader)? else { break };
            commands.push(command);
        }
        let ends = origins.iter().map(|origin: &Origin| origin.at as u64 + origin.count);
        let begins = origins.iter().skip(1).map(|origin| origin.at as u64);
        if ends.zip(begins.chain([commands.len() as u64])).any(|(end, begin)| end > begin) {
            return reader.damaged("a run of commands longer than what is there");
        }
        if reader.unsigned()? != commands.len() as u64 {
            return reader.damaged("the number of commands is not what was written");
        }
        if reader.remaining() != 0 {
            return reader.damaged("something follows the end");
        }
        Ok(Self { epoch, clock, commands, origins })
    }
}
