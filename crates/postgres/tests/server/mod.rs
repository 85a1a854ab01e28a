//! The server that `MERIDIAN_TEST_POSTGRES` names; without it these tests say that they did not run.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use postgres_journal::{Address, Failure, Options, PostgresJournal};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

/// Where the connections of the tests live.
pub(crate) fn runtime() -> &'static Runtime {
    &RUNTIME
}

/// The server's address, or a word that there is none.
#[allow(clippy::print_stderr)]
pub(crate) fn address() -> Option<Address> {
    let Ok(url) = std::env::var("MERIDIAN_TEST_POSTGRES") else {
        eprintln!(
            "skipped: no MERIDIAN_TEST_POSTGRES=postgres://… (conformance/postgres/server.sh start PORT)"
        );
        return None;
    };
    Some(Address::parse(&url).expect("MERIDIAN_TEST_POSTGRES"))
}

/// A name that no other log has.
pub(crate) fn name() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("test-{}-{}-{count}", std::process::id(), now.expect("a clock").as_micros())
}

/// Opens a log there.
pub(crate) fn open(options: Options) -> Result<PostgresJournal, Failure> {
    let address = address().expect("looked at before");
    runtime().block_on(PostgresJournal::open(address, options))
}
