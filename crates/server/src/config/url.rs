//! URLs as etcd's flags allow them: a scheme and an address, nothing else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// One URL of a list such as `--listen-client-urls`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    text: String,
    scheme: Scheme,
    host: String,
    port: u16,
}

/// The four schemes etcd knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// Plaintext over TCP.
    Http,
    /// TLS over TCP.
    Https,
    /// Plaintext over a unix socket.
    Unix,
    /// TLS over a unix socket.
    Unixs,
}

/// Where a listener binds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ListenAddress {
    /// An address and a port; port 0 takes any free one.
    Tcp(SocketAddr),
    /// The path of a unix socket.
    Unix(PathBuf),
}

impl Scheme {
    /// Whether the scheme asks for TLS.
    #[must_use]
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Https | Self::Unixs)
    }

    pub(crate) fn is_unix(self) -> bool {
        matches!(self, Self::Unix | Self::Unixs)
    }
}

impl Url {
    /// Reads one URL; a refusal is worded as etcd words it.
    pub fn parse(input: &str) -> Result<Self, String> {
        let input = input.trim();
        let (scheme, rest) = input.split_once("://").unwrap_or(("", input));
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            "unix" => Scheme::Unix,
            "unixs" => Scheme::Unixs,
            _ => {
                return Err(format!("URL scheme must be http, https, unix, or unixs: {input}"));
            }
        };
        let prefix = input.split_once("://").map_or("", |(s, _)| s).to_ascii_lowercase();
        let text = format!("{prefix}://{rest}");
        if scheme.is_unix() {
            return Ok(Self { text, scheme, host: rest.to_owned(), port: 0 });
        }
        let (host, port) = split_host_port(rest, input)?;
        Ok(Self { text, scheme, host, port })
    }

    /// The URL as text, as etcd gives it back in member lists.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host without its port; the whole path for a unix socket.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 for a unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What stands behind the scheme.
    #[must_use]
    pub(crate) fn authority(&self) -> &str {
        self.text.split_once("://").map_or("", |(_, rest)| rest)
    }

    pub(crate) fn is_tcp(&self) -> bool {
        !self.scheme.is_unix()
    }

    /// Where a listener for this URL binds; only IP addresses and `localhost` can be bound.
    pub fn listen_address(&self) -> Result<ListenAddress, String> {
        if self.scheme.is_unix() {
            return Ok(ListenAddress::Unix(PathBuf::from(&self.host)));
        }
        let ip = match self.host.as_str() {
            "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
            host => host
                .parse()
                .map_err(|_| format!("expected IP in URL for binding ({})", self.text))?,
        };
        Ok(ListenAddress::Tcp(SocketAddr::new(ip, self.port)))
    }

    /// Refuses an advertised URL that names no host.
    pub(crate) fn check_host(&self) -> Result<(), String> {
        if self.host.is_empty() && !self.scheme.is_unix() {
            return Err(format!("unexpected empty host ({})", self.text));
        }
        Ok(())
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

fn split_host_port(rest: &str, input: &str) -> Result<(String, u16), String> {
    let shape = || format!("URL address does not have the form \"host:port\": {input}");
    if let Some(at) = rest.find(['/', '?', '#']) {
        // The address is judged first, as etcd does, so that the first fault is the one told.
        split_host_port(&rest[..at], input)?;
        let part = if rest[at..].starts_with('/') { "path" } else { "query" };
        return Err(format!("URL must not contain a {part}: {input}"));
    }
    if rest.contains('@') {
        return Err(format!("URL must not contain a user: {input}"));
    }
    let (host, port) = rest.rsplit_once(':').ok_or_else(shape)?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').ok_or_else(shape)?,
        None if host.contains(':') => return Err(shape()),
        None => host,
    };
    if port.is_empty() {
        return Ok((host.to_owned(), 0));
    }
    let port = port.parse().map_err(|_| format!("invalid port {port:?} in URL: {input}"))?;
    Ok((host.to_owned(), port))
}

/// A comma-separated list: sorted, each once, as etcd keeps it.
pub(crate) fn parse_list(text: &str) -> Result<Vec<Url>, String> {
    let mut urls = text.split(',').map(Url::parse).collect::<Result<Vec<_>, _>>()?;
    urls.sort();
    urls.dedup();
    Ok(urls)
}

#[cfg(test)]
mod tests {
    use super::{ListenAddress, parse_list};

    #[test]
    fn lists_are_sorted_and_each_url_once() {
        let urls = parse_list("http://b:2, http://a:1,http://b:2,unix://sock:0").unwrap();
        let texts: Vec<_> = urls.iter().map(|u| u.as_str()).collect();
        assert_eq!(texts, ["http://a:1", "http://b:2", "unix://sock:0"]);
    }

    #[test]
    fn faults_are_told_in_etcd_s_words() {
        for (text, error) in [
            ("ftp://1", "URL scheme must be http, https, unix, or unixs: ftp://1"),
            ("127.0.0.1:1", "URL scheme must be http, https, unix, or unixs: 127.0.0.1:1"),
            ("http://h", "URL address does not have the form \"host:port\": http://h"),
            ("http://h:1/x", "URL must not contain a path: http://h:1/x"),
            ("http://h:70000", "invalid port \"70000\" in URL: http://h:70000"),
            ("http://u@h:1", "URL must not contain a user: http://u@h:1"),
        ] {
            assert_eq!(parse_list(text), Err(error.to_owned()));
        }
    }

    #[test]
    fn only_addresses_and_localhost_can_be_bound() {
        let bind = |text: &str| parse_list(text).unwrap()[0].listen_address();
        let tcp = |text: &str| Ok(ListenAddress::Tcp(text.parse().unwrap()));
        assert_eq!(bind("http://localhost:2379"), tcp("127.0.0.1:2379"));
        assert_eq!(bind("http://[::1]:2379"), tcp("[::1]:2379"));
        assert_eq!(bind("http://0.0.0.0:0"), tcp("0.0.0.0:0"));
        assert_eq!(bind("unix:///run/a.sock"), Ok(ListenAddress::Unix("/run/a.sock".into())));
        let refused = bind("http://example.org:1").unwrap_err();
        assert_eq!(refused, "expected IP in URL for binding (http://example.org:1)");
    }
}
