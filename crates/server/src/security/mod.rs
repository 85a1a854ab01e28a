//! Who may come in and who a caller is: TLS towards clients, passwords, and the tokens they are
//! exchanged for.
//!
//! What was configured is a [`config::Tls`](crate::config::Tls); [`Credentials`] holds what its files
//! say at present, and makes the rustls configuration that a new connection is greeted with. Who may
//! do what is not decided here, but by the machine.

mod addresses;
mod anybody;
mod caller;
mod credentials;
mod files;
mod gate;
mod greeting;
mod hostname;
mod material;
mod passwords;
#[cfg(test)]
mod passwords_tests;
mod reason;
mod revoked;
mod self_signed;
mod sources;
pub mod tokens;
mod turns;

pub(crate) use addresses::check as check_address;
pub use caller::Caller;
pub use credentials::{Credentials, CredentialsError};
pub use passwords::{Password, Passwords};
pub use tokens::Tokens;
