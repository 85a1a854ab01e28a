//! `/debug/pprof/`: what etcd shows of its Go runtime there, as far as there is such a thing here.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::query::Query;
use super::{PLAIN, error, page};
use crate::observe::profile::Profiling;

pub(super) const FOLDER: &str = "/debug/pprof/";
const BYTES: &str = "application/octet-stream";
/// Where it is not said how long, as in Go.
const DEFAULT_SECONDS: u64 = 30;
const MOST_SECONDS: u64 = 600;
/// Flags whose values may hold a password.
const SECRETS: [&str; 3] = ["journal", "discovery-user", "discovery-password"];
const HIDDEN: &str = "...";

/// Pages of Go's runtime, and where to look instead.
const ABSENT: [(&str, &str); 9] = [
    ("allocs", "memory is that of the store: see etcd_mvcc_db_total_size_in_bytes in /metrics"),
    ("block", "there are no goroutines to block"),
    ("goroutine", "there are no goroutines"),
    ("heap", "the allocator is not built to be profiled; /metrics has what memory is used for"),
    ("mutex", "there is no Go runtime to count waiting; /debug/pprof/profile shows who runs"),
    ("symbol", "a profile has its names with it: nothing is left to look up"),
    ("threadcreate", "threads are made at the start and named: see /proc/PID/task"),
    ("trace", "there is no Go runtime to trace; see --enable-distributed-tracing for calls"),
    ("goroutineleak", "there are no goroutines"),
];

/// The page of this name in the folder.
pub(super) async fn profiles(method: &Method, name: &str, query: &Query<'_>) -> Response<Bytes> {
    match name {
        "" => page(StatusCode::OK, "text/html; charset=utf-8", index()),
        "profile" if *method == Method::GET || *method == Method::POST => profile(query).await,
        "cmdline" => {
            unsniffed(page(StatusCode::OK, PLAIN, without_secrets(std::env::args()).join("\0")))
        }
        _ => match ABSENT.iter().find(|(absent, _)| *absent == name) {
            Some((_, why)) => error(StatusCode::NOT_IMPLEMENTED, why),
            None => error(StatusCode::NOT_FOUND, "Unknown profile"),
        },
    }
}

/// The arguments of the process, but not what nobody else is to know.
fn without_secrets(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut secret_follows = false;
    let hide = |word: String| {
        if std::mem::take(&mut secret_follows) {
            return HIDDEN.to_owned();
        }
        let (flag, value) = word.split_once('=').map_or((&*word, None), |(f, v)| (f, Some(v)));
        if !SECRETS.contains(&flag.trim_start_matches('-')) {
            return word;
        }
        secret_follows = value.is_none();
        value.map_or_else(|| flag.to_owned(), |_| format!("{flag}={HIDDEN}"))
    };
    words.map(hide).collect()
}

async fn profile(query: &Query<'_>) -> Response<Bytes> {
    let seconds = query.all("seconds").next().and_then(|text| text.parse::<i64>().ok());
    let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok()).filter(|n| *n > 0);
    let seconds = seconds.unwrap_or(DEFAULT_SECONDS);
    if seconds > MOST_SECONDS {
        let words = format!("a profile is taken over {MOST_SECONDS} seconds at most");
        return error(StatusCode::BAD_REQUEST, &words);
    }
    let failed = |why: &str| {
        let words = format!("Could not enable CPU profiling: {why}");
        error(StatusCode::INTERNAL_SERVER_ERROR, &words)
    };
    // Walking through the libraries, and later looking up names, is not for a worker.
    let profiling = match tokio::task::spawn_blocking(Profiling::begin).await {
        Ok(Ok(profiling)) => profiling,
        Ok(Err(why)) => return failed(&why),
        Err(why) => return failed(&why.to_string()),
    };
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    match tokio::task::spawn_blocking(move || profiling.end()).await {
        Ok(Ok(bytes)) => {
            let mut response = unsniffed(page(StatusCode::OK, BYTES, bytes));
            let name = HeaderValue::from_static("attachment; filename=\"profile\"");
            response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
            response
        }
        Ok(Err(why)) => failed(&why),
        Err(why) => failed(&why.to_string()),
    }
}

fn unsniffed(mut response: Response<Bytes>) -> Response<Bytes> {
    let sniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, sniff);
    response
}

fn index() -> String {
    let mut text = "<html>\n<head>\n<title>/debug/pprof/</title>\n</head>\n<body>\n\
                    <a href=\"profile\">profile</a>: CPU, for ?seconds=30; to be read by \
                    <code>go tool pprof</code><br>\n\
                    <a href=\"cmdline\">cmdline</a>: the arguments of the process<br>\n\
                    <p>Of a Go runtime, and so not here:</p>\n"
        .to_owned();
    for (name, why) in ABSENT {
        text += &format!("{name}: {why}<br>\n");
    }
    text + "</body>\n</html>\n"
}

#[cfg(test)]
mod tests {
    #[test]
    fn passwords_are_not_shown() {
        let args =
            ["etcd", "--name=a", "--journal=x://u:p@h", "-discovery-password", "p", "--x", "y"];
        let shown = super::without_secrets(args.into_iter().map(str::to_owned));
        let want = ["etcd", "--name=a", "--journal=...", "-discovery-password", "...", "--x", "y"];
        assert_eq!(shown, want);
    }
}
