//! What went wrong, split by what is known of it: by SQLSTATE, and by what to do next.

use std::fmt;

use journal::JournalError;
use tokio_postgres::error::DbError;

/// What an error means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nobody answers there; waiting can help.
    Unreachable,
    /// The server answers, but takes no writes; another one may, or this one later.
    ReadOnly,
    /// The password was not accepted, or there is none.
    Password,
    /// The role may not do this.
    Rights,
    /// There is no such database.
    Database,
    /// The tables are not ours, or of a newer version.
    Schema,
    /// The log belongs to another cluster.
    Cluster,
    /// The server is set up so that it loses what it acknowledged.
    Unsafe,
    /// Something here is wrong: a file, a certificate.
    Local,
    /// The row is there already.
    Duplicate,
    /// There is no such table.
    Absent,
    /// The server has no such function, or none of its kind.
    Unsupported,
    /// No room; the statement left nothing behind.
    Full,
    /// The statement failed and left nothing behind.
    Failed,
    /// Nobody knows whether the statement took effect.
    Ambiguous,
}

/// An error with its kind and words for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub kind: Kind,
    /// What happened, and what can be done. No password, ever.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Whether asking again later can succeed without anybody doing anything.
    #[must_use]
    pub fn passes(&self) -> bool {
        matches!(
            self.kind,
            Kind::Unreachable | Kind::ReadOnly | Kind::Failed | Kind::Ambiguous | Kind::Full
        )
    }

    /// In the journal's words.
    #[must_use]
    pub fn into_journal(self) -> JournalError {
        match self.kind {
            Kind::Full => JournalError::Full(self.text),
            Kind::Cluster => JournalError::Occupied(self.text),
            _ => JournalError::Unavailable(self.text),
        }
    }
}

/// The kind of an SQLSTATE that came with severity ERROR: the statement was taken back, except
/// where the state says otherwise. What is not listed is of unknown outcome.
pub(crate) fn kind_of(state: &str) -> Kind {
    match state {
        "23505" => Kind::Duplicate,
        "53100" => Kind::Full,
        "25006" => Kind::ReadOnly,
        "28P01" => Kind::Password,
        "28000" | "42501" => Kind::Rights,
        "3D000" => Kind::Database,
        "42P01" | "3F000" => Kind::Absent,
        "42883" | "0A000" => Kind::Unsupported,
        "42703" | "42P07" | "42804" => Kind::Schema,
        // The connection is about to go, or is not there yet.
        "57P03" | "53300" | "53400" => Kind::Unreachable,
        _ if state.starts_with("22") || state.starts_with("42") || state.starts_with("54") => {
            Kind::Failed
        }
        // 40001, 40003, 08xxx, 57014, 57P01, XX000 and whatever else there may be.
        _ => Kind::Ambiguous,
    }
}

/// What to do about it, for the kinds where somebody must do something.
fn way_out(kind: Kind) -> &'static str {
    match kind {
        Kind::Password => {
            ": check the role's password and where ours comes from (password_file=, PGPASSWORD, \
             passfile=)"
        }
        Kind::Rights => ": grant the role what docs/postgres.md lists under Rights",
        Kind::Database => ": create the database, or name another one in the address",
        Kind::Full => ": the database's disk is full; make room there",
        Kind::Schema => ": these tables were not made by this program",
        _ => "",
    }
}

fn of_database(error: &DbError) -> Failure {
    let kind = match error.severity() {
        "ERROR" => kind_of(error.code().code()),
        // The connection ends with it; only what is said before it began is certain.
        _ => match kind_of(error.code().code()) {
            kind @ (Kind::Password | Kind::Rights | Kind::Database | Kind::Unreachable) => kind,
            _ => Kind::Ambiguous,
        },
    };
    let (message, state) = (error.message(), error.code().code());
    Failure::new(kind, format!("{message} ({state}){}", way_out(kind)))
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        if let Some(error) = error.as_db_error() {
            return of_database(error);
        }
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            let more = cause.to_string();
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            source = cause.source();
        }
        Self::new(Kind::Ambiguous, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_listed_is_certain() {
        for (state, kind) in [
            ("23505", Kind::Duplicate),
            ("53100", Kind::Full),
            ("40001", Kind::Ambiguous),
            ("40003", Kind::Ambiguous),
            ("08006", Kind::Ambiguous),
            ("57014", Kind::Ambiguous),
            ("57P01", Kind::Ambiguous),
            ("XX000", Kind::Ambiguous),
            ("58030", Kind::Ambiguous),
            ("25006", Kind::ReadOnly),
            ("28P01", Kind::Password),
            ("42501", Kind::Rights),
            ("3D000", Kind::Database),
            ("22001", Kind::Failed),
        ] {
            assert_eq!(kind_of(state), kind, "{state}");
        }
    }
}
