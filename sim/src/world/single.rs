//! One server on the file journal, over a simulated disk: how it is opened, and what is found there held against what
//! was shown before. On a disk that keeps its word all of that is there; on one that lies a beginning of it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::Engine;
use futures::future::BoxFuture;
use futures::{FutureExt, executor::block_on};
use journal::{
    Append, Body, FileJournal, FileOptions, Journal, JournalError, Nonce, Opening, Record, Slot,
    Successor,
};
use parking_lot::Mutex;

use super::dice::Dice;
use super::disk::SimDisk;
use super::hand::Hand;
use super::journal::Depot;
use super::net::Net;
use super::shelf::Shelf;
use super::truth::{number, replay};
use super::{Nanos, Site, entropy};

/// Where the journal is on its disk.
const FOLDER: &str = "/data";
const READ: usize = 1 << 20;

/// What a process has told its journal, and was told by it.
#[derive(Default)]
struct Told {
    /// Slot, nonce and bytes.
    offered: BTreeMap<(Slot, u128), Bytes>,
    /// Won, but something before it not yet.
    early: BTreeMap<Slot, Record>,
}

/// What stays of the server's machine while processes come and go.
#[derive(Clone)]
pub(crate) struct Single {
    pub(crate) disk: SimDisk,
    site: Site,
    net: Net,
    depot: Arc<Mutex<Depot>>,
    shelf: Arc<Mutex<Shelf>>,
    told: Arc<Mutex<Told>>,
    segment_bytes: u64,
    /// Whether the next death inside a step takes the machine along.
    pub(crate) takes_machine: Arc<AtomicBool>,
    /// What was wrong with what was found.
    findings: Arc<Mutex<Vec<String>>>,
    /// A start was refused, as is right where something durable was lost.
    refused: Arc<AtomicBool>,
}

impl Single {
    pub(crate) fn new(
        site: Site,
        net: &Net,
        depot: &Arc<Mutex<Depot>>,
        folder: &Path,
        (mut dice, lies): (Dice, bool),
    ) -> Self {
        depot.lock().is_single = true;
        let segment_bytes = *dice.pick(&[8 << 10, 16 << 10, 64 << 10, 256 << 10]);
        let disk = SimDisk::new(site, net, dice, lies);
        let shelf = Shelf::new(folder.join("checkpoints"), disk.clone());
        let shelf = Arc::new(Mutex::new(shelf));
        let decides = Arc::clone(&shelf);
        entropy::on_sync(Some(Box::new(move |file| decides.lock().sync(file))));
        Self {
            disk,
            site,
            net: net.clone(),
            depot: Arc::clone(depot),
            shelf,
            told: Arc::default(),
            segment_bytes,
            takes_machine: Arc::default(),
            findings: Arc::default(),
            refused: Arc::default(),
        }
    }

    /// What was wrong, since the last time.
    pub(crate) fn findings(&self) -> Vec<String> {
        std::mem::take(&mut self.findings.lock())
    }

