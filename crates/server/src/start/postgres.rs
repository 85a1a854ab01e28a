//! The journal in PostgreSQL, opened, and what it has to tell.

use std::sync::Arc;

use postgres_journal::{Address, PostgresJournal};
use tokio::runtime::Handle;

use super::StartError;
use super::journal::{Opened, archive};
use crate::config::Config;
use crate::observe::exposition::{Exposition, Type};
use crate::observe::journal::SharedJournal;

pub(super) async fn open(
    config: &Config,
    address: &Address,
    writer: Handle,
) -> Result<Opened, StartError> {
    let options = postgres_journal::Options {
        log: config.initial_cluster_token.clone(),
        cluster: format!("{:x}", config.identity.cluster_id),
        unsafe_no_fsync: config.unsafe_no_fsync,
        appends_from: Some(writer),
        ..postgres_journal::Options::default()
    };
    tracing::info!(journal = %address, log = options.log, "opening the journal");
    let journal = PostgresJournal::open(address.clone(), options)
        .await
        .map_err(|why| StartError(format!("--journal={address}: {why}")))?;
    let guarantee = journal.guarantee();
    if guarantee.survives_a_machine() {
        tracing::info!(%guarantee, "opened the journal");
    } else {
        tracing::warn!(%guarantee, "opened the journal: one machine's death can lose data");
    }
    let journal = Arc::new(journal);
    let objects = archive(config, Arc::<PostgresJournal>::clone(&journal)).await?;
    let told = Arc::new(Postgres(Arc::clone(&journal)));
    Ok(Opened { journal, shared: Some(told), objects: Some(objects) })
}

/// What a journal in PostgreSQL has to tell.
struct Postgres(Arc<PostgresJournal>);

impl SharedJournal for Postgres {
    fn guarantee(&self) -> String {
        let guarantee = self.0.guarantee();
        let weak = if guarantee.survives_a_machine() {
            ""
        } else {
            " (one machine's death can lose data)"
        };
        format!("{guarantee}{weak}")
    }

    fn expose(&self, out: &mut Exposition) {
        let stats = self.0.stats();
        for (name, help, latency) in [
            (
                "meridian_postgres_append_duration_seconds",
                "From sending an append to the database's answer.",
                &stats.append,
            ),
            (
                "meridian_postgres_barrier_duration_seconds",
                "From sending a round of reads to the end of its barrier.",
                &stats.barrier,
            ),
        ] {
            let sum = latency.sum().as_secs_f64();
            out.foreign_histogram(name, help, &latency.buckets(), sum, latency.count());
        }
        let counters = [
            (
                "meridian_postgres_appended_bytes_total",
                "Bytes of entries that this replica has appended.",
                stats.appended_bytes(),
            ),
            (
                "meridian_postgres_reconnects_total",
                "Connections to the database that had to be made again.",
                stats.reconnects(),
            ),
            (
                "meridian_postgres_doubts_total",
                "Warnings of the server that an answer is not to be relied on.",
                stats.doubts(),
            ),
            (
                "meridian_postgres_unknown_outcomes_total",
                "Appends that were answered without an outcome, and settled by reading.",
                stats.unknown_outcomes(),
            ),
        ];
        for (name, help, value) in counters {
            out.single(name, Type::Counter, help, value);
        }
    }
}
