//! An etcd's database: opened, judged, and read into a state bucket by bucket. Of the file only a page
//! at a time is in memory.

use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use bolt::{Cursor, Reader};
use bytes::BytesMut;
use state::{
    AuthRevision, Epoch, Import, ImportError, ImportedAuth, KvRef, ModRevision, Revision, State,
};

use super::protobuf::Malformed;
use super::{Progress, Unusable, schema};

/// The newest schema that is understood.
const NEWEST: (u64, u64) = (3, 7);
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
    index: u64,
    term: u64,
    compacted: Revision,
    scheduled: Revision,
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
            index: 0,
            term: 0,
            compacted: Revision::NEVER_COMPACTED,
            scheduled: Revision::NEVER_COMPACTED,
            voters: BTreeSet::new(),
        };
        database.read_meta()?;
        database.read_members()?;
        Ok(database)
    }

    /// The newest raft entry it holds; 0 if it does not say.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// That entry's term; 0 if it does not say, as before etcd 3.5.
    #[must_use]
    pub const fn term(&self) -> u64 {
        self.term
    }

    /// The members that vote.
    #[must_use]
    pub const fn voters(&self) -> &BTreeSet<u64> {
        &self.voters
    }

    fn read_meta(&mut self) -> Result<(), Unusable> {
        let path = &self.path;
        let bucket = |name: &[u8]| self.reader.bucket(name).map_err(|error| refused(path, &error));
        if bucket(b"key")?.is_none() {
            return Err(Unusable(format!(
                "{} is a bolt database, but not an etcd's: it has no bucket 'key'",
                path.display()
            )));
        }
        let Some(meta) = bucket(b"meta")? else { return Ok(()) };
        let get = |key: &[u8]| meta.get(key).map_err(|error| refused(path, &error));
        let unread = |what: &str| Unusable(format!("{}: {what}", path.display()));
        if let Some(version) = get(b"storageVersion")? {
            judge_version(path, &version)?;
        }
        let number = |key: &[u8], what| match get(key)? {
            Some(bytes) => schema::number(&bytes).ok_or_else(|| unread(what)),
            None => Ok(0),
        };
        let index = number(b"consistent_index", "its consistent index is not a number")?;
        let term = number(b"term", "its term is not a number")?;
        let revision = |key: &[u8], what| match get(key)? {
            Some(bytes) => schema::revision(&bytes).map(|at| at.main).ok_or_else(|| unread(what)),
            None => Ok(Revision::NEVER_COMPACTED),
        };
        let compacted = revision(b"finishedCompactRev", "its compacted revision is not one")?;
        let scheduled = revision(b"scheduledCompactRev", "its scheduled revision is not one")?;
        (self.index, self.term) = (index, term);
        (self.compacted, self.scheduled) = (compacted, scheduled);
        Ok(())
    }

    fn read_members(&mut self) -> Result<(), Unusable> {
        let mut voters = BTreeSet::new();
        self.each(b"members", |key, value, _| {
            let id = std::str::from_utf8(key).ok().and_then(|id| u64::from_str_radix(id, 16).ok());
            // JSON as etcd writes it, without spaces; a learner does not vote.
            let learns = value.windows(16).any(|part| part == br#""isLearner":true"#);
            voters.extend(id.filter(|_| !learns));
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
        mut each: impl FnMut(&[u8], &[u8], u64) -> Result<(), Unusable>,
    ) -> Result<(), Unusable> {
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

    fn unfit(&self, page: u64, error: ImportError) -> Unusable {
        self.damaged(page, &error.to_string())
    }

    /// Reads all of it. The state stands before the first entry of a journal.
    ///
    /// # Errors
    /// [`Unusable`]: which page is damaged, or which record cannot be.
    pub fn load(&self, progress: Progress<'_>) -> Result<Loaded, Unusable> {
        let hasher = RandomState::new();
        let mut import = Import::new(self.compacted, Box::new(move |key| hasher.hash_one(key)));
        let mut notes = Vec::new();
        if let Some(what) = self.reader.other_meta() {
            notes.push(format!(
                "one of the two meta pages is not sound ({what}); the other one was taken"
            ));
        }
        self.load_leases(&mut import)?;
        self.load_alarms(&mut import, &mut notes)?;
        import.auth(self.load_auth()?);
        let last = self.load_records(&mut import, &mut notes, progress)?;
        let loaded = import.finish(last, self.scheduled, Epoch(self.term));
        let (state, astray) = loaded.map_err(|error| self.unfit(0, error))?;
        if astray > 0 {
            notes.push(format!(
                "{astray} keys name a lease that is not there, in that etcd as here"
            ));
        }
        progress(self.reader.bytes(), self.reader.bytes());
        Ok(Loaded { state, notes })
    }

    fn load_leases(&self, import: &mut Import) -> Result<(), Unusable> {
        self.each(b"lease", |_, value, page| {
            let lease = schema::lease(value);
            let (id, ttl) = lease.map_err(|_| self.damaged(page, "a lease cannot be read"))?;
            import.lease(id, ttl.max(1)).map_err(|error| self.unfit(page, error))
        })
    }

    fn load_alarms(&self, import: &mut Import, notes: &mut Vec<String>) -> Result<(), Unusable> {
        self.each(b"alarm", |key, _, page| {
            let alarm = schema::alarm(key);
            match alarm.map_err(|_| self.damaged(page, "an alarm cannot be read"))? {
                Some(alarm) => import.alarm(alarm),
                None => notes.push("an alarm of a kind that is not known was left out".to_owned()),
            }
            Ok(())
        })
    }

    fn load_auth(&self) -> Result<ImportedAuth, Unusable> {
        let mut auth = ImportedAuth::default();
        self.each(b"auth", |key, value, page| {
            let not = || self.damaged(page, "the revision of users and roles is not a number");
            match key {
                b"authEnabled" => auth.enabled = value == [1],
                b"authRevision" => {
                    auth.revision = AuthRevision(schema::number(value).ok_or_else(not)?);
                }
                _ => {}
            }
            Ok(())
        })?;
        self.each(b"authUsers", |_, value, page| {
            let user = schema::user(value);
            auth.users.push(user.map_err(|_| self.damaged(page, "a user cannot be read"))?);
            Ok(())
        })?;
        self.each(b"authRoles", |_, value, page| {
            let role = schema::role(value);
            auth.roles.push(role.map_err(|_| self.damaged(page, "a role cannot be read"))?);
            Ok(())
        })?;
        Ok(auth)
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
        self.each(b"key", |key, value, page| {
            let not = || self.damaged(page, "a key in the bucket of records is not a revision");
            let (at, tombstone) = schema::record_key(key).ok_or_else(not)?;
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
        if nameless > 0 {
            notes.push(format!(
                "{nameless} records without a key were left out; `--bump-revision` has made them in \
                 that etcd, whose HashKV counts them"
            ));
        }
        Ok(last)
    }

    fn load_some(&self, import: &mut Import, some: &mut Records) -> Result<(), Unusable> {
        let page = some.page;
        let records = some.read().map_err(|at| {
            let what = format!("record {}_{} cannot be read", at.main, at.sub);
            self.damaged(page, &what)
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

    fn read(&self) -> Result<Vec<KvRef<'_>>, ModRevision> {
        let mut begin = 0;
        let mut records = Vec::with_capacity(self.parts.len());
        for (at, tombstone, end) in &self.parts {
            let record = schema::record(*at, *tombstone, &self.bytes[begin..*end]);
            records.push(record.map_err(|Malformed| *at)?);
            begin = *end;
        }
        Ok(records)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.parts.clear();
    }
}

fn judge_version(path: &Path, version: &[u8]) -> Result<(), Unusable> {
    let text = String::from_utf8_lossy(version).into_owned();
    let mut parts = text.split('.').map_while(|part| part.parse::<u64>().ok());
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if found <= NEWEST {
        return Ok(());
    }
    Err(Unusable(format!(
        "{} is of an etcd with storage version {text}; up to {}.{} is understood. Have that etcd \
         downgrade its storage first (`etcdutl migrate`), or use a newer Meridian",
        path.display(),
        NEWEST.0,
        NEWEST.1
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
