//! `meridian probe URL`: one GET of a health page, for images that hold nothing but this binary.
//! Plain HTTP alone: health pages are served so on `--listen-metrics-urls`.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
/// No health page is longer.
const MOST: u64 = 64 << 10;

/// Fetches the page, and returns what stands on it.
///
/// # Errors
/// Why there is no page, or what the page says when it is not a 200.
pub fn probe(url: &str) -> Result<String, String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| {
        format!(
            "{url}: only http:// can be probed; health pages are served so on --listen-metrics-urls"
        )
    })?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/readyz" } else { path };
    let answer = fetch(host, path).map_err(|error| format!("{url}: {error}"))?;
    let status = answer.lines().next().unwrap_or_default().to_owned();
    let page = answer.split_once("\r\n\r\n").map_or("", |(_, page)| page);
    match status.split(' ').nth(1) {
        Some("200") => Ok(page.to_owned()),
        _ => Err(format!("{url}: {status}: {page}")),
    }
}

fn fetch(host: &str, path: &str) -> io::Result<String> {
    let mut stream = connect(host)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // HTTP/1.0 and no keep-alive: the end of the page is the end of the connection, without chunks.
    let ask = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(ask.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MOST).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn connect(host: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
