//! Tokens: what a caller gets for its password and shows with every request. Simple ones are drawn
//! here and known to the machine by their SHA-256; signed ones (JWT) carry what they say. A token
//! proves a name, and nothing about what its bearer may do.

mod jwt;
#[cfg(test)]
mod jwt_tests;
mod keys;
mod pem;
mod shards;
mod simple;

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest as sha;
use state::{Auth, AuthRevision, Identity, TokenDigest};

use crate::config::AuthToken;
use crate::grpc::{Code, Status};
use jwt::Jwt;
use simple::Simple;

/// Gives and recognizes tokens of the kind that `--auth-token` asks for.
pub struct Tokens(Kind);

enum Kind {
    Off,
    Simple(Box<Simple>),
    Jwt(Box<Jwt>),
}

impl Tokens {
    /// Reads the keys, if the kind has some.
    ///
    /// # Errors
    /// What is wrong with them, in etcd's words where it has some.
    pub fn open(settings: &AuthToken) -> Result<Self, String> {
        Ok(Self(match settings {
            AuthToken::Off => Kind::Off,
            AuthToken::Simple { ttl } => Kind::Simple(Box::new(Simple::new(*ttl))),
            AuthToken::Jwt(options) => Kind::Jwt(Box::new(Jwt::open(options)?)),
        }))
    }

    /// Whether what [`issue`](Self::issue) gives holds only once the machine knows its digest.
    #[must_use]
    pub const fn are_kept(&self) -> bool {
        matches!(self.0, Kind::Simple(_))
    }

    /// A new token for a user whose password was right at this revision of users and roles; `index`
    /// is the number that etcd puts behind the letters of a simple token.
    ///
    /// # Errors
    /// There are too many simple tokens; there is no key to sign with; no kind of token is on.
    pub fn issue(&self, user: &str, at: AuthRevision, index: u64) -> Result<String, Status> {
        match &self.0 {
            Kind::Off => Err(Status::fixed(
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
            )),
            Kind::Simple(simple) => simple.issue(index),
            Kind::Jwt(jwt) => jwt.issue(user, at),
        }
    }

    /// Whose token this is; `None` if it is nobody's, no longer anybody's, or not of the kind in use.
    /// It counts as a use of the token. A prefix `Bearer ` has been taken off.
    #[must_use]
    pub fn identify(&self, token: &str, auth: &Auth) -> Option<Identity> {
        match &self.0 {
            Kind::Off => None,
            Kind::Simple(simple) => {
                let name = simple.identify(token, |digest| auth.token_user(digest).cloned())?;
                Some(Identity::User { name, auth_revision: auth.revision() })
            }
            Kind::Jwt(jwt) => jwt.identify(token),
        }
    }

    /// Of the tokens that the machine has, those that nobody has used for their time to live; from
    /// then on they are not recognized. To be asked every second: what is seen here for the first
    /// time, as after a restart, has its full time before it.
    #[must_use]
    pub fn expired(&self, auth: &Auth) -> Vec<TokenDigest> {
        let kept = auth.tokens().map(|(digest, _)| *digest);
        match &self.0 {
            Kind::Simple(simple) => simple.expired(kept),
            // What is left of a time when tokens were simple is of no use.
            Kind::Off | Kind::Jwt(_) => kept.take(simple::MOST_EXPIRED).collect(),
        }
    }
}

/// As without any flag.
impl Default for Tokens {
    fn default() -> Self {
        Self(Kind::Simple(Box::new(Simple::new(Duration::from_secs(300)))))
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Off => "Tokens(off)",
            Kind::Simple(_) => "Tokens(simple)",
            Kind::Jwt(_) => "Tokens(jwt)",
        })
    }
}

/// The SHA-256 of a token, by which the machine knows it.
#[must_use]
pub fn digest(token: &str) -> TokenDigest {
    let mut digest = [0; 32];
    digest.copy_from_slice(sha::digest(&sha::SHA256, token.as_bytes()).as_ref());
    TokenDigest(digest)
}

/// What the log may show of a token, as in etcd.
#[must_use]
pub fn fingerprint(token: &str) -> String {
    digest(token).0.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use state::{Auth, AuthRevision};

    use super::{Tokens, digest, fingerprint};
    use crate::config::{AuthToken, JwtOptions, SignMethod};

    #[test]
    fn digests_are_sha_256_and_fingerprints_etcd_s() {
        // Of "abc", from the standard.
        let start = [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01];
        assert!(digest("abc").0.starts_with(&start));
        assert_eq!(fingerprint("abc"), "ba7816bf8f01");
    }

    #[test]
    fn nothing_of_a_kind_is_shown_and_off_gives_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "hunter2").unwrap();
        let jwt = AuthToken::Jwt(JwtOptions {
            method: SignMethod::Hs256,
            public_key: None,
            private_key: Some(secret),
            ttl: Duration::from_secs(1),
        });
        let simple = AuthToken::Simple { ttl: Duration::from_secs(1) };
        for (settings, kept) in [(AuthToken::Off, false), (simple, true), (jwt, false)] {
            let tokens = Tokens::open(&settings).unwrap();
            assert!(!format!("{tokens:?}").contains("hunter"));
            assert_eq!(tokens.are_kept(), kept);
            let issued = tokens.issue("alice", AuthRevision(3), 5);
            assert_eq!(issued.is_err(), settings == AuthToken::Off);
            let known = issued.ok().and_then(|token| tokens.identify(&token, &Auth::default()));
            assert_eq!(known.is_some(), matches!(settings, AuthToken::Jwt(_)));
            assert!(tokens.identify("abcdefghijklmnop.5", &Auth::default()).is_none());
            assert!(tokens.expired(&Auth::default()).is_empty());
        }
    }
}
