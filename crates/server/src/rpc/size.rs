//! How large etcd would find a request: it judges `--max-request-bytes` on what it proposes to
//! Raft, which is the request with a tag and a header of its own around it.

use super::Services;
use super::status::REQUEST_TOO_LARGE;
use crate::grpc::Status;

/// Bits of a request id below the member's: a clock and a counter.
const SUFFIX_BITS: u32 = 48;
/// Tag and length of the header: field 100.
const HEADER_FRAME: usize = 3;

impl Services {
    /// Refuses a request whose message has `length` bytes if etcd would.
    pub(super) fn check_size(&self, length: usize) -> Result<(), Status> {
        if proposal_size(length, self.identity.member_id) > self.limits.max_request_bytes {
            return Err(REQUEST_TOO_LARGE);
        }
        Ok(())
    }
}

fn proposal_size(length: usize, member: u64) -> usize {
    let id_tag_and_number = 1 + varint_size(u64::from(member as u16) << SUFFIX_BITS | (1 << 47));
    let tag_and_length = 1 + varint_size(length as u64);
    HEADER_FRAME + id_tag_and_number + tag_and_length + length
}

pub(super) const fn varint_size(number: u64) -> usize {
    let bits = 64 - (number | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints() {
        for (number, size) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX, 10)]
        {
            assert_eq!(varint_size(number), size, "{number}");
        }
    }

    #[test]
    fn a_proposal_is_a_little_larger_than_its_request() {
        // Header 3 + id tag 1 + id 9; request tag 1 + length 1.
        assert_eq!(proposal_size(10, 0x694d), 25);
        // An id with its highest bit set takes ten bytes.
        assert_eq!(proposal_size(10, 0x8000), 26);
        assert_eq!(proposal_size(200, 0x694d), 216);
    }
}
