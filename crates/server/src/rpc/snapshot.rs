//! `Maintenance.Snapshot`: a pinned state as etcd's database, in blobs, and its SHA-256 in the last. Made
//! on a thread of its own while its client reads: never more than a few blobs ahead.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::{BufMut, Bytes, BytesMut};
use engine::etcd::{Export, Member};
use futures::stream;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use state::{Image, State};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::Services;
use super::pace::Pace;
use crate::config::go_duration;
use crate::grpc::{Code, Messages, PREFIX, Status, frame, put_prefix};
use crate::observe::metrics::Metrics;
use crate::wire::etcdserverpb as pb;

/// What etcd sends at a time.
const BLOB: u64 = 32 << 10;
/// How many messages wait for the client.
const AHEAD: usize = 8;
/// How many snapshots are made at a time: each pins a state.
const AT_ONCE: usize = 16;
/// After so many blobs it is seen whether others wait.
const BLOBS_TOGETHER: u64 = 16;
/// How much its thread gives way to all others when every core is busy.
const NICE: i32 = 5;
/// A transfer is slow that takes longer than at this many bytes a second, and than this.
const SLOW_RATE: f64 = (100 << 20) as f64;
const SLOW_AFTER: Duration = Duration::from_secs(30);

/// The snapshots under way.
#[derive(Clone, Debug)]
pub(super) struct Snapshots(Arc<Semaphore>);

impl Default for Snapshots {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Services {
    pub(super) async fn snapshot(&self, _: &pb::SnapshotRequest) -> Result<Messages, Status> {
        let began = Instant::now();
        let turn = Arc::clone(&self.snapshots.0).try_acquire_owned().map_err(|_| busy())?;
        let image = self.engine.ask(State::image).await?;
        let (messages, sent) = mpsc::channel(AHEAD);
        let member = member(self.member());
        let (metrics, runtime) = (Arc::clone(&self.metrics), Handle::current());
        let job = Job { image, member, messages, metrics, runtime, began, _turn: turn };
        let started = thread::Builder::new().name("snapshot".to_owned()).spawn(|| job.run());
        started.map_err(|error| failed(&error))?;
        let next =
            |mut sent: mpsc::Receiver<_>| async { sent.recv().await.map(|next| (next, sent)) };
        Ok(Box::pin(stream::unfold(sent, next)))
    }
}

fn member(member: pb::Member) -> Member {
    let pb::Member { id, name, peer_ur_ls: peer_urls, client_ur_ls: client_urls, is_learner } =
        member;
    Member { id, name, peer_urls, client_urls, learner: is_learner }
}

fn busy() -> Status {
    Status::new(
        Code::ResourceExhausted,
        format!("meridian: {AT_ONCE} snapshots are on their way already"),
    )
}

fn failed(error: &io::Error) -> Status {
    Status::new(Code::Internal, format!("meridian: a snapshot could not be made: {error}"))
}

type Sender = mpsc::Sender<Result<Bytes, Status>>;

/// One snapshot.
struct Job {
    image: Image,
    member: Member,
    messages: Sender,
    metrics: Arc<Metrics>,
    runtime: Handle,
    began: Instant,
    _turn: OwnedSemaphorePermit,
}

impl Job {
    fn run(self) {
        // Where the system has no room for manners, the work is done without.
        rustix::process::nice(NICE).ok();
        let Self { image, member, messages, metrics, runtime, began, _turn } = self;
        let made = Export::new(image, member).and_then(|export| {
            // Dropped with the job: then nobody waits any more.
            let (_over, over) = oneshot::channel();
            runtime.spawn(warn_while_slow(export.bytes(), began, over));
            send(&export, messages.clone(), Pace::beside(Arc::clone(&metrics)), began)
        });
        if let Err(error) = made {
            if error.kind() == io::ErrorKind::BrokenPipe {
                tracing::info!(
                    took = go_duration(began.elapsed()),
                    "the client of a snapshot went away"
                );
            } else {
                tracing::error!(%error, "a snapshot could not be made");
                messages.blocking_send(Err(failed(&error))).ok();
            }
        }
        metrics.store.snapshot.observe(began.elapsed());
    }
}

fn send(export: &Export, messages: Sender, pace: Pace, began: Instant) -> io::Result<()> {
    let (total, size) = (export.bytes(), human_size(export.bytes()));
    let version = export.version().to_string();
    tracing::info!(
        "total-bytes" = total,
        size,
        "storage-version" = version,
        "sending database snapshot to client"
    );
    let blobs = export.write(Blobs::new(total, version.clone(), messages, pace))?;
    let (sum, messages) = blobs.finish();
    tracing::info!(
        "total-bytes" = total,
        "checksum-size" = sum.len(),
        "sending database sha256 checksum to client"
    );
    let last = pb::SnapshotResponse { blob: sum, version: version.clone(), ..Default::default() };
    pass(&messages, frame(&last))?;
    tracing::info!(
        "total-bytes" = total,
        size,
        took = go_duration(began.elapsed()),
        "storage-version" = version,
        "successfully sent database snapshot to client"
    );
    Ok(())
}

/// Says again and again that a transfer takes long, until it is over.
async fn warn_while_slow(total: u64, began: Instant, mut over: oneshot::Receiver<()>) {
    let patience = Duration::from_secs_f64(total as f64 / SLOW_RATE).max(SLOW_AFTER);
    while tokio::time::timeout(patience, &mut over).await.is_err() {
        tracing::warn!(
            taking = go_duration(began.elapsed()),
            bytes = total,
            size = human_size(total),
            "snapshotting taking too long to transfer"
        );
    }
}

/// Waits for the client to make room. A client that has gone is a broken pipe.
fn pass(messages: &Sender, message: Bytes) -> io::Result<()> {
    messages.blocking_send(Ok(message)).map_err(|_| io::ErrorKind::BrokenPipe.into())
}

/// Cuts a database into messages, and sums it up.
struct Blobs {
    messages: Sender,
    pace: Pace,
    sum: Context,
    /// Stands in every message.
    version: String,
    /// Bytes that are in no message yet, the open one's among them.
    left: u64,
    /// The open message, and where its blob begins and ends.
    open: BytesMut,
    blob: usize,
    end: usize,
}

impl Blobs {
    fn new(total: u64, version: String, messages: Sender, pace: Pace) -> Self {
        let (sum, open) = (Context::new(&SHA256), BytesMut::new());
        let mut blobs = Self { messages, pace, sum, version, left: total, open, blob: 0, end: 0 };
        blobs.begin();
        blobs
    }

