//! The histogram: buckets of whole ticks (nanoseconds, bytes, pieces), one atomic addition to each
//! of two numbers for a value, or for many equal ones.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What the values are shown in.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// Ticks are nanoseconds.
    Seconds,
    /// Ticks are nanoseconds.
    Milliseconds,
    /// A tick is one of what is counted.
    One,
}

impl Unit {
    const fn ticks(self) -> f64 {
        match self {
            Self::Seconds => 1e9,
            Self::Milliseconds => 1e6,
            Self::One => 1.0,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Histogram {
    unit: Unit,
    /// The largest value of each bucket but the last, in ticks.
    bounds: Box<[u64]>,
    /// The same as text, and the last one's.
    labels: Box<[String]>,
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// With these upper bounds, in ascending order, and one bucket above them.
    #[must_use]
    pub fn new(unit: Unit, bounds: impl IntoIterator<Item = f64>) -> Self {
        let shown: Vec<f64> = bounds.into_iter().collect();
        let infinite = std::iter::once("+Inf".to_owned());
        Self {
            unit,
            bounds: shown.iter().map(|bound| (bound * unit.ticks()).round() as u64).collect(),
            labels: shown.iter().map(|bound| go_float(*bound)).chain(infinite).collect(),
            buckets: (0..=shown.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// `count` bounds, each twice the one before it.
    #[must_use]
    pub fn doubling(unit: Unit, first: f64, count: usize) -> Self {
        Self::new(unit, std::iter::successors(Some(first), |bound| Some(bound * 2.0)).take(count))
    }

    /// Of seconds, `count` bounds from `first` on.
    #[must_use]
    pub fn seconds(first: f64, count: usize) -> Self {
        Self::doubling(Unit::Seconds, first, count)
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        self.observe_equal(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), 1);
    }

    /// Counts a value `times` times.
    pub fn observe_equal(&self, ticks: u64, times: u64) {
        let index = self.bounds.partition_point(|bound| *bound < ticks);
        self.buckets[index].fetch_add(times, Relaxed);
        self.sum.fetch_add(ticks.saturating_mul(times), Relaxed);
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buckets.iter().all(|bucket| bucket.load(Relaxed) == 0)
    }

    /// The upper bound of each bucket, as text, and what fell into it.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (&str, u64)> {
        let counts = self.buckets.iter().map(|bucket| bucket.load(Relaxed));
        self.labels.iter().map(String::as_str).zip(counts)
    }

    /// Everything that was counted, added up.
    pub(super) fn sum(&self) -> f64 {
        self.sum.load(Relaxed) as f64 / self.unit.ticks()
    }
}

/// As Go writes the shortest form: with an exponent from a million on and below a ten-thousandth.
fn go_float(value: f64) -> String {
    if value == 0.0 || (1e-4..1e6).contains(&value) {
        return value.to_string();
    }
    let text = format!("{value:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let sign = if exponent.starts_with('-') { '-' } else { '+' };
    format!("{digits}e{sign}{:0>2}", exponent.trim_start_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::super::exposition::Exposition;
    use super::*;

    #[test]
    fn buckets_add_up() {
        let histogram = Histogram::seconds(0.001, 2);
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

    #[test]
    fn many_equal_values_are_counted_at_once() {
        let histogram = Histogram::doubling(Unit::One, 1.0, 3);
        histogram.observe_equal(3, 5);
        histogram.observe_equal(9, 1);
        let counts: Vec<_> = histogram.buckets().map(|(_, count)| count).collect();
        assert_eq!((counts, histogram.sum()), (vec![0, 0, 5, 1], 24.0));
    }

    #[test]
    fn bounds_are_written_as_go_writes_them() {
        for (value, text) in [
            (0.0001, "0.0001"),
            (0.001, "0.001"),
            (8.192, "8.192"),
            (524_288.0, "524288"),
            (1_048_576.0, "1.048576e+06"),
            (0.000_01, "1e-05"),
        ] {
            assert_eq!(go_float(value), text);
        }
    }
}
