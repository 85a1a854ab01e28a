//! The bucket `lease`: id, big-endian → `leasepb.Lease`. The time that is left of a lease, which etcd may
//! note there too, is neither written nor read: it has its whole time again.

use state::LeaseId;

use super::protobuf::{Fields, put_number};
use super::{Malformed, Pair, number};

/// The entry of a lease with so many seconds to live.
pub(crate) fn encode(id: LeaseId, ttl: i64) -> Pair {
    let mut value = Vec::with_capacity(24);
    put_number(&mut value, 1, id.0);
    put_number(&mut value, 2, ttl);
    (id.0.to_be_bytes().to_vec(), value)
}

/// A lease and its time to live, in seconds.
pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<(LeaseId, i64), Malformed> {
    let id = number(key, "its id has not eight bytes")?.cast_signed();
    let mut ttl = 0;
    for field in Fields::of(value) {
        let (number, field) = field?;
        match number {
            1 if field.number().cast_signed() != id => {
                return Err(Malformed("its value names another lease than its key"));
            }
            2 => ttl = field.number().cast_signed(),
            _ => {}
        }
    }
    Ok((LeaseId(id), ttl))
}

/// Leases by id in the order of their keys, where negative ids come last.
pub(crate) fn in_order(
    leases: &[(LeaseId, i64)],
) -> impl Iterator<Item = (LeaseId, i64)> + use<'_> {
    let (negative, rest) = leases.split_at(leases.partition_point(|(id, _)| id.0 < 0));
    rest.iter().chain(negative).copied()
}
