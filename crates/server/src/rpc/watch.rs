//! The Watch service: what a client says becomes calls on its stream of the hub, what the hub says
//! becomes messages. The stream outlives the client's half-close, and ends with the client or the
//! engine.

use bytes::Bytes;
use engine::watch::{Create, Stream};
use futures::{StreamExt, stream};
use state::{KeyRange, Revision};

use super::{Services, decode, encode, status};
use crate::grpc::{Code, Messages, Requests, Status};
use crate::wire::etcdserverpb as pb;
use pb::watch_create_request::FilterType;
use pb::watch_request::RequestUnion;

/// One client's watch stream.
struct Call {
    services: Services,
    stream: Stream,
    /// None once the client has half-closed.
    requests: Option<Requests>,
}

impl Services {
    pub(super) fn watch(&self, requests: Requests) -> Messages {
        let stream = self.engine.watch();
        let call = Call { services: self.clone(), stream, requests: Some(requests) };
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
                response = self.stream.next() => {
                    let response = response.ok_or(status::STOPPED)?;
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
