//! The bucket `lease`: id, big-endian → `leasepb.Lease`.

use state::LeaseId;

use super::protobuf::{Fields, put_number};
use super::{Malformed, Pair};

/// A lease as the bucket has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) id: LeaseId,
    /// Seconds, as granted.
    pub(crate) ttl: i64,
    /// Seconds that were left when that was noted last; 0 if it never was.
    pub(crate) remaining: i64,
}

impl Lease {
    pub(crate) fn encode(&self) -> Pair {
        let mut value = Vec::with_capacity(24);
        put_number(&mut value, 1, self.id.0);
        put_number(&mut value, 2, self.ttl);
        put_number(&mut value, 3, self.remaining);
        (self.id.0.to_be_bytes().to_vec(), value)
    }

    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Self, Malformed> {
        let id = <[u8; 8]>::try_from(key).map_err(|_| Malformed("a lease's id has eight bytes"))?;
        let id = LeaseId(i64::from_be_bytes(id));
        let mut lease = Self { id, ttl: 0, remaining: 0 };
        for field in Fields::of(value) {
            let (number, field) = field?;
            match number {
                1 if field.number() as i64 != id.0 => {
                    return Err(Malformed("its value names another lease than its key"));
                }
                2 => lease.ttl = field.number() as i64,
                3 => lease.remaining = field.number() as i64,
                _ => {}
            }
        }
        Ok(lease)
    }
}

/// Leases by id in the order of their keys, where negative ids come last.
pub(crate) fn in_order(leases: &[(LeaseId, i64)]) -> impl Iterator<Item = Lease> + use<'_> {
    let (negative, rest) = leases.split_at(leases.partition_point(|(id, _)| id.0 < 0));
    let lease = |(id, ttl): &(LeaseId, i64)| Lease { id: *id, ttl: *ttl, remaining: 0 };
    rest.iter().chain(negative).map(lease)
}
