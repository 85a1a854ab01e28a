//! Who asks for a command.

use std::sync::Arc;

use crate::command::Command;
use crate::ids::AuthRevision;

/// Who asks. Nobody in particular is a command without [`As`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// A client that has proved to be this user.
    User {
        /// Which.
        name: Arc<str>,
        /// When it proved it: rights that have changed since are not to be relied on.
        auth_revision: AuthRevision,
    },
    /// The server itself: the end of a lease, an automatic compaction, an alarm.
    Server,
}

/// A command in somebody's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct As {
    /// In whose.
    pub who: Identity,
    /// Never another [`Command::As`], and no [`Command::Claim`].
    pub command: Command,
}

impl Identity {
    /// The user's name, if it is one.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            Self::User { name, .. } => Some(name),
            Self::Server => None,
        }
    }
}

impl Command {
    /// The same in somebody's name. What is in one already stays as it is.
    #[must_use]
    pub fn by(self, who: Identity) -> Self {
        match self {
            Self::As(_) | Self::Claim { .. } => self,
            command => Self::As(Box::new(As { who, command })),
        }
    }

    /// What is to be done, whoever asks.
    #[must_use]
    pub fn bare(&self) -> &Self {
        match self {
            Self::As(by) => &by.command,
            command => command,
        }
    }

    /// Who asks, if it is somebody in particular.
    #[must_use]
    pub fn who(&self) -> Option<&Identity> {
        match self {
            Self::As(by) => Some(&by.who),
            _ => None,
        }
    }
}
