//! Opening a log over the real service, and what of the account it tells.

use std::sync::Arc;

use tokio::time::{Instant, sleep};

use crate::address::Address;
use crate::failure::{Failure, Kind};
use crate::guarantee::Guarantee;
use crate::journal::{CosmosJournal, Options};
use crate::stats::Stats;
use crate::throughput::Throughput;
use crate::wire::Wire;

