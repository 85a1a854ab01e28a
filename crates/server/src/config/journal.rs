//! `--journal`: where the journal is kept. A password in it is refused, since the place is shown in logs, in
//! `/debug/vars` and to every user of the machine.

/// Where the journal is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JournalPlace {
    /// In the data directory, for this process alone.
    File,
    /// In a PostgreSQL database, which replicas share; the URL, without a password.
    Postgres(String),
}

/// Comes later; named so that nobody looks for a typing mistake.
const LATER: [&str; 5] = ["cosmos", "s3", "az", "gs", "cql"];

impl JournalPlace {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        // The place may hold a password: only its scheme is ever shown.
        match text.split([':', '/']).next().unwrap_or("") {
            "file" if text == "file" => Ok(Self::File),
            "file" => Err("--journal=file stands in --data-dir: write 'file' alone, and set \
                           --data-dir to the directory you mean"
                .to_owned()),
            scheme @ ("postgres" | "postgresql") => {
                let rest = text.split_once("://").map_or("", |(_, rest)| rest);
                check(scheme, rest)?;
                Ok(Self::Postgres(text.to_owned()))
            }
            scheme if LATER.contains(&scheme) => Err(format!(
                "--journal={scheme} comes with a later release: there are file, the embedded journal in \
                 --data-dir, and postgres://USER@HOST/DATABASE"
            )),
            scheme => Err(format!(
                "--journal={scheme} is no journal: there are file, the embedded journal in --data-dir, \
                 and postgres://USER@HOST/DATABASE"
            )),
        }
    }

    /// Whether replicas may share it.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        *self != Self::File
    }
}

/// Refuses what holds no host, and what holds a password.
fn check(scheme: &str, rest: &str) -> Result<(), String> {
    let (place, words) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = place.split('/').next().unwrap_or("");
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let secret = |word: &str| {
        let name = word.split('=').next().unwrap_or("").to_ascii_lowercase();
        name == "password" || name == "sslpassword"
    };
    if user.contains(':') || words.split('&').any(secret) {
        return Err(format!(
            "--journal={scheme}://... holds a password, which logs and process lists would show: write it \
             into a file and name that with ?password_file=FILE, or use ~/.pgpass or PGPASSWORD"
        ));
    }
    if rest.is_empty() {
        return Err(format!(
            "--journal={scheme} has no address: write {scheme}://USER@HOST/DATABASE"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::JournalPlace;

    #[test]
    fn places_are_known_by_their_schemes() {
        for text in ["postgres://u@h/d", "postgresql://u@a:1,b:2/d?sslmode=require"] {
            let place = JournalPlace::parse(text).unwrap();
            assert_eq!(place, JournalPlace::Postgres(text.to_owned()));
            assert!(place.is_shared());
        }
        assert!(!JournalPlace::parse("file").unwrap().is_shared());
    }

    #[test]
    fn passwords_and_riddles_are_refused_and_never_repeated() {
        for (text, words) in [
            ("postgres://u:s3cret@h/d", "holds a password"),
            ("postgres://u:s3cret@a,b/d?x=y", "holds a password"),
            ("postgres://u@h/d?password=s3cret", "password_file=FILE"),
            ("postgres://u@h/d?a=b&sslpassword=s3cret", "holds a password"),
            ("postgresql://", "--journal=postgresql has no address"),
            ("postgres", "--journal=postgres has no address"),
            ("cosmos://s3cret", "--journal=cosmos comes with a later release"),
            ("mysql://s3cret@h/d", "--journal=mysql is no journal: there are file, "),
            ("", "--journal= is no journal"),
            ("file:///s3cret", "--journal=file stands in --data-dir"),
        ] {
            let why = JournalPlace::parse(text).unwrap_err();
            assert!(why.contains(words) && !why.contains("s3cret"), "{text}: {why}");
        }
    }
}
