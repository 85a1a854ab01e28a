//! Counters of the server: one atomic addition each on the path of a request, text when asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::RwLock;

use super::exposition::{Exposition, Type};
use super::histogram::{Histogram, Unit};
use super::peers::PeerMetrics;
use super::process::Started;
use super::spans::Spans;
use super::store::StoreMetrics;
use crate::grpc::{Code, Kind};

mod meter;
pub use meter::Meter;

/// The bounds of the histograms that `--metrics extensive` adds, in seconds.
const HANDLING: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Client versions told apart; any more are counted together.
const MAX_VERSIONS: usize = 16;

/// A method as the metrics name it.
#[derive(Clone, Copy, Debug)]
pub struct MethodName {
    /// `etcdserverpb.KV`
    pub service: &'static str,
    /// `Put`
    pub method: &'static str,
    /// Its shape.
    pub kind: Kind,
    /// etcd's name for the request, if its duration is measured.
    pub timed: Option<&'static str>,
}

/// etcd shows the calls of these services only once there were any.
const SHOWN_WHEN_CALLED: [&str; 2] = ["v3lockpb.Lock", "v3electionpb.Election"];

/// What is measured, and when it is too much.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// `--metrics extensive`: the duration of every call.
    pub extensive: bool,
    /// `--warning-apply-duration`
    pub warn_apply_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { extensive: false, warn_apply_after: Duration::from_millis(100) }
    }
}

/// All counters of one server.
#[derive(Debug)]
pub struct Metrics {
    methods: Vec<Counters>,
    sent_bytes: AtomicU64,
    received_bytes: AtomicU64,
    versions: RwLock<Vec<ClientVersion>>,
    /// What the journal and the writer measure.
    pub store: Arc<StoreMetrics>,
    /// What goes over lines to other replicas.
    pub peers: PeerMetrics,
    /// Commands that were ordered, or were to be, and whose outcome nobody learnt.
    pub proposals_failed: AtomicU64,
    /// Reads that could not be made linearizable.
    pub read_indexes_failed: AtomicU64,
    /// Leases made, renewed and ended on request.
    pub leases: Leases,
    /// What the health pages said.
    pub health: Health,
    /// When the server began.
    pub started: Started,
    /// Follows calls for traces, if any are to be.
    pub spans: Option<Arc<Spans>>,
}

/// See [`Metrics::leases`].
#[derive(Debug, Default)]
#[allow(missing_docs)]
pub struct Leases {
    pub granted: AtomicU64,
    pub renewed: AtomicU64,
    pub revoked: AtomicU64,
}

/// See [`Metrics::health`].
#[derive(Debug, Default)]
pub struct Health {
    /// `/health` said yes.
    pub success: AtomicU64,
    /// `/health` said no.
    pub failures: AtomicU64,
    /// Each check's last result and how often it went well and badly.
    pub checks: RwLock<Vec<CheckCount>>,
}

/// How one check of `/livez` or `/readyz` fared.
#[derive(Debug)]
#[allow(missing_docs)]
pub struct CheckCount {
    pub kind: &'static str,
    pub name: &'static str,
    pub healthy: bool,
    pub successes: u64,
    pub errors: u64,
}

#[derive(Debug)]
struct Counters {
    name: MethodName,
    started: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    handled: [AtomicU64; Code::ALL.len()],
    took: Option<[Histogram; 2]>,
    handling: Option<Histogram>,
}

#[derive(Debug)]
struct ClientVersion {
    version: Box<str>,
    unary: AtomicU64,
    stream: AtomicU64,
}

impl Metrics {
    /// For these methods; a [`Meter`] names one by its place.
    #[must_use]
    pub fn new(methods: impl Iterator<Item = MethodName>, settings: Settings) -> Self {
        Self {
            methods: methods.map(|name| Counters::new(name, settings.extensive)).collect(),
            sent_bytes: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
            versions: RwLock::default(),
            store: Arc::new(StoreMetrics::new(settings.warn_apply_after)),
            peers: PeerMetrics::default(),
            proposals_failed: AtomicU64::new(0),
            read_indexes_failed: AtomicU64::new(0),
            leases: Leases::default(),
            health: Health::default(),
            started: Started::now(),
            spans: None,
        }
    }

