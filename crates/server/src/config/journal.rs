//! `--journal`: where the journal is kept. A password or key in it is refused, since the place is shown in logs, in
//! `/debug/vars` and to every user of the machine.

use cosmos_journal::Address as Container;
use postgres_journal::Address as Database;

/// Where the journal is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalPlace {
    /// In the data directory, for this process alone.
    File,
    /// In a PostgreSQL database, which replicas share.
    Postgres(Box<Database>),
    /// In a container of Azure Cosmos DB, which replicas share.
    Cosmos(Box<Container>),
}

/// Comes later; named so that nobody looks for a typing mistake.
const LATER: [&str; 4] = ["s3", "az", "gs", "cql"];

const THERE_ARE: &str = "there are file, the embedded journal in --data-dir, \
    postgres://USER@HOST/DATABASE, and cosmos://ACCOUNT/DATABASE/CONTAINER";

impl JournalPlace {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // The place may hold a password: only its scheme is ever shown.
        match text.split([':', '/']).next().unwrap_or("") {
            "file" if text == "file" => Ok(Self::File),
            "file" => Err("--journal=file stands in --data-dir: write 'file' alone, and set \
                           --data-dir to the directory you mean"
                .to_owned()),
            scheme @ ("postgres" | "postgresql") => match Database::parse(text) {
                Ok(address) => Ok(Self::Postgres(Box::new(address))),
                Err(why) => Err(format!("--journal={scheme}://...: {why}")),
            },
            "cosmos" => match Container::parse(text) {
                Ok(address) => Ok(Self::Cosmos(Box::new(address))),
                Err(why) => Err(format!("--journal=cosmos://...: {why}")),
            },
            scheme if LATER.contains(&scheme) => {
                Err(format!("--journal={scheme} comes with a later release: {THERE_ARE}"))
            }
            scheme => Err(format!("--journal={scheme} is no journal: {THERE_ARE}")),
        }
    }

    /// Whether replicas may share it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        *self != Self::File
    }
}

#[cfg(test)]
mod tests {
    use super::JournalPlace;

    #[test]
    fn places_are_known_by_their_schemes() {
        for text in ["postgres://u@h/d", "postgresql://u@a:1,b:2/d?sslmode=require"] {
            let place = JournalPlace::parse(text).unwrap();
            let JournalPlace::Postgres(address) = &place else { panic!("{place:?}") };
            assert!(address.to_string().starts_with("postgres://u@"), "{address}");
            assert!(place.is_shared());
        }
        let place = JournalPlace::parse("cosmos://acme/EtcdDB/EtcdData?key_file=k").unwrap();
        let JournalPlace::Cosmos(address) = &place else { panic!("{place:?}") };
        assert_eq!(address.to_string(), "cosmos://acme/EtcdDB/EtcdData");
        assert!(place.is_shared());
        assert!(!JournalPlace::parse("file").unwrap().is_shared());
    }

    #[test]
    fn passwords_and_riddles_are_refused_and_never_repeated() {
        for (text, words) in [
            ("postgres://u:s3cret@h/d", "the password must not stand in the address"),
            ("postgres://u:s3cret@a,b/d?x=y", "--journal=postgres://...: the password"),
            ("postgresql://u@h/d?password=s3cret", "password_file=FILE"),
            ("postgres://u@h/d?sslpassword=s3cret", "sslpassword: "),
            ("postgresql://", "the address names no host"),
            ("postgres", "an address begins with postgres://"),
            (
                "cosmos://acme",
                "--journal=cosmos://...: an address is cosmos://ACCOUNT/DATABASE/CONTAINER",
            ),
            ("cosmos://acme:s3cret@x/d/c", "a key must not stand in the address"),
            ("cosmos://acme/d/c?AccountKey=s3cret", "key_file=FILE"),
            ("s3://s3cret", "--journal=s3 comes with a later release"),
            ("mysql://s3cret@h/d", "--journal=mysql is no journal: there are file, "),
            ("", "--journal= is no journal"),
            ("file:///s3cret", "--journal=file stands in --data-dir"),
        ] {
            let why = JournalPlace::parse(text).unwrap_err();
            assert!(why.contains(words) && !why.contains("s3cret"), "{text}: {why}");
        }
    }
}
