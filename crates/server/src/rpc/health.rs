//! gRPC's health service. etcd sets one service, the one without a name, and so does this.

use futures::{StreamExt, stream};

use crate::grpc::{Code, Messages, Status, frame};
use crate::wire::health::health_check_response::ServingStatus;
use crate::wire::health::{HealthCheckRequest, HealthCheckResponse, HealthListResponse};

/// A server that answers is serving.
pub(super) fn check(request: &HealthCheckRequest) -> Result<HealthCheckResponse, Status> {
    if !request.service.is_empty() {
        return Err(Status::fixed(Code::NotFound, "unknown service"));
    }
    Ok(HealthCheckResponse { status: ServingStatus::Serving as i32 })
}

/// Every service that has a status.
pub(super) fn list() -> HealthListResponse {
    let serving = HealthCheckResponse { status: ServingStatus::Serving as i32 };
    HealthListResponse { statuses: [(String::new(), serving)].into() }
}

/// Says it once; the end of the stream is the other news.
pub(super) fn watch(request: &HealthCheckRequest) -> Messages {
    let known = request.service.is_empty();
    let status = if known { ServingStatus::Serving } else { ServingStatus::ServiceUnknown };
    let message = frame(&HealthCheckResponse { status: status as i32 });
    Box::pin(stream::iter([Ok(message)]).chain(stream::pending()))
}
