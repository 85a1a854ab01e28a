//! Where the database is and how it is reached: libpq's URL and its words, never a password.
//!
//! A word that is not understood is refused; so is one that asks for what cannot be done. What is
//! kept here may be logged.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::password::Passwords;

/// A server that may be the primary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// A name, a number, or the folder of a Unix socket.
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

/// How far the server's certificate is looked at; libpq's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

/// The files of the encryption, read again at each connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ssl {
    pub(crate) mode: SslMode,
    pub(crate) root: Option<PathBuf>,
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
}

/// How a connection is kept and when it is given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(crate) connect: Duration,
    pub(crate) user: Duration,
    pub(crate) idle: Duration,
    pub(crate) interval: Duration,
    pub(crate) count: u32,
}

/// The address of a database. Holds no password, so it may be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub(crate) hosts: Vec<Host>,
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) ssl: Ssl,
    pub(crate) passwords: Passwords,
    pub(crate) patience: Patience,
    pub(crate) application: String,
    pub(crate) options: Option<String>,
}

/// Why an address is not taken; says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressError(pub String);

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for AddressError {}

fn refuse<T>(why: impl Into<String>) -> Result<T, AddressError> {
    Err(AddressError(why.into()))
}

const NO_PASSWORD: &str = "the password must not stand in the address, where logs and process \
    lists show it: write it into a file and name that with password_file=FILE, or use \
    passfile=FILE, ~/.pgpass or PGPASSWORD";

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgres://{}@", self.user)?;
        for (at, host) in self.hosts.iter().enumerate() {
            write!(f, "{}{host}", if at == 0 { "" } else { "," })?;
        }
        write!(f, "/{}", self.database)
    }
}

impl Address {
    /// Reads `postgres://USER@HOST:PORT,HOST:PORT/DATABASE?WORD=VALUE&…`.
    ///
    /// # Errors
    /// When it has a password, an unknown word, or asks for what cannot be done.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let rest = ["postgres://", "postgresql://"].iter().find_map(|s| url.strip_prefix(s));
        let Some(rest) = rest else {
            return refuse("an address begins with postgres:// or postgresql://");
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        if user.contains(':') {
            return refuse(NO_PASSWORD);
        }
        let mut words = Words { user: decode(user)?, database: decode(path)?, ..Words::default() };
        words.hosts(hosts)?;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((word, value)) = pair.split_once('=') else {
                return refuse(format!("{pair:?} in the address has no value"));
            };
            words.take(word, decode(value)?)?;
        }
        words.finish()
    }
}

/// What has been read so far.
#[derive(Default)]
struct Words {
    names: Vec<String>,
    ports: Vec<u16>,
    user: String,
    database: String,
    mode: Option<SslMode>,
    root: Option<PathBuf>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    password_file: Option<PathBuf>,
    passfile: Option<PathBuf>,
    application: Option<String>,
    options: Option<String>,
    connect: Option<u64>,
    user_timeout: Option<u64>,
    idle: Option<u64>,
    interval: Option<u64>,
    count: Option<u64>,
}

impl Words {
    fn hosts(&mut self, list: &str) -> Result<(), AddressError> {
        for host in list.split(',').filter(|host| !host.is_empty()) {
            let bracketed = host.strip_prefix('[').and_then(|host| host.split_once(']'));
            let (name, port) = match bracketed {
                Some((name, after)) => (name, after.strip_prefix(':')),
                None => match host.rsplit_once(':') {
                    Some((name, port)) => (name, Some(port)),
                    None => (host, None),
                },
            };
            self.names.push(decode(name)?);
            self.ports.push(port.map_or(Ok(5432), self::port)?);
        }
        Ok(())
    }

    fn take(&mut self, word: &str, value: String) -> Result<(), AddressError> {
        match word {
            "host" => self.names = value.split(',').map(str::to_owned).collect(),
            "port" => self.ports = value.split(',').map(port).collect::<Result<_, _>>()?,
            "user" => self.user = value,
            "dbname" => self.database = value,
            "password" => return refuse(NO_PASSWORD),
            "password_file" => self.password_file = Some(value.into()),
            "passfile" => self.passfile = Some(value.into()),
            "sslmode" => self.mode = Some(ssl_mode(&value)?),
            "sslrootcert" => self.root = Some(value.into()),
            "sslcert" => self.cert = Some(value.into()),
            "sslkey" => self.key = Some(value.into()),
            "sslpassword" => {
                return refuse(
                    "sslpassword: a key under a password cannot be read; store sslkey \
                               without one, readable by its owner only",
                );
            }
            "application_name" => self.application = Some(value),
            "options" => self.options = Some(value),
            "connect_timeout" => self.connect = Some(number(word, &value)?),
            "tcp_user_timeout" => self.user_timeout = Some(number(word, &value)?),
            "keepalives_idle" => self.idle = Some(number(word, &value)?),
            "keepalives_interval" => self.interval = Some(number(word, &value)?),
            "keepalives_count" => self.count = Some(number(word, &value)?),
            _ => return self.accept(word, &value),
        }
        Ok(())
    }

