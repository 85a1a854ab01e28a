//! `meridian restore`, from stores that a real etcd 3.7.1 has made: `conformance/restore/fixtures.sh` recorded
//! them, and what that etcd answers from them, in `tests/data/restore`.

mod damaged;
mod destination;
mod recorded;
mod refused;
mod support;
