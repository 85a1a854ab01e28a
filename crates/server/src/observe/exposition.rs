//! Prometheus' text format 0.0.4.

use std::fmt::{Display, Write};
use std::time::Duration;

use super::histogram::Histogram;

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

    /// A metric that is one histogram without labels.
    pub fn lone_histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, Type::Histogram, help);
        self.histogram(name, &[], histogram);
    }

    /// A histogram without labels that somebody else has counted: bounds with how many were at most as
    /// long, the sum in seconds, and how many there were.
    pub fn foreign_histogram(
        &mut self,
        name: &str,
        help: &str,
        buckets: &[(Duration, u64)],
        sum: f64,
        count: u64,
    ) {
        self.head(name, Type::Histogram, help);
        for (bound, total) in buckets {
            let bound = bound.as_secs_f64();
            self.line(format_args!("{name}_bucket{{le=\"{bound}\"}} {total}\n"));
        }
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}\n"));
        self.line(format_args!("{name}_sum {sum}\n{name}_count {count}\n"));
    }

    /// The buckets, sum and count of one histogram.
    pub fn histogram(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        let mut total = 0;
        for (bound, count) in histogram.buckets() {
            total += count;
            self.line(format_args!("{name}_bucket"));
            self.labels(labels, Some(bound));
            self.line(format_args!(" {total}\n"));
        }
        let sum = histogram.sum();
        self.line(format_args!("{name}_sum"));
        self.labels(labels, None);
        self.line(format_args!(" {sum}\n{name}_count"));
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
}
