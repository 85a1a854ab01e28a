//! What a journal that replicas share has to tell: whoever opens one says how.

use super::exposition::Exposition;

/// See the module.
pub trait SharedJournal: Send + Sync + 'static {
    /// What an acknowledged write survives, in one line; as far as is known at this moment.
    fn guarantee(&self) -> String;

    /// Its own metrics.
    fn expose(&self, out: &mut Exposition);
}
