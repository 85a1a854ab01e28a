//! Bodies that are too long for an item: written in parts first, the slot's item holds length and checksum.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::stream::{self, StreamExt, TryStreamExt};
use journal::Nonce;

use crate::item::Item;
use crate::layout::{damaged, kind};
use crate::log::{Answer, Log};
use crate::stats::Purpose;

/// Bytes in a part, or in a piece of an object: in base64 an item of it stays below 512 KB, beyond which the
/// service charges half as much again for each byte, see
/// <https://learn.microsoft.com/azure/cosmos-db/understand-request-unit-consumption>.
pub(crate) const PART: usize = 360 << 10;

/// Parts on their way at once.
const AT_ONCE: usize = 4;

/// What stands in the slot's item: length, checksum, bytes in a part.
pub(crate) fn pointer(body: &[u8]) -> Bytes {
    let mut pointer = BytesMut::with_capacity(16);
    pointer.put_u64_le(body.len() as u64);
    pointer.put_u32_le(crc32c::crc32c(body));
    pointer.put_u32_le(PART as u32);
    pointer.freeze()
}

/// What a slot's item says of a body in parts.
struct Pointer {
    length: usize,
    sum: u32,
    part: usize,
}

impl Pointer {
    fn read(item: &Item) -> Answer<Self> {
        let mut pointer = item.body.clone();
        if pointer.len() != 16 {
            return Err(damaged(item, "does not say where its body is"));
        }
        let length = usize::try_from(pointer.get_u64_le()).unwrap_or(usize::MAX);
        let (sum, part) = (pointer.get_u32_le(), pointer.get_u32_le() as usize);
        if length > crate::MAX_BODY || part == 0 {
            return Err(damaged(item, "makes no sense"));
        }
        Ok(Self { length, sum, part })
    }
}

/// The length of a body in parts.
pub(crate) fn length(item: &Item) -> Answer<usize> {
    Pointer::read(item).map(|pointer| pointer.length)
}

impl Log {
    /// Writes the parts. The slot's item may be written when this has succeeded.
    pub(crate) async fn store(&self, slot: u64, nonce: Nonce, body: &Bytes) -> Answer<()> {
        let items = (0..body.len().div_ceil(PART)).map(|part| {
            let body = body.slice(part * PART..body.len().min((part + 1) * PART));
            let name = self.layout.part(slot, nonce, part as u64);
            Item { name, slot, nonce, kind: kind::PART, body, tag: None }
        });
        // A part that is there was written when this body was offered before: the same nonce, the same bytes.
        let stored = stream::iter(items).map(|item| self.create(Purpose::Append, item));
        stored.buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await
    }

    /// Reads the parts together and checks them.
    pub(crate) async fn fetch(&self, item: &Item) -> Answer<Bytes> {
        let Pointer { length, sum, part } = Pointer::read(item)?;
        let mut body = BytesMut::with_capacity(length);
        let parts = (0..length.div_ceil(part) as u64).map(|part| {
            let name = self.layout.part(item.slot, item.nonce, part);
            async move { self.insist(|| self.items.get(Purpose::Read, name.clone())).await }
        });
        let mut parts = stream::iter(parts).buffered(AT_ONCE);
        while let Some(part) = parts.try_next().await? {
            let part = part.ok_or_else(|| damaged(item, "misses a part of its body"))?;
            body.extend_from_slice(&part.body);
        }
        if body.len() != length || crc32c::crc32c(&body) != sum {
            return Err(damaged(item, "has not the body that it says"));
        }
        Ok(body.freeze())
    }

    /// Removes the parts of an offer that lost.
    pub(crate) async fn drop_parts(&self, slot: u64, nonce: Nonce, length: usize) {
        for part in 0..length.div_ceil(PART) as u64 {
            let name = self.layout.part(slot, nonce, part);
            if let Err(failure) = self.delete(Purpose::Trim, name).await {
                tracing::debug!(slot, error = %failure, "parts are left for the next trim");
                return;
            }
        }
    }
}
