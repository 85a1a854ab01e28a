//! Errands of replicas: checkpoints and digests are done some time after they were asked for, between two
//! steps, and not at all if the process goes before.

use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::net::Net;
use super::{Nanos, SECOND, Site, journal};

/// The longest an errand takes.
const LONGEST: Nanos = SECOND;

type Work = Box<dyn FnOnce() + Send>;
/// When it is done, and what.
type Waiting = (Nanos, &'static str, Work);

/// What one process has asked for.
#[derive(Clone)]
pub(crate) struct SimErrands {
    site: Site,
    net: Net,
    waiting: Arc<Mutex<Vec<Waiting>>>,
}

impl SimErrands {
    pub(crate) fn new(site: Site, net: &Net) -> Self {
        Self { site, net: net.clone(), waiting: Arc::default() }
    }

    /// Does what is due.
    pub(crate) fn carry_out(&self, now: Nanos) {
        loop {
            let next = {
                let mut waiting = self.waiting.lock();
                let due = waiting.iter().position(|(at, ..)| *at <= now);
                due.map(|due| waiting.remove(due))
            };
            let Some((_, name, work)) = next else { return };
            {
                let mut net = self.net.0.lock();
                net.counts.errands += 1;
                net.trace.say(self.site, format_args!("errand: {name}"));
            }
            journal::aside(work);
        }
    }
}

impl engine::Errands for SimErrands {
    fn run(&self, name: &'static str, work: Work) -> io::Result<()> {
        let mut net = self.net.0.lock();
        let at = net.now + net.dice.below(LONGEST);
        self.waiting.lock().push((at, name, work));
        Ok(())
    }
}
