//! The contract's suite, and objects, in the account that `MERIDIAN_TEST_COSMOS` names: an emulated one, or a
//! real one. Without it these tests say that they did not run.

use std::sync::Arc;

use journal::Journal;
use tokio::runtime::{Builder, Runtime};

use super::objects_suite::{
    an_object_is_whole_or_not_there, one_of_two_that_put_the_same_name_wins,
};
use crate::suite::{Log, contract};
use crate::{Address, CosmosJournal, Options, Plan, Throughput};

/// The address, or a word that there is none.
#[allow(clippy::print_stderr)]
pub(crate) fn address() -> Option<Address> {
    let Ok(url) = std::env::var("MERIDIAN_TEST_COSMOS") else {
        eprintln!(
            "skipped: no MERIDIAN_TEST_COSMOS=cosmos://… (conformance/cosmos/run.sh BINARY contract)"
        );
        return None;
    };
    Some(Address::parse(&url).expect("MERIDIAN_TEST_COSMOS"))
}

/// A log of its own in the account, or the end of the test where there is none.
macro_rules! account {
    () => {
        match address() {
            Some(address) => Account::new(address),
            None => return,
        }
    };
}

contract!(in_an_account, account!());

struct Account {
    runtime: Runtime,
    address: Address,
    log: String,
}

impl Account {
    fn new(address: Address) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let plan = runtime.block_on(Plan::make(address.clone(), Throughput::Autoscale(100_000)));
        runtime.block_on(plan.expect("a plan").carry_out()).expect("made");
        Self { runtime, address, log: format!("test {:x}", rand::random::<u64>()) }
    }

    fn open(&self) -> CosmosJournal {
        let options = Options { log: self.log.clone(), ..Options::default() };
        let opening = CosmosJournal::open(self.address.clone(), options);
        self.runtime.block_on(opening).expect("open")
    }
}

impl Log for Account {
    fn openers(&self) -> [Arc<dyn Journal>; 2] {
        [Arc::new(self.open()), Arc::new(self.open())]
    }

    fn reopen(&mut self) -> Option<()> {
        Some(())
    }

    fn trim_grain(&self) -> u64 {
        0
    }
}

#[test]
fn objects_in_an_account_are_whole_or_not_there() {
    let account = account!();
    let [one, other] = [account.open(), account.open()];
    an_object_is_whole_or_not_there(&one, &other);
    one_of_two_that_put_the_same_name_wins(&one, &other);
}
