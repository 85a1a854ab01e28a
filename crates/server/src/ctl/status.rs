//! `meridian status`: a running server in a few lines, out of the pages that it serves anyway.

use std::collections::BTreeMap;

use crate::probe::probe;

/// What `meridian status --help` says.
pub const HELP: &str = "Usage:

  meridian status [http://HOST:PORT]

Asks a running server's /readyz and /metrics (default http://127.0.0.1:2379) and says in a few lines whether
it is ready, who writes, what it holds, how fast it appends, and, of a journal in Azure Cosmos DB, what its
requests cost. Plain http:// alone: a server that serves clients over TLS shows both pages on
--listen-metrics-urls.

Exit code: 0 if it is ready, 1 if not, or if it cannot be asked.
";

/// Where a server is if nothing is said.
const DEFAULT: &str = "http://127.0.0.1:2379";

/// Reads the arguments behind `status`; none, if the help was asked for.
///
/// # Errors
/// What is wrong with them.
pub fn address(arguments: &[String]) -> Result<Option<String>, String> {
    match arguments {
        [] => Ok(Some(DEFAULT.to_owned())),
        [flag] if flag == "--help" || flag == "-h" => Ok(None),
        [flag] if flag.starts_with('-') => {
            Err(format!("unknown flag: {flag} (run 'meridian status --help')"))
        }
        [url] => Ok(Some(url.trim_end_matches('/').to_owned())),
        _ => Err("status takes one address, as http://127.0.0.1:2379".to_owned()),
    }
}

/// The lines.
///
/// # Errors
/// Why there are none, or that the server is not ready.
pub fn status(url: &str) -> Result<String, String> {
    let ready = probe(&format!("{url}/readyz?verbose"))?;
    let metrics = probe(&format!("{url}/metrics"))?;
    Ok(told(&ready, &Series::read(&metrics)))
}

/// The metrics' values, by name and labels as they are written.
struct Series(BTreeMap<String, f64>);

impl Series {
    fn read(page: &str) -> Self {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(values.collect())
    }

    fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// Each label's value with the metric's, of a metric with one label.
    fn labelled(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        let begins = format!("{name}{{");
        self.0.iter().filter_map(move |(full, value)| {
            let labels = full.strip_prefix(&begins)?;
            Some((labels.split('"').nth(1)?, *value))
        })
    }

    /// Seconds on the average, of a histogram that has counted any.
    fn average(&self, name: &str) -> Option<f64> {
        let count = self.get(&format!("{name}_count")).filter(|count| *count > 0.0)?;
        Some(self.get(&format!("{name}_sum"))? / count)
    }
}

fn told(ready: &str, series: &Series) -> String {
    let mut text = String::from("ready\n");
    for line in ready.lines().filter_map(|line| line.strip_prefix("[i]")) {
        line_of(&mut text, line.split_once(": ").unwrap_or((line, "")));
    }
    let number = |name: &str| series.get(name).map(|value| format!("{value}"));
    let size = series
        .get("etcd_mvcc_db_total_size_in_bytes")
        .map(|bytes| format!("{:.1} MB", bytes / 1e6));
    for (what, value) in [
        ("revision", number("etcd_debugging_mvcc_current_revision")),
        ("keys", number("etcd_debugging_mvcc_keys_total")),
        ("size", size),
        ("commands", number("meridian_commands_total")),
        ("append", milliseconds(series, "meridian_journal_append_duration_seconds")),
    ] {
        if let Some(value) = value {
            line_of(&mut text, (what, &value));
        }
    }
    cosmos(&mut text, series);
    text
}

fn milliseconds(series: &Series, name: &str) -> Option<String> {
    Some(format!("{:.2} ms on the average since the start", series.average(name)? * 1e3))
}

/// What requests to Azure Cosmos DB cost.
fn cosmos(text: &mut String, series: &Series) {
    let Some(spent) = series.get("meridian_cosmos_spent_request_units") else { return };
    let most = series.labelled("meridian_cosmos_throughput_request_units").next();
    let of = most.map_or_else(String::new, |(kind, most)| {
        format!(" of {most} ({kind}), {:.0} %", spent * 100.0 / most.max(1.0))
    });
    line_of(text, ("spending", &format!("{spent:.1} RU/s{of}, by this replica")));
    let charges: BTreeMap<_, _> = series.labelled("meridian_cosmos_request_units_total").collect();
    for (purpose, requests) in series.labelled("meridian_cosmos_requests_total") {
        if requests > 0.0 {
            let charge = charges.get(purpose).copied().unwrap_or_default();
            let each = charge / requests;
            let what = format!("{requests} requests, {charge:.1} RU, {each:.2} each");
            line_of(text, (purpose, &what));
        }
    }
    let throttled = series.get("meridian_cosmos_throttled_total").unwrap_or_default();
    let waited = series.get("meridian_cosmos_throttled_seconds_total").unwrap_or_default();
    line_of(text, ("throttled", &format!("{throttled} times, for {waited:.1} s in all")));
}

fn line_of(text: &mut String, (what, value): (&str, &str)) {
    *text += &format!("{what:>10}  {value}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_become_lines() {
        let ready =
            "[+]data_corruption ok\n[i]journal: strong\n[i]writer: 8e9e since epoch 3\nok\n";
        let page = "# HELP x y\nmeridian_commands_total 12\n\
            etcd_mvcc_db_total_size_in_bytes 2500000\n\
            meridian_journal_append_duration_seconds_sum 0.5\n\
            meridian_journal_append_duration_seconds_count 100\n\
            meridian_cosmos_spent_request_units 42\n\
            meridian_cosmos_throughput_request_units{kind=\"autoscale\"} 4000\n\
            meridian_cosmos_requests_total{for=\"append\"} 10\n\
            meridian_cosmos_requests_total{for=\"trim\"} 0\n\
            meridian_cosmos_request_units_total{for=\"append\"} 57.1\n\
            meridian_cosmos_throttled_total 1\nmeridian_cosmos_throttled_seconds_total 0.25\n";
        let text = told(ready, &Series::read(page));
        for line in [
            "   journal  strong",
            "    writer  8e9e since epoch 3",
            "      size  2.5 MB",
            "  commands  12",
            "    append  5.00 ms on the average since the start",
            "  spending  42.0 RU/s of 4000 (autoscale), 1 %, by this replica",
            "    append  10 requests, 57.1 RU, 5.71 each",
            " throttled  1 times, for 0.2 s in all",
        ] {
            assert!(text.lines().any(|found| found == line), "{line:?} in\n{text}");
        }
        assert!(!text.contains("trim"), "{text}");
        let plain = told("ok\n", &Series::read("meridian_commands_total 1\n"));
        assert_eq!(plain, "ready\n  commands  1\n");
    }

    #[test]
    fn one_address_or_none() {
        let given =
            |text: &[&str]| address(&text.iter().map(|&t| t.to_owned()).collect::<Vec<_>>());
        assert_eq!(given(&[]), Ok(Some(DEFAULT.to_owned())));
        assert_eq!(given(&["http://h:1/"]), Ok(Some("http://h:1".to_owned())));
        assert_eq!(given(&["-h"]), Ok(None));
        assert!(given(&["--json"]).is_err() && given(&["a", "b"]).is_err());
    }
}
