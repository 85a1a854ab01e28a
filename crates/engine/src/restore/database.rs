//! An etcd's database: opened, judged, and read into a state bucket by bucket. Of the file only a page
//! at a time is in memory.

mod transcribe;

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use bolt::{Cursor, Reader};
use bytes::BytesMut;
use state::{Import, ImportError, ImportedAuth, KvRef, ModRevision, Revision, State};

pub use transcribe::Transcribed;

use super::{Progress, Unusable};
use crate::archive::unforeseeable_hash;
use crate::etcd::meta::{self, Meta};
use crate::etcd::{Malformed, STORAGE_VERSION, alarm, auth, bucket, key, lease, member};

/// So many records are handed on together, or so many bytes of them.
const TOGETHER: usize = 256;
const TOGETHER_BYTES: usize = 1 << 20;

/// An open database that nobody writes to.
#[derive(Debug)]
pub struct Database {
    path: PathBuf,
    reader: Reader,
    /// Held, so that no etcd starts on the file meanwhile.
    _lock: File,
    meta: Meta,
    voters: BTreeSet<u64>,
}

/// A state as it was read, and what has to be said about it.
#[derive(Debug)]
pub struct Loaded {
    /// The state.
    pub state: State,
    /// For a person: what is not as it was.
    pub notes: Vec<String>,
}

impl Database {
    /// Opens the database in `path`.
    ///
    /// # Errors
    /// [`Unusable`] if an etcd runs on it, or it is no database of an etcd up to 3.7.
    pub fn open(path: &Path) -> Result<Self, Unusable> {
        let io = |error| Unusable::io(path, &error);
        let file = File::open(path).map_err(io)?;
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Unusable(format!(
                    "{} is in use: an etcd runs on it. Stop it first, or restore what `etcdctl \
                     snapshot save` takes from it",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let lock = file.try_clone().map_err(io)?;
        let reader = Reader::new(file).map_err(|error| refused(path, &error))?;
        let mut database = Self {
            path: path.to_path_buf(),
            reader,
            _lock: lock,
            meta: Meta::default(),
            voters: BTreeSet::new(),
        };
        database.read_meta()?;
        database.read_members()?;
        Ok(database)
    }

    /// The newest raft entry it holds; 0 if it does not say.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.meta.position.0
    }

    /// That entry's term; 0 if it does not say, as before etcd 3.5.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.meta.epoch.0
    }

    /// The members that vote.
    #[must_use]
    pub const fn voters(&self) -> &BTreeSet<u64> {
        &self.voters
    }

    fn read_meta(&mut self) -> Result<(), Unusable> {
        let path = &self.path;
        if self.cursor(bucket::KEY)?.is_none() {
            return Err(Unusable(format!(
                "{} is a bolt database, but not an etcd's: it has no bucket 'key'",
                path.display()
            )));
        }
        let refused = |error| refused(path, &error);
        let bucket = self.reader.bucket(bucket::META).map_err(refused)?;
        // Before all else, which may have another form there.
        if let Some(bucket) = bucket
            && let Some(version) = bucket.get(meta::VERSION).map_err(refused)?
        {
            judge_version(path, &version)?;
        }
        let mut meta = Meta::default();
        self.each(bucket::META, |key, value, page| {
            meta.decode(key, value).map_err(|Malformed(what)| self.damaged(page, what))
        })?;
        self.meta = meta;
        Ok(())
    }

    fn read_members(&mut self) -> Result<(), Unusable> {
        let mut voters = BTreeSet::new();
        self.each(bucket::MEMBERS, |key, value, _| {
            voters.extend(member::decode_voter(key, value));
            Ok(())
        })?;
        self.voters = voters;
        Ok(())
    }

    /// Hands `each` the keys and values of a bucket, and the page they are on; none if there is no
    /// such bucket.
    fn each(
        &self,
        bucket: &[u8],
        each: impl FnMut(&[u8], &[u8], u64) -> Result<(), Unusable>,
    ) -> Result<(), Unusable> {
        self.each_until(bucket, each)
    }

