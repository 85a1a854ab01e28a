//! The line before the writer's door: bounded, taken in batches.

use std::collections::VecDeque;
use std::time::Duration;

use futures::channel::oneshot;
use parking_lot::{Condvar, Mutex};

use crate::{Append, Body, JournalError, Nonce, Slot, Successor};

/// Requests not answered yet, those that wait for an earlier slot included.
const MAX_OFFERS: usize = 8192;
/// Their bodies; one offer alone may be larger.
const MAX_BYTES: usize = 256 << 20;
/// What is taken at once: one write and one sync.
const BATCH_OFFERS: usize = 1024;
const BATCH_BYTES: usize = 8 << 20;

/// An append on its way.
pub(crate) struct Offer {
    pub(crate) slot: Slot,
    pub(crate) nonce: Nonce,
    pub(crate) body: Body,
    pub(crate) reply: oneshot::Sender<Append>,
}

/// Answers a seal with the log's tail.
pub(crate) type SealReply = oneshot::Sender<Result<Slot, JournalError>>;

/// What the writer is asked to do.
pub(crate) enum Request {
    Append(Offer),
    Seal(Successor, SealReply),
}

impl Request {
    fn bytes(&self) -> usize {
        match self {
            Self::Append(offer) => offer.body.len(),
            Self::Seal(..) => 0,
        }
    }
}

/// Why a request was not taken into the line.
pub(crate) enum Turned {
    /// There are too many; it may come again.
    Full,
    /// The writer has stopped.
    Closed,
}

/// What [`Queue::take`] found.
pub(crate) enum Taken {
    Batch(Vec<Request>),
    /// Nothing came for a while.
    Idle,
    /// Nothing will come any more.
    Closed,
}

#[derive(Default)]
struct Line {
    requests: VecDeque<Request>,
    /// Those not answered yet, in the line or with the writer.
    requests_open: usize,
    bytes: usize,
    closed: bool,
}

impl Line {
    fn batch(&mut self) -> Vec<Request> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < BATCH_OFFERS && bytes < BATCH_BYTES {
            let Some(request) = self.requests.pop_front() else { break };
            bytes += request.bytes();
            batch.push(request);
        }
        batch
    }
}

/// The requests that wait for the writer.
#[derive(Default)]
pub(crate) struct Queue {
    line: Mutex<Line>,
    arrived: Condvar,
}

impl Queue {
    /// Puts a request in the line.
    pub(crate) fn put(&self, request: Request) -> Result<(), Turned> {
        let mut line = self.line.lock();
        let bytes = line.bytes + request.bytes();
        if line.closed {
            return Err(Turned::Closed);
        }
        if line.requests_open >= MAX_OFFERS || (bytes > MAX_BYTES && line.requests_open > 0) {
            return Err(Turned::Full);
        }
        line.bytes = bytes;
        line.requests_open += 1;
        line.requests.push_back(request);
        self.arrived.notify_one();
        Ok(())
    }

    /// Says that so many requests, with so many bytes of bodies, were answered.
    pub(crate) fn answered(&self, requests: usize, bytes: usize) {
        let mut line = self.line.lock();
        assert!(line.requests_open >= requests && line.bytes >= bytes, "more answers than offers");
        line.requests_open -= requests;
        line.bytes -= bytes;
    }

    /// Nothing more is taken in; the writer finishes what is there.
    pub(crate) fn close(&self) {
        self.line.lock().closed = true;
        self.arrived.notify_one();
    }

    /// The writer is gone: what is there is dropped, and its askers learn that by it.
    pub(crate) fn abandon(&self) {
        let mut line = self.line.lock();
        line.closed = true;
        line.requests.clear();
    }

    /// The next batch; waits for one, at most `patience` when that is given.
    pub(crate) fn take(&self, patience: Option<Duration>) -> Taken {
        let mut line = self.line.lock();
        while line.requests.is_empty() {
            if line.closed {
                return Taken::Closed;
            }
            match patience {
                None => self.arrived.wait(&mut line),
                Some(patience) => {
                    if self.arrived.wait_for(&mut line, patience).timed_out()
                        && line.requests.is_empty()
                        && !line.closed
                    {
                        return Taken::Idle;
                    }
                }
            }
        }
        Taken::Batch(line.batch())
    }

    /// The next batch, if there is one.
    pub(crate) fn take_now(&self) -> Option<Vec<Request>> {
        Some(self.line.lock().batch()).filter(|batch| !batch.is_empty())
    }
}
