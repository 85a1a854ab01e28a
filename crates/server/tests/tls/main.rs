//! TLS towards clients: what the files of a server make of a handshake, and of one that fails.

mod credentials;
mod credentials_changed;
mod credentials_opened;
mod credentials_refused;
mod support;