    /// Opens the message with the next blob: how long it will be is known.
    fn begin(&mut self) {
        let blob = self.left.min(BLOB);
        let remaining = self.left - blob;
        let said = self.version.len() as u64;
        let behind = key_len(4) + encoded_len_varint(said) + self.version.len();
        let mut length = key_len(3) + encoded_len_varint(blob) + blob as usize + behind;
        if remaining > 0 {
            length += key_len(2) + encoded_len_varint(remaining);
        }
        let mut open = BytesMut::with_capacity(PREFIX + length);
        put_prefix(&mut open, length);
        if remaining > 0 {
            encode_key(2, WireType::Varint, &mut open);
            encode_varint(remaining, &mut open);
        }
        encode_key(3, WireType::LengthDelimited, &mut open);
        encode_varint(blob, &mut open);
        self.blob = open.len();
        self.end = open.len() + blob as usize;
        self.open = open;
    }

    /// Sends the open message, whose blob is complete.
    fn close(&mut self) -> io::Result<()> {
        self.sum.update(&self.open[self.blob..self.end]);
        self.left -= (self.end - self.blob) as u64;
        encode_key(4, WireType::LengthDelimited, &mut self.open);
        encode_varint(self.version.len() as u64, &mut self.open);
        self.open.put_slice(self.version.as_bytes());
        pass(&self.messages, self.open.split().freeze())?;
        if (self.left / BLOB).is_multiple_of(BLOBS_TOGETHER) {
            self.pace.rest();
        }
        self.begin();
        Ok(())
    }

    /// The sum of all, and the way to the client.
    fn finish(self) -> (Bytes, Sender) {
        assert_eq!(self.left, 0, "a database is as long as was said before");
        (Bytes::copy_from_slice(self.sum.finish().as_ref()), self.messages)
    }
}

impl Write for Blobs {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other("a database is longer than was said before"));
        }
        let taken = bytes.len().min(self.end - self.open.len());
        self.open.put_slice(&bytes[..taken]);
        if self.open.len() == self.end {
            self.close()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A size as etcd's log writes it.
fn human_size(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let unit = bytes.ilog10() as usize / 3;
    let value = (bytes as f64 / 1000f64.powi(unit as i32) * 10.0 + 0.5).floor() / 10.0;
    let decimals = usize::from(value < 10.0);
    format!("{value:.decimals$} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::human_size;

    #[test]
    fn sizes_are_written_as_by_etcd() {
        for (bytes, text) in [
            (0, "0 B"),
            (9, "9 B"),
            (10, "10 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (20480, "20 kB"),
            (82_854_982, "83 MB"),
            (1_249_999_999, "1.2 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }
}
