//! TLS towards clients: certificates and keys from files, who may come in, and who a caller is.
//!
//! What was configured is a [`config::Tls`](crate::config::Tls); [`Credentials`] holds what its files
//! say at present, and makes the rustls configuration that a new connection is greeted with.

mod caller;
mod credentials;

pub use caller::Caller;
pub use credentials::{Credentials, CredentialsError};
