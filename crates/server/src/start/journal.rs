//! The journal that `--journal` names, opened.

use std::sync::Arc;

use journal::file::{Disk, RealDisk, UnsyncedDisk};
use journal::{Archive, FileJournal, FileOptions, FolderObjects, Journal, Objects};
use postgres_journal::{Address, PostgresJournal};
use tokio::runtime::Handle;

use super::StartError;
use crate::config::{ArchivePlace, Config, JournalPlace};
use crate::observe::exposition::{Exposition, Type};
use crate::observe::journal::SharedJournal;
use crate::observe::store::StoreMetrics;

/// See the module.
pub(super) struct Opened {
    pub(super) journal: Arc<dyn Journal>,
    /// What it has to tell, if it is shared.
    pub(super) shared: Option<Arc<dyn SharedJournal>>,
    /// Where checkpoints are shared, if it is.
    pub(super) objects: Option<Arc<dyn Objects>>,
}

pub(super) async fn open(
    config: &Config,
    store: Arc<StoreMetrics>,
    writer: Handle,
) -> Result<Opened, StartError> {
    match &config.journal {
        JournalPlace::File => file(config, store),
        JournalPlace::Postgres(address) => postgres(config, address, writer).await,
    }
}

fn file(config: &Config, store: Arc<StoreMetrics>) -> Result<Opened, StartError> {
    let options = FileOptions {
        on_fault: Arc::new(failed),
        on_flush: Arc::new(move |flush| store.flushed(flush)),
        ..FileOptions::default()
    };
    let disk: Arc<dyn Disk> =
        if config.unsafe_no_fsync { Arc::new(UnsyncedDisk) } else { Arc::new(RealDisk) };
    let (journal, opening) = FileJournal::open_on(disk, &config.data_dir, options)
        .map_err(|e| StartError(e.to_string()))?;
    if let Some(cut) = &opening.cut {
        tracing::warn!(?cut, "a torn tail of the journal was cut; nothing acknowledged was in it");
    }
    tracing::info!(created = opening.created, tail = %opening.tail, "opened the journal");
    Ok(Opened { journal: Arc::new(journal), shared: None, objects: None })
}

/// A failed sync is never tried again: what the system could not write may be gone from its cache, and
/// only a restart tells what the disk holds.
fn failed(what: &str) {
    tracing::error!(severity = "fatal", reason = what, "stopping, since the journal's disk failed");
    std::process::exit(1);
}

async fn postgres(
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

/// Where checkpoints are shared: listed with the journal, and kept there or in another place.
async fn archive(
    config: &Config,
    list: Arc<PostgresJournal>,
) -> Result<Arc<dyn Objects>, StartError> {
    let archive = match &config.archive {
        ArchivePlace::Journal => Archive::beside(list),
        ArchivePlace::Folder(mounted) => {
            let name = format!("file://{}", mounted.display());
            let place = FolderObjects::open(mounted, &config.initial_cluster_token);
            let place = place.map_err(|why| StartError(format!("--archive={name}: {why}")))?;
            Archive::elsewhere(list, Arc::new(place), name)
        }
    };
    // Who has a checkpoint of its own can do without, until it is to share one.
    if let Err(why) = archive.check().await {
        tracing::error!(%why, "the checkpoints that the replicas share cannot be read here");
    }
    Ok(Arc::new(archive))
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
