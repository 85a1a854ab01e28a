//! The journal that `--journal` names, opened.

use std::sync::Arc;

use journal::file::{Disk, RealDisk, UnsyncedDisk};
use journal::{Archive, FileJournal, FileOptions, FolderObjects, Journal, Objects};
use tokio::runtime::Handle;

use super::{StartError, cosmos, postgres};
use crate::config::{ArchivePlace, Config, JournalPlace};
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
        JournalPlace::Postgres(address) => postgres::open(config, address, writer).await,
        JournalPlace::Cosmos(address) => cosmos::open(config, address, writer).await,
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

/// Where checkpoints are shared: listed with the journal, and kept there or in another place.
pub(super) async fn archive(
    config: &Config,
    list: Arc<dyn Objects>,
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
