//! The pages that share the client port with gRPC: health, version, metrics. Bodies and codes are
//! etcd's.

mod access;
mod gauges;
mod health;
mod profiles;
mod query;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::grpc::Web;
use crate::observe::process;
use crate::rpc::Services;
use crate::rpc::maintenance::{CLUSTER_VERSION, ETCD_VERSION};
pub use access::Access;
use query::Query;

const PLAIN: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// The pages of one member.
#[derive(Clone)]
pub struct Pages {
    services: Services,
    access: Arc<Access>,
    secure: bool,
}

impl Pages {
    /// Of the member that these services belong to, for everybody.
    #[must_use]
    pub fn new(services: Services) -> Self {
        Self { services, access: Arc::default(), secure: false }
    }

    /// For those that `access` lets in; `secure` says whether they come through TLS.
    #[must_use]
    pub fn guarded(self, access: Arc<Access>, secure: bool) -> Self {
        Self { access, secure, ..self }
    }

    async fn page(&self, method: &Method, path: &str, query: Query<'_>) -> Response<Bytes> {
        match path {
            "/health" | "/version" | "/livez" | "/readyz" if *method != Method::GET => {
                not_allowed()
            }
            _ if self.access.profiles && path.starts_with(profiles::FOLDER) => {
                profiles::profiles(method, &path[profiles::FOLDER.len()..], &query).await
            }
            "/health" => health::health(&self.services, &query).await,
            "/version" => page(StatusCode::OK, JSON, version()),
            "/metrics" => page(StatusCode::OK, METRICS, gauges::metrics(&self.services)),
            "/debug/vars" => page(StatusCode::OK, "application/json; charset=utf-8", self.vars()),
            _ if path.starts_with("/v3/") || path.starts_with("/v3beta/") => later(),
            _ => match health::find(path) {
                Some(_) if *method != Method::GET => not_allowed(),
                Some(checks) => health::run(&self.services, checks, &query).await,
                None => error(StatusCode::NOT_FOUND, "404 page not found"),
            },
        }
    }

    async fn of(&self, request: &Request<Incoming>) -> Response<Bytes> {
        let uri = request.uri();
        let query = uri.query().unwrap_or_default();
        if let Some(clean) = cleaned(uri.path()) {
            return redirect(request.method(), &clean, query);
        }
        self.page(request.method(), uri.path(), Query::parse(query)).await
    }

    /// Answers on a listener for metrics, which has those and the health pages, for any origin.
    pub(crate) async fn answer_metrics(&self, request: Request<Incoming>) -> Response<Bytes> {
        match request.uri().path() {
            "/metrics" | "/health" => self.of(&request).await,
            path if health::find(path).is_some() || cleaned(path).is_some() => {
                self.of(&request).await
            }
            _ => error(StatusCode::NOT_FOUND, "404 page not found"),
        }
    }

    fn vars(&self) -> String {
        let status = self.services.engine.status();
        let limit = process::descriptor_limit().unwrap_or_default();
        let state = if status.leader == status.member { "StateLeader" } else { "StateFollower" };
        format!(
            "{{\n\"file_descriptor_limit\": {limit},\n\
             \"raft.status\": {{\"id\":\"{:x}\",\"term\":{},\"commit\":{},\"lead\":\"{:x}\",\
             \"raftState\":\"{state}\",\"applied\":{}}}\n}}\n",
            status.member.0, status.epoch.0, status.durable.0, status.leader.0, status.applied.0,
        )
    }
}

impl Web for Pages {
    async fn answer(&self, request: Request<Incoming>) -> Response<Bytes> {
        let refusal = if self.secure { None } else { self.access.refusal(&request) };
        if let Some(refusal) = refusal {
            return refusal;
        }
        let mut response = if *request.method() == Method::OPTIONS {
            Response::default()
        } else {
            self.of(&request).await
        };
        self.access.allow(request.headers().get(header::ORIGIN).cloned(), &mut response);
        response
    }
}

fn version() -> String {
    format!(
        "{{\"etcdserver\":\"{ETCD_VERSION}\",\"etcdcluster\":\"{CLUSTER_VERSION}\",\
         \"storage\":\"{CLUSTER_VERSION}\"}}"
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

fn later() -> Response<Bytes> {
    let body = "{\"code\":12,\"message\":\"meridian: the JSON gateway is not implemented yet: \
                a later version has it\"}";
    page(StatusCode::NOT_IMPLEMENTED, JSON, body)
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
