//! Clients that watch: from now on or from the past, here and there, and on with the next replica where a
//! stream breaks off, as etcd's client does.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use server::wire::etcdserverpb as pb;
use tonic::Status;

use super::Site;
use super::calls::{bounds, event};
use super::client::Client;
use super::dice::Dice;
use super::replica::moment;
use super::stream::Outlet;
use super::workload::Office;
use crate::oracle::history::{KeyRange, Revision, Watch, WatchResponse};

const PATIENCE: Duration = Duration::from_secs(5);
/// The longest a watch goes on before its client wants another.
const LONGEST: Duration = Duration::from_secs(60);
/// A stream that says nothing is asked how far it is after so many of these, and left after as many more.
const MOMENT: Duration = Duration::from_millis(200);
const SILENCE: u32 = 15;
/// Of a thousand watches so many are asked how far they are as they begin, and after so many of a thousand messages.
const AT_ONCE: u64 = 200;
const NOW_AND_THEN: u64 = 40;
/// What is quiet for so long has arrived everywhere.
const LAST_MOMENTS: u32 = 50;

type Replies = tonic::Streaming<pb::WatchResponse>;
type Requests = tokio::sync::mpsc::Sender<pb::WatchRequest>;

/// One of them.
pub(crate) struct Watcher {
    office: Office,
    site: Site,
    dice: Dice,
    clients: BTreeMap<Site, Client>,
    /// The longest it takes for a message, in milliseconds, before it reads the next.
    takes: u64,
    /// What it lets come before it has read it.
    window: Option<u32>,
}

/// How a stream came to its end.
enum Ended {
    /// It broke off: another goes on.
    Broken,
    /// Nothing more is to come.
    Over,
}

impl Watcher {
    pub(crate) fn new(office: &Office, site: Site, mut dice: Dice) -> Self {
        let (takes, window) = *dice.pick(&[(0, None), (0, None), (50, Some(2_000)), (900, None)]);
        Self { office: office.clone(), site, dice, clients: BTreeMap::new(), takes, window }
    }

    /// Watches until everything is quiet.
    pub(crate) async fn run(mut self) {
        self.office.watching.fetch_add(1, Ordering::Relaxed);
        while self.office.last().is_none() {
            let watch = self.draw();
            self.follow(watch).await;
            tokio::time::sleep(Duration::from_millis(self.dice.between(1, 500))).await;
        }
        self.office.watching.fetch_sub(1, Ordering::Relaxed);
    }

    fn draw(&mut self) -> Watch {
        let key = format!("k{:02}", self.dice.below(self.office.habits.keys)).into_bytes();
        let range = match self.dice.below(3) {
            0 => KeyRange { key, end: Vec::new() },
            _ => KeyRange { key: b"k".to_vec(), end: b"l".to_vec() },
        };
        let newest = *self.office.newest.lock();
        let start = match self.dice.below(5) {
            0 => newest - self.dice.below(60) as i64,
            1 => newest + self.dice.below(4) as i64,
            // The oldest that there still is.
            2 => self.office.compacted.load(Ordering::Relaxed),
            _ => 0,
        };
        Watch {
            client: u32::from(self.site.0),
            range,
            start: Revision(start.max(0)),
            prev_kv: self.dice.chance(300),
            no_put: self.dice.chance(80),
            no_delete: self.dice.chance(80),
            fragment: self.dice.chance(300),
            wide: self.office.habits.wide,
            ..Watch::default()
        }
    }

    /// Watches from one replica after the other.
    async fn follow(&mut self, mut watch: Watch) {
        let until = tokio::time::Instant::now() + LONGEST;
        while self.office.last().is_none() && tokio::time::Instant::now() < until {
            let replica = {
                let replicas = self.office.replicas.lock();
                self.dice.pick_or(&replicas, Site(1))
            };
            (watch.id, watch.endpoint) = (self.office.number(), u32::from(replica.0));
            watch.begin = moment(self.office.now());
            watch.responses.clear();
            self.office.say(
                self.site,
                format_args!(
                    "#{} watches at {replica} from {} {:?}",
                    watch.id, watch.start.0, watch.range
                ),
            );
            let ended = self.listen(replica, &mut watch).await;
            let Watch { id, ref responses, .. } = watch;
            let next = resumed(&watch);
            let heard = !responses.is_empty();
            self.office.say(self.site, format_args!("#{id} is over, goes on at {next:?}"));
            self.office.history.lock().watches.push(watch.clone());
            match (ended, next) {
                (Ok(Ended::Over), _) => match given_up(&watch) {
                    Some(oldest) => (watch.start, watch.resumes) = (oldest, Some(id)),
                    None => return,
                },
                (_, Some(next)) => (watch.start, watch.resumes) = (next, Some(id)),
                (_, None) if heard => return,
                (_, None) => {}
            }
            tokio::time::sleep(Duration::from_millis(self.dice.between(1, 300))).await;
        }
    }

