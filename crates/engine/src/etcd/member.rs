//! The buckets `members`, `members_removed` and `cluster`: id in hex → the member in JSON, as Go writes
//! it; ids in hex; versions. A restore takes from them who votes and no more, since it makes another
//! cluster.

use std::fmt::Write;

use state::{Cluster, MemberId};

use super::{Pair, STORAGE_VERSION};

pub(crate) const CLUSTER_VERSION: &[u8] = b"clusterVersion";
pub(crate) const DOWNGRADE: &[u8] = b"downgrade";
const LEARNER: &[u8] = br#""isLearner":true"#;
const REMOVED: &[u8] = b"removed";

/// A member of the cluster, as others are told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: u64,
    /// `--name`
    pub name: String,
    /// `--initial-advertise-peer-urls`
    pub peer_urls: Vec<String>,
    /// `--advertise-client-urls`
    pub client_urls: Vec<String>,
    /// Whether it does not vote yet.
    pub learner: bool,
}

impl Member {
    fn listed(id: MemberId, member: &state::Member) -> Self {
        let state::Member { name, peer_urls, client_urls, learner, .. } = member.clone();
        Self { id: id.0, name, peer_urls, client_urls, learner }
    }

    pub(crate) fn encode(&self) -> Pair {
        let mut json = format!("{{\"id\":{},\"peerURLs\":", self.id);
        put_list(&mut json, &self.peer_urls);
        if self.learner {
            json.push_str(",\"isLearner\":true");
        }
        if !self.name.is_empty() {
            json.push_str(",\"name\":");
            put_text(&mut json, &self.name);
        }
        if !self.client_urls.is_empty() {
            json.push_str(",\"clientURLs\":");
            put_list(&mut json, &self.client_urls);
        }
        json.push('}');
        (hex(self.id), json.into_bytes())
    }
}

/// Who belongs to the cluster: those it lists, or `only`, if it lists nobody. By id.
pub(crate) fn members(cluster: &Cluster, only: &Member) -> Vec<Member> {
    let listed = cluster.members().iter();
    let listed: Vec<_> = listed.map(|(id, member)| Member::listed(*id, member)).collect();
    if listed.is_empty() { vec![only.clone()] } else { listed }
}

/// The entries of `members`, in their order in the file.
pub(crate) fn encode_members(members: &[Member]) -> Vec<Pair> {
    let mut pairs: Vec<Pair> = members.iter().map(Member::encode).collect();
    pairs.sort_unstable();
    pairs
}

/// The entries of `members_removed`, in their order in the file.
pub(crate) fn encode_removed(cluster: &Cluster) -> Vec<Pair> {
    let removed = cluster.removed().iter();
    let mut pairs: Vec<Pair> = removed.map(|id| (hex(id.0), REMOVED.to_vec())).collect();
    pairs.sort_unstable();
    pairs
}

fn hex(id: u64) -> Vec<u8> {
    format!("{id:x}").into_bytes()
}

/// The entries of `cluster`: its version, and the one that a downgrade under way goes to. etcd also says
/// that a downgrade was called off, which makes no difference.
pub(crate) fn encode_cluster(cluster: &Cluster) -> Vec<Pair> {
    let version = cluster.downgrade().unwrap_or(STORAGE_VERSION).to_string();
    let mut pairs = vec![(CLUSTER_VERSION.to_vec(), version.into_bytes())];
    pairs.extend(cluster.downgrade().map(|to| {
        let json = format!("{{\"target-version\":\"{to}\",\"enabled\":true}}");
        (DOWNGRADE.to_vec(), json.into_bytes())
    }));
    pairs
}

/// Who votes, of an entry of `members`; none if it is a learner's, or its key is no id.
pub(crate) fn decode_voter(key: &[u8], value: &[u8]) -> Option<u64> {
    // Without spaces, as Go writes it.
    let learns = value.windows(LEARNER.len()).any(|part| part == LEARNER);
    let id = std::str::from_utf8(key).ok().filter(|_| !learns)?;
    u64::from_str_radix(id, 16).ok()
}

fn put_list(json: &mut String, texts: &[String]) {
    json.push('[');
    for (nth, text) in texts.iter().enumerate() {
        if nth > 0 {
            json.push(',');
        }
        put_text(json, text);
    }
    json.push(']');
}

/// As Go's `encoding/json`: what HTML would take for its own is escaped too.
fn put_text(json: &mut String, text: &str) {
    json.push('"');
    for letter in text.chars() {
        match letter {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '\u{8}' => json.push_str("\\b"),
            '\u{c}' => json.push_str("\\f"),
            '\0'..='\u{1f}' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                write!(json, "\\u{:04x}", u32::from(letter)).expect("a string takes everything");
            }
            letter => json.push(letter),
        }
    }
    json.push('"');
}
