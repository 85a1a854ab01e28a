//! Levels: which commands may be proposed, when the cluster goes up to another, who holds it back.
//! `docs/adr/0007-levels.md` has the rule.

use state::{Cluster, Command, Entry, Level, Member, MemberId};

use super::Role;
use crate::fault::{Fault, OpenError};
use crate::writer::Writer;

/// What a replica knows of levels besides the state.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    /// As the writer: to which all members can go.
    due: Option<Level>,
    /// What was last said in the log: the cluster's level, and who holds it back, started or not.
    said: Option<(Level, Option<(MemberId, bool)>)>,
}

/// Who keeps a cluster from a level that `up_to` could apply, in words; nobody, if nobody does.
#[must_use]
pub fn held_back(cluster: &Cluster, up_to: Level) -> Option<String> {
    holds_back(cluster, up_to).map(|(id, member)| {
        let name = if member.name.is_empty() { format!("{:x}", id.0) } else { member.name.clone() };
        match member.version {
            Some(_) => format!("{name}, which can apply level {}", member.level),
            None => format!("{name}, which has not started"),
        }
    })
}

fn holds_back(cluster: &Cluster, up_to: Level) -> Option<(MemberId, &Member)> {
    cluster.lowest().filter(|(_, lowest)| lowest.level < up_to && cluster.level() < up_to)
}

/// Whether a command may be ordered: all who read the journal must be able to apply it, now and when they
/// come back. `own` is what the journal's one owner goes by.
pub(crate) fn admit(command: &Command, cluster: &Cluster, own: Level) -> Result<(), Fault> {
    let (needs, alone) = (command.level(), cluster.members().is_empty());
    if needs == Level::FIRST {
        return Ok(());
    }
    let has = if alone { own } else { cluster.level() };
    if needs <= has {
        return Ok(());
    }
    let why = match held_back(cluster, needs) {
        _ if alone => format!("this replica goes up to level {own}"),
        Some(by) => format!("the cluster's is {has}, held back by {by}"),
        None => format!("the cluster's is {has} and about to rise"),
    };
    Err(Fault::HeldBack(format!("this takes level {needs}: {why}")))
}

/// Whether `what` the journal or a checkpoint holds can be applied here.
pub(crate) fn check(needs: Level, own: Level, what: &str) -> Result<(), OpenError> {
    if needs <= own {
        return Ok(());
    }
    Err(OpenError::Entry(format!("{what} takes level {needs}, and {}", way_out(own))))
}

fn way_out(own: Level) -> String {
    if own < Level::NEWEST {
        return format!(
            "this replica is held at level {own}: a level that was used is never left again, so start it \
             without --hold-level"
        );
    }
    format!("this program goes up to level {own}: {NEWER}")
}

/// What to do about what a newer version wrote, which all others run by then.
pub(crate) const NEWER: &str = "start the version of Meridian that wrote it, or a later one";

impl Writer {
    /// Whether all who will read an entry can apply it.
    pub(crate) fn is_for_all(&self, entry: &Entry) -> bool {
        let cluster = self.state.cluster();
        // What all members can apply when the entry goes up to it, they can from then on.
        let common = cluster.lowest().map_or(self.shared.options.level, |(_, lowest)| lowest.level);
        entry.level() <= cluster.level().max(common)
    }

    /// Looks whether the cluster may go up, and says what has changed.
    pub(super) fn consider_level(&mut self) {
        let (cluster, own) = (self.state.cluster(), self.shared.options.level);
        let common = cluster.lowest().map(|(_, lowest)| lowest.level.min(own));
        let due = common.filter(|common| *common > cluster.level());
        let highest = cluster.members().values().map(|member| member.level).max();
        let highest = highest.unwrap_or_default();
        let by = holds_back(cluster, highest).map(|(id, by)| (id, by.version.is_some()));
        let now = (cluster.level(), by);
        let is_writer = self.role == Role::Writer;
        let Some(replica) = &mut self.replica else { return };
        replica.levels.due = due.filter(|_| is_writer);
        if replica.levels.said.replace(now) == Some(now) {
            return;
        }
        match held_back(cluster, highest) {
            Some(by) => tracing::info!(level = %now.0, "the cluster's level is held back by {by}"),
            None => {
                tracing::info!(level = %now.0, "the cluster's level: no program of a lower one can join");
            }
        }
    }

    /// What takes the cluster up, once nothing of ours is on its way: all members can apply it at the very
    /// place where it will stand.
    pub(crate) fn level_raise(&self) -> Option<Command> {
        let level = self.replica.as_ref()?.levels.due?;
        let cluster = self.state.cluster();
        let all_can = cluster.lowest().is_some_and(|(_, lowest)| lowest.level >= level);
        (all_can && cluster.level() < level).then_some(Command::LevelRaise { level })
    }
}
