//! The tokens that stand for users. Copying them costs little, since a change copies only the share of
//! them that it falls into.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::secret::TokenDigest;

/// One for each value of a digest's first six bits.
const SHARES: usize = 64;

type Share = BTreeMap<TokenDigest, Arc<str>>;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tokens {
    shares: Box<[Arc<Share>]>,
    count: usize,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { shares: vec![Arc::default(); SHARES].into(), count: 0 }
    }
}

impl Tokens {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn user(&self, digest: &TokenDigest) -> Option<&Arc<str>> {
        self.shares[share(digest)].get(digest)
    }

    /// In the order of their digests.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&TokenDigest, &Arc<str>)> {
        self.shares.iter().flat_map(|share| share.iter())
    }

    pub(crate) fn insert(&mut self, digest: TokenDigest, user: Arc<str>) {
        let share = Arc::make_mut(&mut self.shares[share(&digest)]);
        self.count += usize::from(share.insert(digest, user).is_none());
    }

    pub(crate) fn remove(&mut self, digest: &TokenDigest) {
        let share = &mut self.shares[share(digest)];
        if share.contains_key(digest) {
            Arc::make_mut(share).remove(digest);
            self.count -= 1;
        }
    }

    pub(crate) fn remove_of(&mut self, user: &str) {
        for share in &mut self.shares {
            if share.values().any(|of| **of == *user) {
                let kept = Arc::make_mut(share);
                let before = kept.len();
                kept.retain(|_, of| **of != *user);
                self.count -= before - kept.len();
            }
        }
    }
}

fn share(digest: &TokenDigest) -> usize {
    usize::from(digest.0[0]) * SHARES / 256
}
