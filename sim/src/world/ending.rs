//! The end of a run: all trouble is over, clients come to rest, and what is left is held against what is true.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use super::client::Client;
use super::stream::Outlet;
use super::truth::{Replayed, differing, number, replay};
use super::{CLIENTS, Nanos, SECOND, Site, World, calls, journal};
use crate::oracle::history::{DigestAt, HashAt, Revision, Truth};
use crate::oracle::judge;
use server::wire::etcdserverpb as pb;

/// Everything works again within this long after all trouble has ended.
const RECOVERY: Nanos = 60 * SECOND;
const PATIENCE: Duration = Duration::from_secs(10);

impl World {
    /// Heals, waits, compares, judges.
    pub(crate) fn end(&mut self) {
        self.heal();
        if !self.until(RECOVERY, Self::serve_everywhere) {
            let text = self.stand();
            return self.findings.push(format!("not all replicas serve again: {text}"));
        }
        self.for_a_while(5 * SECOND);
        self.office.closed.store(true, Ordering::Relaxed);
        if !self.until(RECOVERY, |world| world.office.at_work.load(Ordering::Relaxed) == 0) {
            return self.findings.push("clients do not come to rest".to_owned());
        }
        if !self.until(RECOVERY, Self::is_settled) {
            let text = self.stand();
            return self.findings.push(format!("replicas do not come to rest: {text}"));
        }
        if self.findings.is_empty() && !self.is_refused() {
            self.compare();
        }
    }

    /// Watches have a moment to hear the last of it: the slowest, through a window of 2 KB, hears some hundred
    /// events a second.
    fn dismiss(&mut self, last: i64) {
        self.office.last.store(last, Ordering::Relaxed);
        let all_over = |world: &mut Self| world.office.watching.load(Ordering::Relaxed) == 0;
        if !self.until(5 * RECOVERY, all_over) {
            self.findings.push("watches do not come to an end".to_owned());
        }
    }

    /// Moves on until something is so; false if it does not come about in time.
    fn until(&mut self, most: Nanos, mut check: impl FnMut(&mut Self) -> bool) -> bool {
        let until = self.now() + most;
        while self.now() < until {
            if !self.findings.is_empty() || self.is_refused() {
                return true;
            }
            if check(self) {
                return true;
            }
            self.for_a_while(50 * super::MILLISECOND);
        }
        false
    }

    fn for_a_while(&mut self, lasts: Nanos) {
        let until = self.now() + lasts;
        while self.now() < until && self.findings.is_empty() {
            self.tick();
        }
    }

    /// Whether calls have been answered by every replica since all trouble ended.
    fn serve_everywhere(&mut self) -> bool {
        self.promote_all();
        let healed = self.healed_at();
        let history = self.office.history.lock();
        let answered = |site: Site| {
            let mut calls = history.calls.iter().rev().take_while(|call| call.begin.0 >= healed);
            calls.any(|call| call.endpoint == u32::from(site.0) && call.outcome.is_some())
        };
        let replicas = self.office.replicas.lock().clone();
        replicas.into_iter().all(answered)
    }

    fn is_settled(&mut self) -> bool {
        let tail = self.depot.lock().tail().0;
        let in_cluster = self.members.iter().filter(|member| !member.is_removed());
        let mut engines = in_cluster.map(super::members::Member::engine);
        let mut leases = 0;
        let all = engines.all(|engine| {
            engine.is_some_and(|engine| {
                let status = engine.status();
                leases += status.leases;
                status.applied.0 + 1 == tail && status.durable == status.applied
            })
        });
        all && leases == 0
    }

    fn stand(&self) -> String {
        let tail = self.depot.lock().tail().0;
        let one = |member: &super::members::Member| {
            let status = member.engine().map(|engine| engine.status());
            let stands = status.map(|status| {
                (status.role, status.epoch.0, status.applied.0, status.durable.0, status.leases)
            });
            format!("{} {stands:?} back at {:?}", member.site, member.back_at)
        };
        let all: Vec<_> = self.members.iter().map(one).collect();
        format!("tail {tail}; {}", all.join("; "))
    }

