//! The journal that `--journal` names, opened.

use std::sync::Arc;

use journal::file::{Disk, RealDisk, UnsyncedDisk};
use journal::{FileJournal, FileOptions, Journal};

use super::StartError;
use crate::config::{Config, JournalPlace};
use crate::observe::journal::SharedJournal;
use crate::observe::store::StoreMetrics;

/// See the module.
pub(super) struct Opened {
    pub(super) journal: Arc<dyn Journal>,
    /// What it has to tell, if it is shared.
    pub(super) shared: Option<Arc<dyn SharedJournal>>,
}

pub(super) async fn open(config: &Config, store: Arc<StoreMetrics>) -> Result<Opened, StartError> {
    match &config.journal {
        JournalPlace::File => file(config, store),
        JournalPlace::Postgres(place) => postgres(config, place).await,
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
    Ok(Opened { journal: Arc::new(journal), shared: None })
}

/// A failed sync is never tried again: what the system could not write may be gone from its cache, and
/// only a restart tells what the disk holds.
fn failed(what: &str) {
    tracing::error!(severity = "fatal", reason = what, "stopping, since the journal's disk failed");
    std::process::exit(1);
}

/// TEMPORARY until the crate `postgres` is merged: nothing is opened.
async fn postgres(_: &Config, _: &str) -> Result<Opened, StartError> {
    let why = "--journal=postgres is not in this build: use --journal=file";
    std::future::ready(Err(StartError(why.to_owned()))).await
}
