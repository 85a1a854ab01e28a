//! The pages that share the client port with gRPC: health, version, metrics. Bodies and codes are
//! etcd's. Under `/v3/` is the JSON gateway.

mod access;
mod gateway;
mod gauges;
mod health;
mod profiles;
mod query;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use state::ClusterVersion;

use crate::grpc::{Peer, ReplyBody, Web};
use crate::observe::process;
use crate::rpc::Services;
use crate::rpc::maintenance::ETCD_VERSION;
pub use access::Access;
use gateway::Gateway;
pub use gateway::document as openapi;
use query::Query;

/// Where the gateway describes itself; etcd has nothing there.
const OPENAPI: &str = "/v3/openapi.json";
/// etcd's refusal of a gateway call whose certificate would name its user on gRPC.
const UNUSED_NAME: &str = "CommonName of client sending a request against gateway will be ignored \
                           and not used as expected";
const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// The pages of one member.
#[derive(Clone)]
pub struct Pages {
    services: Services,
    access: Arc<Access>,
    secure: bool,
    gateway: bool,
    peer: Peer,
}

impl Pages {
    /// Of the member that these services belong to, for everybody.
    #[must_use]
    pub fn new(services: Services) -> Self {
        let peer = Peer::default();
        Self { services, access: Arc::default(), secure: false, gateway: true, peer }
    }

    /// For those that `access` lets in; `secure` says whether they come through TLS.
    #[must_use]
    pub fn guarded(self, access: Arc<Access>, secure: bool) -> Self {
        Self { access, secure, ..self }
    }

    /// For this client; `gateway` says whether it finds the JSON gateway.
    #[must_use]
    pub fn of_peer(self, peer: Peer, gateway: bool) -> Self {
        Self { gateway, peer, ..self }
    }

    /// Whether this path is one of the gateway's.
    fn is_for_gateway(&self, path: &str) -> bool {
        self.gateway && path.starts_with("/v3/") && path != OPENAPI
    }

    async fn page(&self, method: &Method, path: &str, query: Query<'_>) -> Response<Bytes> {
        match path {
            "/health" | "/version" | "/livez" | "/readyz" | "/debug/vars"
                if *method != Method::GET =>
            {
                not_allowed()
            }
            _ if self.access.profiles && path.starts_with(profiles::FOLDER) => {
                profiles::profiles(method, &path[profiles::FOLDER.len()..], &query).await
            }
            "/health" => health::health(&self.services, &query).await,
            "/version" => page(StatusCode::OK, JSON, version(self.services.cluster_version())),
            "/metrics" => page(StatusCode::OK, METRICS, gauges::metrics(&self.services)),
            "/debug/vars" => page(StatusCode::OK, "application/json; charset=utf-8", self.vars()),
            OPENAPI if self.gateway => match *method {
                Method::GET | Method::HEAD => page(StatusCode::OK, JSON, gateway::document()),
                _ => not_allowed(),
            },
            _ => match health::find(path) {
                Some(_) if *method != Method::GET => not_allowed(),
                Some(checks) => health::run(&self.services, checks, &query).await,
                None => error(StatusCode::NOT_FOUND, "404 page not found"),
            },
        }
    }

    async fn of(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        let path = renamed(request.uri().path()).into_owned();
        if cleaned(&path).is_none() && self.is_for_gateway(&path) {
            if self.services.counts_on_certificate(&self.peer.caller) {
                return error(StatusCode::BAD_REQUEST, UNUSED_NAME).map(ReplyBody::plain);
            }
            let gateway = Gateway { services: self.services.clone(), peer: self.peer.clone() };
            return gateway.answer(&path, request).await;
        }
        let query = request.uri().query().unwrap_or_default();
        let folder = self.gateway && path == "/v3";
        let clean = cleaned(&path).or_else(|| folder.then(|| "/v3/".to_owned()));
        let page = match clean {
            Some(clean) => redirect(request.method(), &clean, query),
            None => self.page(request.method(), &path, Query::parse(query)).await,
        };
        page.map(ReplyBody::plain)
    }

    /// Answers on a listener for metrics, which has those and the health pages, for any origin.
    pub(crate) async fn answer_metrics(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        match request.uri().path() {
            "/metrics" | "/health" => self.of(request).await,
            path if health::find(path).is_some() || cleaned(path).is_some() => {
                self.of(request).await
            }
            _ => error(StatusCode::NOT_FOUND, "404 page not found").map(ReplyBody::plain),
        }
    }

    /// Answers other replicas, and whoever asks a peer port which version it has.
    pub(crate) async fn answer_peers(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        match request.uri().path() {
            "/version" => self.of(request).await,
            _ => error(StatusCode::NOT_FOUND, "404 page not found").map(ReplyBody::plain),
        }
    }

