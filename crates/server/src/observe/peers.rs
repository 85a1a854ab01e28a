//! What goes over the lines between replicas, by member, under etcd's names for its peers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;

use super::exposition::{Exposition, Type};
use super::histogram::Histogram;

/// Members told apart; what goes to any more is not counted.
const MOST_PEERS: usize = 256;

/// See the module. A clone counts the same.
#[derive(Clone, Debug, Default)]
pub struct PeerMetrics(Arc<Mutex<BTreeMap<u64, Arc<Peer>>>>);

/// What is counted of one other member.
#[derive(Debug)]
pub struct Peer {
    sent: AtomicU64,
    received: AtomicU64,
    failures: AtomicU64,
    lines: AtomicU64,
    ended: AtomicU64,
    round_trip: Histogram,
}

impl Default for Peer {
    fn default() -> Self {
        let [sent, received, failures, lines, ended] = [(); 5].map(|()| AtomicU64::new(0));
        let round_trip = Histogram::seconds(0.0001, 16);
        Self { sent, received, failures, lines, ended, round_trip }
    }
}

impl Peer {
    /// So many bytes of messages went there.
    pub fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    /// So many came from there.
    pub fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// No line to it could be opened.
    pub fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    /// It answered the first message of a line after so long.
    pub fn answered(&self, took: Duration) {
        self.round_trip.observe(took);
    }
}

/// A line stands for as long as this is there.
#[derive(Debug)]
pub struct Standing(pub Arc<Peer>);

impl Standing {
    /// With this member.
    #[must_use]
    pub fn with(peer: Arc<Peer>) -> Self {
        peer.lines.fetch_add(1, Relaxed);
        Self(peer)
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Relaxed);
        self.0.lines.fetch_sub(1, Relaxed);
    }
}

impl PeerMetrics {
    /// The counters of a member.
    #[must_use]
    pub fn of(&self, member: u64) -> Arc<Peer> {
        let mut peers = self.0.lock();
        if !peers.contains_key(&member) && peers.len() >= MOST_PEERS {
            return Arc::default();
        }
        Arc::clone(peers.entry(member).or_default())
    }

    /// All of it, as `local` sees it.
    pub fn expose(&self, out: &mut Exposition, local: &str) {
        let peers: Vec<_> =
            self.0.lock().iter().map(|(id, peer)| (format!("{id:x}"), Arc::clone(peer))).collect();
        if peers.is_empty() {
            return;
        }
        let name = "etcd_network_active_peers";
        out.head(name, Type::Gauge, "The current number of active peer connections.");
        for (remote, peer) in &peers {
            let active = u8::from(peer.lines.load(Relaxed) > 0);
            out.value(name, &[("Local", local), ("Remote", remote)], active);
        }
        let name = "etcd_network_disconnected_peers_total";
        out.head(name, Type::Counter, "The total number of disconnected peers.");
        for (remote, peer) in &peers {
            out.value(name, &[("Local", local), ("Remote", remote)], peer.ended.load(Relaxed));
        }
        type Count = fn(&Peer) -> &AtomicU64;
        let counters: [(&str, &str, &str, Count); 3] = [
            (
                "etcd_network_peer_sent_bytes_total",
                "The total number of bytes sent to peers.",
                "To",
                |peer| &peer.sent,
            ),
            (
                "etcd_network_peer_received_bytes_total",
                "The total number of bytes received from peers.",
                "From",
                |peer| &peer.received,
            ),
            (
                "etcd_network_peer_sent_failures_total",
                "The total number of send failures from peers.",
                "To",
                |peer| &peer.failures,
            ),
        ];
        for (name, help, label, count) in counters {
            out.head(name, Type::Counter, help);
            for (remote, peer) in &peers {
                out.value(name, &[(label, remote)], count(peer).load(Relaxed));
            }
        }
        let name = "etcd_network_peer_round_trip_time_seconds";
        out.head(name, Type::Histogram, "Round-Trip-Time histogram between peers");
        for (remote, peer) in &peers {
            out.histogram(name, &[("To", remote)], &peer.round_trip);
        }
    }
}
