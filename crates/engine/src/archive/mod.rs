//! Checkpoints: the machine's state at a position, written while serving and never stopping it.
//!
//! One job at a time, on a thread of its own: write a pinned image to a temporary file, sync it, give
//! it its name, and only then trim the journal behind it.

mod checkpoint;

use std::path::PathBuf;
use std::sync::Arc;

use journal::{Journal, Slot};
use state::{Image, Position, State};
use tokio::sync::oneshot;

pub(crate) use checkpoint::{newest, read};

/// See the module.
pub(crate) struct Archivist {
    folder: Option<PathBuf>,
    journal: Arc<dyn Journal>,
    /// Journal bytes after which a checkpoint is due, at the least.
    after: u64,
    since_last: u64,
    job: Option<oneshot::Receiver<Result<Position, String>>>,
    last: Position,
}

impl Archivist {
    pub(crate) fn new(
        folder: Option<PathBuf>,
        journal: Arc<dyn Journal>,
        after: u64,
        last: Position,
        since_last: u64,
    ) -> Self {
        Self { folder, journal, after, since_last, job: None, last }
    }

    /// The journal has grown.
    pub(crate) fn appended(&mut self, bytes: u64) {
        self.since_last += bytes;
    }

    /// Starts a checkpoint if one is due.
    pub(crate) fn consider(&mut self, state: &State) {
        let due = self.since_last >= self.after.max(state.sizes().in_use);
        if due && self.job.is_none() && state.position() > self.last {
            self.begin(state);
        }
    }

    fn begin(&mut self, state: &State) {
        let Some(folder) = self.folder.clone() else { return };
        let (done, job) = oneshot::channel();
        let image = state.image();
        let journal = Arc::clone(&self.journal);
        self.since_last = 0;
        self.job = Some(job);
        let work = move || drop(done.send(checkpoint_and_trim(&folder, &image, &*journal)));
        let thread = std::thread::Builder::new().name("checkpoint".to_owned()).spawn(work);
        if let Err(error) = thread {
            tracing::error!(%error, "cannot start a thread for the checkpoint");
            self.job = None;
        }
    }

    /// The end of the job under way; never, if there is none.
    pub(crate) async fn finished(&mut self) -> Result<Position, String> {
        let Some(job) = &mut self.job else { return std::future::pending().await };
        let done = job.await.unwrap_or_else(|_| Err("the checkpoint's thread died".to_owned()));
        self.job = None;
        if let Ok(position) = &done {
            assert!(*position >= self.last, "checkpoints go forward");
            self.last = *position;
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

fn checkpoint_and_trim(
    folder: &std::path::Path,
    image: &Image,
    journal: &dyn Journal,
) -> Result<Position, String> {
    let position = image.position();
    checkpoint::write(folder, image).map_err(|error| error.to_string())?;
    // Only now is the checkpoint durable; the journal keeps every slot after it.
    futures::executor::block_on(journal.trim(Slot(position.0).next()))
        .map_err(|error| format!("cannot trim the journal: {error}"))?;
    checkpoint::forget_before(folder, position).map_err(|error| error.to_string())?;
    Ok(position)
}
