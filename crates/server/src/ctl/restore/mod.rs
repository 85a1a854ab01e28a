//! `meridian restore`: a data directory made from an etcd's snapshot or data directory, or from a
//! checkpoint or data directory of Meridian's own. `docs/restore.md` is for who runs it.

mod arguments;
mod checksum;
mod help;
mod progress;
mod request;

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use engine::restore::{
    Database, Destination, Loaded, Member, Transcribed, Unusable, checkpoint, directory,
    is_directory_of_ours,
};
use state::{Digest, State};

pub use arguments::{Order, Refused};
pub use help::help;

use crate::config::Identity;
use crate::start;
use checksum::Checksum;
use progress::Lines;

/// What a checkpoint begins with.
const CHECKPOINT: &[u8] = b"MRDNCKP";

/// Carries an order out, saying on `out` how far it is.
///
/// # Errors
/// What is wrong, where, and what to do. Nothing is left behind then.
pub fn restore(order: &Order, out: &mut dyn io::Write) -> Result<(), Unusable> {
    let mut lines = Lines::new(out);
    Destination::check(&order.data_dir)?;
    let made = match transcribe(order, &mut lines)? {
        Some(made) => made,
        None => make(order, &mut lines)?,
    };
    let identity = order.identity.or(made.found).unwrap_or(order.default_identity);
    let failed = |error| Unusable(format!("cannot write {}: {error}", order.data_dir.display()));
    start::write_identity(&order.data_dir.join(start::IDENTITY), identity).map_err(failed)?;
    lines.say(&summary(&made, identity));
    made.destination.finish()?;
    lines.say(&format!("ready: meridian --data-dir {}", order.data_dir.display()));
    Ok(())
}

/// A directory that has its checkpoint.
struct Made {
    destination: Destination,
    /// What the checkpoint holds; it may be without the keys.
    state: State,
    digest: Digest,
    bytes: u64,
    /// Who it belonged to, if the source says so.
    found: Option<Identity>,
}

/// Makes it of an etcd's snapshot without its keys in memory; none, if that cannot be.
fn transcribe(order: &Order, lines: &mut Lines<'_>) -> Result<Option<Made>, Unusable> {
    let source = &order.source;
    if source.is_dir() || order.bump.is_some() || is_checkpoint(source)? {
        return Ok(None);
    }
    warn_of_wal_dir(order, lines);
    let checksum = Checksum::begin(source, order.skip_hash_check)?;
    let done: Result<_, Unusable> = lines.phase("restoring the snapshot", |step| {
        let database = Database::open(source)?;
        let destination = Destination::claim(&order.data_dir)?;
        Ok((database.transcribe(&destination, step)?, destination))
    });
    // Why a page is damaged is better known by who has the checksum of all.
    checksum.end()?;
    let (Some(transcribed), destination) = done? else { return Ok(None) };
    let Transcribed { rest: state, digest, bytes, notes } = transcribed;
    notes.iter().for_each(|note| lines.say(note));
    Ok(Some(Made { destination, state, digest, bytes, found: None }))
}

/// Makes it of a state in memory.
fn make(order: &Order, lines: &mut Lines<'_>) -> Result<Made, Unusable> {
    let (Loaded { mut state, notes }, found) = read(order, lines)?;
    notes.iter().for_each(|note| lines.say(note));
    if let Some(by) = order.bump {
        let before = state.revision();
        state.bump(by).map_err(|error| Unusable(format!("--bump-revision {by}: {error}")))?;
        let after = state.revision();
        lines.say(&format!("revision {before} became {after}, and everything before it compacted"));
    }
    let destination = Destination::claim(&order.data_dir)?;
    let expected = state.sizes().in_use;
    let (bytes, digest) = lines.phase("writing", |step| {
        destination.write(&state, &mut |bytes| step(bytes, expected.max(bytes)))
    })?;
    Ok(Made { destination, state, digest, bytes, found })
}

fn summary(made: &Made, identity: Identity) -> String {
    let Made { state, digest, bytes, .. } = made;
    let compacted = match state.compact_revision().0 {
        never if never < 0 => "never compacted".to_owned(),
        at => format!("compacted at {at}"),
    };
    let auth = state.auth();
    format!(
        "restored revision {} ({compacted}), {} leases, {} alarms, {} users, {} roles (auth {}), HashKV \
         {}, as member {:016x} of cluster {:016x}; {bytes} bytes",
        state.revision(),
        state.lease_count(),
        state.alarms().count(),
        auth.users().count(),
        auth.roles().count(),
        if auth.is_enabled() { "on" } else { "off" },
        digest.keys,
        identity.member_id,
        identity.cluster_id,
    )
}

fn warn_of_wal_dir(order: &Order, lines: &mut Lines<'_>) {
    if order.wal_dir.is_some() {
        lines.say("--wal-dir has no effect on a single file: the journal is in --data-dir");
    }
}

/// The state, and who it belonged to if the source says so.
fn read(order: &Order, lines: &mut Lines<'_>) -> Result<(Loaded, Option<Identity>), Unusable> {
    let source = &order.source;
    if !source.is_dir() {
        return Ok((read_file(order, lines)?, None));
    }
    if Member::is_at(source) {
        return read_member(order, lines);
    }
    if is_directory_of_ours(source) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|error| Unusable(error.to_string()))?;
        let state = runtime.block_on(directory(source))?;
        let identity = fs::read_to_string(source.join(start::IDENTITY));
        let identity = identity.ok().and_then(|text| start::parse_identity(&text));
        return Ok((Loaded { state, notes: Vec::new() }, identity));
    }
    Err(Unusable(format!(
        "{} holds neither an etcd's data (member/snap/db) nor Meridian's (*.journal)",
        source.display()
    )))
}

fn read_member(
    order: &Order,
    lines: &mut Lines<'_>,
) -> Result<(Loaded, Option<Identity>), Unusable> {
    let wal_dir = order.wal_dir.as_deref();
    let member = lines
        .phase("reading the write-ahead log", |step| Member::open(&order.source, wal_dir, step))?;
    let loaded =
        lines.phase("reading the database", |step| member.load(&mut request::command, step))?;
    let owner = member.owner();
    let identity = Identity { member_id: owner.member, cluster_id: owner.cluster };
    Ok((loaded, Some(identity).filter(|identity| identity.member_id != 0)))
}

fn read_file(order: &Order, lines: &mut Lines<'_>) -> Result<Loaded, Unusable> {
    let source = &order.source;
    if is_checkpoint(source)? {
        warn_of_wal_dir(order, lines);
        let state = lines.phase("reading the checkpoint", |_| checkpoint(source))?;
        return Ok(Loaded { state, notes: Vec::new() });
    }
    if order.bump.is_some() {
        warn_of_wal_dir(order, lines);
    }
    let checksum = Checksum::begin(source, order.skip_hash_check)?;
    let loaded = lines.phase("reading the snapshot", |step| {
        let database = Database::open(source)?;
        database.load(step)
    });
    // Why a page is damaged is better known by who has the checksum of all.
    checksum.end()?;
    loaded
}

fn is_checkpoint(path: &Path) -> Result<bool, Unusable> {
    let mut begins = Vec::new();
    let begin = |file: File| file.take(CHECKPOINT.len() as u64).read_to_end(&mut begins);
    let read = File::open(path).and_then(begin);
    read.map_err(|error| Unusable(format!("{}: {error}", path.display())))?;
    Ok(begins == CHECKPOINT)
}
