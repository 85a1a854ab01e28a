//! The server that `MERIDIAN_TEST_POSTGRES` names; without it these tests say that they did not run.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use postgres_journal::{Address, Failure, Options, PostgresJournal};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::NoTls;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
});

/// Where the connections of the tests live.
pub(crate) fn runtime() -> &'static Runtime {
    &RUNTIME
}

/// The server's URL, which a driver takes too.
pub(crate) fn url() -> Option<String> {
    std::env::var("MERIDIAN_TEST_POSTGRES").ok()
}

/// The server's address, or a word that there is none.
#[allow(clippy::print_stderr)]
pub(crate) fn address() -> Option<Address> {
    let Some(url) = url() else {
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
    open_at(&url().expect("looked at before"), options)
}

/// Opens a log at another address.
pub(crate) fn open_at(url: &str, options: Options) -> Result<PostgresJournal, Failure> {
    let address = Address::parse(url).expect(url);
    runtime().block_on(PostgresJournal::open(address, options))
}

/// Runs statements there, one after the other, as the role of the tests.
pub(crate) fn run(statements: &str) {
    let url = url().expect("looked at before");
    runtime().block_on(async {
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("connect");
        tokio::spawn(connection);
        client.batch_execute(statements).await.expect(statements);
    });
}
