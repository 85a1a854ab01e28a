//! etcd's services, one file each, behind [`crate::grpc::Service`]. They check and translate; what
//! is true is decided by the engine and the machine.

mod auth;
mod authorize;
mod claim;
mod cluster;
mod downgrade;
mod election;
mod encode;
mod header;
mod health;
mod kv;
mod leader;
mod lease;
mod lock;
pub mod maintenance;
mod methods;
mod pace;
mod range;
mod size;
mod slow;
mod snapshot;
mod status;
pub(crate) mod translate;
mod watch;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::{Engine, Fault};
use http::HeaderMap;
use state::{Cluster, Command, Outcome};

pub use authorize::Authentication;
pub use methods::Method;
use snapshot::Snapshots;

use crate::grpc::{Code, Context, Kind, Messages, Payload, Requests, Service, Status, frame};
use crate::observe::journal::SharedJournal;
use crate::observe::metrics::{Meter, Metrics, Settings};
use crate::observe::spans::{self, CallSpan};
use crate::wire::etcdserverpb as pb;

/// Who this member is, as clients are told.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// The cluster's number.
    pub cluster_id: u64,
    /// This member's.
    pub member_id: u64,
    /// `--name`
    pub name: String,
    /// `--advertise-client-urls`
    pub client_urls: Vec<String>,
    /// `--initial-advertise-peer-urls`
    pub peer_urls: Vec<String>,
}

/// What a request may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `--max-request-bytes`
    pub max_request_bytes: usize,
    /// `--max-txn-ops`
    pub max_txn_ops: usize,
    /// `--max-learners`
    pub max_learners: u64,
    /// A lease asked for less gets this: one and a half election timeouts, in seconds.
    pub min_lease_ttl: i64,
    /// `--warning-unary-request-duration`
    pub warn_request_after: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let warn_request_after = Duration::from_millis(300);
        Self {
            max_request_bytes: 3 << 19,
            max_txn_ops: 128,
            max_learners: Cluster::MOST_LEARNERS,
            min_lease_ttl: 2,
            warn_request_after,
        }
    }
}

impl Limits {
    /// What gRPC takes in: etcd leaves 512 KiB for what stands around a request.
    #[must_use]
    pub const fn max_message(&self) -> usize {
        self.max_request_bytes.saturating_add(512 << 10)
    }
}

/// Everything a service needs. A cheap handle.
#[derive(Clone)]
pub struct Services {
    parts: Arc<Parts>,
    snapshots: Snapshots,
}

/// What [`Services`] are made of.
pub struct Parts {
    /// The cluster.
    pub engine: Engine,
    /// Who answers.
    pub identity: Identity,
    /// What is allowed.
    pub limits: Limits,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// By what callers are known.
    pub authentication: Authentication,
    /// The journal, if replicas may share it.
    pub shared_journal: Option<Arc<dyn SharedJournal>>,
}

impl Services {
    /// Over one engine, whose observer is `metrics.store` if it is to be measured; callers are known as
    /// without any flags.
    #[must_use]
    pub fn new(engine: Engine, identity: Identity, limits: Limits, metrics: Arc<Metrics>) -> Self {
        let authentication = Authentication::default();
        let shared_journal = None;
        Self::of(Parts { engine, identity, limits, metrics, authentication, shared_journal })
    }

