//! Where the container is and who asks: `cosmos://ACCOUNT/DATABASE/CONTAINER`, never a key.
//!
//! A word that is not understood is refused. What is kept here may be logged.

use std::fmt;
use std::path::PathBuf;

/// How the service is shown who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// A file with one of the account's keys; read again when it changes.
    KeyFile(PathBuf),
    /// Entra ID: the workload's identity, or the machine's, by its client id if it has several.
    Entra {
        /// Of a user-assigned identity.
        client_id: Option<String>,
    },
}

/// The address of a container. Holds no key, so it may be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// `https://HOST:PORT/`.
    pub(crate) endpoint: String,
    pub(crate) account: String,
    pub(crate) database: String,
    pub(crate) container: String,
    pub(crate) credential: Credential,
    /// Where this replica runs, by the service's name for it ("West Europe").
    pub(crate) region: Option<String>,
    /// An emulator on this machine: no encryption, none of what emulators do not speak.
    pub(crate) emulator: bool,
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

const SHAPE: &str = "an address is cosmos://ACCOUNT/DATABASE/CONTAINER";
const NO_KEY: &str = "a key must not stand in the address, where logs and process lists show it: write it \
    into a file and name that with key_file=FILE";

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cosmos://{}/{}/{}", self.account, self.database, self.container)
    }
}

impl Address {
    /// Reads `cosmos://ACCOUNT/DATABASE/CONTAINER?WORD=VALUE&…`. The account is its name, or the host (and
    /// port) of its endpoint. Words: `key_file`, `client_id`, `region`, `emulator=on`.
    ///
    /// # Errors
    /// When it is not of that shape, has a key in it, or an unknown word.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let Some(rest) = url.strip_prefix("cosmos://") else { return refuse(SHAPE) };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if path.contains('@') {
            return refuse(NO_KEY);
        }
        let parts: Vec<&str> = path.split('/').collect();
        let [account, database, container] = parts[..] else { return refuse(SHAPE) };
        if [account, database, container].iter().any(|part| part.is_empty()) {
            return refuse(SHAPE);
        }
        let words = Words::read(query)?;
        let (database, container) = (decode(database)?, decode(container)?);
        for name in [&database, &container] {
            // What the service itself does not take; see its page on limits.
            if name.contains(['/', '\\', '?', '#']) || name.len() > 255 || name.ends_with(' ') {
                return refuse(format!("{name:?} is no name of a database or container"));
            }
        }
        Ok(Self {
            endpoint: endpoint(account, words.emulator)?,
            account: account.to_owned(),
            database,
            container,
            credential: words.credential()?,
            region: words.region,
            emulator: words.emulator,
        })
    }

    /// The account's endpoint, `https://HOST/`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

/// A name alone is that of an account in the public cloud.
fn endpoint(account: &str, emulator: bool) -> Result<String, AddressError> {
    let (host, port) = account.rsplit_once(':').unwrap_or((account, ""));
    if !port.is_empty() && port.parse::<u16>().is_err() {
        return refuse(format!("{account:?}: {port:?} is no port"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    if host.is_empty() || !host.chars().all(plain) {
        return refuse(format!("{host:?} is no name of an account or host"));
    }
    let local = matches!(host, "localhost" | "127.0.0.1");
    if emulator && !local {
        return refuse("emulator=on is for an emulator on this machine: localhost or 127.0.0.1");
    }
    let named = !host.contains('.') && !local && port.is_empty();
    Ok(match (emulator, named) {
        (true, _) => format!("http://{account}/"),
        (false, true) => format!("https://{host}.documents.azure.com/"),
        (false, false) => format!("https://{account}/"),
    })
}

#[derive(Default)]
struct Words {
    key_file: Option<PathBuf>,
    client_id: Option<String>,
    region: Option<String>,
    emulator: bool,
}

impl Words {
    fn read(query: &str) -> Result<Self, AddressError> {
        let mut words = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((word, value)) = pair.split_once('=') else {
                return refuse("every word of the address is WORD=VALUE");
            };
            let value = decode(value)?;
            match word {
                "key_file" => words.key_file = Some(value.into()),
                "client_id" => words.client_id = Some(value),
                "region" => words.region = Some(value),
                "emulator" if value == "on" => words.emulator = true,
                "emulator" if value == "off" => words.emulator = false,
                "emulator" => return refuse("emulator is on or off"),
                "key" | "AccountKey" | "account_key" => return refuse(NO_KEY),
                other => {
                    return refuse(format!(
                        "{other:?} is no word of an address; there are key_file, client_id, region, emulator"
                    ));
                }
            }
        }
        Ok(words)
    }

    fn credential(&self) -> Result<Credential, AddressError> {
        match (&self.key_file, &self.client_id) {
            (Some(_), Some(_)) => refuse("key_file and client_id exclude each other"),
            (Some(file), None) => Ok(Credential::KeyFile(file.clone())),
            (None, id) => Ok(Credential::Entra { client_id: id.clone() }),
        }
    }
}

fn decode(text: &str) -> Result<String, AddressError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next(), rest.next()].map(|digit| char::from(digit.unwrap_or_default()));
        let Some((high, low)) = digits[0].to_digit(16).zip(digits[1].to_digit(16)) else {
            return refuse("a % in the address is followed by two hexadecimal digits");
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    String::from_utf8(bytes).or_else(|_| refuse("the address is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        let plain = Address::parse("cosmos://acme/EtcdDB/EtcdData").expect("a plain one");
        assert_eq!(plain.endpoint, "https://acme.documents.azure.com/");
        assert_eq!(plain.credential, Credential::Entra { client_id: None });
        assert_eq!(plain.to_string(), "cosmos://acme/EtcdDB/EtcdData");
        let full =
            "cosmos://acme.documents.azure.cn:443/d/c?key_file=%2Fetc%2Fkey&region=West%20Europe";
        let full = Address::parse(full).expect("a full one");
        assert_eq!(full.endpoint, "https://acme.documents.azure.cn:443/");
        assert_eq!(full.credential, Credential::KeyFile("/etc/key".into()));
        assert_eq!(full.region.as_deref(), Some("West Europe"));
        let local =
            Address::parse("cosmos://127.0.0.1:8081/d/c?key_file=k&emulator=on").expect("local");
        assert_eq!(local.endpoint, "http://127.0.0.1:8081/");
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (address, why) in [
            ("cosmos://acme", SHAPE),
            ("cosmos://acme/d/", SHAPE),
            ("cosmos://acme/d/c/e", SHAPE),
            ("https://acme/d/c", SHAPE),
            ("cosmos://acme:s3cret@x/d/c", NO_KEY),
            ("cosmos://acme/d/c?AccountKey=s3cret", NO_KEY),
            ("cosmos://acme/d/c?key_file=f&client_id=i", "exclude each other"),
            ("cosmos://acme/d/c?ttl=5", "there are key_file"),
            ("cosmos://acme/d/c?emulator=on", "on this machine"),
            ("cosmos://acme:x/d/c", "is no port"),
            ("cosmos://ac_me/d/c", "is no name of an account"),
            ("cosmos://acme/d%2/c", "two hexadecimal digits"),
            ("cosmos://acme/d%2Fe/c", "no name of a database"),
        ] {
            let refused = Address::parse(address).expect_err(address);
            assert!(refused.0.contains(why), "{address}: {refused}");
            assert!(!refused.0.contains("s3cret"), "{refused}");
        }
    }
}
