//! TLS towards clients: certificates and keys from files, who may come in, and who a caller is.
//!
//! What was configured is a [`config::Tls`](crate::config::Tls); [`Credentials`] holds what its files
//! say at present, and makes the rustls configuration that a new connection is greeted with.

mod caller;
mod credentials;
mod files;
mod gate;
mod greeting;
mod hostname;
mod material;
mod reason;
mod revoked;
mod self_signed;
mod sources;

pub use caller::Caller;
pub use credentials::{Credentials, CredentialsError};
