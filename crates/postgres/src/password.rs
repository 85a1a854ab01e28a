//! Where the password comes from. It is read at each connection, so it can be changed under a
//! running server, and it is never kept, printed or logged.

use std::fs;
use std::path::{Path, PathBuf};

use crate::address::Host;

/// The places that the address names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Passwords {
    /// A file that holds nothing but the password (or a token that something else renews).
    pub(crate) file: Option<PathBuf>,
    /// A file in the form of `~/.pgpass`.
    pub(crate) passfile: Option<PathBuf>,
}

/// What the environment says of passwords.
pub(crate) struct Surroundings {
    pub(crate) password: Option<String>,
    pub(crate) passfile: Option<PathBuf>,
}

impl Surroundings {
    pub(crate) fn of_process() -> Self {
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".pgpass"));
        Self {
            password: std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty()),
            passfile: std::env::var_os("PGPASSFILE").map(PathBuf::from).or_else(home),
        }
    }
}

impl Passwords {
    /// The password for this host, if there is one: `password_file`, `PGPASSWORD`, `passfile`,
    /// `PGPASSFILE`, `~/.pgpass`, in this order. The error names the file, never what is in it.
    pub(crate) fn find(
        &self,
        around: &Surroundings,
        host: &Host,
        database: &str,
        user: &str,
    ) -> Result<Option<Vec<u8>>, String> {
        if let Some(path) = &self.file {
            let bytes = fs::read(path)
                .map_err(|error| format!("password_file {}: {error}", path.display()))?;
            let end = bytes.trim_ascii_end().len();
            if end == 0 {
                return Err(format!("password_file {} is empty", path.display()));
            }
            return Ok(Some(bytes[..end].to_vec()));
        }
        if let Some(password) = &around.password {
            return Ok(Some(password.clone().into_bytes()));
        }
        let Some(path) = self.passfile.as_ref().or(around.passfile.as_ref()) else {
            return Ok(None);
        };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if self.passfile.is_some() => {
                return Err(format!("passfile {}: {error}", path.display()));
            }
            Err(_) => return Ok(None),
        };
        private(path)?;
        Ok(lookup(&text, host, database, user))
    }
}

/// As libpq does, a file that others can read is not used.
fn private(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_or(0, |meta| meta.permissions().mode());
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(format!("passfile {} can be read by others: chmod 0600 it", path.display()))
}

/// The first line `host:port:database:user:password` that fits; `*` fits everything.
fn lookup(text: &str, host: &Host, database: &str, user: &str) -> Option<Vec<u8>> {
    let port = host.port.to_string();
    let name = if host.name.starts_with('/') { "localhost" } else { &host.name };
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let fields = fields(line);
        let [h, p, d, u, password] = fields.as_slice() else { return None };
        let fits = |field: &str, value: &str| field == "*" || field == value;
        let ours = (fits(h, name) || fits(h, &host.name))
            && fits(p, &port)
            && fits(d, database)
            && fits(u, user);
        ours.then(|| password.clone().into_bytes())
    })
}

/// Five fields between colons, the last one to the end; a backslash takes the next as it is.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut rest = line.chars();
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => fields.last_mut().expect("one").extend(rest.next()),
            ':' if fields.len() < 5 => fields.push(String::new()),
            letter => fields.last_mut().expect("one").push(letter),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const NOTHING: Surroundings = Surroundings { password: None, passfile: None };

    fn host() -> Host {
        Host { name: "h1".into(), port: 5433 }
    }

    fn find(passwords: &Passwords, around: &Surroundings) -> Result<Option<Vec<u8>>, String> {
        passwords.find(around, &host(), "db", "me")
    }

    #[test]
    fn a_password_file_is_read_each_time_and_comes_first() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("token");
        let passwords = Passwords { file: Some(path.clone()), passfile: None };
        assert!(find(&passwords, &NOTHING).expect_err("absent").contains("token"));
        fs::write(&path, " one\n").expect("written");
        let around = Surroundings { password: Some("other".into()), passfile: None };
        assert_eq!(find(&passwords, &around), Ok(Some(b" one".to_vec())));
        fs::write(&path, "two").expect("written");
        assert_eq!(find(&passwords, &around), Ok(Some(b"two".to_vec())));
        fs::write(&path, "\n").expect("written");
        assert!(find(&passwords, &around).expect_err("empty").contains("empty"));
    }

    #[test]
    fn a_passfile_has_lines_that_fit_and_is_private() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("pgpass");
        let text = "# h1:5433:db:me:no\nh1:1:db:me:port\nh1:5433:db:you:user\n\
                    *:*:db:me:a\\:b\\\\c:d\nh1:5433:db:me:late\n";
        fs::write(&path, text).expect("written");
        let passwords = Passwords { file: None, passfile: Some(path.clone()) };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("chmod");
        assert!(find(&passwords, &NOTHING).expect_err("others").contains("0600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
        assert_eq!(find(&passwords, &NOTHING), Ok(Some(b"a:b\\c:d".to_vec())));
        let around = Surroundings { password: None, passfile: Some(path) };
        assert_eq!(find(&Passwords::default(), &around), Ok(Some(b"a:b\\c:d".to_vec())));
        assert_eq!(find(&Passwords::default(), &NOTHING), Ok(None));
    }
}
