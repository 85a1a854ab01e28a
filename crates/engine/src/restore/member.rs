//! The data directory of a stopped etcd: its database, and behind that what its write-ahead log holds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use state::{Command, Entry, Epoch, MemberId, Position, State, Timestamp};

use super::database::{Database, Loaded};
use super::wal::{Owner, Proposal, VoterChange, Wal};
use super::{Progress, Unusable};

/// Entries applied between two steps of compaction.
const MAINTAIN_EVERY: u64 = 1000;

/// What a request of the log comes to: a command, or nothing that concerns a state; or why it cannot
/// be told.
pub type Translate<'a> = &'a mut dyn FnMut(&[u8]) -> Result<Option<Command>, String>;

/// An etcd's database and log.
#[derive(Debug)]
pub struct Member {
    database: Database,
    wal: Wal,
}

impl Member {
    /// Whether `dir` looks like an etcd's.
    #[must_use]
    pub fn is_at(dir: &Path) -> bool {
        folder(dir).is_some()
    }

    /// Opens the data directory `dir`, whose log is in `wal_dir` if not where it usually is.
    ///
    /// # Errors
    /// [`Unusable`] if an etcd runs on it, or part of it is missing or damaged.
    pub fn open(
        dir: &Path,
        wal_dir: Option<&Path>,
        progress: Progress<'_>,
    ) -> Result<Self, Unusable> {
        let Some(member) = folder(dir) else {
            return Err(Unusable(format!("{} is no etcd's data directory", dir.display())));
        };
        let snap = member.join("snap");
        let wal_dir = wal_dir.map_or_else(|| member.join("wal"), Path::to_path_buf);
        if !wal_dir.exists() {
            return Err(Unusable(format!(
                "{} is not there: without its write-ahead log the directory may lack what was written \
                 last. If that etcd ran with --wal-dir, give the same one here; if the log is lost, \
                 restore {} with --skip-hash-check",
                wal_dir.display(),
                snap.join("db").display()
            )));
        }
        let database = Database::open(&snap.join("db"))?;
        let wal = Wal::open(&wal_dir, database.index(), progress)?;
        let Some(snapshot) = wal.snapshot().filter(|index| *index > database.index()) else {
            return Ok(Self { database, wal });
        };
        // A follower that was sent a whole database had not yet put it in the place of its own.
        let sent = snap.join(format!("{snapshot:016x}.snap.db"));
        if sent.exists() {
            let database = Database::open(&sent)?;
            let wal = Wal::open(&wal_dir, database.index(), progress)?;
            return Ok(Self { database, wal });
        }
        if database.index() > 0 {
            return Err(Unusable(format!(
                "{} stands at entry {}, but the log has a snapshot at {snapshot}, whose database {} is \
                 missing; restore another member's directory, or a snapshot",
                snap.join("db").display(),
                database.index(),
                sent.display()
            )));
        }
        let wal = Wal::open(&wal_dir, snapshot, progress)?;
        Ok(Self { database, wal })
    }

    /// Whose directory it is.
    #[must_use]
    pub const fn owner(&self) -> Owner {
        self.wal.owner()
    }

    /// Reads the database and applies what the log holds behind it.
    ///
    /// # Errors
    /// [`Unusable`]: what is damaged, or which entry cannot be understood.
    pub fn load(
        &self,
        translate: Translate<'_>,
        progress: Progress<'_>,
    ) -> Result<Loaded, Unusable> {
        let Loaded { mut state, mut notes } = self.database.load(progress)?;
        if let Some((file, offset)) = self.wal.torn() {
            notes.push(format!(
                "the log ends within a record, in {} at byte {offset}: it was being written and was \
                 never acknowledged",
                file.display()
            ));
        }
        let upto = self.upto(&mut notes)?;
        let before = self.wal.after();
        let applied = self.apply(&mut state, upto, translate)?;
        if applied > 0 {
            let first = before + 1;
            notes.push(format!("{applied} entries of the log were applied: {first} to {upto}"));
        } else if self.wal.last() == before && self.wal.committed() < before {
            notes.push(format!("the log ends before entry {before}, where the database stands"));
        }
        Ok(Loaded { state, notes })
    }

    /// The last entry that counts. What a single voter has written it will take as committed when it
    /// is started; one of several cannot know.
    fn upto(&self, notes: &mut Vec<String>) -> Result<u64, Unusable> {
        let (last, committed) = (self.wal.last(), self.wal.committed());
        let mut voters: BTreeSet<u64> = self.database.voters().clone();
        self.wal.replay(committed, |entry| {
            match entry.proposal {
                Proposal::Membership(Some(VoterChange::Joins(member))) => {
                    voters.insert(member);
                }
                Proposal::Membership(Some(VoterChange::Leaves(member))) => {
                    voters.remove(&member);
                }
                _ => {}
            }
            Ok(())
        })?;
        if voters.iter().eq([&self.owner().member]) {
            return Ok(last);
        }
        let upto = last.min(committed).max(self.wal.after());
        if upto < last {
            notes.push(format!(
                "entries {} to {last} of the log were left out: this was one member of {}, and nothing \
                 here says that the others have them",
                upto + 1,
                voters.len()
            ));
        }
        Ok(upto)
    }

    fn apply(
        &self,
        state: &mut State,
        upto: u64,
        translate: Translate<'_>,
    ) -> Result<u64, Unusable> {
        let mut applied = 0_u64;
        let member = MemberId(self.owner().member);
        self.wal.replay(upto, |entry| {
            let epoch = Epoch(entry.term);
            if epoch > state.epoch() {
                take(state, Command::Claim { epoch, member });
            }
            applied += 1;
            let Proposal::Request(request) = entry.proposal else { return Ok(()) };
            let command = translate(request).map_err(|why| {
                Unusable(format!("entry {} of the write-ahead log: {why}", entry.index))
            })?;
            if let Some(command) = command {
                take(state, command);
            }
            if applied.is_multiple_of(MAINTAIN_EVERY) {
                state.maintain(usize::MAX);
            }
            Ok(())
        })?;
        while state.maintain(usize::MAX) {}
        state.begin_anew();
        Ok(applied)
    }
}

/// What etcd refused has no effect here either.
fn take(state: &mut State, command: Command) {
    let entry = Entry {
        epoch: state.epoch(),
        clock: Timestamp::default(),
        commands: vec![command],
        origins: Vec::new(),
    };
    state.apply(Position(state.position().0 + 1), &entry);
}

/// Where a directory has its `snap`: in `member`, if it is not that one itself.
fn folder(dir: &Path) -> Option<PathBuf> {
    let member = dir.join("member");
    [member, dir.to_path_buf()].into_iter().find(|folder| folder.join("snap/db").exists())
}
