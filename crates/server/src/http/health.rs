//! `/health`, `/livez`, `/readyz` and the checks behind them.

use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use state::AlarmType;

use super::query::Query;
use super::{PLAIN, error, page};
use crate::grpc::Status;
use crate::rpc::Services;

/// One thing that can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

/// The checks that a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checks {
    kind: &'static str,
    checks: &'static [Check],
    /// Whether the path names the one check.
    single: bool,
}

const LIVEZ: &[Check] = &[Check::SerializableRead];
const READYZ: &[Check] =
    &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

impl Check {
    const fn name(self) -> &'static str {
        match self {
            Self::DataCorruption => "data_corruption",
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
            Self::NonLearner => "non_learner",
        }
    }

    async fn run(self, services: &Services) -> Result<(), String> {
        match self {
            Self::DataCorruption => {
                let alarms = services.engine.status().alarms;
                let corrupt = alarms.iter().any(|alarm| alarm.alarm == AlarmType::Corrupt);
                if corrupt { Err("alarm activated: CORRUPT".to_owned()) } else { Ok(()) }
            }
            Self::SerializableRead => read(services, true).await,
            Self::LinearizableRead => read(services, false).await,
            Self::NonLearner if services.engine.is_learner() => {
                Err("not supported for learner".to_owned())
            }
            Self::NonLearner => Ok(()),
        }
    }
}

/// Which checks `/livez`, `/readyz` or `/readyz/<check>` run.
pub(super) fn find(path: &str) -> Option<Checks> {
    let (kind, all, rest) = match path.strip_prefix("/livez") {
        Some(rest) => ("livez", LIVEZ, rest),
        None => ("readyz", READYZ, path.strip_prefix("/readyz")?),
    };
    if rest.is_empty() {
        return Some(Checks { kind, checks: all, single: false });
    }
    let name = rest.strip_prefix('/')?;
    let nth = all.iter().position(|check| check.name() == name)?;
    Some(Checks { kind, checks: &all[nth..=nth], single: true })
}

/// Runs checks: `ok`, or what failed.
pub(super) async fn run(services: &Services, checks: Checks, query: &Query<'_>) -> Response<Bytes> {
    warn_of_unknown(checks, query);
    let mut healthy = true;
    let mut report = String::new();
    for check in checks.checks {
        let name = check.name();
        if !checks.single && query.holds("exclude", name) {
            continue;
        }
        let result = check.run(services).await;
        services.metrics.health.note(checks.kind, name, result.is_ok());
        match result {
            Ok(()) => report.push_str(&format!("[+]{name} ok\n")),
            Err(why) => {
                healthy = false;
                report.push_str(&format!("[-]{name} failed: {why}\n"));
            }
        }
    }
    if !healthy {
        tracing::error!(path = checks.kind, reason = report, "Health check error");
        return error(StatusCode::SERVICE_UNAVAILABLE, &report);
    }
    if checks.kind == "readyz" && !checks.single {
        report.push_str(&shared(services));
    }
    let body = if query.has("verbose") { format!("{report}ok\n") } else { "ok\n".to_owned() };
    let mut response = page(StatusCode::OK, PLAIN, body);
    let sniff = HeaderValue::from_static("nosniff");
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, sniff);
    response
}

/// Up to which level the journal may hold entries, and who keeps it from rising.
fn level(services: &Services, status: &engine::Status) -> String {
    let (now, own) = (status.cluster.level(), services.engine.level());
    let held = engine::replicas::held_back(&status.cluster, state::Level::NEWEST);
    let held = held.map_or_else(String::new, |by| format!(", held back by {by}"));
    format!("{now}; this replica goes up to {own}{held}")
}

/// Of replicas: what the journal promises, and who writes. No check: a replica that knows no writer serves
/// reads, and makes one.
fn shared(services: &Services) -> String {
    let Some(journal) = &services.shared_journal else { return String::new() };
    let status = services.engine.status();
    let writer = match status.leader.0 {
        0 => "unknown".to_owned(),
        writer => format!("{writer:x} since epoch {}, {:?} here", status.epoch, status.role),
    };
    let level = level(services, &status);
    format!("[i]journal: {}\n[i]writer: {writer}\n[i]level: {level}\n", journal.guarantee())
}

/// What cannot be left out, since there is no such check, changes nothing.
fn warn_of_unknown(checks: Checks, query: &Query<'_>) {
    let known = |name: &str| checks.checks.iter().any(|check| check.name() == name);
    let missing = query.all("exclude").filter(|name| !name.is_empty() && !known(name));
    let missing: Vec<String> = missing.map(|name| format!("{name:?}")).collect();
    if !missing.is_empty() && !checks.single {
        tracing::warn!(
            "missing-health-checks" = missing.join(","),
            "some health checks cannot be excluded"
        );
    }
}

/// `/health`: one word, and the reason if it is a bad one.
pub(super) async fn health(services: &Services, query: &Query<'_>) -> Response<Bytes> {
    match reason(services, query).await {
        None => {
            services.metrics.health.success.fetch_add(1, Relaxed);
            page(StatusCode::OK, PLAIN, "{\"health\":\"true\",\"reason\":\"\"}")
        }
        Some(reason) => {
            services.metrics.health.failures.fetch_add(1, Relaxed);
            tracing::warn!(reason, "/health error");
            let reason = reason.replace('\\', "\\\\").replace('"', "\\\"");
            let body = format!("{{\"health\":\"false\",\"reason\":\"{reason}\"}}");
            error(StatusCode::SERVICE_UNAVAILABLE, &body)
        }
    }
}

async fn reason(services: &Services, query: &Query<'_>) -> Option<String> {
    let status = services.engine.status();
    for alarm in &status.alarms {
        let name = match alarm.alarm {
            AlarmType::NoSpace => "NOSPACE",
            AlarmType::Corrupt => "CORRUPT",
        };
        if !query.holds("exclude", name) {
            return Some(format!("ALARM {name}"));
        }
    }
    let serializable = query.is("serializable", "true");
    if !serializable && status.leader.0 == 0 {
        return Some("RAFT NO LEADER".to_owned());
    }
    read(services, serializable).await.err().map(|why| format!("RANGE ERROR:{why}"))
}

/// Whether a read would be answered.
async fn read(services: &Services, serializable: bool) -> Result<(), String> {
    let said = |fault| Status::from(fault).message.into_owned();
    if services.engine.stopping() {
        return Err(said(engine::Fault::Stopped));
    }
    if serializable {
        return Ok(());
    }
    services.engine.linearizable_view().await.map(drop).map_err(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(find("/livez").unwrap().checks, LIVEZ);
        assert_eq!(find("/readyz").unwrap().checks, READYZ);
        assert_eq!(find("/readyz/non_learner").unwrap().checks, [Check::NonLearner]);
        for unknown in ["/livez/non_learner", "/readyz/", "/readyzx", "/live", "/"] {
            assert_eq!(find(unknown), None, "{unknown}");
        }
    }
}
