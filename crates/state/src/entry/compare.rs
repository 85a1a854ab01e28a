//! The conditions of a transaction, to bytes and back.

use bytes::{BufMut, BytesMut};

use super::{decode, encode};
use crate::codec::{DecodeError, Reader, put_signed, put_string};
use crate::command::{Compare, CompareResult, CompareTarget};
use crate::ids::{LeaseId, Revision};

const UNKNOWN_RESULT: u8 = 4;
const UNKNOWN_TARGET: u8 = 5;

pub(super) fn encode(out: &mut BytesMut, compare: &Compare) {
    encode::key_range(out, &compare.range);
    encode_result(out, compare.result);
    match &compare.target {
        CompareTarget::Version(version) => number(out, 0, *version),
        CompareTarget::Create(revision) => number(out, 1, revision.0),
        CompareTarget::Mod(revision) => number(out, 2, revision.0),
        CompareTarget::Value(value) => {
            out.put_u8(3);
            put_string(out, value);
        }
        CompareTarget::Lease(lease) => number(out, 4, lease.0),
        CompareTarget::Unknown(target) => number(out, UNKNOWN_TARGET, i64::from(*target)),
    }
}

fn encode_result(out: &mut BytesMut, result: CompareResult) {
    match result {
        CompareResult::Equal => out.put_u8(0),
        CompareResult::Greater => out.put_u8(1),
        CompareResult::Less => out.put_u8(2),
        CompareResult::NotEqual => out.put_u8(3),
        CompareResult::Unknown(result) => number(out, UNKNOWN_RESULT, i64::from(result)),
    }
}

fn number(out: &mut BytesMut, kind: u8, value: i64) {
    out.put_u8(kind);
    put_signed(out, value);
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Compare, DecodeError> {
    let range = decode::key_range(reader)?;
    let result = match reader.byte()? {
        0 => CompareResult::Equal,
        1 => CompareResult::Greater,
        2 => CompareResult::Less,
        3 => CompareResult::NotEqual,
        UNKNOWN_RESULT => CompareResult::Unknown(reader.signed32()?),
        _ => return reader.damaged("no such comparison"),
    };
    let target = match reader.byte()? {
        0 => CompareTarget::Version(reader.signed()?),
        1 => CompareTarget::Create(Revision(reader.signed()?)),
        2 => CompareTarget::Mod(Revision(reader.signed()?)),
        3 => CompareTarget::Value(reader.string()?),
        4 => CompareTarget::Lease(LeaseId(reader.signed()?)),
        UNKNOWN_TARGET => CompareTarget::Unknown(reader.signed32()?),
        _ => return reader.damaged("no such comparison target"),
    };
    Ok(Compare { range, result, target })
}
