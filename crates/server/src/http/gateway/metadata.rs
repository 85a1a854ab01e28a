//! Headers of a request as the metadata of its call, by grpc-gateway's rules: those of HTTP itself
//! under `grpcgateway-`, `Grpc-Metadata-*` under their own names, `Authorization` under both.

use std::time::Duration;

use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use base64::{DecodeError, Engine as _};
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::grpc::{Code, Peer, Status};

/// The headers that IANA keeps as permanent, as far as grpc-gateway knows them.
const PERMANENT: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-language",
    "accept-ranges",
    "authorization",
    "cache-control",
    "content-type",
    "cookie",
    "date",
    "expect",
    "from",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-schedule-tag-match",
    "if-unmodified-since",
    "max-forwards",
    "origin",
    "pragma",
    "referer",
    "user-agent",
    "via",
    "warning",
];

/// What gRPC itself writes; a client's word on it is not passed on.
const RESERVED: &[&str] = &[
    "content-type",
    "user-agent",
    "te",
    "connection",
    "grpc-encoding",
    "grpc-message",
    "grpc-message-type",
    "grpc-status",
    "grpc-timeout",
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The metadata of the call that a request is.
///
/// # Errors
/// INVALID_ARGUMENT, for a binary header that is no base64.
pub(super) fn metadata(
    headers: &HeaderMap,
    host: Option<&str>,
    peer: &Peer,
) -> Result<HeaderMap, Status> {
    let mut metadata = HeaderMap::with_capacity(headers.len() + 2);
    for (name, value) in headers {
        if *name == AUTHORIZATION {
            metadata.append(AUTHORIZATION, value.clone());
        }
        let Some(name) = passed_on(name.as_str()) else { continue };
        if name.as_str().ends_with("-bin") {
            check_binary(value.as_bytes()).map_err(|error| not_base64(&name, &error))?;
        } else if !value.as_bytes().iter().all(|byte| (0x20..=0x7e).contains(byte)) {
            continue;
        }
        metadata.append(name, value.clone());
    }
    forwarded(headers, host, peer, &mut metadata);
    Ok(metadata)
}

/// The name under which a header is passed on, if it is.
fn passed_on(name: &str) -> Option<HeaderName> {
    if PERMANENT.contains(&name) {
        return HeaderName::try_from(format!("grpcgateway-{name}")).ok();
    }
    let inner = name.strip_prefix("grpc-metadata-")?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fit = inner.bytes().all(plain) && !RESERVED.contains(&inner);
    fit.then(|| HeaderName::try_from(inner).ok()).flatten()
}

/// Says for whom the call is made.
fn forwarded(headers: &HeaderMap, host: Option<&str>, peer: &Peer, metadata: &mut HeaderMap) {
    let given = headers.get(FORWARDED_HOST).filter(|host| !host.is_empty());
    let host = given.cloned().or_else(|| HeaderValue::try_from(host?).ok());
    if let Some(host) = host {
        metadata.insert(FORWARDED_HOST, host);
    }
    let mut path: Vec<String> = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    path.extend(peer.address.map(|address| address.ip().to_string()));
    if let Ok(path) = HeaderValue::try_from(path.join(", "))
        && !path.is_empty()
    {
        metadata.insert(FORWARDED_FOR, path);
    }
}

/// The name that the client asked for.
pub(super) fn host(headers: &HeaderMap, uri: &http::Uri) -> Option<String> {
    let named = headers.get(HOST).and_then(|host| host.to_str().ok());
    named.or_else(|| uri.authority().map(http::uri::Authority::as_str)).map(str::to_owned)
}

/// Sees to it that a value is base64 as Go understands it: bits too many at its end are none of
/// its concern.
fn check_binary(value: &[u8]) -> Result<(), DecodeError> {
    let engine = if value.len().is_multiple_of(4) { &STANDARD } else { &STANDARD_NO_PAD };
    match engine.decode(value) {
        Ok(_) | Err(DecodeError::InvalidLastSymbol { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

fn not_base64(name: &HeaderName, error: &DecodeError) -> Status {
    let at = match error {
        DecodeError::InvalidByte(at, _) => *at,
        DecodeError::InvalidLength(length) => length.saturating_sub(1),
        DecodeError::InvalidLastSymbol { .. } | DecodeError::InvalidPadding => 0,
    };
    let name = canonical(&format!("grpc-metadata-{name}"));
    let text = format!("invalid binary header {name}: illegal base64 data at input byte {at}");
    Status::new(Code::InvalidArgument, text)
}

/// A header's name as Go writes it.
fn canonical(name: &str) -> String {
    let words = name.split('-').map(|word| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    });
    words.collect::<Vec<_>>().join("-")
}

/// How long the call may take, if `Grpc-Timeout` says.
///
/// # Errors
/// INVALID_ARGUMENT, if it cannot be read.
pub(super) fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get("grpc-timeout").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    let read = read_timeout(&text).ok_or_else(|| {
        Status::new(Code::InvalidArgument, format!("invalid grpc-timeout: {text}"))
    })?;
    Ok((read != 0).then(|| Duration::from_nanos(u64::try_from(read).unwrap_or(0))))
}

/// In nanoseconds; what is negative is over.
fn read_timeout(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit: i64 = match unit {
        "H" => 3_600_000_000_000,
        "M" => 60_000_000_000,
        "S" => 1_000_000_000,
        "m" => 1_000_000,
        "u" => 1_000,
        "n" => 1,
        _ => return None,
    };
    digits.parse::<i64>().ok().map(|number| number.saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    fn of(pairs: &[(&'static str, &'static str)]) -> Result<HeaderMap, Status> {
        let peer = Peer { address: "127.0.0.1:9".parse().ok(), ..Peer::default() };
        metadata(&headers(pairs), Some("h:1"), &peer)
    }

    #[test]
    fn headers_become_metadata() {
        let metadata = of(&[
            ("authorization", "tok"),
            ("accept", "*/*"),
            ("grpc-metadata-hasleader", "true"),
            ("grpc-metadata-grpc-timeout", "1S"),
            ("x-other", "1"),
            ("x-forwarded-for", "10.0.0.1"),
        ]);
        let expected = headers(&[
            ("authorization", "tok"),
            ("grpcgateway-authorization", "tok"),
            ("grpcgateway-accept", "*/*"),
            ("hasleader", "true"),
            ("x-forwarded-host", "h:1"),
            ("x-forwarded-for", "10.0.0.1, 127.0.0.1"),
        ]);
        assert_eq!(metadata, Ok(expected));
    }

    #[test]
    fn binary_headers_are_base64() {
        assert_eq!(of(&[("grpc-metadata-a-bin", "YQ")]).unwrap()["a-bin"], "YQ");
        let refusal = of(&[("grpc-metadata-a-bin", "x")]).unwrap_err();
        let words =
            "invalid binary header Grpc-Metadata-A-Bin: illegal base64 data at input byte 0";
        assert_eq!(refusal.message, words);
    }

    #[test]
    fn timeouts() {
        let read = |text| timeout(&headers(&[("grpc-timeout", text)]));
        assert_eq!(read("300m"), Ok(Some(Duration::from_millis(300))));
        assert_eq!(read("0S"), Ok(None));
        assert_eq!(read("-1S"), Ok(Some(Duration::ZERO)));
        assert_eq!(read("999999999999H"), Ok(Some(Duration::from_nanos(i64::MAX as u64))));
        assert_eq!(read("x").unwrap_err().message, "invalid grpc-timeout: x");
        assert!(read("5").is_err() && read("m").is_err());
        assert_eq!(timeout(&HeaderMap::new()), Ok(None));
    }
}
