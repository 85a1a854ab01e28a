//! `hasleader` in a call's metadata, which clients set with `WithRequireLeader`: who asks for it is not served
//! by a replica that knows no writer, and a stream ends when the writer stays away.

use std::time::Duration;

use engine::Engine;
use futures::{StreamExt, stream};
use tokio::time::{MissedTickBehavior, interval};

use super::{Services, status};
use crate::grpc::{Context, Messages};

/// How often it is looked, and how often in a row there may be none (etcd: three election timeouts).
const LOOK_EVERY: Duration = Duration::from_secs(1);
const MOST_ABSENCES: u32 = 3;

impl Services {
    pub(super) fn has_leader(&self) -> bool {
        self.engine.status().leader.0 != 0
    }

    /// Ends the stream once there has been no leader for a while, if its client asked for that.
    pub(super) fn while_led(&self, context: &Context, messages: Messages) -> Messages {
        if !is_wanted(context) {
            return messages;
        }
        let lost = Box::pin(lost(self.engine.clone()));
        Box::pin(stream::unfold(Some((messages, lost)), |state| async move {
            let (mut messages, mut lost) = state?;
            tokio::select! {
                biased;
                message = messages.next() => message.map(|message| (message, Some((messages, lost)))),
                () = &mut lost => Some((Err(status::NO_LEADER), None)),
            }
        }))
    }
}

pub(super) fn is_wanted(context: &Context) -> bool {
    context.metadata.get("hasleader").is_some_and(|value| value == "true")
}

async fn lost(engine: Engine) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut absences = 0;
    while absences < MOST_ABSENCES {
        look.tick().await;
        absences = if engine.status().leader.0 == 0 { absences + 1 } else { 0 };
    }
}
