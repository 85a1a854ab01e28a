//! One connection: made, looked at, driven by a task of its own. Never cancels a statement; to
//! drop a link closes its socket and leaves the server to finish what it began.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::task::JoinHandle;
use tokio_postgres::tls::NoTls;
use tokio_postgres::{AsyncMessage, Client, Config, Connection};

use crate::address::{Address, Host, SslMode};
use crate::failure::{Failure, Kind};
use crate::guarantee::{Dialect, Guarantee, look_at};
use crate::password::Surroundings;
use crate::tls::Tls;

/// How long a new connection may take to be ready, its questions included.
const READY: Duration = Duration::from_secs(10);

/// How long a host is waited for until the next one is tried beside it.
const NEXT_HOST: Duration = Duration::from_millis(500);

/// A connection to the primary.
pub(crate) struct Link {
    client: Arc<Client>,
    doubts: Arc<AtomicU64>,
    driver: JoinHandle<()>,
    pub(crate) dialect: Dialect,
    pub(crate) guarantee: Guarantee,
    /// The database's generation when it was made.
    pub(crate) generation: u64,
    /// Which host it is.
    pub(crate) host: String,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("host", &self.host).finish_non_exhaustive()
    }
}

/// A statement's answer, and whether the server raised a doubt while it was on its way.
pub(crate) type Answer<T> = Result<T, Failure>;

impl Link {
    /// Connects to a host that takes writes, the first one that answers so. The error has a word for each host.
    pub(crate) async fn open(address: &Address, unsafe_no_fsync: bool) -> Answer<Self> {
        let mut reasons = Vec::new();
        let mut kind = Kind::Unreachable;
        let mut hosts = address.hosts.iter();
        let mut opening = FuturesUnordered::new();
        loop {
            // One after the other, but none waits long for one that is silent.
            opening.extend(hosts.next().map(|host| Self::ready(address, host, unsafe_no_fsync)));
            let more = hosts.len() > 0;
            let (host, failure) = tokio::select! {
                opened = opening.next() => match opened {
                    Some((_, Ok(link))) => return Ok(link),
                    Some((host, Err(failure))) => (host, failure),
                    None => break,
                },
                () = tokio::time::sleep(NEXT_HOST), if more => continue,
            };
            // What somebody must do something about outweighs what may pass.
            if reasons.is_empty() || !failure.passes() {
                kind = failure.kind;
            }
            reasons.push(format!("{host}: {failure}"));
        }
        Err(Failure::new(kind, reasons.join("; ")))
    }

    async fn ready<'a>(
        address: &Address,
        host: &'a Host,
        unsafe_no_fsync: bool,
    ) -> (&'a Host, Answer<Self>) {
        let opening = tokio::time::timeout(READY, Self::to(address, host, unsafe_no_fsync));
        let late = || Failure::new(Kind::Unreachable, "not ready within ten seconds");
        (host, opening.await.unwrap_or_else(|_| Err(late())))
    }

    async fn to(address: &Address, host: &Host, unsafe_no_fsync: bool) -> Answer<Self> {
        let config = configure(address, host)?;
        let unix = host.name.starts_with('/');
        let doubts = Arc::new(AtomicU64::new(0));
        let (client, driver) = if unix || address.ssl.mode == SslMode::Disable {
            let (client, connection) = config.connect(NoTls).await.map_err(unreachable)?;
            (client, tokio::spawn(drive(connection, Arc::clone(&doubts))))
        } else {
            let tls = Tls::read(&address.ssl).map_err(|why| Failure::new(Kind::Local, why))?;
            let (client, connection) = config.connect(tls).await.map_err(unreachable)?;
            (client, tokio::spawn(drive(connection, Arc::clone(&doubts))))
        };
        let mut link = Self {
            client: Arc::new(client),
            doubts,
            driver,
            dialect: Dialect::Portable,
            guarantee: Guarantee::default(),
            generation: 0,
            host: host.to_string(),
        };
        let (dialect, guarantee) = look_at(&link.client, unsafe_no_fsync).await?;
        link.dialect = dialect;
        link.guarantee = guarantee;
        if dialect == Dialect::Postgres {
            link.settle().await?;
        }
        Ok(link)
    }

    /// The session's own settings: nothing may weaken a commit, cut a wait for the standbys short,
    /// or hide the warning that says it was cut short.
    async fn settle(&self) -> Answer<()> {
        let row = self.client.query_one("SELECT current_setting('synchronous_commit')", &[]).await;
        let commit: String = row?.get(0);
        let mut settings = vec![
            "SET client_min_messages = warning",
            "SET statement_timeout = 0",
            "SET lock_timeout = 0",
            "SET default_transaction_isolation = 'read committed'",
        ];
        if !matches!(commit.as_str(), "on" | "remote_apply") {
            settings.push("SET synchronous_commit = on");
        }
        self.client.batch_execute(&settings.join(";")).await?;
        for newer in ["SET idle_session_timeout = 0", "SET transaction_timeout = 0"] {
            // Servers that do not know it do not have it.
            drop(self.client.batch_execute(newer).await);
        }
        Ok(())
    }

    pub(crate) fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client)
    }

    /// How often the server has warned. An answer is only good if this did not change under it.
    pub(crate) fn doubts(&self) -> u64 {
        self.doubts.load(Ordering::SeqCst)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }
}

