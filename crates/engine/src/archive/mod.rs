//! Checkpoints: the machine's state at a position, written while serving and never stopping it.
//!
//! One job at a time, beside the loop: write a pinned image to a temporary file, sync it, give
//! it its name, and only then trim the journal behind it.

mod at_once;
mod checkpoint;
mod shared;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use journal::{Journal, Objects, Slot};
use state::{Image, Position, State, Timestamp};
use tokio::sync::oneshot;

pub(crate) use at_once::{AtOnce, write_at_once};
pub(crate) use checkpoint::{list, newest, position_of, read, read_to_end, unforeseeable_hash};
pub(crate) use shared::{fetch, unreachable};

use crate::errands::Errands;

/// After a failure the next attempt waits so long.
const RETRY: Duration = Duration::from_secs(30);

/// A checkpoint that is durable. The default is none.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) position: Position,
    /// Of the file.
    pub(crate) bytes: u64,
    /// When, if it was there at start.
    pub(crate) at: Option<Timestamp>,
    /// What writing it took, if that was done since the start.
    pub(crate) took: Duration,
    /// And of that, the last sync of the file.
    pub(crate) sync: Duration,
}

/// See the module.
pub(crate) struct Archivist {
    folder: Option<PathBuf>,
    journal: Arc<dyn Journal>,
    /// Where replicas share checkpoints; without, the journal is ours alone.
    objects: Option<Arc<dyn Objects>>,
    errands: Arc<dyn Errands>,
    /// Journal bytes after which a checkpoint is due, at the least.
    after: u64,
    /// Journal bytes since the newest checkpoint, or the one under way.
    since_last: u64,
    /// What `since_last` was when the job under way began.
    before_job: u64,
    job: Option<oneshot::Receiver<Result<Written, String>>>,
    last: Written,
    /// When the last attempt failed: not before this.
    not_before: Option<Duration>,
    failed: bool,
}

impl Archivist {
    pub(crate) fn new(
        folder: Option<PathBuf>,
        journal: Arc<dyn Journal>,
        objects: Option<Arc<dyn Objects>>,
        errands: Arc<dyn Errands>,
        after: u64,
        last: Written,
        since_last: u64,
    ) -> Self {
        Self {
            folder,
            journal,
            objects,
            errands,
            after,
            since_last,
            before_job: 0,
            job: None,
            last,
            not_before: None,
            failed: false,
        }
    }

    /// The journal has grown.
    pub(crate) fn appended(&mut self, bytes: u64) {
        self.since_last = self.since_last.saturating_add(bytes);
    }

    /// Starts a checkpoint if one is due: when the journal has grown by as much as the last one took, so
    /// that writing checkpoints costs no more than writing the journal, nor replaying the tail more than
    /// reading the checkpoint. Of replicas the writer shares it and trims the journal.
    pub(crate) fn consider(&mut self, state: &State, now: Duration, is_writer: bool) {
        if self.job.is_some() || self.folder.is_none() {
            return;
        }
        if std::mem::take(&mut self.failed) {
            self.not_before = Some(now.saturating_add(RETRY));
        }
        let due = self.since_last >= self.after.max(self.last.bytes);
        let patient = self.not_before.is_none_or(|moment| now >= moment);
        if due && patient && state.position() > self.last.position {
            self.begin(state, is_writer);
        }
    }

    fn begin(&mut self, state: &State, is_writer: bool) {
        let Some(folder) = self.folder.clone() else { return };
        let (done, job) = oneshot::channel();
        let image = state.image();
        let journal = Arc::clone(&self.journal);
        self.before_job = std::mem::take(&mut self.since_last);
        self.job = Some(job);
        let keep = Keep::of(self.objects.clone(), is_writer);
        let work = move || drop(done.send(checkpoint_and_trim(&folder, &image, &*journal, keep)));
        // If it cannot be begun, `done` goes with `work`, and the job has failed.
        if let Err(error) = self.errands.run("checkpoint", Box::new(work)) {
            tracing::error!(%error, "nobody writes the checkpoint");
        }
    }

    /// The end of the job under way; never, if there is none.
    pub(crate) async fn finished(&mut self) -> Result<Written, String> {
        let Some(job) = &mut self.job else { return std::future::pending().await };
        let done = job.await.unwrap_or_else(|_| Err("the checkpoint's thread died".to_owned()));
        self.job = None;
        let began_with = std::mem::take(&mut self.before_job);
        match &done {
            Ok(written) => {
                assert!(written.position >= self.last.position, "checkpoints go forward");
                self.last = *written;
                self.not_before = None;
            }
            // What was to be covered still is.
            Err(_) => {
                self.appended(began_with);
                self.failed = true;
            }
        }
        done
    }

    /// Waits for a job under way, so that no thread writes to the folder after we are gone.
    pub(crate) async fn abandon(&mut self) {
        if self.job.is_some()
            && let Err(error) = self.finished().await
        {
            tracing::warn!(%error, "checkpoint was not finished");
        }
    }
}

/// Who a checkpoint is for.
enum Keep {
    /// Us: the journal is trimmed behind it.
    Alone,
    /// All replicas: kept where they find it, and the journal trimmed.
    Shared(Arc<dyn Objects>),
    /// Our next start; another one trims.
    Local,
}

impl Keep {
    fn of(objects: Option<Arc<dyn Objects>>, is_writer: bool) -> Self {
        match objects {
            None => Self::Alone,
            Some(objects) if is_writer => Self::Shared(objects),
            Some(_) => Self::Local,
        }
    }
}

fn checkpoint_and_trim(
    folder: &Path,
    image: &Image,
    journal: &dyn Journal,
    keep: Keep,
) -> Result<Written, String> {
    let position = image.position();
    let begun = Instant::now();
    let (bytes, sync) = checkpoint::write(folder, image).map_err(|error| error.to_string())?;
    let took = begun.elapsed();
    // What cannot be removed now is removed after the next checkpoint.
    match keep {
        Keep::Alone => trim_behind(folder, position, journal)?,
        Keep::Shared(objects) => {
            let path = newest(folder).map_err(|error| error.to_string())?;
            let path = path.filter(|path| position_of(path) == Some(position));
            let path = path.ok_or("the checkpoint is not there")?;
            if let Err(error) = shared::share(&path, position, journal, &*objects) {
                tracing::warn!(error, "the checkpoint could not be shared; the next one will be");
            }
        }
        Keep::Local => {}
    }
    if let Err(error) = checkpoint::forget_before(folder, position) {
        tracing::warn!(%error, "cannot remove older checkpoints");
    }
    Ok(Written { position, bytes, took, sync, at: None })
}

/// Forgets the slots that the checkpoint at `position` covers; the journal keeps every slot after it.
fn trim_behind(folder: &Path, position: Position, journal: &dyn Journal) -> Result<(), String> {
    let newest = newest(folder).map_err(|error| error.to_string())?;
    // What the folder says, not what we believe to have written: a restart has nothing else.
    let durable = newest.and_then(|path| position_of(&path)).unwrap_or_default();
    assert!(position <= durable, "trim never passes the newest durable checkpoint");
    if let Err(error) = futures::executor::block_on(journal.trim(Slot(position.0).next())) {
        tracing::warn!(%error, "cannot trim the journal behind the checkpoint");
    }
    Ok(())
}
