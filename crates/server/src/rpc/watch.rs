//! The Watch service: what a client says becomes calls on its stream of the hub, what the hub says
//! becomes messages. The stream outlives the client's half-close, and ends with the client or the
//! engine.

use std::sync::Arc;

use bytes::Bytes;
use engine::watch::{Create, Stream};
use futures::{StreamExt, stream};
use state::{Auth, AuthRevision, Identity, KeyRange, Refusal, Revision};
use tokio::sync::watch::Receiver;

use super::authorize::Shown;
use super::{Services, decode, encode, status};
use crate::grpc::{Code, Context, Messages, Requests, Status};
use crate::wire::etcdserverpb as pb;
use pb::watch_create_request::FilterType;
use pb::watch_request::RequestUnion;

/// One client's watch stream.
struct Call {
    services: Services,
    stream: Stream,
    /// None once the client has half-closed.
    requests: Option<Requests>,
    rights: Rights,
}

/// By which right a stream's watchers watch.
struct Rights {
    shown: Shown,
    /// Whom that showed when a watcher was last made. A token may end while its watchers go on, as in
    /// etcd; what its user may see is judged again whenever that changes.
    user: Option<Arc<str>>,
    changes: Receiver<Arc<Auth>>,
    judged: (bool, AuthRevision),
}

impl Services {
    pub(super) fn watch(&self, context: &Context, requests: Requests) -> Messages {
        let stream = self.engine.watch();
        let changes = self.engine.auth_changes();
        let judged = in_force(&changes.borrow());
        let rights = Rights { shown: self.shown(context), user: None, changes, judged };
        let call = Call { services: self.clone(), stream, requests: Some(requests), rights };
        Box::pin(stream::unfold(Some(call), |call| async move {
            let mut call = call?;
            match call.next().await {
                Ok(message) => Some((Ok(message), Some(call))),
                Err(status) => Some((Err(status), None)),
            }
        }))
    }
}

impl Call {
    /// The next message for the client; an error is the end.
    async fn next(&mut self) -> Result<Bytes, Status> {
        loop {
            let has_room = self.stream.has_room();
            tokio::select! {
                // Else who waits for events that never come would not hear that it is over.
                changed = self.rights.changes.changed() => {
                    changed.map_err(|_| status::STOPPED)?;
                    self.judge_again();
                }
                response = self.stream.next() => {
                    let response = response.ok_or(status::STOPPED)?;
                    // Rights are published before the events that come after them.
                    if self.rights.changes.has_changed().unwrap_or(false)
                        && self.judge_again().contains(&response.watch_id)
                        && !response.events.is_empty()
                    {
                        continue;
                    }
                    let header = self.services.header(response.revision);
                    return encode::watch_response(&header, &response);
                }
                request = next_of(&mut self.requests), if has_room => self.take(request)?,
            }
        }
    }

    fn take(&mut self, request: Option<Result<Bytes, Status>>) -> Result<(), Status> {
        let Some(request) = request else {
            self.requests = None;
            return Ok(());
        };
        let request: pb::WatchRequest = decode(request.map_err(as_cancel)?)?;
        match request.request_union {
            Some(RequestUnion::CreateRequest(create)) => self.create(create),
            Some(RequestUnion::CancelRequest(cancel)) => self.stream.cancel(cancel.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.stream.progress(),
            None => {}
        }
        Ok(())
    }

    fn create(&mut self, create: pb::WatchCreateRequest) {
        let range = KeyRange { key: create.key.clone(), range_end: create.range_end.clone() };
        if create.start_revision >= 0
            && let Err(refusal) = self.may_watch(range)
        {
            return self.stream.refuse(reason(refusal));
        }
        let filtered = |filter: FilterType| create.filters.contains(&(filter as i32));
        self.stream.create(Create {
            no_put: filtered(FilterType::Noput),
            no_delete: filtered(FilterType::Nodelete),
            range: KeyRange { key: create.key, range_end: create.range_end },
            start_revision: Revision(create.start_revision),
            watch_id: create.watch_id,
            prev_kv: create.prev_kv,
            progress_notify: create.progress_notify,
            fragment: create.fragment,
        });
    }
}

impl Call {
    /// Whether a range may be watched, judged as it was asked for.
    fn may_watch(&mut self, mut range: KeyRange) -> Result<(), Refusal> {
        let auth = self.services.engine.auth();
        if !auth.is_enabled() {
            return Ok(());
        }
        if range.key.is_empty() {
            range.key = Bytes::from_static(b"\0");
        }
        let who = self.services.who_showed(&auth, &self.rights.shown)?;
        auth.may_read(who.as_ref(), &range)?;
        self.rights.user = who.and_then(|who| who.name().cloned());
        Ok(())
    }

    /// Ends the watchers of what may no longer be seen; says which.
    fn judge_again(&mut self) -> Vec<i64> {
        let auth = Arc::clone(&self.rights.changes.borrow_and_update());
        let now = in_force(&auth);
        // Tokens come and go, and change nothing here.
        if now == std::mem::replace(&mut self.rights.judged, now) || !auth.is_enabled() {
            return Vec::new();
        }
        let who = match &self.rights.user {
            Some(name) => {
                let (name, auth_revision) = (name.clone(), auth.revision());
                Ok(Some(Identity::User { name, auth_revision }))
            }
            None => self.services.who_showed(&auth, &self.rights.shown),
        };
        let mut revoked = Vec::new();
        for (id, range) in self.stream.ranges() {
            let judged = who.as_ref().map_err(|refusal| *refusal);
            if let Err(refusal) = judged.and_then(|who| auth.may_read(who.as_ref(), &range)) {
                self.stream.revoke(id, reason(refusal));
                revoked.push(id);
            }
        }
        revoked
    }
}

/// The words of etcd, which are those of grpc-go for an error.
fn reason(refusal: Refusal) -> String {
    Status::from(refusal).to_string()
}

fn in_force(auth: &Auth) -> (bool, AuthRevision) {
    (auth.is_enabled(), auth.revision())
}

/// The next request; never, once the client has half-closed.
async fn next_of(requests: &mut Option<Requests>) -> Option<Result<Bytes, Status>> {
    match requests {
        Some(requests) => requests.next().await,
        None => std::future::pending().await,
    }
}

fn as_cancel(status: Status) -> Status {
    if status.code == Code::Canceled { status::WATCH_CANCELED } else { status }
}
