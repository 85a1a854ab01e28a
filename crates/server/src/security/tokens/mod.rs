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
use std::sync::Arc;

use aws_lc_rs::digest as sha;

use crate::config::AuthToken;
use crate::grpc::{Code, Status};
use jwt::Jwt;
use simple::Simple;

/// The SHA-256 of a simple token, by which the machine knows it.
pub type Digest = [u8; 32];

/// Who shows a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's name.
    pub user: Arc<str>,
    /// The revision of users and roles that the token was given at; of simple tokens, as in etcd,
    /// the present one.
    pub auth_revision: u64,
}

/// What the machine says of tokens at the moment of a request.
pub struct Known<'a> {
    /// The present revision of users and roles.
    pub auth_revision: u64,
    /// Whose token has this digest.
    pub user_of: &'a dyn Fn(&Digest) -> Option<Arc<str>>,
}

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
    pub fn issue(&self, user: &str, auth_revision: u64, index: u64) -> Result<String, Status> {
        match &self.0 {
            Kind::Off => Err(Status::fixed(
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
            )),
            Kind::Simple(simple) => simple.issue(index),
            Kind::Jwt(jwt) => jwt.issue(user, auth_revision),
        }
    }

    /// Whose token this is; `None` if it is nobody's, no longer anybody's, or not of the kind in use.
    /// It counts as a use of the token. A prefix `Bearer ` has been taken off.
    #[must_use]
    pub fn identify(&self, token: &str, known: &Known<'_>) -> Option<Identity> {
        match &self.0 {
            Kind::Off => None,
            Kind::Simple(simple) => {
                let user = simple.identify(token, known.user_of)?;
                Some(Identity { user, auth_revision: known.auth_revision })
            }
            Kind::Jwt(jwt) => jwt.identify(token),
        }
    }

    /// Of the tokens that the machine has, those that nobody has used for their time to live; from
    /// then on they are not recognized. To be asked every second, with all that the machine has:
    /// what is seen here for the first time, as after a restart, has its full time before it.
    pub fn expired(&self, kept: impl IntoIterator<Item = Digest>) -> Vec<Digest> {
        match &self.0 {
            Kind::Simple(simple) => simple.expired(kept),
            // What is left of a time when tokens were simple is of no use.
            Kind::Off | Kind::Jwt(_) => kept.into_iter().take(simple::MOST_EXPIRED).collect(),
        }
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

/// The SHA-256 of a token.
#[must_use]
pub fn digest(token: &str) -> Digest {
    let mut digest = [0; 32];
    digest.copy_from_slice(sha::digest(&sha::SHA256, token.as_bytes()).as_ref());
    digest
}

/// What the log may show of a token, as in etcd.
#[must_use]
pub fn fingerprint(token: &str) -> String {
    digest(token).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
