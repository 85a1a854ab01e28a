//! One process: a runtime of its own, whose time goes on only when the world says so.

use std::time::Duration;

use tokio::runtime::{Builder, RngSeed, Runtime};

use super::dice::Dice;
use super::{Nanos, TICK, entropy};

/// See the module. What runs on it ends with it, at whatever it was waiting for.
pub(crate) struct Host {
    runtime: Runtime,
    /// What its clock says, in the world's time.
    at: Nanos,
}

impl Host {
    pub(crate) fn new(now: Nanos, dice: &mut Dice) -> Self {
        entropy::set_time(now, 0);
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .rng_seed(RngSeed::from_bytes(&dice.number().to_le_bytes()))
            .build()
            .expect("a runtime that needs nothing of the system");
        Self { runtime, at: now }
    }

    /// Begins a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime.spawn(task));
    }

    /// Runs all that can run now, until everything waits for something that comes later.
    pub(crate) fn step(&mut self, now: Nanos, skew: i64) {
        entropy::set_time(now, skew);
        let slept = now - self.at;
        self.runtime.block_on(async {
            if slept > 0 {
                tokio::time::advance(Duration::from_nanos(slept)).await;
            }
            tokio::time::sleep(Duration::from_nanos(TICK)).await;
        });
        self.at = now + TICK;
    }
}
