//! What a listener answers to requests that are not calls: all pages, those of a metrics listener,
//! or none.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::Traffic;
use crate::grpc::{Code, ReplyBody, Status, Web};
use crate::http::Pages;

/// See the module.
#[derive(Clone)]
pub(super) enum Site {
    All(Pages),
    Metrics(Pages),
    Peers(Pages),
    None,
}

impl Site {
    pub(super) fn new(traffic: Traffic, pages: Pages) -> Self {
        match traffic {
            Traffic::All | Traffic::Http => Self::All(pages),
            Traffic::Metrics => Self::Metrics(pages),
            Traffic::Peers => Self::Peers(pages),
            Traffic::Grpc => Self::None,
        }
    }
}

impl Web for Site {
    async fn answer(&self, request: Request<Incoming>) -> Response<ReplyBody> {
        match self {
            Self::All(pages) => pages.answer(request).await,
            Self::Metrics(pages) => pages.answer_metrics(request).await,
            Self::Peers(pages) => pages.answer_peers(request).await,
            Self::None => no_call(&request).map(ReplyBody::plain),
        }
    }

    fn gone_when_silent(&self, request: &Request<Incoming>) -> bool {
        match self {
            Self::All(pages) => pages.gone_when_silent(request),
            Self::Metrics(_) | Self::Peers(_) | Self::None => false,
        }
    }
}

/// A request that is no call where only calls are answered, in grpc-go's words.
fn no_call(request: &Request<Incoming>) -> Response<Bytes> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    let kind = kind.map(|kind| String::from_utf8_lossy(kind.as_bytes())).unwrap_or_default();
    let (code, status) = if kind.starts_with("application/grpc") && request.method() != Method::POST
    {
        let method = request.method();
        let words =
            format!("Received a HEADERS frame with :method \"{method}\" which should be POST");
        (StatusCode::METHOD_NOT_ALLOWED, Status::new(Code::Internal, words))
    } else {
        let words = format!("invalid gRPC request content-type {kind:?}");
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, Status::new(Code::InvalidArgument, words))
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = code;
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(header::CONTENT_TYPE, grpc);
    status.write_to(response.headers_mut());
    response
}