fn unreachable(error: tokio_postgres::Error) -> Failure {
    let failure = Failure::from(error);
    match failure.kind {
        Kind::Ambiguous if failure.text.contains("password missing") => Failure::new(
            Kind::Password,
            "the server asks for a password and there is none: use password_file=FILE, \
             passfile=FILE, ~/.pgpass or PGPASSWORD",
        ),
        Kind::Ambiguous if failure.text.contains("certificate") => {
            Failure::new(Kind::Local, failure.text)
        }
        Kind::Ambiguous | Kind::Failed => Failure::new(Kind::Unreachable, failure.text),
        _ => failure,
    }
}

fn configure(address: &Address, host: &Host) -> Answer<Config> {
    let around = Surroundings::of_process();
    let password = address
        .passwords
        .find(&around, host, &address.database, &address.user)
        .map_err(|why| Failure::new(Kind::Local, why))?;
    let mut config = Config::new();
    config
        .host(&host.name)
        .port(host.port)
        .user(&address.user)
        .dbname(&address.database)
        .application_name(&address.application)
        .ssl_mode(match address.ssl.mode {
            SslMode::Disable => tokio_postgres::config::SslMode::Disable,
            SslMode::Prefer if !host.name.starts_with('/') => {
                tokio_postgres::config::SslMode::Prefer
            }
            _ if host.name.starts_with('/') => tokio_postgres::config::SslMode::Disable,
            _ => tokio_postgres::config::SslMode::Require,
        })
        .connect_timeout(address.patience.connect)
        .tcp_user_timeout(address.patience.user)
        .keepalives(true)
        .keepalives_idle(address.patience.idle)
        .keepalives_interval(address.patience.interval)
        .keepalives_retries(address.patience.count);
    if let Some(password) = password {
        config.password(password);
    }
    if let Some(options) = &address.options {
        config.options(options);
    }
    Ok(config)
}

/// Moves bytes until the connection ends, and counts warnings: each of them comes before the
/// answer that it is about.
async fn drive<S, T>(mut connection: Connection<S, T>, doubts: Arc<AtomicU64>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await
    {
        match message {
            Ok(AsyncMessage::Notice(notice)) if !is_idle(notice.severity()) => {
                doubts.fetch_add(1, Ordering::SeqCst);
                let (state, text) = (notice.code().code(), notice.message());
                tracing::warn!(state, text, "the database warns");
            }
            Ok(_) => {}
            Err(error) => {
                let why = Failure::from(error).text;
                tracing::debug!(why, "database connection ended");
                return;
            }
        }
    }
}

/// Whether a notice is only talk.
fn is_idle(severity: &str) -> bool {
    matches!(severity, "NOTICE" | "INFO" | "LOG" | "DEBUG")
}

/// Starts a question at once, so that those started one after the other reach the server in this
/// order.
pub(crate) fn launch<T: Send + 'static>(
    question: impl Future<Output = T> + Send + 'static,
) -> BoxFuture<'static, T> {
    let mut question: BoxFuture<'static, T> = Box::pin(question);
    let mut context = std::task::Context::from_waker(Waker::noop());
    match Pin::new(&mut question).poll(&mut context) {
        Poll::Ready(answer) => Box::pin(std::future::ready(answer)),
        Poll::Pending => question,
    }
}
