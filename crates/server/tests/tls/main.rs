//! TLS towards clients: what the files of a server make of a handshake, and of one that fails; the
//! doors of a server, and who comes to them. Lines between replicas, with and without TLS.

mod attacks;
mod credentials;
mod credentials_changed;
mod credentials_opened;
mod credentials_refused;
mod doors;
mod lines;
mod others;
mod pings;
mod refused;
mod served;
mod support;

pub(crate) use others::support as rpc;