    /// Words of which only some values can be had, and nothing has to be done for those.
    fn accept(&mut self, word: &str, value: &str) -> Result<(), AddressError> {
        let taken: &[&str] = match word {
            "target_session_attrs" => &["read-write", "primary"],
            "channel_binding" => &["disable", "prefer"],
            "gssencmode" | "load_balance_hosts" => &["disable"],
            "sslnegotiation" => &["postgres"],
            "keepalives" => &["1"],
            "client_encoding" => &["UTF8", "utf8", "auto"],
            _ => return refuse(format!("the address has an unknown word: {word}")),
        };
        if taken.contains(&value) {
            return Ok(());
        }
        let why = match word {
            "target_session_attrs" => ": the journal is read and written on the primary only",
            _ => "",
        };
        refuse(format!("{word}={value} cannot be had, only {}{why}", taken.join(" or ")))
    }

    fn finish(self) -> Result<Address, AddressError> {
        if self.names.is_empty() {
            return refuse("the address names no host");
        }
        let one = self.ports.len() <= 1;
        if !one && self.ports.len() != self.names.len() {
            return refuse("the address has as many ports as hosts, or one for all of them");
        }
        let port = |at: usize| match self.ports.get(if one { 0 } else { at }) {
            Some(port) => *port,
            None => 5432,
        };
        let hosts =
            self.names.iter().enumerate().map(|(at, n)| Host { name: n.clone(), port: port(at) });
        let hosts = hosts.collect();
        let user = match (self.user, std::env::var("PGUSER")) {
            (user, _) if !user.is_empty() => user,
            (_, Ok(user)) => user,
            _ => return refuse("the address names no user: postgres://USER@HOST/DATABASE"),
        };
        let database = if self.database.is_empty() { user.clone() } else { self.database };
        let mode = self.mode.unwrap_or(SslMode::Prefer);
        let ssl = Ssl { mode, root: self.root, cert: self.cert, key: self.key };
        check_ssl(&ssl)?;
        let patience = Patience {
            connect: Duration::from_secs(self.connect.unwrap_or(5).max(1)),
            user: Duration::from_millis(self.user_timeout.unwrap_or(10_000)),
            idle: Duration::from_secs(self.idle.unwrap_or(10)),
            interval: Duration::from_secs(self.interval.unwrap_or(3)),
            count: u32::try_from(self.count.unwrap_or(3)).unwrap_or(3),
        };
        let passwords = Passwords { file: self.password_file, passfile: self.passfile };
        let application = self.application.unwrap_or_else(|| "meridian".into());
        let options = self.options;
        Ok(Address { hosts, user, database, ssl, passwords, patience, application, options })
    }
}

fn check_ssl(ssl: &Ssl) -> Result<(), AddressError> {
    if ssl.cert.is_some() != ssl.key.is_some() {
        return refuse("sslcert and sslkey go together");
    }
    if matches!(ssl.mode, SslMode::VerifyCa | SslMode::VerifyFull) && ssl.root.is_none() {
        return refuse(
            "sslmode=verify-ca and verify-full need sslrootcert=FILE, the certificates that are \
             trusted, or sslrootcert=system for those of the machine",
        );
    }
    if ssl.mode == SslMode::Disable && (ssl.root.is_some() || ssl.cert.is_some()) {
        return refuse("sslmode=disable contradicts sslrootcert, sslcert and sslkey");
    }
    Ok(())
}

fn ssl_mode(value: &str) -> Result<SslMode, AddressError> {
    Ok(match value {
        "disable" => SslMode::Disable,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => {
            return refuse(format!(
                "sslmode={value} cannot be had, only disable, prefer, require, verify-ca or \
                 verify-full"
            ));
        }
    })
}

fn port(text: &str) -> Result<u16, AddressError> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => refuse(format!("{text:?} is no port")),
    }
}

fn number(word: &str, text: &str) -> Result<u64, AddressError> {
    text.parse().or_else(|_| refuse(format!("{word}={text}: that is no number")))
}

/// Undoes percent encoding.
fn decode(text: &str) -> Result<String, AddressError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()].map(|d| d.and_then(|d| (d as char).to_digit(16)));
        match digits {
            [Some(high), Some(low)] => bytes.push((high * 16 + low) as u8),
            _ => return refuse("a % in the address stands before two hexadecimal digits"),
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => Ok(text),
        _ => refuse("the address is not text"),
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
