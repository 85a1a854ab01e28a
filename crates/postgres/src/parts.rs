//! Bodies that are too long for a row: written in parts first, the row holds length and checksum.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::stream::{self, StreamExt, TryStreamExt};
use journal::{JournalError, Nonce};
use tokio_postgres::{Client, Statement};

use crate::database::{Database, Value, ask, change, column};
use crate::failure::{Failure, Kind};
use crate::link::{Answer, Link};

/// Bytes in a part.
pub(crate) const PART: usize = 256 << 10;

/// Parts on their way at once.
const AT_ONCE: usize = 4;

/// What stands in the slot's row: length, checksum, bytes in a part.
pub(crate) fn pointer(body: &[u8]) -> Bytes {
    let mut pointer = BytesMut::with_capacity(16);
    pointer.put_u64_le(body.len() as u64);
    pointer.put_u32_le(crc32c::crc32c(body));
    pointer.put_u32_le(PART as u32);
    pointer.freeze()
}

/// Writes the parts. The row may be written when this has succeeded.
pub(crate) async fn store(
    client: &Arc<Client>,
    statement: &Statement,
    log: Value,
    (slot, nonce): (u64, Nonce),
    body: &Bytes,
) -> Answer<()> {
    let count = body.len().div_ceil(PART);
    let parts = (0..count).map(|part| {
        let bytes = body.slice(part * PART..body.len().min((part + 1) * PART));
        let values =
            [log.clone(), slot.into(), nonce.into(), (part as u64).into(), Value::Bytes(bytes)];
        (Arc::clone(client), statement.clone(), values)
    });
    stream::iter(parts)
        .map(|(client, statement, values)| async move {
            match change(client, &statement, values).await {
                // Written when this body was offered before: the same nonce, the same bytes.
                Err(failure) if failure.kind != Kind::Duplicate => Err(failure),
                _ => Ok(()),
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Reads the parts together and checks them.
pub(crate) async fn fetch(
    database: &Database,
    link: &Link,
    statement: &Statement,
    slot: u64,
    nonce: Nonce,
    mut pointer: &[u8],
) -> Result<Bytes, JournalError> {
    let damaged = |what: &str| {
        let log = &database.log;
        JournalError::Damaged(format!(
            "log {log:?} in the database: {what} the body of slot {slot}; restore the database"
        ))
    };
    if pointer.len() != 16 {
        return Err(damaged("nothing says where to find"));
    }
    let (length, sum, part) = (pointer.get_u64_le(), pointer.get_u32_le(), pointer.get_u32_le());
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > crate::MAX_BODY || part == 0 {
        return Err(damaged("no sense in the length of"));
    }
    let mut body = BytesMut::with_capacity(length);
    let asked = (0..length.div_ceil(part as usize) as u64).map(|part| {
        let values = [database.text(), slot.into(), nonce.into(), part.into()];
        let client = link.client();
        async move { ask(client, statement, values).await }
    });
    let mut asked = stream::iter(asked).buffered(AT_ONCE);
    while let Some(rows) = asked.try_next().await.map_err(Failure::into_journal)? {
        let row = rows.first().ok_or_else(|| damaged("a part is missing of"))?;
        body.extend_from_slice(column(row, 0).map_err(Failure::into_journal)?);
    }
    if body.len() != length || crc32c::crc32c(&body) != sum {
        return Err(damaged("the checksum is wrong of"));
    }
    Ok(body.freeze())
}
