//! The bytes under both formats of this crate: variable-length numbers, length-prefixed strings.
//!
//! Reading never panics and never allocates more than what is there to be read.

use std::fmt;
use std::sync::Arc;

use bytes::{BufMut, Bytes};

use crate::auth::TokenDigest;

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Whole, but written by a version that knows more than this one.
    Newer {
        /// What this version does not know.
        what: &'static str,
        /// Its number as found.
        found: u64,
        /// The greatest number this version understands.
        understood: u64,
        /// Where, in bytes from the beginning.
        offset: usize,
    },
    /// Not what was written.
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// Where, in bytes from the beginning.
        offset: usize,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { what, found, understood, offset } => write!(
                f,
                "{what} {found} at byte {offset} was made by a newer version; \
                 this one understands up to {understood}"
            ),
            Self::Damaged { what, offset } => write!(f, "damaged at byte {offset}: {what}"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Reads from the front of a buffer, handing out slices of it.
pub(crate) struct Reader<'a> {
    bytes: &'a Bytes,
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a Bytes) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn damaged<T>(&self, what: &'static str) -> Result<T, DecodeError> {
        Err(DecodeError::Damaged { what, offset: self.at })
    }

    /// The next byte, which stays where it is.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let Some(&byte) = self.bytes.get(self.at) else {
            return self.damaged("it ends too early");
        };
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn fixed32(&mut self) -> Result<u32, DecodeError> {
        let bytes = [self.byte()?, self.byte()?, self.byte()?, self.byte()?];
        Ok(u32::from_le_bytes(bytes))
    }

    pub(crate) fn unsigned(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let low = u64::from(byte & 0x7f);
            if shift == 63 && low > 1 {
                return self.damaged("a number of more than 64 bits");
            }
            value |= low << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        self.damaged("a number of more than ten bytes")
    }

    pub(crate) fn signed(&mut self) -> Result<i64, DecodeError> {
        let folded = self.unsigned()?;
        Ok((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }

    pub(crate) fn signed32(&mut self) -> Result<i32, DecodeError> {
        let wide = self.signed()?;
        i32::try_from(wide).or_else(|_| self.damaged("a number of more than 32 bits"))
    }

    /// How many things follow. Each takes a byte at least, so more than the bytes left is damage.
    pub(crate) fn count(&mut self) -> Result<usize, DecodeError> {
        let count = self.unsigned()?;
        match usize::try_from(count) {
            Ok(count) if count <= self.remaining() => Ok(count),
            _ => self.damaged("a count beyond the end"),
        }
    }

    pub(crate) fn string(&mut self) -> Result<Bytes, DecodeError> {
        let length = self.count()?;
        let begin = self.at;
        self.at += length;
        Ok(self.bytes.slice(begin..self.at))
    }
}

/// What the names, flags and digests of users and rights are read with.
impl Reader<'_> {
    pub(crate) fn name(&mut self) -> Result<Arc<str>, DecodeError> {
        match std::str::from_utf8(&self.string()?) {
            Ok(name) => Ok(name.into()),
            Err(_) => self.damaged("a name that is not text"),
        }
    }

    pub(crate) fn flag(&mut self) -> Result<bool, DecodeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => self.damaged("no such flag"),
        }
    }

    pub(crate) fn digest(&mut self) -> Result<TokenDigest, DecodeError> {
        let mut digest = [0; 32];
        for byte in &mut digest {
            *byte = self.byte()?;
        }
        Ok(TokenDigest(digest))
    }
}

/// Seven bits a byte, lowest first, the top bit set on all but the last.
pub(crate) fn put_unsigned(out: &mut impl BufMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Folded so that small numbers of either sign are short: 0, -1, 1, -2, …
pub(crate) fn put_signed(out: &mut impl BufMut, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

pub(crate) fn put_string(out: &mut impl BufMut, bytes: &[u8]) {
    put_unsigned(out, bytes.len() as u64);
    out.put_slice(bytes);
}
