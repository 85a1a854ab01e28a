//! The hand that does the journal's work: a thread, as in the server, that runs only while the world waits for it.
//! At every write and sync it stands still until the world goes on, so that all else happens meanwhile.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

use journal::file::ByHand;

use super::trace::Trace;
use super::{Nanos, SECOND, Site, entropy, listen};

/// As `FileOptions` has it.
const MARK_AFTER: Nanos = SECOND;

enum Go {
    Step(Nanos),
    Mark(Nanos),
    /// What it stood still for is over.
    On(Nanos),
    Finish(Nanos),
}

enum Said {
    /// It stands still for so long.
    Waits(Nanos),
    /// Whether there was anything to do.
    Done(bool),
    /// It panicked.
    Died(Vec<String>),
}

struct Baton {
    go: Receiver<Go>,
    said: SyncSender<Said>,
    /// The process is on its way out, and waits for nobody.
    hurries: bool,
    is_gone: bool,
}

thread_local! {
    static BATON: RefCell<Option<Baton>> = const { RefCell::new(None) };
}

/// Stands still for so long; false if the process has ended meanwhile. Nobody but a hand does.
pub(crate) fn wait(lasts: Nanos) -> bool {
    BATON.with_borrow_mut(|baton| {
        let Some(baton) = baton else { return true };
        if baton.is_gone || baton.hurries {
            return !baton.is_gone;
        }
        let told = baton.said.send(Said::Waits(lasts)).is_ok();
        match baton.go.recv() {
            Ok(Go::On(now)) if told => entropy::set_time(now, 0),
            Ok(Go::Finish(_)) => baton.hurries = true,
            _ => baton.is_gone = true,
        }
        !baton.is_gone
    })
}

/// See the module.
pub(crate) struct Hand {
    go: Option<SyncSender<Go>>,
    said: Receiver<Said>,
    thread: Option<JoinHandle<()>>,
    /// Until when it stands still, if it is at work.
    waits: Option<Nanos>,
    /// Something may be waiting to be written.
    due: Arc<AtomicBool>,
    worked_at: Option<Nanos>,
}

impl Hand {
    pub(crate) fn new(site: Site, by_hand: ByHand, due: Arc<AtomicBool>, trace: Trace) -> Self {
        let (go, went) = mpsc::sync_channel(1);
        let (say, said) = mpsc::sync_channel(1);
        let work = move || {
            entropy::enter(1);
            listen::at(site);
            listen::to(&trace, || work(by_hand, went, say));
        };
        let thread = std::thread::Builder::new().name("hand".into()).spawn(work);
        let thread = Some(thread.expect("a thread"));
        Self { go: Some(go), said, thread, waits: None, due, worked_at: None }
    }

    /// Does what can be done by now. What it panicked with, if it did.
    pub(crate) fn step(&mut self, now: Nanos) -> Vec<String> {
        loop {
            let order = match self.waits {
                Some(until) if until > now => return Vec::new(),
                Some(_) => Go::On(now),
                None if self.due.swap(false, Ordering::Relaxed) => Go::Step(now),
                None if self.worked_at.is_some_and(|at| at + MARK_AFTER <= now) => {
                    self.worked_at = None;
                    Go::Mark(now)
                }
                None => return Vec::new(),
            };
            if matches!(order, Go::Step(_)) {
                self.worked_at = Some(now);
            }
            match self.tell(order) {
                Said::Waits(lasts) => self.waits = Some(now + lasts),
                Said::Done(more) => {
                    self.waits = None;
                    self.due.fetch_or(more, Ordering::Relaxed);
                }
                Said::Died(why) => {
                    self.go = None;
                    self.due.store(false, Ordering::Relaxed);
                    return why;
                }
            }
        }
    }

    fn tell(&mut self, order: Go) -> Said {
        let sent = self.go.as_ref().is_some_and(|go| go.send(order).is_ok());
        let said = if sent { self.said.recv().ok() } else { None };
        said.unwrap_or(Said::Died(vec!["the journal's hand is gone".into()]))
    }

    /// What is left to do when a process ends in order.
    pub(crate) fn finish(mut self, now: Nanos) -> Vec<String> {
        match self.tell(Go::Finish(now)) {
            Said::Died(why) => why,
            _ => Vec::new(),
        }
    }
}

impl Drop for Hand {
    /// What it was at stays undone.
    fn drop(&mut self) {
        self.go = None;
        if let Some(thread) = self.thread.take() {
            // It has said why, if it panicked.
            drop(thread.join());
        }
    }
}

fn work(mut by_hand: ByHand, went: Receiver<Go>, say: SyncSender<Said>) {
    BATON.set(Some(Baton { go: went, said: say.clone(), hurries: false, is_gone: false }));
    loop {
        let order = BATON.with_borrow(|baton| baton.as_ref().and_then(|it| it.go.recv().ok()));
        let Some(order) = order else { return };
        let (Go::Step(now) | Go::Mark(now) | Go::On(now) | Go::Finish(now)) = order;
        entropy::set_time(now, 0);
        let done = catch_unwind(AssertUnwindSafe(|| carry_out(&mut by_hand, &order)));
        let (over, said) = match done {
            Ok(more) => (hurries(), Said::Done(more)),
            Err(_) => (true, Said::Died(listen::complaints())),
        };
        if say.send(said).is_err() || over {
            return;
        }
    }
}

/// Whether there may be more to do.
fn carry_out(by_hand: &mut ByHand, order: &Go) -> bool {
    let more = match order {
        Go::Step(_) => by_hand.step(),
        Go::Mark(_) => {
            by_hand.idle();
            false
        }
        Go::On(_) => false,
        Go::Finish(_) => {
            BATON.with_borrow_mut(|baton| baton.iter_mut().for_each(|it| it.hurries = true));
            false
        }
    };
    if hurries() {
        // Told so at the beginning, or while it stood still.
        by_hand.finish();
    }
    more && !hurries()
}

fn hurries() -> bool {
    BATON.with_borrow(|baton| baton.as_ref().is_some_and(|baton| baton.hurries))
}
