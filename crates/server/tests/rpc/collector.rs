//! A collector of traces, as far as Meridian speaks with one.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use server::grpc::{PREFIX, frame};
use server::wire::otlp::{ExportTraceServiceRequest, ExportTraceServiceResponse, PartialSuccess};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A collector that refuses so many spans of each request.
pub(crate) async fn collector(
    refuses: i64,
) -> (SocketAddr, UnboundedReceiver<ExportTraceServiceRequest>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, hears) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let told = told.clone();
            let answer = service_fn(move |request| take(request, told.clone(), refuses));
            let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(http.serve_connection(TokioIo::new(socket), answer));
        }
    });
    (address, hears)
}

type Frames = futures::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>>;

async fn take(
    request: Request<Incoming>,
    told: UnboundedSender<ExportTraceServiceRequest>,
    refuses: i64,
) -> Result<Response<StreamBody<Frames>>, Infallible> {
    let path = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert_eq!(request.uri().path(), path);
    assert_eq!(request.headers()["content-type"], "application/grpc");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(u32::from_be_bytes(body[1..PREFIX].try_into().unwrap()) as usize, body.len() - 5);
    told.send(ExportTraceServiceRequest::decode(&body[PREFIX..]).unwrap()).unwrap();
    let partial = PartialSuccess { rejected_spans: refuses, error_message: String::new() };
    let reply = frame(&ExportTraceServiceResponse { partial_success: Some(partial) });
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frames = vec![Ok(Frame::data(reply)), Ok(Frame::trailers(trailers))];
    let body = StreamBody::new(futures::stream::iter(frames));
    Ok(Response::builder().header("content-type", "application/grpc").body(body).unwrap())
}
