//! Joining: a replica finds its place in the cluster that the journal describes, or founds it.

use std::sync::Arc;

use journal::{Journal, Slot};
use rand::Rng;
use state::{Cluster, Command, Entry, Epoch, Level, Member, MemberId, Position, Refusal, State};

use super::introduction::{catch_up, introduce};
use super::levels::check;
use super::{Myself, Replicas};
use crate::clock::Clock;
use crate::fault::OpenError;
use crate::offer::{Settled, settle};

/// Makes this replica a member, if it is none yet, and says what there is to say of it. Its id.
pub(crate) async fn join(
    state: &mut State,
    journal: &Arc<dyn Journal>,
    clock: &dyn Clock,
    (replicas, own): (&Replicas, Level),
) -> Result<MemberId, OpenError> {
    let drawn = MemberId(rand::rng().random_range(1..=u64::MAX));
    loop {
        // Before anything is written: a member that was added and may not publish would hold others back.
        is_new_enough(state.cluster(), &replicas.myself, own)?;
        let (me, commands) = wanted(state.cluster(), (replicas, own), drawn)?;
        if commands.is_empty() {
            return Ok(me);
        }
        match introduce(state, &**journal, (replicas, own), (me, &commands)).await? {
            Some(outcome) => outcome.map_err(|refusal| unwanted(&refusal))?,
            None => append(state, journal, clock, (commands, own)).await?,
        }
    }
}

/// Whether we can read what the journal may hold, and speak as the others do.
fn is_new_enough(cluster: &Cluster, myself: &Myself, own: Level) -> Result<(), OpenError> {
    check(cluster.level(), own, "this replica cannot join: the cluster")?;
    match cluster.version() {
        Some(version) if version > myself.version => Err(OpenError::Entry(format!(
            "this replica cannot join: the cluster's version is {version}, and this program speaks \
             {} at most: start the version of Meridian that the other replicas run, or take the \
             cluster down first (`etcdctl downgrade enable {}.{}.0`)",
            myself.version, myself.version.major, myself.version.minor
        ))),
        _ => Ok(()),
    }
}

/// Who we are, and the commands that are missing for it.
fn wanted(
    cluster: &Cluster,
    (replicas, own): (&Replicas, Level),
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
    if !known.is_some_and(|member| is_published(member, (myself, own))) {
        commands.push(Command::MemberPublish {
            member: me,
            name: myself.name.clone(),
            client_urls: myself.client_urls.clone(),
            version: myself.version,
            level: own,
        });
    }
    Ok((me, commands))
}

fn is_published(member: &Member, (myself, own): (&Myself, Level)) -> bool {
    member.name == myself.name
        && member.client_urls == myself.client_urls
        && (member.version, member.level) == (Some(myself.version), own)
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
    (commands, own): (Vec<Command>, Level),
) -> Result<(), OpenError> {
    let slot = Slot(state.position().0).next();
    let (epoch, clock) = (state.epoch(), clock.wall());
    let entry = Entry { epoch, clock, commands, origins: Vec::new() };
    match settle(Arc::clone(journal), slot, entry.encode(), own).await {
        Settled::Won => {
            let outcomes = state.apply(Position(slot.0), &entry);
            let refused = outcomes.into_iter().find_map(|outcome| outcome.result.err());
            refused.map_or(Ok(()), |refusal| Err(unwanted(&refusal)))
        }
        Settled::Lost(theirs, _) => {
            state.apply(Position(slot.0), &theirs);
            // There is more behind it, if the writer is at work: at the tail alone is there something to win.
            catch_up(state, &**journal, own, None).await.map(drop)
        }
        Settled::Refused(why) => Err(OpenError::Journal(why)),
        Settled::Overtaken(why) | Settled::Failed(why) => Err(OpenError::Entry(why)),
    }
}

/// Why a place in the cluster was refused, and what to do.
fn unwanted(refusal: &Refusal) -> OpenError {
    let why = match refusal {
        Refusal::TooManyMembers => format!(
            "the cluster has {} members, which is as many as it may have: remove one that is gone \
             (`etcdctl member remove`)",
            Cluster::MOST_MEMBERS
        ),
        Refusal::MemberTooLarge => format!(
            "its --name, or one of its URLs, is longer than {} bytes, or it has more than {} URLs of a \
             kind",
            Member::LONGEST_TEXT,
            Member::MOST_URLS
        ),
        Refusal::PeerUrlExists => {
            "its --initial-advertise-peer-urls belong to another member: give it its own".to_owned()
        }
        refusal => format!("the cluster has changed meanwhile ({refusal:?}): start it again"),
    };
    OpenError::Entry(format!("this replica cannot join: {why}"))
}

/// Whether the journal knows a writer who is not we.
pub(crate) fn has_another_writer(state: &State, me: MemberId) -> bool {
    state.epoch() > Epoch::default() && state.cluster().writer().is_some_and(|writer| writer != me)
}
