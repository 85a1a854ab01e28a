//! Finished calls as OpenTelemetry's messages.

use std::time::Duration;

use super::call::{Finished, Stage};
use crate::config::Tracing;
use crate::grpc::Code;
use crate::wire::otlp::{
    AnyValue, ExportTraceServiceRequest, InstrumentationScope, KeyValue, Resource, ResourceSpans,
    ScopeSpans, Span, Status, any_value::Value,
};

const INTERNAL: i32 = 1;
const SERVER: i32 = 2;
const FAILED: i32 = 2;

/// Who speaks.
pub(super) fn resource(settings: &Tracing) -> Resource {
    let mut attributes = vec![text("service.name", &settings.service_name)];
    if let Some(id) = &settings.instance_id {
        attributes.push(text("service.instance.id", id));
    }
    Resource { attributes }
}

/// Everything that is to be told of these calls.
pub(super) fn request(resource: Resource, calls: &[Finished]) -> ExportTraceServiceRequest {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let scope = InstrumentationScope { name: "meridian".to_owned(), version };
    let spans = calls.iter().flat_map(spans).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans }];
    let resource = Some(resource);
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { resource, scope_spans }] }
}

/// The call's own span, and one for each of its stages.
fn spans(call: &Finished) -> impl Iterator<Item = Span> {
    let own = Span {
        span_id: call.span.to_vec().into(),
        parent_span_id: call.origin.parent.map(|id| id.to_vec()).unwrap_or_default().into(),
        name: format!("{}/{}", call.name.service, call.name.method),
        kind: SERVER,
        attributes: vec![
            text("rpc.system", "grpc"),
            text("rpc.service", call.name.service),
            text("rpc.method", call.name.method),
            number("rpc.grpc.status_code", call.code as i64),
        ],
        status: status(call),
        ..between(call, Duration::ZERO, call.took)
    };
    let stages = call.stages.iter().enumerate().map(move |(at, stage)| of_stage(call, at, stage));
    std::iter::once(own).chain(stages)
}

fn of_stage(call: &Finished, at: usize, stage: &Stage) -> Span {
    // A call's number is drawn; those of its stages follow it.
    let number = u64::from_be_bytes(call.span).wrapping_add(at as u64 + 1).max(1);
    Span {
        span_id: number.to_be_bytes().to_vec().into(),
        parent_span_id: call.span.to_vec().into(),
        name: stage.name.to_owned(),
        kind: INTERNAL,
        ..between(call, stage.from, stage.to)
    }
}

fn between(call: &Finished, from: Duration, to: Duration) -> Span {
    let nanoseconds = |since: Duration| {
        let time = call.began.saturating_add(since).as_nanos();
        u64::try_from(time).unwrap_or(u64::MAX)
    };
    Span {
        trace_id: call.origin.trace.to_vec().into(),
        start_time_unix_nano: nanoseconds(from),
        end_time_unix_nano: nanoseconds(to),
        ..Span::default()
    }
}

/// Of what is the server's fault, as OpenTelemetry's conventions have it for servers.
fn status(call: &Finished) -> Option<Status> {
    let ours = matches!(
        call.code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    );
    ours.then(|| Status { message: call.message.clone(), code: FAILED })
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value }
}

fn number(key: &str, value: i64) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::IntValue(value)) });
    KeyValue { key: key.to_owned(), value }
}
