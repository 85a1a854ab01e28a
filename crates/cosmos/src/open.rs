//! Opening a log over the real service, and what of its account is told.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::address::Address;
use crate::failure::{Failure, Kind};
use crate::guarantee::Guarantee;
use crate::journal::{CosmosJournal, Options};
use crate::stats::Stats;
use crate::throughput::Throughput;
use crate::wire::Wire;

/// How long an account that does not answer is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

impl CosmosJournal {
    /// Opens a log, and begins it if it is not there. Waits for an account that does not answer, or is in the
    /// middle of a change of its write region, for a minute.
    ///
    /// # Errors
    /// When that does not help, the account or the container cannot be relied on, or somebody has to do
    /// something first; says what.
    pub async fn open(address: Address, options: Options) -> Result<Self, Failure> {
        let stats = Arc::<Stats>::default();
        let wire = Arc::new(reach(&address, options.deadline, &stats).await?);
        tokio::spawn(wire.tend());
        Self::over(wire, stats, options).await
    }

    /// What the account's settings come to, as they were read last.
    #[must_use]
    pub fn guarantee(&self) -> Guarantee {
        self.log().items.guarantee()
    }

    /// What the container may spend, as it was read last.
    #[must_use]
    pub fn throughput(&self) -> Throughput {
        self.log().items.throughput()
    }
}

async fn reach(address: &Address, deadline: Duration, stats: &Arc<Stats>) -> Result<Wire, Failure> {
    let began = Instant::now();
    loop {
        let failure = match Wire::open(address.clone(), deadline, Arc::clone(stats)).await {
            Ok(wire) => return Ok(wire),
            Err(failure) => failure,
        };
        let passes = matches!(failure.kind, Kind::Ambiguous | Kind::Throttled);
        if !passes || began.elapsed() >= PATIENCE {
            return Err(failure);
        }
        tracing::warn!(error = %failure, "waiting for the account of the journal");
        sleep(failure.after.unwrap_or(PAUSE)).await;
    }
}
