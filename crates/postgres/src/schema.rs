//! The tables: made at the first start, checked at each one. docs/format.md draws their rows.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use crate::failure::{Failure, Kind};
use crate::guarantee::Dialect;

/// The version of a log's rows that this program writes, and the newest that it reads.
pub(crate) const VERSION: i64 = 1;

/// What a row of the journal is.
pub(crate) mod kind {
    /// A body as it is.
    pub(crate) const BODY: i64 = 0;
    /// A body in parts; the row has its length and checksum.
    pub(crate) const PARTS: i64 = 1;
    /// The end: the body is the successor's address. The slot counts as free.
    pub(crate) const END: i64 = 2;
    /// Before slot 1.
    pub(crate) const ORIGIN: i64 = 3;
}

const TABLES: [&str; 5] = [
    "CREATE TABLE IF NOT EXISTS meridian_log (log TEXT NOT NULL, version BIGINT NOT NULL, \
     cluster TEXT NOT NULL, trim_to BIGINT NOT NULL, PRIMARY KEY (log))",
    "CREATE TABLE IF NOT EXISTS meridian_journal (log TEXT NOT NULL, slot BIGINT NOT NULL, \
     nonce BYTEA NOT NULL, kind BIGINT NOT NULL, total BIGINT NOT NULL, \
     sum BIGINT NOT NULL, body BYTEA NOT NULL, \
     PRIMARY KEY (log, slot))",
    "CREATE TABLE IF NOT EXISTS meridian_part (log TEXT NOT NULL, slot BIGINT NOT NULL, \
     nonce BYTEA NOT NULL, part BIGINT NOT NULL, data BYTEA NOT NULL, \
     PRIMARY KEY (log, slot, nonce, part))",
    "CREATE TABLE IF NOT EXISTS meridian_object (log TEXT NOT NULL, name TEXT NOT NULL, \
     upload BYTEA NOT NULL, started BIGINT NOT NULL, size BIGINT NOT NULL, parts BIGINT NOT NULL, \
     PRIMARY KEY (log, name))",
    "CREATE TABLE IF NOT EXISTS meridian_chunk (log TEXT NOT NULL, upload BYTEA NOT NULL, \
     part BIGINT NOT NULL, data BYTEA NOT NULL, PRIMARY KEY (log, upload, part))",
];

/// What PostgreSQL itself is told about these tables, if it lets us: small bodies stay in the row
/// and are not compressed again, dead rows are cleared soon, and clearing never takes the lock
/// that would hold up an append.
const SETTINGS: [&str; 4] = [
    "ALTER TABLE meridian_journal ALTER COLUMN body SET STORAGE EXTERNAL",
    "ALTER TABLE meridian_journal SET (toast_tuple_target = 8160, vacuum_truncate = off, \
     autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, \
     autovacuum_vacuum_cost_delay = 0, toast.vacuum_truncate = off, \
     toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 10000, \
     toast.autovacuum_vacuum_cost_delay = 0)",
    "ALTER TABLE meridian_part ALTER COLUMN data SET STORAGE EXTERNAL",
    "ALTER TABLE meridian_chunk ALTER COLUMN data SET STORAGE EXTERNAL",
];

/// Makes what is not there and checks what is.
pub(crate) async fn prepare(
    client: &Client,
    dialect: Dialect,
    log: &str,
    cluster: &str,
) -> Result<(), Failure> {
    if !absent(client).await?.is_empty() {
        refuse_if_lost(client).await?;
        create(client, dialect).await?;
    }
    match row(client, log).await? {
        Some(found) => check(log, cluster, &found)?,
        None => {
            begin(client, log, cluster).await?;
            let found = row(client, log).await?;
            let found = found.ok_or_else(|| {
                Failure::new(Kind::Schema, format!("the log {log:?} was made and is not there"))
            })?;
            check(log, cluster, &found)?;
        }
    }
    let origin = "INSERT INTO meridian_journal (log, slot, nonce, kind, total, sum, body) \
                  VALUES ($1, 0, $2, $3, 0, 0, $2)";
    let trimmed = trimmed(client, log).await?;
    if trimmed <= 1 {
        let empty: &[u8] = &[];
        let values: [(&(dyn ToSql + Sync), Type); 3] =
            [(&log, Type::TEXT), (&empty, Type::BYTEA), (&kind::ORIGIN, Type::INT8)];
        once(client, origin, &values).await?;
    }
    Ok(())
}

const NAMES: [&str; 5] =
    ["meridian_log", "meridian_journal", "meridian_part", "meridian_object", "meridian_chunk"];

/// Which tables are not there.
async fn absent(client: &Client) -> Result<Vec<&'static str>, Failure> {
    let mut all = Vec::new();
    for table in NAMES {
        if rows(client, table).await?.is_none() {
            all.push(table);
        }
    }
    Ok(all)
}

