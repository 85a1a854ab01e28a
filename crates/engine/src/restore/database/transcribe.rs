//! A database written as a checkpoint while it is read. The keys are never in memory, so it takes no longer
//! than the file and its checksum do.

use bytes::Bytes;
use state::{Digest, KvRef, Revision, State, Transcript, Untold};

use super::{Database, note_astray, note_nameless, refused};
use crate::archive::{AtOnce, unforeseeable_hash};
use crate::etcd::{bucket, key};
use crate::restore::{Destination, Progress, Unusable};

/// Greater than the key of every record.
const BEHIND_ALL: &[u8] = &[0xff; key::REVISION + 2];

/// A checkpoint that was made of a database, and what has to be said about it.
#[derive(Debug)]
pub struct Transcribed {
    /// What is in it, but for the keys.
    pub rest: State,
    /// What of it all replicas agree on.
    pub digest: Digest,
    /// The size of the checkpoint.
    pub bytes: u64,
    /// For a person: what is not as it was.
    pub notes: Vec<String>,
}

/// Why it ends early.
enum Stop {
    Unusable(Unusable),
    /// By a database that has to be loaded, if only to say what is wrong.
    Untold,
    /// By the checkpoint, which will say why.
    Unwritten,
}

impl From<Unusable> for Stop {
    fn from(error: Unusable) -> Self {
        Self::Unusable(error)
    }
}

impl From<Untold> for Stop {
    fn from(_: Untold) -> Self {
        Self::Untold
    }
}

impl Database {
    /// Writes the checkpoint of a new data directory. None where that takes a [`Database::load`] first:
    /// a compaction has to be carried out that etcd had not.
    ///
    /// # Errors
    /// [`Unusable`] as from loading, or if it cannot be written.
    pub fn transcribe(
        &self,
        destination: &Destination,
        progress: Progress<'_>,
    ) -> Result<Option<Transcribed>, Unusable> {
        let (import, mut notes) = self.load_all_but_records()?;
        let finished = import.finish(self.newest()?, self.meta.scheduled, self.meta.epoch);
        let (rest, _) = finished.map_err(|error| self.unfit(0, error))?;
        let hashes = [unforeseeable_hash(), unforeseeable_hash()];
        let mut transcript = Transcript::new(rest.image(), hashes);
        let file = destination.at_once(rest.position())?;
        transcript.beginning().all(|block| file.write(block));
        let done = self.transcribe_records(&mut transcript, &file, &mut notes, progress);
        let ended = done.and_then(|()| {
            let (blocks, digest, astray) = transcript.finish()?;
            blocks.into_iter().try_for_each(|block| put(&file, block))?;
            note_astray(astray, &mut notes);
            Ok(digest)
        });
        match ended {
            Ok(digest) => {
                let bytes = destination.finish_writing(file)?;
                progress(self.reader.bytes(), self.reader.bytes());
                Ok(Some(Transcribed { rest, digest, bytes, notes }))
            }
            Err(Stop::Untold) => Ok(None),
            Err(Stop::Unwritten) => match destination.finish_writing(file) {
                Err(error) => Err(error),
                Ok(_) => unreachable!("it took no more blocks"),
            },
            Err(Stop::Unusable(error)) => Err(error),
        }
    }

    /// The newest revision that any record has.
    fn newest(&self) -> Result<Revision, Unusable> {
        let Some(mut cursor) = self.cursor(bucket::KEY)? else { return Ok(Revision(0)) };
        cursor.seek(BEHIND_ALL).map_err(|error| refused(&self.path, &error))?;
        let Some(last) = cursor.before() else { return Ok(Revision(0)) };
        let at = key::decode_revision(last.key);
        at.map(|(at, _)| at.main).map_err(|why| self.unread(cursor.page(), "a record", why))
    }

    fn transcribe_records(
        &self,
        transcript: &mut Transcript,
        file: &AtOnce,
        notes: &mut Vec<String>,
        progress: Progress<'_>,
    ) -> Result<(), Stop> {
        let (mut done, mut nameless) = (0, 0);
        self.each_until::<Stop>(bucket::KEY, |key, value, page| {
            done += (key.len() + value.len()) as u64;
            let Some(kv) = self.record(key, value, page)? else {
                nameless += 1;
                return Ok(());
            };
            if let Some(block) = transcript.record(&kv)? {
                put(file, block)?;
                progress(done, self.reader.bytes());
            }
            Ok(())
        })?;
        note_nameless(nameless, notes);
        if transcript.wants_again() {
            self.show_again(transcript)?;
        }
        Ok(())
    }

    fn show_again(&self, transcript: &mut Transcript) -> Result<(), Unusable> {
        let Some(mut cursor) = self.cursor(bucket::KEY)? else { return Ok(()) };
        loop {
            let page = cursor.page();
            let entry = cursor.next().map_err(|error| refused(&self.path, &error))?;
            let Some(entry) = entry else {
                return Err(self.damaged(page, "it has fewer records than before"));
            };
            if let Some(kv) = self.record(entry.key, entry.value, page)?
                && !transcript.again(&kv)
            {
                return Ok(());
            }
        }
    }

    /// What an entry of the bucket `key` is; none, if it names no key.
    fn record<'a>(
        &self,
        key: &[u8],
        value: &'a [u8],
        page: u64,
    ) -> Result<Option<KvRef<'a>>, Unusable> {
        let at = key::decode_revision(key);
        let (at, tombstone) = at.map_err(|why| self.unread(page, "a record", why))?;
        if value.is_empty() {
            return Ok(None);
        }
        let record = key::decode(at, tombstone, value);
        let unread = |why| self.unread(page, &format!("record {}_{}", at.main, at.sub), why);
        record.map(Some).map_err(unread)
    }
}

fn put(file: &AtOnce, block: Bytes) -> Result<(), Stop> {
    if file.write(block) { Ok(()) } else { Err(Stop::Unwritten) }
}
