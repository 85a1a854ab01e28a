//! The contract suite over a log in a real PostgreSQL, named by `MERIDIAN_TEST_POSTGRES`.

#[allow(dead_code)]
mod server;
#[path = "../../journal/tests/contract/suite.rs"]
mod suite;

use std::sync::Arc;

use journal::faulty::Odds;
use journal::{Faulty, Journal};
use postgres_journal::Options;

use crate::server::{address, name, open};
use crate::suite::{Log, contract};

/// A log of its own in the server, or the end of the test where there is no server.
macro_rules! database {
    ($seed:expr, $pipeline:expr) => {
        match address() {
            Some(_) => Database::new($seed, $pipeline),
            None => return,
        }
    };
}

contract!(postgres, database!(None, 4));
contract!(one_at_a_time, database!(None, 1));
contract!(faulty_postgres, database!(Some(11), 4));

struct Database {
    name: String,
    seed: Option<u64>,
    pipeline: usize,
}

impl Database {
    fn new(seed: Option<u64>, pipeline: usize) -> Self {
        Self { name: name(), seed, pipeline }
    }

    fn journal(&self, opener: u64) -> Arc<dyn Journal> {
        let options =
            Options { log: self.name.clone(), pipeline: self.pipeline, ..Options::default() };
        let journal = open(options).expect("open");
        match self.seed {
            None => Arc::new(journal),
            Some(seed) => Arc::new(Faulty::seeded(journal, seed + opener, Odds::default())),
        }
    }
}

impl Log for Database {
    fn openers(&self) -> [Arc<dyn Journal>; 2] {
        [self.journal(0), self.journal(1)]
    }

    fn reopen(&mut self) -> Option<()> {
        Some(())
    }

    fn trim_grain(&self) -> u64 {
        0
    }
}