/// Whether a table has rows; nothing if there is no such table.
async fn rows(client: &Client, table: &str) -> Result<Option<bool>, Failure> {
    let question = format!("SELECT log FROM {table} LIMIT 1");
    match client.simple_query(&question).await.map_err(Failure::from) {
        Ok(all) => Ok(Some(
            all.iter().any(|each| matches!(each, tokio_postgres::SimpleQueryMessage::Row(_))),
        )),
        Err(failure) if failure.kind == Kind::Absent => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Rows are written when all tables are there: one that is missing beside them was taken away, and
/// a new one in its place would be a new and empty world.
async fn refuse_if_lost(client: &Client) -> Result<(), Failure> {
    let mut used = None;
    for table in NAMES {
        if rows(client, table).await? == Some(true) {
            used = Some(table);
        }
    }
    let Some(used) = used else { return Ok(()) };
    // Looked at again: another replica may have made them all, and written, in between.
    let lost = absent(client).await?;
    if lost.is_empty() {
        return Ok(());
    }
    let lost = lost.join(", ");
    Err(Failure::new(
        Kind::Schema,
        format!(
            "{used} has rows and {lost} is not there: it was dropped or renamed, or the role may \
             not see its schema. Put it back, or restore the database; nothing is made in its place"
        ),
    ))
}

async fn create(client: &Client, dialect: Dialect) -> Result<(), Failure> {
    tracing::info!("making the journal's tables in the database");
    for table in TABLES {
        // Another replica may be making it at this moment.
        for attempt in 0.. {
            match client.batch_execute(table).await.map_err(Failure::from) {
                Ok(()) => break,
                Err(failure)
                    if attempt < 20
                        && matches!(
                            failure.kind,
                            Kind::Duplicate | Kind::Schema | Kind::Ambiguous
                        ) =>
                {
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
                Err(mut failure) => {
                    failure.text = format!("cannot make the tables: {}", failure.text);
                    return Err(failure);
                }
            }
        }
    }
    if dialect == Dialect::Postgres {
        for setting in SETTINGS {
            if let Err(error) = client.batch_execute(setting).await {
                let why = Failure::from(error).text;
                tracing::warn!(setting, why, "the database does not take a setting of its tables");
            }
        }
    }
    Ok(())
}

/// A log's own row.
struct Found {
    version: i64,
    cluster: String,
}

async fn row(client: &Client, log: &str) -> Result<Option<Found>, Failure> {
    let question = "SELECT version, cluster FROM meridian_log WHERE log = $1";
    let rows = client.query_typed(question, &[(&log, Type::TEXT)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let wrong = |_| Failure::new(Kind::Schema, "meridian_log is not the table we make");
    let (version, cluster) = (row.try_get(0).map_err(wrong)?, row.try_get(1).map_err(wrong)?);
    Ok(Some(Found { version, cluster }))
}

fn check(log: &str, cluster: &str, found: &Found) -> Result<(), Failure> {
    if found.version > VERSION {
        let (theirs, ours) = (found.version, VERSION);
        return Err(Failure::new(
            Kind::Schema,
            format!(
                "the log {log:?} was written by a newer version (its rows are version {theirs}, \
                 ours {ours}): start the newer program"
            ),
        ));
    }
    if found.cluster != cluster {
        let theirs = &found.cluster;
        return Err(Failure::new(
            Kind::Cluster,
            format!(
                "the log {log:?} in this database belongs to cluster {theirs}, we are {cluster}: \
                 give --initial-cluster-token another value, or another database"
            ),
        ));
    }
    Ok(())
}

async fn begin(client: &Client, log: &str, cluster: &str) -> Result<(), Failure> {
    let text = "INSERT INTO meridian_log (log, version, cluster, trim_to) VALUES ($1, $2, $3, 1)";
    let values: [(&(dyn ToSql + Sync), Type); 3] =
        [(&log, Type::TEXT), (&VERSION, Type::INT8), (&cluster, Type::TEXT)];
    once(client, text, &values).await
}

async fn trimmed(client: &Client, log: &str) -> Result<i64, Failure> {
    let question = "SELECT trim_to FROM meridian_log WHERE log = $1";
    let rows = client.query_typed(question, &[(&log, Type::TEXT)]).await?;
    Ok(rows.first().map_or(0, |row| row.get(0)))
}

/// Inserts what may be there already.
async fn once(
    client: &Client,
    text: &str,
    values: &[(&(dyn ToSql + Sync), Type)],
) -> Result<(), Failure> {
    match client.execute_typed(text, values).await.map_err(Failure::from) {
        Ok(_) => Ok(()),
        Err(failure) if failure.kind == Kind::Duplicate => Ok(()),
        Err(failure) => Err(failure),
    }
}