    /// Counts a call by the version its client claims.
    pub fn client(&self, version: &str, kind: Kind) {
        let versions = self.versions.read();
        let known = versions.iter().find(|known| &*known.version == version);
        if let Some(known) = known.or_else(|| versions.get(MAX_VERSIONS)) {
            known.count(kind);
            return;
        }
        drop(versions);
        let mut versions = self.versions.write();
        let version = if versions.len() < MAX_VERSIONS { version } else { "other" };
        let new = ClientVersion { version: version.into(), unary: 0.into(), stream: 0.into() };
        new.count(kind);
        versions.push(new);
    }

    /// Adds the counters of calls.
    pub fn expose(&self, out: &mut Exposition) {
        self.expose_calls(out);
        self.expose_durations(out);
        self.expose_handling(out);
        self.store.expose(out);
        let totals = [
            (
                "etcd_network_client_grpc_sent_bytes_total",
                "bytes sent to grpc clients",
                &self.sent_bytes,
            ),
            (
                "etcd_network_client_grpc_received_bytes_total",
                "bytes received from grpc clients",
                &self.received_bytes,
            ),
            ("etcd_server_proposals_failed_total", "failed proposals seen", &self.proposals_failed),
            (
                "etcd_server_read_indexes_failed_total",
                "failed read indexes seen",
                &self.read_indexes_failed,
            ),
            ("etcd_debugging_lease_granted_total", "granted leases", &self.leases.granted),
            ("etcd_debugging_lease_renewed_total", "renewed leases", &self.leases.renewed),
            ("etcd_debugging_lease_revoked_total", "revoked leases", &self.leases.revoked),
            ("etcd_server_health_success", "successful health checks", &self.health.success),
            ("etcd_server_health_failures", "failed health checks", &self.health.failures),
        ];
        for (name, what, counter) in totals {
            let help = format!("The total number of {what}.");
            out.single(name, Type::Counter, &help, counter.load(Relaxed));
        }
        self.expose_clients(out);
        self.expose_checks(out);
        self.expose_spans(out);
    }

    fn expose_spans(&self, out: &mut Exposition) {
        let Some(spans) = &self.spans else { return };
        let counts = spans.counts();
        for (name, help, count) in [
            ("meridian_spans_exported_total", "Spans that the collector took.", &counts.exported),
            ("meridian_spans_dropped_total", "Spans that were dropped.", &counts.dropped),
        ] {
            out.single(name, Type::Counter, help, count.load(Relaxed));
        }
    }

    fn expose_calls(&self, out: &mut Exposition) {
        type Read = fn(&Counters) -> &AtomicU64;
        let counts: [(&str, &str, Read); 3] = [
            ("grpc_server_started_total", "RPCs started on the server", |of| &of.started),
            (
                "grpc_server_msg_received_total",
                "RPC stream messages received on the server",
                |of| &of.received,
            ),
            ("grpc_server_msg_sent_total", "gRPC stream messages sent by the server", |of| {
                &of.sent
            }),
        ];
        for (name, what, read) in counts {
            out.head(name, Type::Counter, &format!("Total number of {what}."));
            for counters in self.shown() {
                out.value(name, &counters.name.labels(), read(counters).load(Relaxed));
            }
        }
        let name = "grpc_server_handled_total";
        let help =
            "Total number of RPCs completed on the server, regardless of success or failure.";
        out.head(name, Type::Counter, help);
        for counters in self.shown() {
            let [method, service, kind] = counters.name.labels();
            for (code, count) in Code::ALL.iter().zip(&counters.handled) {
                let labels = [("grpc_code", code.name()), method, service, kind];
                out.value(name, &labels, count.load(Relaxed));
            }
        }
    }

