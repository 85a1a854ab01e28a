//! The log of connections that were not let in. A client that is refused tries again, often for
//! days: of one reason a few lines are written, and then only how many more there were.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::Traffic;

/// Of one reason, at most this many lines in so much time.
const LINES: u32 = 5;
const SPAN: Duration = Duration::from_secs(10);
/// Reasons that are told apart; what is beyond shares one.
const REASONS: usize = 64;

/// Why a connection was not let in.
#[derive(Debug)]
pub(super) struct Refused {
    /// The name that the client asked for.
    pub(super) server_name: String,
    /// What is wrong. The limit of lines is for each different one.
    pub(super) error: Cow<'static, str>,
    /// What to look at.
    pub(super) reason: Cow<'static, str>,
    /// Whether it is no concern of an operator: a port that is merely probed.
    pub(super) quiet: bool,
}

impl Refused {
    pub(super) fn new(error: &'static str, reason: &'static str) -> Self {
        let (error, reason) = (Cow::Borrowed(error), Cow::Borrowed(reason));
        Self { server_name: String::new(), error, reason, quiet: false }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    told: Mutex<HashMap<String, Told>>,
}

#[derive(Debug)]
struct Told {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl Refusals {
    /// Tells of one in etcd's words, or counts it.
    pub(super) fn tell(&self, traffic: Traffic, address: Option<SocketAddr>, refused: &Refused) {
        let endpoint = if traffic == Traffic::Peers { "peer" } else { "client" };
        let peer = address.map_or_else(|| "@".to_owned(), |address| address.to_string());
        let (name, error) = (&*refused.server_name, &*refused.error);
        let reason = &*refused.reason;
        if refused.quiet {
            tracing::debug!(
                "remote-addr" = peer,
                "server-name" = name,
                error,
                reason,
                "rejected connection on {endpoint} endpoint"
            );
            return;
        }
        match self.admit(&refused.error, Instant::now()) {
            Some(0) => tracing::warn!(
                "remote-addr" = peer,
                "server-name" = name,
                error,
                reason,
                "rejected connection on {endpoint} endpoint"
            ),
            Some(left_out) => tracing::warn!(
                "remote-addr" = peer,
                "server-name" = name,
                error,
                reason,
                "left-out" = left_out,
                "rejected connection on {endpoint} endpoint"
            ),
            None => {}
        }
    }

    /// Whether a line may be written now; how many were left out before it.
    pub(super) fn admit(&self, error: &str, now: Instant) -> Option<u64> {
        let mut told = self.told.lock();
        let known = told.len() < REASONS || told.contains_key(error);
        let key = if known { error } else { "" };
        let entry =
            told.entry(key.to_owned()).or_insert(Told { since: now, lines: 0, left_out: 0 });
        if now.saturating_duration_since(entry.since) >= SPAN {
            (entry.since, entry.lines) = (now, 0);
        }
        if entry.lines == LINES {
            entry.left_out += 1;
            return None;
        }
        entry.lines += 1;
        Some(std::mem::take(&mut entry.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_has_a_few_lines_and_then_a_number() {
        let refusals = Refusals::default();
        let start = Instant::now();
        let (one, other) = ("one", "other");
        let lines = (0..1000).filter_map(|_| refusals.admit(one, start)).collect::<Vec<_>>();
        assert_eq!(lines, [0; LINES as usize]);
        assert_eq!(refusals.admit(other, start), Some(0), "another reason has its own");
        assert_eq!(refusals.admit(one, start + SPAN), Some(1000 - u64::from(LINES)));
        assert_eq!(refusals.admit(one, start + SPAN), Some(0));
    }

    #[test]
    fn ever_new_reasons_take_no_more_room_and_no_more_lines() {
        let refusals = Refusals::default();
        let now = Instant::now();
        let admitted =
            (0..10_000).filter(|n| refusals.admit(&n.to_string(), now).is_some()).count();
        assert_eq!(refusals.told.lock().len(), REASONS + 1);
        assert_eq!(admitted, REASONS + LINES as usize);
    }
}
