//! What an account's settings come to, in words.

use std::fmt;

use crate::account::{Account, Consistency};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guarantee {
    /// In how many regions it is kept.
    pub(crate) regions: usize,
    pub(crate) strong: bool,
    words: String,
}

impl Guarantee {
    pub(crate) fn of(account: &Account) -> Self {
        let (write, regions) = (&account.write_region, account.regions.len());
        let strong = account.consistency == Consistency::Strong;
        let words = match account.consistency {
            _ if regions == 1 => format!("one region, {write}: a region's loss stops it"),
            Consistency::Strong => format!(
                "strong consistency, written in {write}, read in any of {regions} regions: a region's \
                 loss loses nothing"
            ),
            Consistency::Bounded { versions, seconds } => format!(
                "bounded staleness, written and read in {write}: if that region is lost, so may be \
                 what was acknowledged within {seconds} s or {versions} versions before, in spite of \
                 {} other regions",
                regions - 1
            ),
        };
        Self { regions, strong, words }
    }

    /// Whether one region can be lost, and nothing of what was acknowledged with it.
    #[must_use]
    pub fn survives_a_region(&self) -> bool {
        self.strong && self.regions > 1
    }
}

impl fmt::Display for Guarantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_regions_loss_means_is_said() {
        let mut account = Account {
            consistency: Consistency::Strong,
            write_region: "West Europe".into(),
            regions: vec!["West Europe".into(), "North Europe".into()],
        };
        assert!(account.guarantee().survives_a_region());
        account.consistency = Consistency::Bounded { versions: 100_000, seconds: 300 };
        let bounded = account.guarantee();
        assert!(!bounded.survives_a_region());
        assert!(bounded.to_string().contains("within 300 s or 100000 versions"), "{bounded}");
        account.regions.pop();
        assert!(account.guarantee().to_string().contains("one region"));
    }
}
