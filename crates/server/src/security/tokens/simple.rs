//! Simple tokens: sixteen letters drawn at random, a dot, a number. The machine says whose they are;
//! here is when each was last used. A token that is used often costs neither a digest nor a lock
//! that another writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use state::TokenDigest;
use tokio::time::Instant;

use super::digest;
use super::shards::Shards;
use crate::grpc::{Code, Status};

const LETTERS: &[u8; 52] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const LENGTH: usize = 16;
/// The digits of the largest number.
const MOST_DIGITS: usize = 20;
/// Tokens that may be alive at once.
const MOST_ALIVE: usize = 100_000;
/// Tokens that one call of [`Simple::expired`] names; the rest waits for the next.
pub(super) const MOST_EXPIRED: usize = 1024;

/// When a token was used last.
#[derive(Debug)]
struct Usage {
    digest: TokenDigest,
    /// In milliseconds since [`Simple::began`].
    last: AtomicU64,
}

#[derive(Default)]
struct Alive {
    /// With the round of looking through the machine's tokens that has seen them last.
    tokens: HashMap<TokenDigest, (Arc<Usage>, u64)>,
    round: u64,
}

pub(super) struct Simple {
    ttl: Duration,
    began: Instant,
    most_alive: usize,
    /// All tokens that the machine was seen to have.
    alive: Mutex<Alive>,
    /// Those that were used, for the next request with the same.
    shards: Shards<Arc<Usage>>,
}

