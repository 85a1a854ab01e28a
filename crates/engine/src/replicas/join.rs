//! Joining: a replica finds its place in the cluster that the journal describes, or founds it.

use std::sync::Arc;

use journal::{Journal, Slot};
use rand::Rng;
use state::{Cluster, Command, Entry, Epoch, Member, MemberId, Position, State};

use super::Replicas;
use crate::clock::Clock;
use crate::fault::OpenError;
use crate::offer::{Settled, settle};

/// Makes this replica a member, if it is none yet, and says what there is to say of it. Its id.
pub(crate) async fn join(
    state: &mut State,
    journal: &Arc<dyn Journal>,
    clock: &dyn Clock,
    replicas: &Replicas,
) -> Result<MemberId, OpenError> {
    let drawn = MemberId(rand::rng().random_range(1..=u64::MAX));
    loop {
        let (me, commands) = wanted(state.cluster(), replicas, drawn)?;
        if commands.is_empty() {
            return Ok(me);
        }
        append(state, journal, clock, commands).await?;
    }
}

/// Who we are, and the commands that are missing for it.
fn wanted(
    cluster: &Cluster,
    replicas: &Replicas,
    drawn: MemberId,
) -> Result<(MemberId, Vec<Command>), OpenError> {
    let myself = &replicas.myself;
    let mut commands = Vec::new();
    let founding = cluster.members().is_empty();
    if founding {
        commands.extend(replicas.founders.iter().map(|(member, peer_urls)| Command::MemberAdd {
            member: *member,
            peer_urls: peer_urls.clone(),
            learner: false,
        }));
    }
    let me = match find(cluster, replicas)? {
        Some((me, _)) => me,
        None if founding && !replicas.founders.is_empty() => founder(replicas)?,
        None => {
            let peer_urls = myself.peer_urls.clone();
            commands.push(Command::MemberAdd { member: drawn, peer_urls, learner: false });
            drawn
        }
    };
    let known = cluster.members().get(&me);
    if !known.is_some_and(|member| is_published(member, replicas)) {
        commands.push(Command::MemberPublish {
            member: me,
            name: myself.name.clone(),
            client_urls: myself.client_urls.clone(),
            version: myself.version,
        });
    }
    Ok((me, commands))
}

fn is_published(member: &Member, replicas: &Replicas) -> bool {
    let myself = &replicas.myself;
    member.name == myself.name
        && member.client_urls == myself.client_urls
        && member.version == Some(myself.version)
}

/// The member that we are: by the id we had, or by where the others reach us.
fn find<'a>(
    cluster: &'a Cluster,
    replicas: &Replicas,
) -> Result<Option<(MemberId, &'a Member)>, OpenError> {
    let myself = &replicas.myself;
    if let Some(id) = myself.member {
        if cluster.is_removed(id) {
            return Err(OpenError::Entry(format!(
                "member {:016x} ({}) was removed from the cluster and cannot come back: to add this \
                 machine again, empty its --data-dir and start it anew",
                id.0, myself.name
            )));
        }
        if let Some(found) = cluster.members().get(&id) {
            return Ok(Some((id, found)));
        }
    }
    let same = |member: &Member| {
        member.peer_urls.iter().any(|url| myself.peer_urls.contains(url))
            && (member.name.is_empty() || member.name == myself.name)
    };
    let taken = |member: &&Member| {
        member.peer_urls.iter().any(|url| myself.peer_urls.contains(url)) && !same(member)
    };
    if let Some(other) = cluster.members().values().find(taken) {
        return Err(OpenError::Entry(format!(
            "--initial-advertise-peer-urls {} belongs to member {} of this cluster, and this one is \
             called {}: give each replica its own --name and peer URL",
            myself.peer_urls.join(","),
            other.name,
            myself.name
        )));
    }
    let found = cluster.members().iter().find(|(_, member)| same(member));
    Ok(found.map(|(id, member)| (*id, member)))
}

/// Which of the founders we are.
fn founder(replicas: &Replicas) -> Result<MemberId, OpenError> {
    let mine = |urls: &[String]| urls.iter().any(|url| replicas.myself.peer_urls.contains(url));
    let found = replicas.founders.iter().find(|(_, urls)| mine(urls));
    found.map(|(id, _)| *id).ok_or_else(|| {
        OpenError::Entry(format!(
            "--initial-cluster names no member with the peer URL {}",
            replicas.myself.peer_urls.join(",")
        ))
    })
}

/// Appends commands at the tail, or finds that somebody else was there first.
async fn append(
    state: &mut State,
    journal: &Arc<dyn Journal>,
    clock: &dyn Clock,
    commands: Vec<Command>,
) -> Result<(), OpenError> {
    let slot = Slot(state.position().0).next();
    let (epoch, clock) = (state.epoch(), clock.wall());
    let entry = Entry { epoch, clock, commands, origins: Vec::new() };
    match settle(Arc::clone(journal), slot, entry.encode()).await {
        Settled::Won => {
            let outcomes = state.apply(Position(slot.0), &entry);
            let refused = outcomes.into_iter().find_map(|outcome| outcome.result.err());
            refused.map_or(Ok(()), |refusal| {
                Err(OpenError::Entry(format!("this replica cannot join the cluster: {refusal:?}")))
            })
        }
        Settled::Lost(theirs, _) => {
            state.apply(Position(slot.0), &theirs);
            Ok(())
        }
        Settled::Refused(why) => Err(OpenError::Journal(why)),
        Settled::Overtaken(why) | Settled::Failed(why) => Err(OpenError::Entry(why)),
    }
}

/// Whether the journal knows a writer who is not we.
pub(crate) fn has_another_writer(state: &State, me: MemberId) -> bool {
    state.epoch() > Epoch::default() && state.cluster().writer().is_some_and(|writer| writer != me)
}