    /// As [`Database::each`], with other reasons to stop.
    fn each_until<E: From<Unusable>>(
        &self,
        bucket: &[u8],
        mut each: impl FnMut(&[u8], &[u8], u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(mut cursor) = self.cursor(bucket)? else { return Ok(()) };
        loop {
            let page = cursor.page();
            let entry = cursor.next().map_err(|error| refused(&self.path, &error))?;
            let Some(entry) = entry else { return Ok(()) };
            each(entry.key, entry.value, page)?;
        }
    }

    fn cursor(&self, bucket: &[u8]) -> Result<Option<Cursor<'_>>, Unusable> {
        let bucket = self.reader.bucket(bucket).map_err(|error| refused(&self.path, &error))?;
        Ok(bucket.map(|bucket| bucket.cursor()))
    }

    fn damaged(&self, page: u64, what: &str) -> Unusable {
        let what = what.to_owned();
        refused(&self.path, &bolt::Error::Damaged { page, what })
    }

    fn unread(&self, page: u64, entry: &str, why: Malformed) -> Unusable {
        self.damaged(page, &format!("{entry} cannot be read: {why}"))
    }

    fn unfit(&self, page: u64, error: ImportError) -> Unusable {
        self.damaged(page, &error.to_string())
    }

    /// Reads all of it. The state stands before the first entry of a journal.
    ///
    /// # Errors
    /// [`Unusable`]: which page is damaged, or which record cannot be.
    pub fn load(&self, progress: Progress<'_>) -> Result<Loaded, Unusable> {
        let (mut import, mut notes) = self.load_all_but_records()?;
        let last = self.load_records(&mut import, &mut notes, progress)?;
        let loaded = import.finish(last, self.meta.scheduled, self.meta.epoch);
        let (state, astray) = loaded.map_err(|error| self.unfit(0, error))?;
        note_astray(astray, &mut notes);
        progress(self.reader.bytes(), self.reader.bytes());
        Ok(Loaded { state, notes })
    }

    fn load_all_but_records(&self) -> Result<(Import, Vec<String>), Unusable> {
        let mut import = Import::new(self.meta.compacted, unforeseeable_hash());
        let mut notes = Vec::new();
        if let Some(what) = self.reader.other_meta() {
            notes.push(format!(
                "one of the two meta pages is not sound ({what}); the other one was taken"
            ));
        }
        self.load_leases(&mut import)?;
        self.load_alarms(&mut import, &mut notes)?;
        import.auth(self.load_auth()?);
        Ok((import, notes))
    }

    fn load_leases(&self, import: &mut Import) -> Result<(), Unusable> {
        self.each(bucket::LEASE, |key, value, page| {
            let lease = lease::decode(key, value);
            let (id, ttl) = lease.map_err(|why| self.unread(page, "a lease", why))?;
            import.lease(id, ttl.max(1)).map_err(|error| self.unfit(page, error))
        })
    }

    fn load_alarms(&self, import: &mut Import, notes: &mut Vec<String>) -> Result<(), Unusable> {
        self.each(bucket::ALARM, |key, _, page| {
            let alarm = alarm::decode(key);
            match alarm.map_err(|why| self.unread(page, "an alarm", why))? {
                Some(alarm) => import.alarm(alarm),
                None => notes.push("an alarm of a kind that is not known was left out".to_owned()),
            }
            Ok(())
        })
    }

    fn load_auth(&self) -> Result<ImportedAuth, Unusable> {
        let mut rights = ImportedAuth::default();
        self.each(bucket::AUTH, |key, value, page| {
            let read = auth::decode(key, value, &mut rights);
            read.map_err(|Malformed(what)| self.damaged(page, what))
        })?;
        self.each(bucket::AUTH_USERS, |key, value, page| {
            let user = auth::decode_user(key, value);
            rights.users.push(user.map_err(|why| self.unread(page, "a user", why))?);
            Ok(())
        })?;
        self.each(bucket::AUTH_ROLES, |key, value, page| {
            let role = auth::decode_role(key, value);
            rights.roles.push(role.map_err(|why| self.unread(page, "a role", why))?);
            Ok(())
        })?;
        Ok(rights)
    }