impl Simple {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            began: Instant::now(),
            most_alive: MOST_ALIVE,
            alive: Mutex::default(),
            shards: Shards::new(),
        }
    }

    pub(super) fn issue(&self, index: u64) -> Result<String, Status> {
        if self.alive.lock().tokens.len() >= self.most_alive {
            return Err(Status::new(
                Code::ResourceExhausted,
                format!(
                    "etcdserver: too many requests: {} tokens are in use; authenticate once and \
                     keep the token, or lower --auth-token-ttl",
                    self.most_alive
                ),
            ));
        }
        Ok(format!("{}.{index}", letters()?))
    }

    pub(super) fn identify(
        &self,
        token: &str,
        user_of: impl Fn(&TokenDigest) -> Option<Arc<str>>,
    ) -> Option<Arc<str>> {
        let now = self.now();
        let shard = self.shards.of(token);
        if let Some(usage) = shard.read().get(token) {
            let user = user_of(&usage.digest)?;
            return self.touch(usage, now).then_some(user);
        }
        if !is_well_formed(token) {
            return None;
        }
        let digest = digest(token);
        let user = user_of(&digest)?;
        let usage = self.alive.lock().usage(digest, now);
        if !self.touch(&usage, now) {
            return None;
        }
        shard.write().insert(token.into(), usage);
        Some(user)
    }

    pub(super) fn expired(&self, kept: impl IntoIterator<Item = TokenDigest>) -> Vec<TokenDigest> {
        let now = self.now();
        let mut expired = Vec::new();
        let mut alive = self.alive.lock();
        alive.round += 1;
        let round = alive.round;
        for digest in kept {
            let (usage, seen) =
                alive.tokens.entry(digest).or_insert_with(|| (fresh(digest, now), round));
            *seen = round;
            if self.is_over(usage, now) && expired.len() < MOST_EXPIRED {
                expired.push(digest);
            }
        }
        // Not at once: who is just being identified may be younger than what the caller looked at.
        let before = alive.tokens.len();
        alive.tokens.retain(|_, (_, seen)| *seen + 1 >= round);
        let gone = before - alive.tokens.len();
        drop(alive);
        if gone > 0 {
            self.forget();
        }
        expired
    }

    /// Drops the texts of tokens that are no longer alive: nobody but the shard has their usage.
    fn forget(&self) {
        for shard in self.shards.all() {
            shard.write().retain(|_, usage| Arc::strong_count(usage) > 1);
        }
    }

    /// Notes a use, unless the token's time is over.
    fn touch(&self, usage: &Usage, now: u64) -> bool {
        if self.is_over(usage, now) {
            return false;
        }
        if usage.last.load(Relaxed) != now {
            usage.last.store(now, Relaxed);
        }
        true
    }

    fn is_over(&self, usage: &Usage, now: u64) -> bool {
        let idle = Duration::from_millis(now.saturating_sub(usage.last.load(Relaxed)));
        idle > self.ttl
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Alive {
    fn usage(&mut self, digest: TokenDigest, now: u64) -> Arc<Usage> {
        let round = self.round;
        let (usage, _) = self.tokens.entry(digest).or_insert_with(|| (fresh(digest, now), round));
        Arc::clone(usage)
    }
}

fn fresh(digest: TokenDigest, now: u64) -> Arc<Usage> {
    Arc::new(Usage { digest, last: AtomicU64::new(now) })
}

/// Sixteen letters, each as likely as any other.
fn letters() -> Result<String, Status> {
    let mut drawn = String::with_capacity(LENGTH);
    let mut bytes = [0; LENGTH * 2];
    while drawn.len() < LENGTH {
        aws_lc_rs::rand::fill(&mut bytes)
            .map_err(|_| Status::fixed(Code::Internal, "no randomness to draw a token from"))?;
        let letters = bytes.iter().filter_map(|byte| LETTERS.get(usize::from(byte % 64)));
        drawn.extend(letters.take(LENGTH - drawn.len()).map(|letter| char::from(*letter)));
    }
    Ok(drawn)
}

/// Whether it can be one of ours, which a look tells without a digest.
fn is_well_formed(token: &str) -> bool {
    let Some((letters, number)) = token.split_once('.') else { return false };
    letters.len() == LENGTH
        && letters.bytes().all(|byte| byte.is_ascii_alphabetic())
        && (1..=MOST_DIGITS).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;
    use std::time::Duration;

    use parking_lot::Mutex;
    use proptest::prelude::*;
    use state::TokenDigest;
    use tokio::time::advance;

    use super::super::digest;
    use super::{MOST_EXPIRED, Simple, is_well_formed};

    /// What the machine knows.
    #[derive(Default)]
    struct Machine(Mutex<BTreeMap<TokenDigest, Arc<str>>>);

    impl Machine {
        fn issue(&self, tokens: &Simple, user: &str) -> String {
            let token = tokens.issue(9).unwrap();
            self.0.lock().insert(digest(&token), user.into());
            token
        }

        fn who(&self, tokens: &Simple, token: &str) -> Option<String> {
            let user = tokens.identify(token, |digest| self.0.lock().get(digest).cloned());
            user.map(|user| user.to_string())
        }

        /// A round of the sweeper, which takes away what has expired.
        fn sweep(&self, tokens: &Simple) -> usize {
            let kept: Vec<_> = self.0.lock().keys().copied().collect();
            let expired = tokens.expired(kept);
            for digest in &expired {
                self.0.lock().remove(digest);
            }
            expired.len()
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn a_token_lives_as_long_as_it_is_used() {
        let (tokens, machine) = (Simple::new(3 * SECOND), Machine::default());
        let used = machine.issue(&tokens, "alice");
        let idle = machine.issue(&tokens, "bob");
        for _ in 0..5 {
            assert_eq!(machine.who(&tokens, &used).as_deref(), Some("alice"));
            machine.sweep(&tokens);
            advance(SECOND).await;
        }
        assert_eq!(machine.who(&tokens, &idle), None);
        assert_eq!(machine.0.lock().len(), 1);
        advance(2 * SECOND).await;
        assert_eq!(machine.who(&tokens, &used).as_deref(), Some("alice"), "at its last moment");
        advance(3 * SECOND + Duration::from_millis(1)).await;
        assert_eq!(machine.who(&tokens, &used), None, "even before it was swept");
        assert_eq!(machine.sweep(&tokens), 1);
        assert_eq!(machine.sweep(&tokens), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_restart_each_has_its_full_time_again() {
        let (tokens, machine) = (Simple::new(3 * SECOND), Machine::default());
        let token = machine.issue(&tokens, "alice");
        machine.sweep(&tokens);
        advance(2 * SECOND).await;
        let after = Simple::new(3 * SECOND);
        assert_eq!(machine.sweep(&after), 0);
        advance(2 * SECOND).await;
        assert_eq!(machine.who(&after, &token).as_deref(), Some("alice"));
        let unswept = Simple::new(3 * SECOND);
        advance(9 * SECOND).await;
        assert_eq!(machine.who(&unswept, &token).as_deref(), Some("alice"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_machine_drops_is_gone_at_once() {
        let (tokens, machine) = (Simple::new(3 * SECOND), Machine::default());
        let token = machine.issue(&tokens, "alice");
        assert!(machine.who(&tokens, &token).is_some());
        let dropped = machine.0.lock().pop_first().unwrap();
        assert_eq!(machine.who(&tokens, &token), None);
        machine.sweep(&tokens);
        machine.sweep(&tokens);
        let texts = || tokens.shards.all().iter().map(|shard| shard.read().len()).sum::<usize>();
        assert_eq!((tokens.alive.lock().tokens.len(), texts()), (0, 0));
        machine.0.lock().insert(dropped.0, "carol".into());
        assert_eq!(machine.who(&tokens, &token).as_deref(), Some("carol"));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_grows_without_bound() {
        let (mut tokens, machine) = (Simple::new(SECOND), Machine::default());
        for _ in 0..MOST_EXPIRED + 5 {
            machine.issue(&tokens, "alice");
        }
        for other in 0..100 {
            assert_eq!(machine.who(&tokens, &format!("aaaaaaaaaaaaaaaa.{other}")), None);
        }
        assert_eq!(tokens.alive.lock().tokens.len(), 0, "strangers are not remembered");
        machine.sweep(&tokens);
        tokens.most_alive = MOST_EXPIRED + 5;
        let refused = tokens.issue(1).unwrap_err();
        assert!(refused.message.contains("--auth-token-ttl"), "{refused}");
        advance(2 * SECOND).await;
        assert_eq!(machine.sweep(&tokens), MOST_EXPIRED);
        assert_eq!(machine.sweep(&tokens), 5);
        assert_eq!(machine.sweep(&tokens), 0);
        assert!(tokens.issue(1).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_identified_while_the_sweeper_looks_at_an_older_machine_stays_known() {
        let (tokens, machine) = (Simple::new(3 * SECOND), Machine::default());
        let token = machine.issue(&tokens, "alice");
        for _ in 0..9 {
            assert!(machine.who(&tokens, &token).is_some());
            assert!(tokens.expired([]).is_empty());
            assert_eq!(tokens.alive.lock().tokens.len(), 1, "its last use is remembered");
            advance(SECOND).await;
            assert_eq!(machine.sweep(&tokens), 0);
        }
    }

    #[test]
    fn tokens_look_like_etcd_s_and_are_never_drawn_twice() {
        let tokens = Simple::new(SECOND);
        let drawn: Vec<_> = (0..2000).map(|_| tokens.issue(u64::MAX).unwrap()).collect();
        assert!(drawn.iter().all(|token| is_well_formed(token)));
        let letters: BTreeSet<_> = drawn.iter().flat_map(|t| t[..16].chars()).collect();
        assert_eq!(letters.len(), 52);
        assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 2000);
    }

    proptest! {
        #[test]
        fn no_text_is_a_token_of_nobody_s(text in "[a-zA-Z]{15,17}[.]?[0-9a.+-]{0,22}|\\PC*") {
            let tokens = Simple::new(SECOND);
            prop_assert_eq!(tokens.identify(&text, |_| None), None);
        }
    }
}
