//! The JSON gateway over real sockets: what does not need an etcd beside it. That it answers as
//! etcd's does is judged by `conformance/gateway`.

mod calls;
mod document;
mod ending;
mod hostile;
mod http;
#[allow(dead_code, unreachable_pub)]
#[path = "../rpc/support.rs"]
mod support;
mod websocket;