    /// Of parts that were made elsewhere.
    #[must_use]
    pub fn of(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), snapshots: Snapshots::default() }
    }

    /// Counters of all methods.
    #[must_use]
    pub fn metrics(settings: Settings) -> Metrics {
        Metrics::new(Method::ALL.iter().map(|method| method.name()), settings)
    }

    /// Has a command ordered. One whose outcome does not become known, also because the client
    /// went away, counts as failed; one that found the queue full was never proposed.
    async fn commit(&self, command: Command) -> Result<Outcome, Fault> {
        let mut proposal = Proposal { metrics: &self.metrics, failed: true };
        let outcome = match spans::current() {
            Some(span) => Box::pin(self.followed(&span, command)).await,
            None => self.engine.commit(command).await,
        };
        proposal.failed = !matches!(outcome, Ok(_) | Err(Fault::TooManyRequests | Fault::Stopped));
        outcome
    }

    /// Has a command ordered that belongs to a trace.
    async fn followed(&self, span: &CallSpan, command: Command) -> Result<Outcome, Fault> {
        span.step("decode");
        let (outcome, course) = self.engine.commit_followed(command).await;
        if let Some(course) = course {
            span.ordered(&course);
        }
        outcome
    }

    /// A learner answers what needs nobody else, as in etcd: serializable reads, how it stands, and the
    /// whole of what it has.
    fn check_learner(&self, method: Method, message: &Bytes) -> Result<(), Status> {
        if !self.engine.is_learner() {
            return Ok(());
        }
        let serializable = || {
            let request: Result<pb::RangeRequest, _> = decode(message.clone());
            request.is_ok_and(|request| request.serializable)
        };
        match method {
            Method::Status | Method::Snapshot => Ok(()),
            Method::Range if serializable() => Ok(()),
            _ => Err(status::NOT_FOR_LEARNERS),
        }
    }

    /// What etcd does before every call: count the client, see that there is a leader if asked to.
    fn enter(&self, method: Method, context: &Context) -> Result<(), Status> {
        let version = match context.metadata.get("client-api-version") {
            Some(version) => std::str::from_utf8(version.as_bytes())
                .map_err(|_| status::INVALID_CLIENT_VERSION)?,
            None => "unknown",
        };
        self.metrics.client(version, method.name().kind);
        if leader::is_wanted(context) && !self.has_leader() {
            return Err(status::NO_LEADER);
        }
        Ok(())
    }

    async fn answer(
        &self,
        method: Method,
        context: &Context,
        message: Bytes,
    ) -> Result<Payload, Status> {
        match method {
            Method::Range => self.range(context, message).await,
            Method::Put => self.put(context, message).await,
            Method::DeleteRange => self.delete_range(context, message).await,
            Method::Txn => self.txn(context, message).await,
            other => Box::pin(self.answer_rarely(other, context, message)).await,
        }
    }

    /// The methods that are not asked for thousands of times a second: kept apart so that the
    /// future of the others stays small.
    async fn answer_rarely(
        &self,
        method: Method,
        context: &Context,
        message: Bytes,
    ) -> Result<Payload, Status> {
        self.admit_caller(method, context)?;
        match method {
            Method::Compact => reply(&self.compact(context, decode(message)?).await?),
            Method::LeaseGrant => reply(&self.lease_grant(context, message).await?),
            Method::LeaseRevoke => reply(&self.lease_revoke(context, decode(message)?).await?),
            Method::LeaseTimeToLive => {
                reply(&self.lease_time_to_live(context, decode(message)?).await?)
            }
            Method::LeaseLeases => reply(&self.lease_leases(context).await?),
            Method::MemberList => reply(&self.member_list(decode(message)?).await?),
            Method::MemberAdd => reply(&self.member_add(context, decode(message)?).await?),
            Method::MemberRemove => reply(&self.member_remove(context, decode(message)?).await?),
            Method::MemberUpdate => reply(&self.member_update(context, message).await?),
            Method::MemberPromote => reply(&self.member_promote(context, decode(message)?).await?),
            Method::Alarm => reply(&self.alarm(context, decode(message)?).await?),
            Method::Status => reply(&self.status()),
            Method::Defragment => reply(&self.defragment()),
            Method::Hash => reply(&self.hash().await?),
            Method::HashKv => reply(&self.hash_kv(decode(message)?).await?),
            Method::MoveLeader => reply(&self.move_leader(decode(message)?).await?),
            Method::Downgrade => reply(&self.downgrade(context, decode(message)?).await?),
            Method::HealthCheck => reply(&health::check(&decode(message)?)?),
            Method::HealthList => reply(&health::list()),
            other if other.name().service == "etcdserverpb.Auth" => {
                self.answer_auth(other, context, message).await
            }
            other => self.answer_contender(other, context.clone(), message).await,
        }
    }

    /// Locks and elections, which may take as long as their callers have patience.
    async fn answer_contender(
        &self,
        method: Method,
        context: Context,
        message: Bytes,
    ) -> Result<Payload, Status> {
        match method {
            Method::Lock => reply(&self.lock(context, decode(message)?).await?),
            Method::Unlock => reply(&self.unlock(context, decode(message)?).await?),
            Method::Campaign => reply(&self.campaign(context, decode(message)?).await?),
            Method::Proclaim => reply(&self.proclaim(context, decode(message)?).await?),
            Method::Leader => reply(&self.leader(context, decode(message)?).await?),
            Method::Resign => reply(&self.resign(context, decode(message)?).await?),
            other => Err(other.misled()),
        }
    }
}

