//! The writer's thread, with a runtime of its own. The connection that appends to a journal in a database
//! lives on it as well: from a batch to the wire and back, no other thread has to be woken.

use std::future::Future;
use std::io;
use std::thread::{Builder, JoinHandle};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::runtime::{self, Handle};
use tokio::sync::oneshot;

/// The thread before the writer is there.
pub struct WriterThread {
    handle: Handle,
    work: oneshot::Sender<BoxFuture<'static, ()>>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

/// The thread while the writer runs.
pub struct Writing {
    /// Comes when the writer has ended, however.
    pub ended: oneshot::Receiver<()>,
    /// Ends with it.
    pub thread: JoinHandle<()>,
}

impl WriterThread {
    /// Starts the thread; it ends with this, or with what it is given to run.
    ///
    /// # Errors
    /// If there is no thread to be had.
    pub fn start() -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (work, given) = oneshot::channel::<BoxFuture<'static, ()>>();
        let (ending, ended) = oneshot::channel();
        let thread = Builder::new().name("writer".to_owned()).spawn(move || {
            runtime.block_on(async {
                if let Ok(work) = given.await {
                    work.await;
                }
            });
            drop(ending);
        })?;
        Ok(Self { handle, work, ended, thread })
    }

    /// The runtime on it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs the writer.
    #[must_use]
    pub fn run(self, writer: impl Future<Output = ()> + Send + 'static) -> Writing {
        // A thread that is gone has let go of `ended`, which says so.
        drop(self.work.send(writer.boxed()));
        Writing { ended: self.ended, thread: self.thread }
    }
}
