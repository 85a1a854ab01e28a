//! Responses that are too large for one message, in pieces.

use std::collections::VecDeque;

use crate::watch::Response;
use crate::watch::change::{Event, nested};

/// What a response weighs on the wire beside its events: the header with numbers of usual size, the
/// watch id.
const RESPONSE_OVERHEAD: usize = 40;

/// The response in pieces smaller than `limit`, as far as whole events allow. The last says that it
/// is.
pub(super) fn cut(whole: Response, limit: usize) -> VecDeque<Response> {
    let sizes: Vec<usize> = whole.events.iter().map(framed_size).collect();
    if whole.events.len() < 2 || RESPONSE_OVERHEAD + sizes.iter().sum::<usize>() < limit {
        return VecDeque::from([whole]);
    }
    let (watch_id, revision) = (whole.watch_id, whole.revision);
    let piece = || Response { watch_id, revision, fragment: true, ..Response::default() };
    let mut pieces = VecDeque::from([piece()]);
    let mut size = RESPONSE_OVERHEAD;
    for (event, event_size) in whole.events.into_iter().zip(sizes) {
        let last = pieces.back_mut().expect("there is always one");
        if last.events.is_empty() || size + event_size < limit {
            size += event_size;
            last.events.push(event);
            continue;
        }
        size = RESPONSE_OVERHEAD + event_size;
        pieces.push_back(Response { events: vec![event], ..piece() });
    }
    pieces.back_mut().expect("there is always one").fragment = false;
    pieces
}

fn framed_size(event: &Event) -> usize {
    nested(event.wire_size())
}
