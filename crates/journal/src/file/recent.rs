//! The nonces of the newest slots, so that a second offer of one is judged without a read.

use std::collections::VecDeque;

use crate::{Nonce, Slot};

/// More than one batch holds, so that what is not durable yet is always here.
const KEPT: usize = 2048;

/// The newest slots' nonces.
#[derive(Default)]
pub(crate) struct Recent {
    newest: Slot,
    nonces: VecDeque<Nonce>,
}

impl Recent {
    /// Notes the nonce of the slot after the newest.
    pub(crate) fn push(&mut self, slot: Slot, nonce: Nonce) {
        assert!(self.nonces.is_empty() || slot == self.newest.next(), "slots in order");
        if self.nonces.len() == KEPT {
            self.nonces.pop_front();
        }
        self.newest = slot;
        self.nonces.push_back(nonce);
    }

    /// The nonce in `slot`, if it is one of the newest.
    pub(crate) fn get(&self, slot: Slot) -> Option<Nonce> {
        let back = self.newest.0.checked_sub(slot.0)?;
        let at = self.nonces.len().checked_sub(1 + usize::try_from(back).ok()?)?;
        self.nonces.get(at).copied()
    }
}
