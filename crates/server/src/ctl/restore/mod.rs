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
    Database, Destination, Loaded, Member, Unusable, checkpoint, directory, is_directory_of_ours,
};
use state::State;

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
    let (mut loaded, found) = read(order, &mut lines)?;
    loaded.notes.iter().for_each(|note| lines.say(note));
    if let Some(by) = order.bump {
        let before = loaded.state.revision();
        loaded
            .state
            .bump(by)
            .map_err(|error| Unusable(format!("--bump-revision {by}: {error}")))?;
        let after = loaded.state.revision();
        lines.say(&format!("revision {before} became {after}, and everything before it compacted"));
    }
    let destination = Destination::claim(&order.data_dir)?;
    let expected = loaded.state.sizes().in_use;
    let written = lines.phase("writing", |step| {
        destination.write(&loaded.state, &mut |bytes| step(bytes, expected.max(bytes)))
    })?;
    let identity = order.identity.or(found).unwrap_or(order.default_identity);
    let failed = |error| Unusable(format!("cannot write {}: {error}", order.data_dir.display()));
    start::write_identity(&order.data_dir.join(start::IDENTITY), identity).map_err(failed)?;
    destination.finish()?;
    lines.say(&summary(&loaded.state, identity, written));
    lines.say(&format!("ready: meridian --data-dir {}", order.data_dir.display()));
    Ok(())
}

fn summary(state: &State, identity: Identity, written: u64) -> String {
    let compacted = match state.compact_revision().0 {
        never if never < 0 => "never compacted".to_owned(),
        at => format!("compacted at {at}"),
    };
    let hash = state.view().hash(state::Revision(0)).map_or(0, |hash| hash.hash);
    let auth = state.auth();
    format!(
        "restored revision {} ({compacted}), {} leases, {} alarms, {} users, {} roles (auth {}), HashKV \
         {hash}, as member {:016x} of cluster {:016x}; {written} bytes",
        state.revision(),
        state.lease_count(),
        state.alarms().count(),
        auth.users().count(),
        auth.roles().count(),
        if auth.is_enabled() { "on" } else { "off" },
        identity.member_id,
        identity.cluster_id,
    )
}

/// The state, and who it belonged to if the source says so.
fn read(order: &Order, lines: &mut Lines<'_>) -> Result<(Loaded, Option<Identity>), Unusable> {
    let source = &order.source;
    if !source.is_dir() {
        if order.wal_dir.is_some() {
            lines.say("--wal-dir has no effect on a single file: the journal is in --data-dir");
        }
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
    let begins = beginning(source);
    let begins = begins.map_err(|error| Unusable(format!("{}: {error}", source.display())))?;
    if begins.starts_with(CHECKPOINT) {
        let state = lines.phase("reading the checkpoint", |_| checkpoint(source))?;
        return Ok(Loaded { state, notes: Vec::new() });
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

fn beginning(path: &Path) -> io::Result<Vec<u8>> {
    let mut begins = Vec::new();
    File::open(path)?.take(CHECKPOINT.len() as u64).read_to_end(&mut begins)?;
    Ok(begins)
}
