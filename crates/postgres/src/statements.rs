//! The statements, each one prepared where it is used. Portable on purpose: one statement is one
//! transaction, no conflict clauses, no locks.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Statement};

use crate::failure::Failure;

/// Creates a slot if it is absent and its predecessor is there and does not end the log.
/// $1 log, $2 slot, $3 nonce, $4 kind, $5 length, $6 checksum, $7 body, $8 the slot before.
pub(crate) const APPEND: (&str, &[Type]) = (
    "INSERT INTO meridian_journal (log, slot, nonce, kind, total, sum, body) \
     SELECT p.log, CAST($2 AS BIGINT), CAST($3 AS BYTEA), CAST($4 AS BIGINT), \
     p.total + CAST($5 AS BIGINT), CAST($6 AS BIGINT), CAST($7 AS BYTEA) \
     FROM meridian_journal p WHERE p.log = $1 AND p.slot = $8 AND p.kind <> 2",
    &[
        Type::TEXT,
        Type::INT8,
        Type::BYTEA,
        Type::INT8,
        Type::INT8,
        Type::INT8,
        Type::BYTEA,
        Type::INT8,
    ],
);

/// One slot. $1 log, $2 slot.
pub(crate) const HELD: (&str, &[Type]) = (
    "SELECT nonce, kind FROM meridian_journal WHERE log = $1 AND slot = $2",
    &[Type::TEXT, Type::INT8],
);

/// What the end says. $1 log.
pub(crate) const END: (&str, &[Type]) = (
    "SELECT slot, kind, CASE WHEN kind = 2 THEN body ELSE nonce END FROM meridian_journal \
     WHERE log = $1 ORDER BY slot DESC LIMIT 1",
    &[Type::TEXT],
);

/// Slots from $2 to before $3, at most $4 bytes and one record. $1 log, $5 the slot before $2.
pub(crate) const READ: (&str, &[Type]) = (
    "SELECT slot, nonce, kind, sum, body FROM meridian_journal \
     WHERE log = $1 AND slot >= $2 AND slot < $3 AND kind <> 2 AND (slot = $2 OR total <= $4 + \
     (SELECT b.total FROM meridian_journal b WHERE b.log = $1 AND b.slot = $5)) ORDER BY slot",
    &[Type::TEXT, Type::INT8, Type::INT8, Type::INT8, Type::INT8],
);

/// The first slot that is kept. $1 log.
pub(crate) const TRIMMED: (&str, &[Type]) =
    ("SELECT trim_to FROM meridian_log WHERE log = $1", &[Type::TEXT]);

/// Says that slots before $2 are forgotten. $1 log.
pub(crate) const TRIM: (&str, &[Type]) = (
    "UPDATE meridian_log SET trim_to = $2 WHERE log = $1 AND trim_to < $2",
    &[Type::TEXT, Type::INT8],
);

/// The lowest row. $1 log.
pub(crate) const LOWEST: (&str, &[Type]) = (
    "SELECT slot FROM meridian_journal WHERE log = $1 AND slot >= $2 ORDER BY slot LIMIT 1",
    &[Type::TEXT, Type::INT8],
);

/// Removes slots from $2 to before $3. $1 log.
pub(crate) const REMOVE: (&str, &[Type]) = (
    "DELETE FROM meridian_journal WHERE log = $1 AND slot >= $2 AND slot < $3",
    &[Type::TEXT, Type::INT8, Type::INT8],
);

/// Writes a part of a body. $1 log, $2 slot, $3 nonce, $4 part, $5 bytes.
pub(crate) const PART: (&str, &[Type]) = (
    "INSERT INTO meridian_part (log, slot, nonce, part, data) VALUES ($1, $2, $3, $4, $5)",
    &[Type::TEXT, Type::INT8, Type::BYTEA, Type::INT8, Type::BYTEA],
);

