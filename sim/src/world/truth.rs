//! What is true: the journal, replayed by a machine of its own from the first slot on.

use std::collections::BTreeMap;

use bytes::Bytes;
use journal::Slot;
use state::{Cluster, Command, Digest, Entry, KvRef, Position, State};

use crate::oracle::history::{Event, EventKind, Kv, LeaseId, Log, Revision};

/// What replaying gives.
pub(crate) struct Replayed {
    /// Of the whole state at its end.
    pub(crate) position: u64,
    pub(crate) digest: Digest,
    /// All events that ever were.
    pub(crate) log: Log,
    /// Who belongs to the cluster, and who was taken out of it.
    pub(crate) cluster: Cluster,
    /// How often the cluster's level rose.
    pub(crate) raises: u64,
}

impl Replayed {
    /// The keys that name a lease at the end, in words.
    pub(crate) fn attached(&self) -> Option<String> {
        let mut newest = BTreeMap::new();
        for event in &self.log.events {
            newest.insert(&event.kv.key, event.kv.lease);
        }
        let left = newest.into_iter().filter(|(_, lease)| *lease != LeaseId(0));
        let left: Vec<_> =
            left.map(|(key, lease)| format!("{} {lease}", key.escape_ascii())).collect();
        (!left.is_empty()).then(|| left.join(", "))
    }
}

/// Replays every record that ever was.
///
/// # Errors
/// A record that cannot be read, or is missing.
pub(crate) fn replay(bodies: &[(Slot, Bytes)]) -> Result<Replayed, String> {
    let (mut exact, mut whole) = (State::new(), State::new());
    let mut events = Vec::new();
    let mut raises = 0;
    for (at, (slot, body)) in bodies.iter().enumerate() {
        if slot.0 != at as u64 + 1 {
            return Err(format!("the journal has no slot {} but slot {slot}", at + 1));
        }
        let mut entry = Entry::decode(body).map_err(|error| format!("slot {slot}: {error}"))?;
        for_all(&exact, &entry).map_err(|why| format!("slot {slot}: {why}"))?;
        let level = exact.cluster().level();
        exact.apply(Position(slot.0), &entry);
        raises += u64::from(exact.cluster().level() > level);
        // What is never compacted keeps all events.
        entry.commands.retain(|command| !matches!(command.bare(), Command::Compact { .. }));
        entry.origins.clear();
        let before = whole.revision();
        whole.apply(Position(slot.0), &entry);
        let view = whole.view();
        let from = state::Revision(before.0 + 1);
        if whole.revision() >= from {
            let new = view.events(from).map_err(|refusal| format!("slot {slot}: {refusal:?}"))?;
            events.extend(new.map(|event| told(&event)));
        }
        if exact.revision() != whole.revision() {
            return Err(format!("slot {slot}: compaction changed a revision"));
        }
    }
    let (from, to) = (Revision(2), Revision(whole.revision().0));
    let log = Log { member: 0, from, to, events };
    let cluster = exact.cluster().clone();
    Ok(Replayed { position: exact.position().0, digest: exact.digest(), log, cluster, raises })
}

/// Whether all who read the journal could apply the entry where it stands, those that are away included.
fn for_all(before: &State, entry: &Entry) -> Result<(), String> {
    let cluster = before.cluster();
    let Some((id, lowest)) = cluster.lowest() else { return Ok(()) };
    let (takes, most) = (entry.level(), cluster.level().max(lowest.level));
    if takes <= most {
        return Ok(());
    }
    Err(format!("takes level {takes}, and {} ({:x}) goes up to {most}", lowest.name, id.0))
}

fn told(event: &KvRef<'_>) -> Event {
    let kind = if event.tombstone { EventKind::Delete } else { EventKind::Put };
    let mod_revision = Revision(event.mod_revision.0);
    let kv = Kv { key: event.key.to_vec(), mod_revision, ..Kv::default() };
    let kv = match kind {
        EventKind::Delete => kv,
        EventKind::Put => Kv {
            value: event.value.to_vec(),
            create_revision: Revision(event.create_revision.0),
            version: event.version,
            lease: LeaseId(event.lease.0),
            ..kv
        },
    };
    Event { kind, kv, prev: None }
}

/// One number of a digest.
pub(crate) fn number(digest: Digest) -> u64 {
    u64::from(digest.keys) << 32 | u64::from(digest.rest)
}

/// Digests of replicas that stand at the same place and differ.
pub(crate) fn differing(digests: &BTreeMap<String, (u64, u64)>) -> Option<String> {
    let mut all = digests.values();
    let first = all.next()?;
    all.any(|one| one != first).then(|| format!("states differ: {digests:x?}"))
}
