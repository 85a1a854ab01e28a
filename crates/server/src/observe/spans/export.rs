//! The way to the collector: OTLP over gRPC without TLS, as etcd speaks it. One batch at a time; one
//! that the collector does not take is dropped and counted, for the next are coming.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::Counts;
use super::call::Finished;
use super::message;
use crate::config::Tracing;
use crate::grpc::{PREFIX, frame};
use crate::wire::otlp::{ExportTraceServiceResponse, Resource};

/// Calls in one batch.
const MOST_CALLS: usize = 128;
/// How long the collector may take to be reached, and to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MOST_ANSWER: usize = 64 << 10;
const METHOD: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

type Connection = SendRequest<Full<Bytes>>;

/// Tells the collector. Dropped, it says no more.
#[derive(Debug)]
pub struct Exporter {
    address: String,
    resource: Resource,
    waiting: mpsc::Receiver<Finished>,
    counts: Arc<Counts>,
    every: Duration,
    connection: Option<Connection>,
    /// Whether the last batch was taken: a change is told in the log.
    well: bool,
}

impl Exporter {
    pub(super) fn new(
        settings: &Tracing,
        waiting: mpsc::Receiver<Finished>,
        counts: Arc<Counts>,
        every: Duration,
    ) -> Self {
        Self {
            address: settings.address.clone(),
            resource: message::resource(settings),
            waiting,
            counts,
            every,
            connection: None,
            well: true,
        }
    }

    /// Tells of every call that is finished, until nobody can finish one any more.
    pub async fn run(mut self) {
        let mut batch = Vec::with_capacity(MOST_CALLS);
        while let Some(first) = self.waiting.recv().await {
            batch.push(first);
            self.fill(&mut batch).await;
            self.tell(&mut batch).await;
        }
    }

    /// Waits for more, but not for long.
    async fn fill(&mut self, batch: &mut Vec<Finished>) {
        let until = Instant::now() + self.every;
        while batch.len() < MOST_CALLS {
            let Ok(Some(next)) = timeout_at(until, self.waiting.recv()).await else { return };
            batch.push(next);
        }
    }

    async fn tell(&mut self, batch: &mut Vec<Finished>) {
        let spans: u64 = batch.iter().map(Finished::spans).sum();
        let request = frame(&message::request(self.resource.clone(), batch));
        batch.clear();
        let told = timeout(PATIENCE, self.send(request)).await;
        let told = told.unwrap_or_else(|_| Err("it does not answer".to_owned()));
        let refused = told.as_ref().map_or(spans, |refused| (*refused).min(spans));
        self.counts.dropped.fetch_add(refused, Relaxed);
        self.counts.exported.fetch_add(spans - refused, Relaxed);
        let address = self.address.as_str();
        match (told, self.well) {
            (Err(error), was_well) => {
                self.connection = None;
                if was_well {
                    tracing::warn!(
                        address,
                        error,
                        "spans are dropped; see --distributed-tracing-address"
                    );
                }
                self.well = false;
            }
            (Ok(_), false) => {
                tracing::info!(address, "the collector takes spans again");
                self.well = true;
            }
            (Ok(_), true) => {}
        }
    }

    /// Sends one request; how many of its spans were refused.
    async fn send(&mut self, request: Bytes) -> Result<u64, String> {
        let mut connection = match self.connection.take().filter(|open| !open.is_closed()) {
            Some(open) => open,
            None => connect(&self.address).await?,
        };
        let request = Request::post(format!("http://{}{METHOD}", self.address))
            .header(header::CONTENT_TYPE, "application/grpc")
            .header(header::TE, "trailers")
            .body(Full::new(request))
            .map_err(|error| error.to_string())?;
        connection.ready().await.map_err(|error| error.to_string())?;
        let answer = connection.send_request(request).await.map_err(|error| error.to_string())?;
        let refused = answered(answer).await?;
        self.connection = Some(connection);
        Ok(refused)
    }
}

async fn connect(address: &str) -> Result<Connection, String> {
    let socket = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let io = TokioIo::new(socket);
    let (sender, connection) = http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), io)
        .await
        .map_err(|error| error.to_string())?;
    // What it broke off with is met by the next request as well.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// How many spans an answer refuses.
async fn answered<B>(answer: http::Response<B>) -> Result<u64, String>
where
    B: http_body::Body<Data = Bytes, Error = hyper::Error>,
{
    if !answer.status().is_success() {
        return Err(format!("it answers {}", answer.status()));
    }
    let (head, body) = answer.into_parts();
    let body = http_body_util::Limited::new(body, MOST_ANSWER).collect().await;
    let body = body.map_err(|error| error.to_string())?;
    let status = body.trailers().and_then(|trailers| trailers.get("grpc-status"));
    match status.or_else(|| head.headers.get("grpc-status")) {
        Some(status) if status == "0" => {}
        Some(status) => return Err(format!("it answers with gRPC code {status:?}")),
        None => return Err("it does not answer as gRPC".to_owned()),
    }
    let message = body.to_bytes();
    let message = message.slice(PREFIX.min(message.len())..);
    let answer = ExportTraceServiceResponse::decode(message).map_err(|error| error.to_string())?;
    let refused = answer.partial_success.map_or(0, |partial| partial.rejected_spans);
    Ok(u64::try_from(refused).unwrap_or_default())
}
