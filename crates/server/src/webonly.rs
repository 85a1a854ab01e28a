//! A listener for metrics and health alone: every gRPC method is unknown there.

use std::future::Future;

use bytes::Bytes;

use crate::grpc::{Code, Context, Kind, Messages, Payload, Requests, Service, Status};
use crate::observe::metrics::Meter;
use crate::rpc::{Method, Services};

/// See the module.
#[derive(Clone)]
pub(crate) struct WebOnly(pub(crate) Services);

fn unknown() -> Status {
    Status::fixed(Code::Unimplemented, "meridian: this listener serves health and metrics only")
}

impl Service for WebOnly {
    type Method = Method;

    fn route(&self, _path: &str) -> Result<(Method, Kind), Status> {
        Err(unknown())
    }

    fn meter(&self, method: Method) -> Meter {
        self.0.meter(method)
    }

    fn unary(
        &self,
        _method: Method,
        _context: Context,
        _message: Bytes,
    ) -> impl Future<Output = Result<Payload, Status>> + Send {
        std::future::ready(Err(unknown()))
    }

    fn server_stream(
        &self,
        _method: Method,
        _context: Context,
        _message: Bytes,
    ) -> impl Future<Output = Result<Messages, Status>> + Send {
        std::future::ready(Err(unknown()))
    }

    fn bidirectional(
        &self,
        _method: Method,
        _context: Context,
        _requests: Requests,
    ) -> Result<Messages, Status> {
        Err(unknown())
    }
}
