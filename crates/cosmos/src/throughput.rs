//! How many request units a second the container may spend.

use std::fmt;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Throughput {
    /// So many, always paid for.
    Manual(u64),
    /// Up to so many, from a tenth of it.
    Autoscale(u64),
    /// None of its own: shared with the database's other containers, or serverless.
    Shared,
    /// It cannot be asked: with Entra ID the service does not say.
    Unknown,
}

impl Throughput {
    /// Request units a second at most, where that is known.
    #[must_use]
    pub const fn most(self) -> Option<u64> {
        match self {
            Self::Manual(units) | Self::Autoscale(units) => Some(units),
            Self::Shared | Self::Unknown => None,
        }
    }
}

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manual(units) => write!(f, "{units} RU/s"),
            Self::Autoscale(most) => write!(f, "autoscale, {} to {most} RU/s", most / 10),
            Self::Shared => f.write_str("shared with the database, or serverless"),
            Self::Unknown => {
                f.write_str("unknown (the service tells it only to the account's key)")
            }
        }
    }
}
