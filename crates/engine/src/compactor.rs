//! Auto-compaction, with etcd's two habits: keep so much time, or keep so many revisions.

use std::collections::VecDeque;
use std::time::Duration;

use state::{Command, Revision};
use tokio::time::Instant;

use crate::engine::Engine;
use crate::options::AutoCompaction;

/// Revision mode looks this often.
const REVISION_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Periodic mode compacts at least this often, and samples ten times in between.
const LONGEST_PERIOD: Duration = Duration::from_secs(60 * 60);
const SAMPLES: u32 = 10;

/// Runs for as long as the engine; ends at once if there is nothing to do.
pub(crate) async fn run(engine: Engine, habit: AutoCompaction) {
    match habit {
        AutoCompaction::Off => {}
        AutoCompaction::Periodic(retention) => periodic(&engine, retention).await,
        AutoCompaction::Revision(keep) => by_revision(&engine, keep).await,
    }
}

/// Samples the revision ten times a period and compacts to the sample taken one retention ago: for the
/// first time after one whole retention, then once a period, after a failure at the next sample.
async fn periodic(engine: &Engine, retention: Duration) {
    let period = retention.min(LONGEST_PERIOD);
    let interval = (period / SAMPLES).max(Duration::from_millis(1));
    let window = samples_kept(retention, interval);
    let mut samples: VecDeque<Revision> = VecDeque::new();
    let mut due = Instant::now() + retention;
    let mut compacted = Revision::default();
    while !engine.stopping() {
        samples.push_back(engine.view().revision());
        if samples.len() > window {
            samples.pop_front();
        }
        tokio::time::sleep(interval).await;
        let oldest = samples.front().copied().unwrap_or_default();
        if Instant::now() < due || oldest == compacted {
            continue;
        }
        due = Instant::now();
        if compact(engine, oldest).await {
            compacted = oldest;
            due += period;
        }
    }
}

/// How many samples span the retention, both ends included.
fn samples_kept(retention: Duration, interval: Duration) -> usize {
    let spans = retention.as_nanos() / interval.as_nanos().max(1);
    usize::try_from(spans).unwrap_or(usize::MAX).clamp(1, 1 << 20) + 1
}

async fn by_revision(engine: &Engine, keep: i64) {
    let mut compacted = Revision::NEVER_COMPACTED;
    while !engine.stopping() {
        tokio::time::sleep(REVISION_INTERVAL).await;
        let target = Revision(engine.view().revision().0 - keep);
        if target.0 > 0 && target != compacted && compact(engine, target).await {
            compacted = target;
        }
    }
}

async fn compact(engine: &Engine, revision: Revision) -> bool {
    tracing::info!(%revision, "starting auto compaction");
    match engine.commit_own(Command::Compact { revision }).await {
        Ok(outcome) => {
            let done = matches!(outcome.result, Ok(_) | Err(state::Refusal::Compacted));
            tracing::info!(%revision, done, "finished auto compaction");
            done
        }
        Err(error) => {
            tracing::warn!(%revision, %error, "auto compaction failed, will be tried again");
            false
        }
    }
}
