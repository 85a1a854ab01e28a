//! `meridian cosmos init`: what has to be made of database and container, said first, then done.

use std::fmt;
use std::time::Duration;

use crate::address::Address;
use crate::failure::Failure;
use crate::guarantee::Guarantee;
use crate::throughput::Throughput;
use crate::wire::{Control, Found};

/// One request may take so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// What has to be done. Nothing of it has happened.
pub struct Plan {
    control: Control,
    address: Address,
    found: Found,
    throughput: Throughput,
}

impl Plan {
    /// Reads the account and looks at what is there. `throughput` is what a new container is to have.
    ///
    /// # Errors
    /// When the account cannot be relied on, or what is there cannot hold a journal.
    pub async fn make(address: Address, throughput: Throughput) -> Result<Self, Failure> {
        let control = Control::open(&address, DEADLINE).await?;
        let found = control.look().await?;
        Ok(Self { control, address, found, throughput })
    }

    /// What the account's settings come to.
    #[must_use]
    pub fn guarantee(&self) -> Guarantee {
        self.control.account.guarantee()
    }

    /// Whether everything is there already.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.found, Found::Container(_))
    }

    /// Does it. What is there already is left as it is.
    ///
    /// # Errors
    /// When the service refuses; what was made until then stays.
    pub async fn carry_out(&self) -> Result<(), Failure> {
        if self.found == Found::Nothing {
            self.control.make_database().await?;
        }
        if !self.is_empty() {
            self.control.make_container(self.throughput).await?;
        }
        // Somebody else's container would be looked at here for the first time.
        self.control.look().await.map(drop)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Address { database, container, .. } = &self.address;
        match &self.found {
            Found::Nothing => writeln!(f, "+ database {database}")?,
            _ => writeln!(f, "  database {database} is there")?,
        }
        match &self.found {
            Found::Container(throughput) => {
                write!(f, "  container {container} is there ({throughput})")
            }
            _ => write!(
                f,
                "+ container {container}: partitioned by /pk, indexed by slot alone, nothing expires, {}",
                self.throughput
            ),
        }
    }
}