    async fn listen(&mut self, replica: Site, watch: &mut Watch) -> Result<Ended, Status> {
        let outlet = Outlet { net: self.office.net.clone(), site: self.site };
        let client = || Client::with_window(&outlet, replica, self.window);
        let client = self.clients.entry(replica).or_insert_with(client);
        let (requests, mut replies) = {
            let talk = client.talk("/etcdserverpb.Watch/Watch", PATIENCE);
            // etcd's server answers the call with the first response, and so does ours: ask at once.
            tokio::pin!(talk);
            talk.await?
        };
        send(&requests, create(watch)).await?;
        if self.dice.chance(AT_ONCE) {
            send(&requests, how_far()).await?;
        }
        self.hear(&requests, &mut replies, watch).await
    }

    async fn hear(
        &mut self,
        requests: &Requests,
        replies: &mut Replies,
        watch: &mut Watch,
    ) -> Result<Ended, Status> {
        let (mut silent, mut quiet) = (0, 0);
        loop {
            if let Some(last) = self.office.last()
                && quiet > LAST_MOMENTS
            {
                watch.settled = watch.responses.first().map(|_| last);
                return Ok(Ended::Over);
            }
            let Ok(reply) = tokio::time::timeout(MOMENT, replies.message()).await else {
                silent += 1;
                quiet += u32::from(self.office.last().is_some());
                if silent == SILENCE {
                    send(requests, how_far()).await?;
                } else if silent > 2 * SILENCE {
                    return Ok(Ended::Broken);
                }
                continue;
            };
            let Some(reply) = reply? else { return Ok(Ended::Broken) };
            silent = 0;
            let response = self.take(&reply);
            let over = response.canceled;
            quiet = if response.events.is_empty() { quiet } else { 0 };
            watch.responses.push(response);
            if over {
                return Ok(Ended::Over);
            }
            if self.takes > 0 && self.office.last().is_none() {
                let takes = Duration::from_millis(self.dice.below(self.takes));
                tokio::time::sleep(takes).await;
            }
            if self.dice.chance(NOW_AND_THEN) {
                send(requests, how_far()).await?;
            }
        }
    }

    fn take(&mut self, reply: &pb::WatchResponse) -> WatchResponse {
        let response = WatchResponse {
            time: moment(self.office.now()),
            revision: Revision(reply.header.as_ref().map_or(0, |header| header.revision)),
            created: reply.created,
            canceled: reply.canceled,
            compact_revision: Revision(reply.compact_revision),
            fragment: reply.fragment,
            events: reply.events.iter().map(event).collect(),
        };
        self.office.seen(response.revision);
        self.office.say(self.site, format_args!("is told {response:?}"));
        response
    }
}

/// Where a watch that broke off goes on, if it got so far as to know.
fn resumed(watch: &Watch) -> Option<Revision> {
    let first = watch.responses.first()?;
    // Fragments are one message, which is nothing as long as its end is missing.
    let whole = watch.responses.iter().rposition(|response| !response.fragment)?;
    let told = watch.responses[..=whole].iter().flat_map(|response| &response.events);
    let told = told.map(|event| event.kv.mod_revision).max();
    let behind = |revision: Revision| Revision(revision.0 + 1);
    let begun = if watch.start.0 > 0 { watch.start } else { behind(first.revision) };
    Some(told.map_or(begun, behind))
}

/// Where a watch that a compaction ended can go on.
fn given_up(watch: &Watch) -> Option<Revision> {
    let last = watch.responses.last()?;
    Some(last.compact_revision).filter(|oldest| oldest.0 > 0)
}

fn how_far() -> pb::watch_request::RequestUnion {
    pb::watch_request::RequestUnion::ProgressRequest(pb::WatchProgressRequest {})
}

fn create(watch: &Watch) -> pb::watch_request::RequestUnion {
    let (key, range_end) = bounds(&watch.range);
    let mut filters = Vec::new();
    if watch.no_put {
        filters.push(pb::watch_create_request::FilterType::Noput.into());
    }
    if watch.no_delete {
        filters.push(pb::watch_create_request::FilterType::Nodelete.into());
    }
    pb::watch_request::RequestUnion::CreateRequest(pb::WatchCreateRequest {
        key,
        range_end,
        start_revision: watch.start.0,
        progress_notify: true,
        filters,
        prev_kv: watch.prev_kv,
        watch_id: 0,
        fragment: watch.fragment,
    })
}

async fn send(to: &Requests, union: pb::watch_request::RequestUnion) -> Result<(), Status> {
    let request = pb::WatchRequest { request_union: Some(union) };
    to.send(request).await.map_err(|_| Status::unavailable("the stream ended"))
}
