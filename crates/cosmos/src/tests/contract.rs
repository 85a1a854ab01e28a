//! The contract's suites over a container in memory, with and without faults.

use std::sync::Arc;

use journal::faulty::Odds as Faults;
use journal::{Faulty, Journal};
use tokio::runtime::Runtime;

use crate::fake::{Container, Odds};
use crate::suite::{Log, contract};
use crate::{CosmosJournal, Options, Stats};

contract!(in_a_container, Held::new(Odds { creates: 0, others: 0 }, None));
contract!(with_faults, Held::new(Odds { creates: 200, others: 50 }, None));
contract!(under_a_faulty_one, Held::new(Odds { creates: 0, others: 0 }, Some(11)));

struct Held {
    runtime: Runtime,
    container: Container,
    seed: Option<u64>,
}

impl Held {
    fn new(odds: Odds, seed: Option<u64>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let container = Container::new(7);
        container.odds(odds);
        let runtime = { runtime }.worker_threads(2).enable_all().build().expect("a runtime");
        Self { runtime, container, seed }
    }

    fn open(&self, opener: u64) -> Arc<dyn Journal> {
        let stats = Arc::new(Stats::default());
        let opening = CosmosJournal::over(self.container.way(&stats), stats, Options::default());
        let journal = self.runtime.block_on(opening).expect("open");
        match self.seed {
            None => Arc::new(journal),
            Some(seed) => Arc::new(Faulty::seeded(journal, seed + opener, Faults::default())),
        }
    }
}

impl Log for Held {
    fn openers(&self) -> [Arc<dyn Journal>; 2] {
        [self.open(0), self.open(1)]
    }

    fn reopen(&mut self) -> Option<()> {
        Some(())
    }

    fn trim_grain(&self) -> u64 {
        0
    }
}
