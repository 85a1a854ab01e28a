//! Reads of the KV service. A reader pins a view and holds up nobody; a long answer is made while
//! it is sent; one that takes long to find is found beside the runtime's workers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use futures::stream;
use state::{RangePage, RangeQuery, Refusal, Revision, Sort, SortOrder, SortTarget, View};
use tokio::runtime::{Handle, RuntimeFlavor};

use super::encode::{Part, range_reply};
use super::{Services, decode, status, translate};
use crate::grpc::{Code, Context, Messages, Payload, Status};
use crate::observe::request;
use crate::wire::etcdserverpb as pb;
use pb::ResponseHeader as Header;

/// Looking at more keys than this is not done on a worker of the runtime: others wait there.
const HEAVY: i64 = 10_000;
/// Keys in the first chunk of a stream; later ones follow their size in bytes.
const FIRST_CHUNK: usize = 10;

impl Services {
    pub(super) async fn range(&self, context: &Context, message: Bytes) -> Result<Payload, Status> {
        let (query, serializable) = translate::range(decode(message)?)?;
        let began = Instant::now();
        let view = self.read_view(serializable).await?;
        self.may_read(context, &query.range)?;
        self.metrics.store.operations.ranges.fetch_add(1, Relaxed);
        let header = self.header(view.revision());
        let found = if is_heavy(&view, &query) {
            let query = query.clone();
            Box::pin(aside(move || find(&view, &query, header))).await?
        } else {
            find(&view, &query, header)
        };
        let response = || match &found {
            Ok((page, _, length)) => {
                format!("range_response_count:{} size:{length}", page.len())
            }
            Err(_) => String::new(),
        };
        let describe = || request::of_range(&query);
        self.was_read("read-only range ", began, found.is_ok(), describe, response);
        let (page, part, length) = found?;
        range_reply(page, part, length)
    }

    /// The page that answers a request, and the revision at which it does.
    pub(super) async fn page(
        &self,
        context: &Context,
        request: pb::RangeRequest,
    ) -> Result<(Revision, RangePage), Status> {
        let (query, serializable) = translate::range(request)?;
        let view = self.read_view(serializable).await?;
        self.may_read(context, &query.range)?;
        let revision = view.revision();
        Ok((revision, self.look(view, query).await?))
    }

    /// The page that answers a query, found where looking holds up nobody.
    async fn look(&self, view: Arc<View>, query: RangeQuery) -> Result<RangePage, Status> {
        self.metrics.store.operations.ranges.fetch_add(1, Relaxed);
        Ok(if is_heavy(&view, &query) {
            aside(move || view.range(&query)).await??
        } else {
            view.range(&query)?
        })
    }

    /// The view that a read is answered from.
    pub(super) async fn read_view(&self, serializable: bool) -> Result<Arc<View>, Status> {
        if serializable {
            return Ok(self.engine.view());
        }
        let view = self.engine.linearizable_view().await;
        if view.is_err() {
            self.metrics.read_indexes_failed.fetch_add(1, Relaxed);
        }
        Ok(view?)
    }

    /// Notes what a read took, and says so if that was long.
    pub(super) fn was_read(
        &self,
        prefix: &str,
        began: Instant,
        success: bool,
        request: impl FnOnce() -> String,
        response: impl FnOnce() -> String,
    ) {
        let took = began.elapsed();
        if let Some(span) = crate::observe::spans::current() {
            span.steps_around("decode", began, "read");
        }
        let store = &self.metrics.store;
        store.range[usize::from(success)].observe(took);
        if took > store.warn_after {
            store.slow_applies.fetch_add(1, Relaxed);
            request::warn_of_slow_read(took, store.warn_after, prefix, &request(), &response());
        }
    }

    pub(super) async fn range_stream(
        &self,
        context: &Context,
        request: pb::RangeRequest,
    ) -> Result<Messages, Status> {
        let (mut query, serializable) = translate::range(request)?;
        let ascending = query.sort == Sort { order: SortOrder::Ascend, target: SortTarget::Key };
        if query.sort.order != SortOrder::None && !ascending {
            return Err(status::STREAM_SORTS);
        }
        query.sort = Sort::default();
        if has_filters(&query) {
            return Err(status::STREAM_FILTERS);
        }
        let view = self.read_view(serializable).await?;
        self.may_read(context, &query.range)?;
        let header = self.header(view.revision());
        let page = self.look(view, query).await?;
        let rest = Part::whole(header, &page);
        let target = self.limits.max_request_bytes;
        let chunks = Chunks { page, rest, keys: FIRST_CHUNK, target, over: false };
        Ok(Box::pin(stream::iter(chunks)))
    }
}

/// The page that answers a query, and the length of its message.
fn find(
    view: &View,
    query: &RangeQuery,
    header: Header,
) -> Result<(RangePage, Part, usize), Refusal> {
    let page = view.range(query)?;
    let part = Part::whole(header, &page);
    let length = part.length(&page);
    Ok((page, part, length))
}

/// A page cut into messages of about the same size.
struct Chunks {
    page: RangePage,
    rest: Part,
    keys: usize,
    target: usize,
    over: bool,
}

impl Iterator for Chunks {
    type Item = Result<Bytes, Status>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let mut chunk = self.rest;
        if chunk.to - chunk.from > self.keys {
            // Only the last chunk says how much there is, and at which revision.
            chunk =
                Part { header: None, to: chunk.from + self.keys, more: false, count: 0, ..chunk };
        } else {
            self.over = true;
        }
        self.rest.from = chunk.to;
        let length = chunk.length(&self.page);
        if length < self.target / 2 {
            self.keys *= 2;
        } else if length > self.target * 2 {
            self.keys = (self.keys / 2).max(1);
        }
        Some(chunk.chunk(&self.page, length))
    }
}

/// Whether answering means looking at many keys, or might.
pub(super) fn is_heavy(view: &View, query: &RangeQuery) -> bool {
    if query.range.is_point() {
        return false;
    }
    let newest = query.revision.0 <= 0 || query.revision >= view.revision();
    let first_page = (1..=HEAVY).contains(&query.limit)
        && query.sort.order != SortOrder::Descend
        && query.sort.target == SortTarget::Key
        && !has_filters(query);
    if newest && (query.count_only || first_page) {
        return false;
    }
    view.count(&query.range, Revision(0)).is_ok_and(|count| count > HEAVY)
}

fn has_filters(query: &RangeQuery) -> bool {
    let bounds = [
        query.min_mod_revision,
        query.max_mod_revision,
        query.min_create_revision,
        query.max_create_revision,
    ];
    bounds.iter().any(|bound| bound.0 != 0)
}

/// Does `work` on a thread that may take its time; at once where everything has but one thread, as in a
/// simulation.
pub(super) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    if Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Status::fixed(Code::Internal, "meridian: a read broke off"))
}