    fn vars(&self) -> String {
        let status = self.services.engine.status();
        let limit = process::descriptor_limit().unwrap_or_default();
        let leads = status.leader == status.member;
        let state = if leads { "StateLeader" } else { "StateFollower" };
        let (member, leader) = (status.member.0, status.leader.0);
        let (term, durable, applied) = (status.epoch.0, status.durable.0, status.applied.0);
        // One that leads says how far the others are: it is the only one.
        let progress = format!(
            ",\"progress\":{{\"{member:x}\":{{\"match\":{durable},\"next\":{},\
             \"state\":\"StateReplicate\"}}}}",
            durable + 1
        );
        let progress = if leads { &progress } else { "" };
        format!(
            "{{\n\"cmdline\": [{}],\n\"file_descriptor_limit\": {limit},\n\
             \"raft.status\": {{\"id\":\"{member:x}\",\"term\":{term},\"vote\":\"{leader:x}\",\
             \"commit\":{durable},\"lead\":\"{leader:x}\",\"raftState\":\"{state}\",\
             \"applied\":{applied}{progress},\"leadtransferee\":\"0\"}}\n}}\n",
            command_line(),
        )
    }
}

impl Web for Pages {
    async fn answer(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        let refusal = if self.secure { None } else { self.access.refusal(&request) };
        if let Some(refusal) = refusal {
            return refusal.map(ReplyBody::plain);
        }
        let origin = request.headers().get(header::ORIGIN).cloned();
        let mut response = if *request.method() == Method::OPTIONS {
            Response::new(ReplyBody::plain(Bytes::new()))
        } else {
            self.of(request).await
        };
        // What becomes another protocol is no answer that a script could read.
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            self.access.allow(origin, &mut response);
        }
        response
    }

    fn gone_when_silent(&self, request: &Request<Incoming>) -> bool {
        self.is_for_gateway(&renamed(request.uri().path()))
    }
}

/// What the process was started with, as members of a JSON list. No secret may be in it: every user
/// of the machine can see as much.
fn command_line() -> String {
    let words = std::env::args_os().map(|word| gateway::quoted(&word.to_string_lossy()));
    words.collect::<Vec<_>>().join(",")
}

fn version(cluster: ClusterVersion) -> String {
    format!(
        "{{\"etcdserver\":\"{ETCD_VERSION}\",\"etcdcluster\":\"{cluster}\",\
         \"storage\":\"{cluster}\"}}"
    )
}

fn page(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// As Go's library writes errors: with a line's end, and not to be taken for anything but text.
fn error(status: StatusCode, text: &str) -> Response<Bytes> {
    let mut response = page(status, PLAIN, format!("{text}\n"));
    let sniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, sniff);
    response
}

/// The path as it is called today.
fn renamed(path: &str) -> Cow<'_, str> {
    match path.strip_prefix("/v3beta/") {
        Some(rest) => Cow::Owned(format!("/v3/{rest}")),
        None => Cow::Borrowed(path),
    }
}

/// The path without what Go's router takes out of it, if there is any of that: empty and `.`
/// segments, and each `..` with what stands before it.
fn cleaned(path: &str) -> Option<String> {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let slash = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    let clean = format!("/{}{slash}", kept.join("/"));
    (clean != path).then_some(clean)
}

/// To where a path is that is written in another way.
fn redirect(method: &Method, path: &str, query: &str) -> Response<Bytes> {
    let mark = if query.is_empty() { "" } else { "?" };
    let target = format!("{path}{mark}{query}");
    let mut response = Response::default();
    if *method == Method::GET || *method == Method::HEAD {
        let shown = target.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let shown = shown.replace('"', "&#34;").replace('\'', "&#39;");
        let body = format!("<a href=\"{shown}\">Temporary Redirect</a>.\n\n");
        response = page(StatusCode::OK, "text/html; charset=utf-8", body);
    }
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    if let Ok(target) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(header::LOCATION, target);
    }
    response
}

fn not_allowed() -> Response<Bytes> {
    let mut response = error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    response
}

#[cfg(test)]
mod tests {
    use super::cleaned;

    #[test]
    fn paths_are_cleaned_as_go_does() {
        for (path, clean) in [
            ("//livez", "/livez"),
            ("/livez//a", "/livez/a"),
            ("/readyz/../livez", "/livez"),
            ("/./livez/", "/livez/"),
            ("/../..", "/"),
        ] {
            assert_eq!(cleaned(path).as_deref(), Some(clean), "{path}");
        }
        for path in ["/", "/livez", "/livez/", "/a/b.c", "/..a"] {
            assert_eq!(cleaned(path), None, "{path}");
        }
    }
}