/// Reads a part of a body. $1 log, $2 slot, $3 nonce, $4 part.
pub(crate) const PART_OF: (&str, &[Type]) = (
    "SELECT data FROM meridian_part WHERE log = $1 AND slot = $2 AND nonce = $3 AND part = $4",
    &[Type::TEXT, Type::INT8, Type::BYTEA, Type::INT8],
);

/// The lowest slot with parts, from $2 on. $1 log.
pub(crate) const LOWEST_PART: (&str, &[Type]) = (
    "SELECT slot, nonce FROM meridian_part WHERE log = $1 AND slot < $2 \
     ORDER BY slot, nonce, part LIMIT 1",
    &[Type::TEXT, Type::INT8],
);

/// Removes the parts of one offer. $1 log, $2 slot, $3 nonce.
pub(crate) const REMOVE_PARTS: (&str, &[Type]) = (
    "DELETE FROM meridian_part WHERE log = $1 AND slot = $2 AND nonce = $3",
    &[Type::TEXT, Type::INT8, Type::BYTEA],
);

/// PostgreSQL only: commits a record that means nothing, and so waits for the standbys as any
/// write does. Whatever this connection saw before is then as durable as an acknowledged write,
/// and the server was the primary when it was seen.
pub(crate) const BARRIER: (&str, &[Type]) =
    ("SELECT pg_logical_emit_message(true, 'meridian', '')", &[]);

pub(crate) async fn prepare(
    client: &Client,
    (text, types): (&str, &[Type]),
) -> Result<Statement, Failure> {
    Ok(client.prepare_typed(text, types).await?)
}

/// Writes a piece of an object. $1 log, $2 upload, $3 part, $4 bytes.
pub(crate) const CHUNK: (&str, &[Type]) = (
    "INSERT INTO meridian_chunk (log, upload, part, data) VALUES ($1, $2, $3, $4)",
    &[Type::TEXT, Type::BYTEA, Type::INT8, Type::BYTEA],
);

/// Reads a piece of an object. $1 log, $2 upload, $3 part.
pub(crate) const CHUNK_OF: (&str, &[Type]) = (
    "SELECT data FROM meridian_chunk WHERE log = $1 AND upload = $2 AND part = $3",
    &[Type::TEXT, Type::BYTEA, Type::INT8],
);

/// The first piece that is there. $1 log, $2 upload.
pub(crate) const LOWEST_CHUNK: (&str, &[Type]) = (
    "SELECT part FROM meridian_chunk WHERE log = $1 AND upload = $2 ORDER BY part LIMIT 1",
    &[Type::TEXT, Type::BYTEA],
);

/// Removes pieces from $3 to before $4. $1 log, $2 upload.
pub(crate) const REMOVE_CHUNKS: (&str, &[Type]) = (
    "DELETE FROM meridian_chunk WHERE log = $1 AND upload = $2 AND part >= $3 AND part < $4",
    &[Type::TEXT, Type::BYTEA, Type::INT8, Type::INT8],
);

/// Names an object. $1 log, $2 name, $3 upload, $4 second it began, $5 size, $6 pieces.
pub(crate) const OBJECT: (&str, &[Type]) = (
    "INSERT INTO meridian_object (log, name, upload, started, size, parts) \
     VALUES ($1, $2, $3, $4, $5, $6)",
    &[Type::TEXT, Type::TEXT, Type::BYTEA, Type::INT8, Type::INT8, Type::INT8],
);

/// All objects. $1 log.
pub(crate) const OBJECTS: (&str, &[Type]) = (
    "SELECT name, upload, started, size, parts FROM meridian_object WHERE log = $1",
    &[Type::TEXT],
);

/// One object. $1 log, $2 name.
pub(crate) const OBJECT_OF: (&str, &[Type]) = (
    "SELECT name, upload, started, size, parts FROM meridian_object WHERE log = $1 AND name = $2",
    &[Type::TEXT, Type::TEXT],
);

/// Takes an object's name away. $1 log, $2 name.
pub(crate) const REMOVE_OBJECT: (&str, &[Type]) =
    ("DELETE FROM meridian_object WHERE log = $1 AND name = $2", &[Type::TEXT, Type::TEXT]);
