//! Prometheus' text format 0.0.4, and the histogram that fits it.

use std::fmt::{Display, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Collects metrics as text.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

/// What kind of metric it is.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts in buckets.
    Histogram,
}

/// Names and values of labels.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// Begins a metric: everything of one name must follow its head.
    pub fn head(&mut self, name: &str, kind: Type, help: &str) {
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// One value of the metric begun last.
    pub fn value(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.text.push_str(name);
        self.labels(labels, None);
        self.line(format_args!(" {value}\n"));
    }

    /// A metric with one value and no labels.
    pub fn single(&mut self, name: &str, kind: Type, help: &str, value: impl Display) {
        self.head(name, kind, help);
        self.value(name, &[], value);
    }

    /// The buckets, sum and count of one histogram.
    pub fn histogram(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        let mut total = 0;
        for (index, bucket) in histogram.buckets.iter().enumerate() {
            total += bucket.load(Relaxed);
            let bound = match histogram.bounds.get(index) {
                Some(bound) => bound.to_string(),
                None => "+Inf".to_owned(),
            };
            self.line(format_args!("{name}_bucket"));
            self.labels(labels, Some(&bound));
            self.line(format_args!(" {total}\n"));
        }
        let seconds = Duration::from_nanos(histogram.nanoseconds.load(Relaxed)).as_secs_f64();
        self.line(format_args!("{name}_sum"));
        self.labels(labels, None);
        self.line(format_args!(" {seconds}\n{name}_count"));
        self.labels(labels, None);
        self.line(format_args!(" {total}\n"));
    }

    /// What was collected.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("a String takes everything");
    }

    fn labels(&mut self, labels: Labels<'_>, le: Option<&str>) {
        let all = labels.iter().copied().chain(le.map(|bound| ("le", bound)));
        let mut separator = '{';
        for (name, value) in all {
            self.text.push(separator);
            self.line(format_args!("{name}=\""));
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
    }
}

/// Durations in buckets that double.
#[derive(Debug)]
pub struct Histogram {
    bounds: Vec<f64>,
    /// One more than bounds.
    buckets: Vec<AtomicU64>,
    nanoseconds: AtomicU64,
}

impl Histogram {
    /// `count` buckets, the first up to `first` seconds.
    #[must_use]
    pub fn doubling(first: f64, count: usize) -> Self {
        let bounds: Vec<f64> =
            std::iter::successors(Some(first), |bound| Some(bound * 2.0)).take(count).collect();
        let buckets = (0..=count).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, buckets, nanoseconds: AtomicU64::new(0) }
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let index = self.bounds.partition_point(|bound| *bound < seconds);
        self.buckets[index].fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    /// Whether anything was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.load(Relaxed) == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_what_prometheus_reads() {
        let mut out = Exposition::default();
        out.single("a_total", Type::Counter, "How often.", 3);
        out.head("b", Type::Gauge, "How much.");
        out.value("b", &[("x", "1"), ("y", "say \"\\\n\"")], 0.5);
        assert_eq!(
            out.finish(),
            "# HELP a_total How often.\n# TYPE a_total counter\na_total 3\n\
             # HELP b How much.\n# TYPE b gauge\nb{x=\"1\",y=\"say \\\"\\\\\\n\\\"\"} 0.5\n"
        );
    }

    #[test]
    fn buckets_add_up() {
        let histogram = Histogram::doubling(0.001, 2);
        assert!(histogram.is_empty());
        for milliseconds in [1, 2, 2, 9] {
            histogram.observe(Duration::from_millis(milliseconds));
        }
        let mut out = Exposition::default();
        out.histogram("h", &[("type", "Put")], &histogram);
        assert_eq!(
            out.finish(),
            "h_bucket{type=\"Put\",le=\"0.001\"} 1\nh_bucket{type=\"Put\",le=\"0.002\"} 3\n\
             h_bucket{type=\"Put\",le=\"+Inf\"} 4\n\
             h_sum{type=\"Put\"} 0.014\nh_count{type=\"Put\"} 4\n"
        );
    }
}