    /// Holds all states against the journal, replayed, and all that clients saw against that.
    fn compare(&mut self) {
        let replayed = match replay(&journal::bodies(&self.depot)) {
            Ok(replayed) => replayed,
            Err(why) => {
                return self.findings.push(format!("the journal cannot be replayed: {why}"));
            }
        };
        self.net.0.lock().counts.raises += replayed.raises;
        let mut digests = self.digests();
        digests.insert("replayed".into(), (replayed.position, number(replayed.digest)));
        self.findings.extend(differing(&digests));
        self.findings.extend(self.left_behind(&replayed));
        if let Some(keys) = replayed.attached() {
            self.findings
                .push(format!("all leases have ended, but there are keys on them: {keys}"));
        }
        let hashes = self.hashes(&replayed);
        if self.kind == super::Kind::Lies {
            // What clients were told may be lost: nobody can be held to it.
            return;
        }
        self.dismiss(replayed.log.to.0);
        self.judge(replayed, hashes);
    }

    /// Who was taken out of the cluster, has had the time to learn of it, and goes on.
    fn left_behind(&self, replayed: &Replayed) -> Option<String> {
        let mut running = self.members.iter().filter_map(|member| {
            let id = member.engine()?.status().member;
            replayed.cluster.is_removed(id).then_some(member.site)
        });
        running.next().map(|site| format!("{site} was removed and goes on"))
    }

    /// What every replica's state comes to.
    fn digests(&mut self) -> BTreeMap<String, (u64, u64)> {
        let found = Arc::new(Mutex::new(BTreeMap::new()));
        let now = self.now();
        for member in self.members.iter().filter(|member| !member.is_removed()) {
            let (Some(engine), Some(life)) = (member.engine(), &member.life) else { continue };
            let (found, site, office) = (Arc::clone(&found), member.site, self.office.clone());
            life.host.spawn(async move {
                let asked = engine.ask(|state| (state.position(), state.digest())).await;
                let Ok((position, digest)) = asked else { return };
                found.lock().insert(site.to_string(), (position.0, number(digest)));
                office.history.lock().digests.push(DigestAt {
                    member: u32::from(site.0),
                    time: super::replica::moment(now),
                    position: position.0,
                    digest: number(digest),
                });
            });
        }
        self.for_a_while(SECOND);
        std::mem::take(&mut *found.lock())
    }

    /// `HashKV` of every replica that answers clients, as they are told. A learner does not, of this.
    fn hashes(&mut self, replayed: &Replayed) -> Vec<HashAt> {
        let found = Arc::new(Mutex::new(Vec::new()));
        let revision = replayed.log.to.0;
        let is_learner = |engine: &engine::Engine| {
            let id = engine.status().member;
            replayed.cluster.members().get(&id).is_some_and(|member| member.learner)
        };
        for member in self.members.iter().filter(|member| !member.is_removed()) {
            if member.engine().is_some_and(|engine| is_learner(&engine)) {
                continue;
            }
            let (found, site) = (Arc::clone(&found), member.site);
            let outlet = Outlet { net: self.net.clone(), site: CLIENTS };
            self.clients.spawn(async move {
                let mut client = Client::new(&outlet, site);
                let path = "/etcdserverpb.Maintenance/HashKV";
                let request = pb::HashKvRequest { revision };
                let asked = calls::ask(&mut client, path, request, PATIENCE).await;
                let asked: Result<pb::HashKvResponse, _> = asked;
                found.lock().push((site, asked));
            });
        }
        self.for_a_while(3 * SECOND);
        let mut hashes = Vec::new();
        for (site, asked) in std::mem::take(&mut *found.lock()) {
            match asked {
                Ok(reply) => hashes.push(HashAt {
                    member: u32::from(site.0),
                    revision: Revision(revision),
                    compact_revision: Revision(reply.compact_revision),
                    hash: reply.hash,
                }),
                Err(status) => self.findings.push(format!("{site} gives no HashKV: {status}")),
            }
        }
        hashes
    }

    fn judge(&mut self, replayed: Replayed, hashes: Vec<HashAt>) {
        let read_at = super::replica::moment(self.now());
        let truth = Truth { read_at, logs: vec![replayed.log], hashes };
        let found = judge(&self.office.history.lock(), &truth);
        self.findings.extend(found.iter().map(ToString::to_string));
    }
}