    /// Returns the newest revision that any record has.
    fn load_records(
        &self,
        import: &mut Import,
        notes: &mut Vec<String>,
        progress: Progress<'_>,
    ) -> Result<Revision, Unusable> {
        let (mut last, mut nameless, mut done) = (Revision(0), 0, 0);
        let mut some = Records::default();
        self.each(bucket::KEY, |key, value, page| {
            let at = key::decode_revision(key);
            let (at, tombstone) = at.map_err(|why| self.unread(page, "a record", why))?;
            last = at.main;
            done += (key.len() + value.len()) as u64;
            if value.is_empty() {
                nameless += 1;
                return Ok(());
            }
            some.add(at, tombstone, value, page);
            if some.is_enough() {
                self.load_some(import, &mut some)?;
                progress(done, self.reader.bytes());
            }
            Ok(())
        })?;
        self.load_some(import, &mut some)?;
        note_nameless(nameless, notes);
        Ok(last)
    }

    fn load_some(&self, import: &mut Import, some: &mut Records) -> Result<(), Unusable> {
        let page = some.page;
        let records = some.read().map_err(|(at, why)| {
            self.unread(page, &format!("record {}_{}", at.main, at.sub), why)
        })?;
        import.records(&records).map_err(|error| self.unfit(page, error))?;
        drop(records);
        some.clear();
        Ok(())
    }
}

/// Records gathered to be handed on together: their bytes do not outlive the page they were on.
#[derive(Default)]
struct Records {
    bytes: BytesMut,
    parts: Vec<(ModRevision, bool, usize)>,
    /// Where the first of them is.
    page: u64,
}

impl Records {
    fn add(&mut self, at: ModRevision, tombstone: bool, value: &[u8], page: u64) {
        if self.parts.is_empty() {
            self.page = page;
        }
        self.bytes.extend_from_slice(value);
        self.parts.push((at, tombstone, self.bytes.len()));
    }

    fn is_enough(&self) -> bool {
        self.parts.len() >= TOGETHER || self.bytes.len() >= TOGETHER_BYTES
    }

    fn read(&self) -> Result<Vec<KvRef<'_>>, (ModRevision, Malformed)> {
        let mut begin = 0;
        let mut records = Vec::with_capacity(self.parts.len());
        for (at, tombstone, end) in &self.parts {
            let record = key::decode(*at, *tombstone, &self.bytes[begin..*end]);
            records.push(record.map_err(|why| (*at, why))?);
            begin = *end;
        }
        Ok(records)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.parts.clear();
    }
}

fn note_nameless(records: u64, notes: &mut Vec<String>) {
    if records > 0 {
        notes.push(format!(
            "{records} records without a key were left out; `--bump-revision` has made them in that \
             etcd, whose HashKV counts them"
        ));
    }
}

fn note_astray(keys: u64, notes: &mut Vec<String>) {
    if keys > 0 {
        notes.push(format!("{keys} keys name a lease that is not there, in that etcd as here"));
    }
}

fn judge_version(path: &Path, version: &[u8]) -> Result<(), Unusable> {
    if meta::decode_version(version) <= STORAGE_VERSION {
        return Ok(());
    }
    Err(Unusable(format!(
        "{} is of an etcd with storage version {}; up to {}.{} is understood. Have that etcd \
         downgrade its storage first (`etcdutl migrate`), or use a newer Meridian",
        path.display(),
        String::from_utf8_lossy(version),
        STORAGE_VERSION.major,
        STORAGE_VERSION.minor
    )))
}

fn refused(path: &Path, error: &bolt::Error) -> Unusable {
    let path = path.display();
    Unusable(match error {
        bolt::Error::Io { .. } => format!("{path}: {error}"),
        bolt::Error::NotBolt(_) => format!(
            "{path}: {error}. What is wanted is a file of `etcdctl snapshot save`, an etcd's \
             member/snap/db, or a checkpoint of Meridian"
        ),
        bolt::Error::CutOff { .. } | bolt::Error::Damaged { .. } => {
            format!("{path}: {error}. Nothing was restored; take another snapshot or backup")
        }
    })
}
