//! Chance, from a seed.

use super::entropy::mix;

/// A generator; what is drawn depends on the seed and on what was drawn before, and on nothing else.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// From a seed; another `stream` is another series.
    #[must_use]
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut state = seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03);
        let state = mix(&mut state);
        Self(state)
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        mix(&mut self.0)
    }

    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True so often of a thousand times.
    pub fn chance(&mut self, thousandths: u64) -> bool {
        self.below(1000) < thousandths
    }

    /// One of them.
    ///
    /// # Panics
    /// If there is none.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// One of them, or another if there is none.
    pub fn pick_or<T: Copy>(&mut self, of: &[T], other: T) -> T {
        if of.is_empty() { other } else { *self.pick(of) }
    }

    /// One of them, by weight.
    ///
    /// # Panics
    /// If there is none.
    pub fn weighted<T: Copy>(&mut self, of: &[(T, u64)]) -> T {
        let mut at = self.below(of.iter().map(|(_, weight)| weight).sum());
        for (one, weight) in of {
            if at < *weight {
                return *one;
            }
            at -= weight;
        }
        of[0].0
    }

    /// In any order.
    pub fn shuffle<T>(&mut self, of: &mut [T]) {
        for n in (1..of.len()).rev() {
            of.swap(n, self.below(n as u64 + 1) as usize);
        }
    }
}
