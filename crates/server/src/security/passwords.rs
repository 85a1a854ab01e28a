//! Passwords: their hashing and checking with bcrypt, which takes a tenth of a second on purpose. It is
//! done on threads of its own that give way to everything else, a few at once; who stands in line
//! for them is in [`turns`](super::turns). No password is ever shown.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;

use bcrypt::Version;

use super::turns::{Full, Places, Turn, Turns};
use crate::grpc::{Code, Status};

/// bcrypt takes no more of a password.
const MOST_BYTES: usize = 72;
/// What etcd says of longer ones.
const TOO_LONG: Status = Status::fixed(Code::Unknown, "bcrypt: password length exceeds 72 bytes");
/// Ten seconds of one core at the default cost: nobody waits for longer.
const PLACES: Places = Places { of_one_caller: 128, of_all: 1024 };
/// How much these threads give way; a quarter of a core is left to them when all are busy.
const NICE: i32 = 5;

/// A password as a client sent it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl From<String> for Password {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// Hashes and checks passwords.
#[derive(Clone, Debug)]
pub struct Passwords {
    cost: u32,
    turns: Arc<Turns>,
}

impl Passwords {
    /// With bcrypt's cost, on all cores but one.
    #[must_use]
    pub fn new(cost: u32) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self::on_threads(cost, cores.saturating_sub(1).max(1), PLACES)
    }

    pub(super) fn on_threads(cost: u32, threads: usize, places: Places) -> Self {
        Self { cost, turns: Turns::new(threads, places) }
    }

    #[cfg(test)]
    pub(super) fn standing(&self) -> usize {
        self.turns.standing().0
    }

    /// The hash to keep of a password, in the form that etcd keeps.
    ///
    /// # Errors
    /// A password of more than 72 bytes, as in etcd; too many waiting.
    pub async fn hash(&self, caller: Option<IpAddr>, password: Password) -> Result<String, Status> {
        if password.0.len() > MOST_BYTES {
            return Err(TOO_LONG);
        }
        let cost = self.cost;
        self.work(caller, move || {
            let mut salt = [0; 16];
            aws_lc_rs::rand::fill(&mut salt).map_err(|_| failed("no randomness"))?;
            let parts = bcrypt::hash_with_salt(&password.0, cost, salt);
            let parts = parts.map_err(|error| failed(&error.to_string()))?;
            Ok(parts.format_for_version(Version::TwoA))
        })
        .await?
    }

    /// Whether a password is the one that `hash` was made of. Text that is no hash is of none.
    ///
    /// # Errors
    /// Too many waiting.
    pub async fn check(
        &self,
        caller: Option<IpAddr>,
        password: Password,
        hash: impl AsRef<[u8]> + Send + 'static,
    ) -> Result<bool, Status> {
        self.work(caller, move || {
            let hash = std::str::from_utf8(hash.as_ref()).unwrap_or_default();
            bcrypt::verify(&password.0, hash).unwrap_or(false)
        })
        .await
    }

    /// Does `work` when it is the caller's turn. Whoever gives up waiting frees the thread only when
    /// the work is done, so that there are never more at work than threads.
    async fn work<T: Send + 'static>(
        &self,
        caller: Option<IpAddr>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Status> {
        let turn = self.turns.take(caller).await.map_err(busy)?;
        let (reply, answer) = tokio::sync::oneshot::channel();
        let run = move || {
            let _turn: Turn = turn;
            // Where the system has no room for manners, the work is done without.
            rustix::process::nice(NICE).ok();
            reply.send(work()).ok();
        };
        let started = thread::Builder::new().name("bcrypt".to_owned()).spawn(run);
        started.map_err(|error| failed(&error.to_string()))?;
        answer.await.map_err(|_| failed("the thread ended"))
    }
}

fn failed(why: &str) -> Status {
    Status::new(Code::Internal, format!("the password could not be hashed: {why}"))
}

fn busy(full: Full) -> Status {
    let whose = match full {
        Full::OfThisCaller => "from this address",
        Full::OfAll => "from all clients",
    };
    Status::new(
        Code::ResourceExhausted,
        format!(
            "etcdserver: too many requests: too many passwords {whose} are waiting to be checked; \
             try again later, authenticate once and keep the token, or lower --bcrypt-cost"
        ),
    )
}
