//! What the server promises of an acknowledged write, read from its settings.

use std::fmt;

use tokio_postgres::{Client, SimpleQueryMessage};

use crate::failure::{Failure, Kind};

/// What speaks PostgreSQL's language there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// PostgreSQL itself: reads need the barrier.
    Postgres,
    /// A database of its own that speaks the language, whose plain reads are current.
    Portable,
}

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Not even the crash of the server's machine.
    Nothing,
    /// The crash of the machine, not the loss of its disk.
    #[default]
    OneMachine,
    /// The death of any one machine.
    Replicated,
    /// What the engine's own documents say.
    Engine,
}

/// What the database's configuration guarantees, for the log and for those who ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guarantee {
    /// In one word.
    pub level: Level,
    /// In one line.
    pub words: String,
}

impl Guarantee {
    /// Whether an acknowledged write survives the death of one machine.
    #[must_use]
    pub fn survives_a_machine(&self) -> bool {
        matches!(self.level, Level::Replicated | Level::Engine)
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.words.fmt(f)
    }
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    pub(crate) version: String,
    pub(crate) fsync: bool,
    pub(crate) full_page_writes: bool,
    pub(crate) standby_names: String,
    /// Standbys that take part in commits now, where the role may see them.
    pub(crate) standbys: Option<u64>,
    pub(crate) unsafe_no_fsync: bool,
}

/// The dialect, by what the server calls itself.
pub(crate) fn dialect_of(version: &str) -> Dialect {
    let others = ["CockroachDB", "-YB-", "Yugabyte", "Spanner", "DSQL", "Materialize"];
    if version.starts_with("PostgreSQL") && !others.iter().any(|other| version.contains(other)) {
        Dialect::Postgres
    } else {
        Dialect::Portable
    }
}

/// What these settings promise.
///
/// # Errors
/// When the server loses acknowledged writes in any crash.
pub(crate) fn judge(settings: &Settings) -> Result<Guarantee, Failure> {
    let version = settings.version.split(" (").next().unwrap_or_default();
    let version = version.split(" on ").next().unwrap_or_default();
    if !settings.fsync && !settings.unsafe_no_fsync {
        return Err(Failure::new(
            Kind::Unsafe,
            "the server runs with fsync=off and loses acknowledged writes when its machine \
             crashes: set fsync=on and reload it",
        ));
    }
    let torn = if settings.full_page_writes {
        ""
    } else {
        "; full_page_writes=off: safe only on storage that never tears a page"
    };
    if !settings.fsync {
        let words = format!("{version}: fsync=off, a crash of its machine loses data");
        return Ok(Guarantee { level: Level::Nothing, words });
    }
    let names = settings.standby_names.trim();
    if names.is_empty() {
        let words = format!(
            "{version}: an acknowledged write is on one machine's disk only; the loss of that \
             machine loses data (no synchronous_standby_names){torn}"
        );
        return Ok(Guarantee { level: Level::OneMachine, words });
    }
    let seen = match settings.standbys {
        Some(0) => ", none of them connected now, so writes wait".into(),
        Some(count) => format!(", {count} connected"),
        None => String::new(),
    };
    let words = format!(
        "{version}: an acknowledged write is on the primary and on synchronous standbys \
         ({names}{seen}); it survives the death of one machine{torn}"
    );
    Ok(Guarantee { level: Level::Replicated, words })
}

/// Asks the server who it is and how it is set up.
pub(crate) async fn look_at(
    client: &Client,
    unsafe_no_fsync: bool,
) -> Result<(Dialect, Guarantee), Failure> {
    let version = first(client, "SELECT version()").await?.unwrap_or_default();
    let dialect = dialect_of(&version);
    if dialect == Dialect::Portable {
        let name = version.split(" (").next().unwrap_or_default();
        let words = format!("{name}: as this engine guarantees by itself");
        return Ok((dialect, Guarantee { level: Level::Engine, words }));
    }
    let recovering = first(client, "SELECT pg_is_in_recovery()::text").await?;
    let read_only = first(client, "SHOW transaction_read_only").await?;
    if recovering.as_deref() == Some("true") {
        return Err(Failure::new(Kind::ReadOnly, "is a standby, not the primary"));
    }
    if read_only.as_deref() == Some("on") {
        let why = "takes no writes (transaction_read_only is on): see \
                   default_transaction_read_only of server, database and role";
        return Err(Failure::new(Kind::ReadOnly, why));
    }
    let on = |value: Option<String>| value.as_deref() == Some("on");
    let standbys = "SELECT count(*) FILTER (WHERE sync_state IN ('sync','quorum')), \
                    count(*) FILTER (WHERE sync_state IS NULL) FROM pg_stat_replication";
    let settings = Settings {
        fsync: on(first(client, "SHOW fsync").await?),
        full_page_writes: on(first(client, "SHOW full_page_writes").await?),
        standby_names: first(client, "SHOW synchronous_standby_names").await?.unwrap_or_default(),
        standbys: visible(client, standbys).await,
        version,
        unsafe_no_fsync,
    };
    Ok((dialect, judge(&settings)?))
}

/// The count of standbys, unless the role may not see what they do.
async fn visible(client: &Client, question: &str) -> Option<u64> {
    let answer = client.simple_query(question).await.ok()?;
    let row = answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    })?;
    let hidden = row.get(1)? != "0";
    let count = row.get(0)?.parse().ok()?;
    (!hidden).then_some(count)
}

async fn first(client: &Client, question: &str) -> Result<Option<String>, Failure> {
    let answer = client.simple_query(question).await?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            version: "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64".into(),
            fsync: true,
            full_page_writes: true,
            ..Settings::default()
        }
    }

    #[test]
    fn settings_become_a_guarantee() {
        let alone = judge(&settings()).expect("fsync is on");
        assert_eq!(alone.level, Level::OneMachine);
        assert!(alone.words.starts_with("PostgreSQL 15.18: "), "{alone}");
        assert!(!alone.survives_a_machine());
        let names = "ANY 1 (s2, s3)";
        let replicated = Settings { standby_names: names.into(), standbys: Some(2), ..settings() };
        let replicated = judge(&replicated).expect("fsync is on");
        assert!(replicated.survives_a_machine() && replicated.words.contains(names));
        let torn = judge(&Settings { full_page_writes: false, ..settings() }).expect("fsync is on");
        assert!(torn.words.contains("full_page_writes=off"));
    }

    #[test]
    fn fsync_off_is_refused() {
        let refused = judge(&Settings { fsync: false, ..settings() }).expect_err("refused");
        assert_eq!(refused.kind, Kind::Unsafe);
        let anyway = Settings { fsync: false, unsafe_no_fsync: true, ..settings() };
        assert_eq!(judge(&anyway).expect("asked for").level, Level::Nothing);
    }

    #[test]
    fn others_that_speak_the_language_are_known() {
        assert_eq!(dialect_of("PostgreSQL 17.2 on aarch64"), Dialect::Postgres);
        for other in ["CockroachDB CCL v24.1", "PostgreSQL 11.2-YB-2.19.0.0-b0 on x86"] {
            assert_eq!(dialect_of(other), Dialect::Portable);
        }
    }
}