    /// Whether a start was refused for good, by right.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::Relaxed)
    }

    fn found(&self, what: String) {
        self.findings.lock().push(format!("{}: {what}", self.site));
    }

    /// The process is gone, and with it the machine or not.
    pub(crate) fn crashed(&self, with_machine: bool) {
        self.disk.killed();
        if with_machine {
            self.disk.power_lost();
            self.shelf.lock().power_lost();
            let mut net = self.net.0.lock();
            net.counts.power_losses += 1;
            net.trace.say(self.site, format_args!("loses what was not synced"));
        }
    }

    /// Opens the journal; with it comes the hand that does its work.
    ///
    /// # Errors
    /// Why there is no journal.
    pub(crate) fn open(&self) -> Result<(Arc<dyn Journal>, Hand), String> {
        let (net, site) = (self.net.clone(), self.site);
        let options = FileOptions {
            segment_bytes: self.segment_bytes,
            retry_full: Duration::from_millis(500),
            // The process ends, as the server's does, before it tells anybody anything.
            on_fault: Arc::new(move |what| {
                let mut net = net.0.lock();
                net.trace.say(site, format_args!("the disk failed: {what}"));
                net.machine(site).is_dead = true;
            }),
            ..FileOptions::default()
        };
        let disk = Arc::new(self.disk.clone());
        let opened = FileJournal::open_by_hand(disk, &PathBuf::from(FOLDER), options);
        let (journal, by_hand, opening) = opened.map_err(|error| {
            if matches!(error, JournalError::Damaged(_) | JournalError::Occupied(_)) {
                self.refuse(&error.to_string());
            }
            format!("the journal does not open: {error}")
        })?;
        self.look(&journal, &opening)?;
        let due = Arc::new(AtomicBool::new(false));
        let trace = self.net.0.lock().trace.clone();
        let hand = Hand::new(self.site, by_hand, Arc::clone(&due), trace);
        let (depot, told) = (Arc::clone(&self.depot), Arc::clone(&self.told));
        Ok((Arc::new(Recording { journal, due, depot, told }), hand))
    }

    /// A start was refused: right only where a lie was found out.
    pub(crate) fn refuse(&self, why: &str) {
        self.net.0.lock().trace.say(self.site, format_args!("start refused: {why}"));
        if self.disk.has_lost() {
            self.net.0.lock().counts.starts_refused += 1;
            self.refused.store(true, Ordering::Relaxed);
        } else {
            self.found(format!("a start is refused, though the disk kept its word: {why}"));
        }
    }

    /// Why the engine did not open: whether that is damage, or passes.
    pub(crate) fn not_opened(&self, why: &str) {
        let passes = ["unavailable", "full", "(os error"].iter().any(|word| why.contains(word));
        let is_dead = self.net.0.lock().machine(self.site).is_dead;
        if !passes && !is_dead {
            self.refuse(why);
        }
    }

    /// Holds what the journal shows against all that it showed before.
    fn look(&self, journal: &FileJournal, opening: &Opening) -> Result<(), String> {
        let records = read_all(journal, opening)?;
        let Told { offered, .. } = std::mem::take(&mut *self.told.lock());
        let mut depot = self.depot.lock();
        let ever = &mut depot.ever;
        let last = ever.last().map_or(Slot(0), |record| record.slot);
        {
            let mut net = self.net.0.lock();
            net.counts.opens += 1;
            net.counts.cuts += u64::from(opening.cut.is_some());
            let Opening { first, tail, cut, .. } = opening;
            let cut = cut.as_ref().map(|cut| cut.bytes);
            let sum = format_args!("opens its journal, {first} to {tail}, cut {cut:?}");
            net.trace.say(self.site, sum);
        }
        if opening.tail <= last {
            let lost = format!("slots {} to {last} were durable and are not there", opening.tail);
            if self.disk.has_lost() {
                self.net.0.lock().counts.beginnings += 1;
            } else {
                self.found(lost);
            }
            ever.retain(|record| record.slot < opening.tail);
        }
        for record in records {
            let slot = record.slot;
            let known = ever.get((slot.0 - 1) as usize);
            let is_right = match known {
                Some(known) => *known == record,
                None => offered.get(&(slot, record.nonce.0)) == Some(&record.body),
            };
            if !is_right {
                self.found(format!("slot {slot} holds what was not offered there last"));
            }
            match known {
                None if slot.0 == ever.len() as u64 + 1 => ever.push(record),
                None => self.found(format!("the slots before {slot} are not there")),
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Holds the state that was recovered against the journal, replayed.
    pub(crate) async fn check(self, engine: Engine) {
        let asked = engine.ask(|state| (state.position(), state.digest())).await;
        let Ok((position, digest)) = asked else { return };
        let bodies: Vec<_> = {
            let depot = self.depot.lock();
            let known = depot.ever.iter().filter(|record| record.slot.0 <= position.0);
            known.map(|record| (record.slot, record.body.clone())).collect()
        };
        match replay(&bodies) {
            Ok(replayed) if replayed.position != position.0 => {
                self.found(format!("the state is at slot {position}, but not all before it won"));
            }
            Ok(replayed) if number(replayed.digest) != number(digest) => {
                self.found(format!("the state at slot {position} is not the journal's"));
            }
            Ok(_) => {}
            Err(why) => self.found(format!("the journal cannot be replayed: {why}")),
        }
    }

    /// The disk does as it should from now on.
    pub(crate) fn heal(&self) {
        self.disk.trouble(|troubles| *troubles = Default::default());
    }

    /// When a trouble that lasts so long is over.
    pub(crate) fn until(&self, lasts: Nanos) -> Nanos {
        self.net.0.lock().now + lasts
    }
}

fn read_all(journal: &FileJournal, opening: &Opening) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    let mut next = opening.first;
    while next < opening.tail {
        let found = block_on(journal.read(next, READ)).map_err(|error| error.to_string())?;
        next = found.last().map_or(next, |record| record.slot.next());
        if found.is_empty() {
            return Err(format!("slot {next} lies before the tail and is not there"));
        }
        records.extend(found);
    }
    Ok(records)
}

/// Notes what is offered, and what has won.
struct Recording {
    journal: FileJournal,
    due: Arc<AtomicBool>,
    depot: Arc<Mutex<Depot>>,
    told: Arc<Mutex<Told>>,
}

impl Recording {
    fn won(&self, record: Record) {
        let (mut told, mut depot) = (self.told.lock(), self.depot.lock());
        told.early.insert(record.slot, record);
        while let Some(record) = told.early.remove(&Slot(depot.ever.len() as u64 + 1)) {
            depot.ever.push(record);
        }
    }
}

impl Journal for Recording {
    fn append(&self, slot: Slot, nonce: Nonce, body: Body) -> BoxFuture<'_, Append> {
        self.told.lock().offered.insert((slot, nonce.0), body.clone());
        let append = self.journal.append(slot, nonce, body.clone());
        self.due.store(true, Ordering::Relaxed);
        async move {
            let outcome = append.await;
            if matches!(outcome, Append::Won) {
                self.won(Record { slot, nonce, body });
            }
            outcome
        }
        .boxed()
    }

    fn read(&self, from: Slot, limit: usize) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        self.journal.read(from, limit)
    }

    fn tail(&self) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.journal.tail()
    }

    fn trim(&self, before: Slot) -> BoxFuture<'_, Result<(), JournalError>> {
        self.journal.trim(before)
    }

    fn seal(&self, successor: Successor) -> BoxFuture<'_, Result<Slot, JournalError>> {
        self.due.store(true, Ordering::Relaxed);
        self.journal.seal(successor)
    }

    fn successor(&self) -> BoxFuture<'_, Result<Option<Successor>, JournalError>> {
        self.journal.successor()
    }
}
