//! What the writer and the handles share.

use std::sync::Arc;

use parking_lot::Mutex;
use state::View;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::lease::LeaseClock;
use crate::options::Options;
use crate::vitals::Status;

/// See the module.
pub(crate) struct Shared {
    pub(crate) inbox: Inbox,
    pub(crate) leases: LeaseClock,
    pub(crate) status: Mutex<Status>,
    /// The newest view. Sent only after what it shows is durable, and before any reply about it.
    pub(crate) published: watch::Sender<Arc<View>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
}
