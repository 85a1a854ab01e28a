//! What the writer and the handles share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use state::{Auth, Command, Identity, View};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::errands::Errands;
use crate::inbox::Inbox;
use crate::lease::LeaseClock;
use crate::observer::Observer;
use crate::options::Options;
use crate::replicas::SharedReplicas;
use crate::vitals::Status;

/// See the module.
pub(crate) struct Shared {
    pub(crate) inbox: Inbox,
    pub(crate) leases: LeaseClock,
    pub(crate) status: Mutex<Status>,
    /// The newest view. Sent only after what it shows is durable, and before any reply about it.
    pub(crate) published: watch::Sender<Arc<View>>,
    /// Who may do what, as that view was made or later: sent before it.
    pub(crate) auth: watch::Sender<Arc<Auth>>,
    /// Held by the one request that raises the NOSPACE alarm; those behind it look again.
    pub(crate) alarm_gate: tokio::sync::Mutex<()>,
    /// Whether the next NOSPACE alarm is ours and not a client's.
    pub(crate) raising_alarm: AtomicBool,
    /// If others share the journal.
    pub(crate) replicas: Option<Arc<SharedReplicas>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) errands: Arc<dyn Errands>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) options: Options,
}

impl Shared {
    /// A command of our own, which nobody's rights hold back. While nobody is asked for any it goes as
    /// it is.
    pub(crate) fn own(&self, command: Command) -> Command {
        if self.auth.borrow().is_enabled() { command.by(Identity::Server) } else { command }
    }
}