    fn expose_durations(&self, out: &mut Exposition) {
        let name = "etcd_server_request_duration_seconds";
        out.head(name, Type::Histogram, "Response latency distributions in seconds for each type.");
        for counters in &self.methods {
            let (Some(request), Some(took)) = (counters.name.timed, &counters.took) else {
                continue;
            };
            for (success, histogram) in ["false", "true"].into_iter().zip(took) {
                if !histogram.is_empty() {
                    out.histogram(name, &[("success", success), ("type", request)], histogram);
                }
            }
        }
    }

    fn expose_handling(&self, out: &mut Exposition) {
        let name = "grpc_server_handling_seconds";
        let help = "Response latency (seconds) of gRPC that had been application-level handled.";
        if self.methods.iter().all(|counters| counters.handling.is_none()) {
            return;
        }
        out.head(name, Type::Histogram, help);
        for counters in self.shown() {
            if let Some(histogram) = &counters.handling {
                out.histogram(name, &counters.name.labels(), histogram);
            }
        }
    }

    /// The methods that are shown.
    fn shown(&self) -> impl Iterator<Item = &Counters> {
        self.methods.iter().filter(|counters| {
            let called = counters.started.load(Relaxed) > 0;
            called || !SHOWN_WHEN_CALLED.contains(&counters.name.service)
        })
    }

    fn expose_clients(&self, out: &mut Exposition) {
        let name = "etcd_server_client_requests_total";
        out.head(name, Type::Counter, "The total number of client requests per client version.");
        for known in self.versions.read().iter() {
            for (kind, count) in [("unary", &known.unary), ("stream", &known.stream)] {
                let labels = [("client_api_version", &*known.version), ("type", kind)];
                out.value(name, &labels, count.load(Relaxed));
            }
        }
    }

    fn expose_checks(&self, out: &mut Exposition) {
        let checks = self.health.checks.read();
        out.head("etcd_server_healthcheck", Type::Gauge, "The result of each kind of healthcheck.");
        for check in checks.iter() {
            let labels = [("name", check.name), ("type", check.kind)];
            out.value("etcd_server_healthcheck", &labels, u8::from(check.healthy));
        }
        let name = "etcd_server_healthchecks_total";
        out.head(name, Type::Counter, "The total number of each kind of healthcheck.");
        for check in checks.iter() {
            for (status, count) in [("error", check.errors), ("success", check.successes)] {
                let labels = [("name", check.name), ("status", status), ("type", check.kind)];
                out.value(name, &labels, count);
            }
        }
    }
}

impl Health {
    /// Notes the result of one check.
    pub fn note(&self, kind: &'static str, name: &'static str, healthy: bool) {
        let mut checks = self.checks.write();
        let place = checks.iter().position(|check| check.kind == kind && check.name == name);
        let place = place.unwrap_or_else(|| {
            checks.push(CheckCount { kind, name, healthy, successes: 0, errors: 0 });
            checks.len() - 1
        });
        let check = &mut checks[place];
        check.healthy = healthy;
        let count = if healthy { &mut check.successes } else { &mut check.errors };
        *count += 1;
    }
}

impl MethodName {
    fn labels(&self) -> [(&'static str, &'static str); 3] {
        let kind = match self.kind {
            Kind::Unary => "unary",
            Kind::ServerStream => "server_stream",
            Kind::Bidirectional => "bidi_stream",
        };
        [("grpc_method", self.method), ("grpc_service", self.service), ("grpc_type", kind)]
    }
}

impl Counters {
    fn new(name: MethodName, extensive: bool) -> Self {
        let took = name.timed.map(|_| [(); 2].map(|()| Histogram::seconds(0.001, 14)));
        let handling = extensive.then(|| Histogram::new(Unit::Seconds, HANDLING));
        Self {
            name,
            started: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            handled: [const { AtomicU64::new(0) }; Code::ALL.len()],
            took,
            handling,
        }
    }
}

impl ClientVersion {
    fn count(&self, kind: Kind) {
        let counter = if kind == Kind::Unary { &self.unary } else { &self.stream };
        counter.fetch_add(1, Relaxed);
    }
}
