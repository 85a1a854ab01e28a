//! Who asks: an account's key out of a file, or Entra ID. Signs the one request that the crate does not make.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::hmac;
use azure_core::credentials::{Secret, TokenCredential};
use azure_core::http::Url;
use azure_data_cosmos::{AccountEndpoint, AccountReference};
use azure_identity::{
    ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::address::{Address, Credential};
use crate::failure::{Failure, Kind};

/// Whom a token of Entra ID is for; the same in every cloud.
const SCOPE: &str = "https://cosmos.azure.com/.default";
/// A pod's token stands in the file that this names.
const FEDERATED: &str = "AZURE_FEDERATED_TOKEN_FILE";

/// See the module. Two are equal if the service would take them for the same.
#[derive(Clone)]
pub(super) enum Credentials {
    Key(String),
    Token(Arc<dyn TokenCredential>),
}

impl Credentials {
    /// Reads the key, or finds the identity.
    pub(super) fn open(address: &Address) -> Result<Self, Failure> {
        match &address.credential {
            Credential::KeyFile(file) => key(file).map(Self::Key),
            Credential::Entra { client_id } => identity(client_id.clone()).map(Self::Token),
        }
    }

    /// The same key; a token renews itself.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Key(one), Self::Key(other)) => one == other,
            (Self::Token(_), Self::Token(_)) => true,
            _ => false,
        }
    }

    /// Whether the service tells who asks so of databases, containers and throughput.
    pub(super) const fn is_key(&self) -> bool {
        matches!(self, Self::Key(_))
    }

    pub(super) fn account(&self, endpoint: &Url) -> AccountReference {
        let endpoint = AccountEndpoint::from(endpoint.clone());
        match self {
            Self::Key(key) => {
                AccountReference::with_authentication_key(endpoint, Secret::from(key.clone()))
            }
            Self::Token(token) => AccountReference::with_credential(endpoint, Arc::clone(token)),
        }
    }

    /// The header that lets its bearer read the account at `date`.
    pub(super) async fn authorize(&self, date: &str) -> Result<String, Failure> {
        let header = match self {
            Self::Key(key) => format!("type=master&ver=1.0&sig={}", sign(key, date)?),
            Self::Token(token) => {
                let token = token.get_token(&[SCOPE], None).await.map_err(|why| {
                    Failure::new(Kind::Denied, format!("no token of Entra ID: {why}"))
                })?;
                format!("type=aad&ver=1.0&sig={}", token.token.secret())
            }
        };
        Ok(encode(&header))
    }
}

/// Of "GET /", as the service's page on access control has it: verb, type, link and date, lower case.
fn sign(key: &str, date: &str) -> Result<String, Failure> {
    let bytes = STANDARD.decode(key).map_err(|_| {
        Failure::new(Kind::Denied, "the key file does not hold a key of an account (base64)")
    })?;
    let text = format!("get\n\n\n{}\n\n", date.to_lowercase());
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), text.as_bytes());
    Ok(STANDARD.encode(signature))
}

fn encode(text: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let encoded = text.bytes().map(|byte| {
        if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }
    });
    encoded.collect()
}

/// Now, as HTTP writes it.
pub(super) fn date() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = azure_core::time::OffsetDateTime::UNIX_EPOCH + now;
    azure_core::time::to_rfc7231(&now)
}

fn key(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file).map_err(|why| {
        let file = file.display();
        Failure::new(Kind::Address, format!("cannot read the key in {file}: {why}; see key_file"))
    })?;
    let key = text.trim();
    if key.is_empty() || STANDARD.decode(key).is_err() {
        let file = file.display();
        let what = format!("{file} does not hold a key of an account: one line of base64");
        return Err(Failure::new(Kind::Address, what));
    }
    Ok(key.to_owned())
}

fn identity(client_id: Option<String>) -> Result<Arc<dyn TokenCredential>, Failure> {
    let none = |why: azure_core::Error| {
        Failure::new(Kind::Denied, format!("no identity of Entra ID, and no key_file: {why}"))
    };
    if std::env::var_os(FEDERATED).is_some() {
        let options = WorkloadIdentityCredentialOptions { client_id, ..Default::default() };
        return Ok(WorkloadIdentityCredential::new(Some(options)).map_err(none)?);
    }
    let user_assigned_id = client_id.map(UserAssignedId::ClientId);
    let options = ManagedIdentityCredentialOptions { user_assigned_id, ..Default::default() };
    Ok(ManagedIdentityCredential::new(Some(options)).map_err(none)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_signs_as_the_service_expects() {
        // By `openssl dgst -sha256 -mac HMAC` over "get\n\n\n<date, lower case>\n\n".
        let key = STANDARD.encode(b"0123456789abcdef0123456789abcdef");
        let date = "Thu, 27 Apr 2017 00:51:12 GMT";
        assert_eq!(
            sign(&key, date).expect("base64"),
            "thKaRKMpcGttk5LazwZTv9DOylMrDmsOU1i0kmEtgC4="
        );
    }

    #[test]
    fn a_file_holds_one_key() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for (text, good) in [("a2V5\n", true), ("", false), ("no key!", false)] {
            std::fs::write(&file, text).expect("written");
            let read = key(file.path());
            assert_eq!(read.is_ok(), good, "{text:?}");
            if let Err(why) = read {
                assert!(!why.text.contains("no key!"), "{why}");
            }
        }
        assert_eq!(key(Path::new("/nowhere")).expect_err("not there").kind, Kind::Address);
    }
}
