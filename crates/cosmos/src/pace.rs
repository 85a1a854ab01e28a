//! How fast work in the background may spend: objects and removals, of which none is in a hurry and all
//! together must not take from the appends what the container has to give in a second.
//!
//! Nothing is estimated: before each request what was charged for the ones before it is paid for in time. At
//! 250 request units a second an object of 100 MB takes about four minutes: 280 pieces of about 185 units, see
//! <https://learn.microsoft.com/azure/cosmos-db/understand-request-unit-consumption>.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::stats::{Purpose, Stats};
use crate::throughput::Throughput;

/// Request units a second, as long as nobody says what there is: a quarter of the least that a container
/// with autoscale can be given.
const UNKNOWN: f64 = 250.0;

/// The slowest.
const LEAST: f64 = 1.0;

/// See the module.
#[derive(Debug)]
pub(crate) struct Pace {
    stats: Arc<Stats>,
    spent: Mutex<Spent>,
}

#[derive(Debug)]
struct Spent {
    rate: f64,
    /// Units that were looked at.
    units: f64,
    /// When all of them are paid for.
    paid: Instant,
}

impl Pace {
    pub(crate) fn new(stats: Arc<Stats>) -> Self {
        let spent = Spent { rate: UNKNOWN, units: charged(&stats), paid: Instant::now() };
        Self { stats, spent: Mutex::new(spent) }
    }

    /// A quarter of what the container may spend, where that is known.
    #[expect(clippy::cast_precision_loss, reason = "a rate, and no counter")]
    pub(crate) fn follow(&self, throughput: Throughput) {
        let rate = throughput.most().map_or(UNKNOWN, |most| most as f64 / 4.0);
        self.spent.lock().rate = rate.max(LEAST);
    }

    /// Waits until everything before is paid for.
    pub(crate) async fn turn(&self) {
        let paid = {
            let mut spent = self.spent.lock();
            let units = charged(&self.stats);
            let cost = (units - spent.units).max(0.0) / spent.rate;
            spent.units = units;
            spent.paid = spent.paid.max(Instant::now()) + Duration::from_secs_f64(cost);
            spent.paid
        };
        sleep_until(paid).await;
    }
}

/// What was charged so far for work in the background.
fn charged(stats: &Stats) -> f64 {
    stats.charge(Purpose::Objects) + stats.charge(Purpose::Trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_spent_is_paid_for_in_time() {
        let stats = Arc::new(Stats::default());
        let pace = Pace::new(Arc::clone(&stats));
        let began = Instant::now();
        pace.turn().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        stats.charged(Purpose::Append, 10_000.0);
        stats.charged(Purpose::Objects, 500.0);
        pace.turn().await;
        assert!(began.elapsed().abs_diff(Duration::from_secs(2)) < Duration::from_millis(2));
        pace.follow(Throughput::Autoscale(4000));
        stats.charged(Purpose::Trim, 1000.0);
        pace.turn().await;
        pace.turn().await;
        assert!(began.elapsed().abs_diff(Duration::from_secs(3)) < Duration::from_millis(4));
    }
}
