//! The data directory: whose it is, and which member it belongs to.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;

use journal::file::{RealDisk, refuse_etcd};

use super::StartError;
use crate::config::{Config, Identity as Ids, InitialClusterState};

/// The file that keeps the ids of a data directory.
pub(crate) const IDENTITY: &str = "identity";
/// What keeps a second process out where the journal does not.
const LOCK: &str = "lock";
/// The line of the identity that its checksum follows. Older releases wrote none, and skip it.
const CHECKSUM: &str = "checksum ";
/// The line of the identity that tells a replica of a shared journal from the owner of a file.
const SHARED: &str = "journal shared";

/// Makes the data directory or finds its ids; an etcd's directory is left alone.
pub(super) fn open(config: &Config) -> Result<Ids, StartError> {
    let folder = &config.data_dir;
    check_whole(folder)?;
    let file = folder.join(IDENTITY);
    match fs::read_to_string(&file) {
        Ok(text) if is_shared(&text) => {
            return Err(of_another_kind(folder, "is that of a replica"));
        }
        Ok(text) => return parse_identity(&text).ok_or_else(|| damaged(&file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(&file, &error)),
    }
    if config.initial_cluster_state == InitialClusterState::Existing {
        return Err(StartError(format!(
            "--initial-cluster-state existing, but {} holds no member: to start a new cluster, say \
             --initial-cluster-state new; to go on with one, set --data-dir to its directory",
            folder.display()
        )));
    }
    if ["member/snap", "member/wal"].iter().any(|part| folder.join(part).exists()) {
        // The journal says the same of an etcd's directory; nothing must be written to it before.
        return Ok(config.identity);
    }
    make(folder)?;
    write_identity(&file, config.identity).map_err(|error| failed(&file, &error))?;
    Ok(config.identity)
}

/// What a replica has of its own: checkpoints, and which member it is.
pub(super) struct OfReplica {
    /// The id it had at an earlier start.
    pub(super) member: Option<u64>,
    /// Keeps a second process out for as long as it is open.
    pub(super) lock: File,
}

/// Makes the directory of a replica, or finds which member it is.
pub(super) fn open_for_replica(config: &Config) -> Result<OfReplica, StartError> {
    let folder = &config.data_dir;
    check_whole(folder)?;
    refuse_etcd(&RealDisk, folder).map_err(|error| StartError(error.to_string()))?;
    let file = folder.join(IDENTITY);
    let found = match fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(&file, &error)),
    };
    let ids = match &found {
        Some(text) if !is_shared(text) => {
            return Err(of_another_kind(folder, "has a journal of its own"));
        }
        Some(text) => Some(parse_identity(text).ok_or_else(|| damaged(&file))?),
        None => None,
    };
    if let Some(ids) = ids.filter(|ids| ids.cluster_id != config.identity.cluster_id) {
        return Err(StartError(format!(
            "{} belongs to cluster {:x}, and --initial-cluster-token {:?} means cluster {:x}: use the \
             token it was begun with, or another --data-dir",
            folder.display(),
            ids.cluster_id,
            config.initial_cluster_token,
            config.identity.cluster_id
        )));
    }
    make(folder)?;
    Ok(OfReplica { member: ids.map(|ids| ids.member_id), lock: lock(folder)? })
}

/// Keeps which member this is, so that it is the same after a restart.
pub(super) fn keep(config: &Config, ids: Ids) -> Result<(), StartError> {
    let file = config.data_dir.join(IDENTITY);
    write(&file, &text(ids, true)).map_err(|error| failed(&file, &error))
}

pub(crate) fn is_shared(identity: &str) -> bool {
    identity.lines().any(|line| line == SHARED)
}

fn of_another_kind(folder: &Path, what: &str) -> StartError {
    StartError(format!(
        "{} {what}, and --journal says otherwise: start with the --journal it was begun with, or with \
         another --data-dir",
        folder.display()
    ))
}

fn check_whole(folder: &Path) -> Result<(), StartError> {
    if folder.join(engine::restore::RESTORING).exists() {
        return Err(StartError(format!(
            "{} is not whole: a restore into it is under way, or was interrupted. Run `meridian restore` \
             again; it begins anew",
            folder.display()
        )));
    }
    Ok(())
}

fn lock(folder: &Path) -> Result<File, StartError> {
    let path = folder.join(LOCK);
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    let file = options.open(&path).map_err(|error| failed(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError(format!(
            "{} is in use by another process: give each replica its own --data-dir",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => Err(failed(&path, &error)),
    }
}

fn make(folder: &Path) -> Result<(), StartError> {
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    restrict(folder).map_err(|error| failed(folder, &error))
}

fn failed(what: &Path, error: &io::Error) -> StartError {
    StartError(format!("cannot use {}: {error}; see --data-dir", what.display()))
}

/// As etcd: the data is its owner's business alone.
fn restrict(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
}

pub(crate) fn write_identity(file: &Path, ids: Ids) -> io::Result<()> {
    write(file, &text(ids, false))
}

fn text(ids: Ids, shared: bool) -> String {
    let shared_line = if shared { format!("{SHARED}\n") } else { String::new() };
    format!(
        "member {:016x}\ncluster {:016x}\n{CHECKSUM}{:08x}\n{shared_line}",
        ids.member_id,
        ids.cluster_id,
        checksum(ids, shared)
    )
}

/// Of what the lines say.
fn checksum(ids: Ids, shared: bool) -> u32 {
    let member = crc32c::crc32c(&ids.member_id.to_le_bytes());
    let both = crc32c::crc32c_append(member, &ids.cluster_id.to_le_bytes());
    crc32c::crc32c_append(both, &[u8::from(shared)])
}

fn write(file: &Path, text: &str) -> io::Result<()> {
    let unfinished = file.with_extension("unfinished");
    fs::write(&unfinished, text)?;
    fs::File::open(&unfinished)?.sync_all()?;
    fs::rename(&unfinished, file)?;
    file.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

pub(crate) fn parse_identity(text: &str) -> Option<Ids> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let number = |name: &str| u64::from_str_radix(line(name)?.trim(), 16).ok();
    let ids = Ids { member_id: number("member ")?, cluster_id: number("cluster ")? };
    match line(CHECKSUM) {
        Some(_) => (number(CHECKSUM)? == u64::from(checksum(ids, is_shared(text)))).then_some(ids),
        None => Some(ids),
    }
}

fn damaged(file: &Path) -> StartError {
    StartError(format!(
        "{} does not hold two lines 'member HEX' and 'cluster HEX', or its checksum is not theirs; restore \
         it, or take the ids from the log of an earlier start",
        file.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flip_anywhere_gives_no_other_ids() {
        let ids = Ids { member_id: 0x8e9e_05c5_2164_694d, cluster_id: 0xcdf8_1819_4e3a_8c32 };
        for shared in [false, true] {
            let whole = text(ids, shared);
            assert_eq!(parse_identity(&whole), Some(ids));
            let mut refused = 0;
            for at in 0..whole.len() {
                for bit in 0..8 {
                    let mut flipped = whole.clone().into_bytes();
                    flipped[at] ^= 1 << bit;
                    // What is not text is refused where it is read.
                    let Ok(flipped) = String::from_utf8(flipped) else { continue };
                    let found = parse_identity(&flipped);
                    assert!(found.is_none_or(|found| found == ids), "byte {at} bit {bit}");
                    refused += u32::from(found.is_none());
                }
            }
            assert!(refused > 200, "{refused}");
        }
    }
}