impl Deref for Services {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Service for Services {
    type Method = Method;

    fn route(&self, path: &str) -> Result<(Method, Kind), Status> {
        let method = Method::of_path(path)?;
        Ok((method, method.name().kind))
    }

    fn meter(&self, method: Method) -> Meter {
        Meter::start(&self.metrics, method as usize)
    }

    fn follow(&self, method: Method, headers: &HeaderMap) -> Option<Arc<CallSpan>> {
        self.metrics.spans.as_ref()?.begin(method.name(), headers)
    }

    async fn unary(
        &self,
        method: Method,
        context: Context,
        message: Bytes,
    ) -> Result<Payload, Status> {
        self.check_learner(method, &message)?;
        self.enter(method, &context)?;
        let began = Instant::now();
        let answer = self.answer(method, &context, message.clone()).await;
        let took = began.elapsed();
        if took > self.limits.warn_request_after {
            slow::warn_of_slow_request(method, context.peer.address, took, &message, &answer);
        }
        answer
    }

    async fn server_stream(
        &self,
        method: Method,
        context: Context,
        message: Bytes,
    ) -> Result<Messages, Status> {
        self.check_learner(method, &message)?;
        self.enter(method, &context)?;
        self.admit_caller(method, &context)?;
        match method {
            Method::RangeStream => self.range_stream(&context, decode(message)?).await,
            Method::Observe => Ok(self.observe(context, &decode(message)?)),
            Method::Snapshot => self.snapshot(&decode(message)?).await,
            Method::HealthWatch => Ok(health::watch(&decode(message)?)),
            other => Err(other.misled()),
        }
    }

    fn bidirectional(
        &self,
        method: Method,
        context: Context,
        requests: Requests,
    ) -> Result<Messages, Status> {
        self.check_learner(method, &Bytes::new())?;
        self.enter(method, &context)?;
        match method {
            Method::Watch => Ok(self.while_led(&context, self.watch(&context, requests))),
            Method::LeaseKeepAlive => {
                Ok(self.while_led(&context, self.lease_keep_alive(&context, requests)))
            }
            other => Err(other.misled()),
        }
    }
}

/// A command on its way; dropped before its end if the client goes away.
struct Proposal<'a> {
    metrics: &'a Metrics,
    failed: bool,
}

impl Drop for Proposal<'_> {
    fn drop(&mut self) {
        if self.failed {
            self.metrics.proposals_failed.fetch_add(1, Relaxed);
        }
    }
}

/// Reads a request.
fn decode<M: prost::Message + Default>(message: Bytes) -> Result<M, Status> {
    M::decode(message).map_err(|error| {
        Status::new(Code::Internal, format!("grpc: error unmarshalling request: {error}"))
    })
}

/// Writes a reply.
#[allow(clippy::unnecessary_wraps)]
fn reply(message: &impl prost::Message) -> Result<Payload, Status> {
    Ok(Payload::Whole(frame(message)))
}

/// The machine's reply was to another command: a fault of ours, and no reason to take others down.
fn mismatched() -> Status {
    Status::fixed(Code::Internal, "meridian: the machine answered another question")
}

#[cfg(test)]
mod encode_tests;
