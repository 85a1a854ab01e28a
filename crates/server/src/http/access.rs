//! Who may ask for pages: the names that the server goes by, since a page of another site may make
//! a browser ask in a name that was bound to our address (DNS rebinding, CVE-2018-5702); and the
//! sites whose scripts may read the answers.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header};

use super::error;

/// See the module. The default is to let in everybody, as in etcd.
#[derive(Clone, Debug, Default)]
pub struct Access {
    hosts: Option<BTreeSet<String>>,
    origins: Option<BTreeSet<String>>,
    /// Whether profiles are taken for them.
    pub(super) profiles: bool,
}

impl Access {
    /// From `--host-whitelist` and `--cors`; an empty list, or one with `*`, is everybody.
    #[must_use]
    pub fn new(hosts: &[String], origins: &[String]) -> Self {
        let list = |names: &[String]| {
            let any = names.iter().all(String::is_empty) || names.iter().any(|name| name == "*");
            (!any).then(|| names.iter().cloned().collect())
        };
        Self { hosts: list(hosts), origins: list(origins), profiles: false }
    }

    /// With profiles for who asks, or without.
    #[must_use]
    pub fn with_profiles(self, profiles: bool) -> Self {
        Self { profiles, ..self }
    }

    /// The answer to a request in a name that is not ours. Names count where there is no TLS, for
    /// a certificate says more of who we are.
    pub(super) fn refusal<B>(&self, request: &Request<B>) -> Option<Response<Bytes>> {
        let hosts = self.hosts.as_ref()?;
        let host = host_name(request);
        if hosts.contains(host) {
            return None;
        }
        tracing::warn!(host, "rejecting HTTP request to prevent DNS rebinding attacks");
        Some(error(StatusCode::MISDIRECTED_REQUEST, &misdirected(host)))
    }

    /// Tells a browser that scripts may read the answer, if they may.
    pub(super) fn allow<B>(&self, request_origin: Option<HeaderValue>, response: &mut Response<B>) {
        let origin = match (&self.origins, request_origin) {
            (None, _) => HeaderValue::from_static("*"),
            (Some(origins), Some(origin))
                if origin.to_str().is_ok_and(|origin| origins.contains(origin)) =>
            {
                origin
            }
            (Some(_), _) => return,
        };
        let headers = response.headers_mut();
        for (name, value) in [
            ("access-control-allow-headers", "accept, content-type, authorization"),
            ("access-control-allow-methods", "POST, GET, OPTIONS, PUT, DELETE"),
        ] {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    }
}

/// The name alone, without its port; what cannot be split is left whole, as Go does.
fn host_name<B>(request: &Request<B>) -> &str {
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(http::uri::Authority::as_str).or(header);
    let host = host.unwrap_or_default();
    let Some((name, _)) = host.rsplit_once(':') else { return host };
    match name.strip_prefix('[').map(|name| name.strip_suffix(']')) {
        Some(Some(address)) => address,
        None if !name.contains(':') => name,
        _ => host,
    }
}

fn misdirected(host: &str) -> String {
    format!(
        "\netcd received your request, but the Host header was unrecognized.\n\n\
         To fix this, choose one of the following options:\n\
         - Enable TLS, then any HTTPS request will be allowed.\n\
         - Add the hostname you want to use to the whitelist in settings.\n  \
         - e.g. etcd --host-whitelist {host:?}\n\n\
         This requirement has been added to help prevent \"DNS Rebinding\" attacks \
         (CVE-2018-5702).\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(hosts: &[&str], origins: &[&str]) -> Access {
        let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Access::new(&own(hosts), &own(origins))
    }

    fn asked(host: &str) -> Request<()> {
        Request::builder().uri("/version").header("host", host).body(()).unwrap()
    }

    #[test]
    fn a_name_that_is_not_ours_is_told_so_in_etcds_words() {
        let access = access(&["localhost", "good.example", "::1"], &["*"]);
        for host in ["localhost", "good.example:99", "[::1]:33"] {
            assert!(access.refusal(&asked(host)).is_none(), "{host}");
        }
        for host in ["GOOD.example", "127.0.0.1:1", "a:b:c", ""] {
            let refusal = access.refusal(&asked(host)).expect(host);
            assert_eq!(refusal.status(), 421);
        }
        // The length is that of etcd 3.7.1.
        assert_eq!(access.refusal(&asked("127.0.0.1:1")).unwrap().body().len(), 371);
    }

    #[test]
    fn everybody_is_let_in_unless_somebody_is_named() {
        for any in [&[][..], &[""], &["*"], &["a", "*"]] {
            assert!(access(any, any).refusal(&asked("x")).is_none());
        }
    }

    #[test]
    fn only_named_origins_may_read() {
        let allowed = |access: Access, origin: Option<&'static str>| {
            let mut response = Response::new(());
            access.allow(origin.map(HeaderValue::from_static), &mut response);
            let told = response.headers().get("access-control-allow-origin");
            told.map(|origin| origin.to_str().unwrap().to_owned())
        };
        let some = || access(&["*"], &["https://a.example:1"]);
        assert_eq!(allowed(some(), Some("https://a.example:1")).unwrap(), "https://a.example:1");
        assert_eq!(allowed(some(), Some("https://c.example:1")), None);
        assert_eq!(allowed(some(), None), None);
        assert_eq!(allowed(Access::default(), None).unwrap(), "*");
    }
}
