//! The handshake, a stage of its own: never in the accept loop, bounded in time and in number. What
//! comes out is a stream whose other side is known as far as its certificate says, or a reason.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};
use tokio_rustls::LazyConfigAcceptor;

use super::refusals::Refused;
use super::socket::{Stream, Wire};
use crate::grpc::{Rewound, looks_like_tls};
use crate::security::{Caller, Credentials, check_address};

/// From accept to the end of the handshake, as etcd.
const WITHIN: Duration = Duration::from_secs(10);
/// How long a client that was refused may take to hear why. Closing at once, with bytes of it
/// unread, would have its system drop the alert that says so.
const LINGER: Duration = Duration::from_millis(500);
/// Handshakes under way at once. Beyond it the one that has taken longest gives way to the next.
const MOST: usize = 1024;
/// But not before it had this long: until then, the next is not accepted.
const SPARED: Duration = Duration::from_secs(1);

/// What Go's server answers, and so etcd where it is not behind a multiplexer.
const SPEAK_TLS: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// All handshakes under way, on all listeners.
#[derive(Debug, Default)]
pub(super) struct Handshakes {
    under_way: Mutex<UnderWay>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct UnderWay {
    next: u64,
    /// In the order in which they began; dropping the sender ends one.
    since: BTreeMap<u64, (Instant, oneshot::Sender<()>)>,
}

/// A handshake's place among them; it is given up with this.
#[derive(Debug)]
pub(super) struct Place {
    handshakes: Arc<Handshakes>,
    number: u64,
    gives_way: oneshot::Receiver<()>,
}

impl Handshakes {
    /// Waits until one more may begin.
    pub(super) async fn room(&self) {
        loop {
            let ended = self.ended.notified();
            let Some(wait) = self.crowded(Instant::now()) else { return };
            drop(tokio::time::timeout(wait, ended).await);
        }
    }

    /// How long there is no room at least; makes room if one has had its time.
    fn crowded(&self, now: Instant) -> Option<Duration> {
        let mut under_way = self.under_way.lock();
        if under_way.since.len() < MOST {
            return None;
        }
        let (_, (oldest, _)) = under_way.since.first_key_value()?;
        let had = now.saturating_duration_since(*oldest);
        if had < SPARED {
            return Some(SPARED - had);
        }
        under_way.since.pop_first();
        None
    }

    /// Begins one.
    pub(super) fn begin(self: &Arc<Self>) -> Place {
        let (sender, gives_way) = oneshot::channel();
        let mut under_way = self.under_way.lock();
        let number = under_way.next;
        under_way.next += 1;
        under_way.since.insert(number, (Instant::now(), sender));
        Place { handshakes: Arc::clone(self), number, gives_way }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.handshakes.under_way.lock().since.remove(&self.number);
        self.handshakes.ended.notify_one();
    }
}

/// Carries out one handshake. Plaintext is let through where `plaintext` says that it may be.
pub(super) async fn greet(
    wire: Wire,
    credentials: &Credentials,
    plaintext: bool,
    mut place: Place,
) -> Result<(Stream, Caller), Refused> {
    let mut server_name = String::new();
    let ended = tokio::select! {
        ended = tokio::time::timeout(WITHIN, shake(wire, credentials, plaintext, &mut server_name))
            => ended,
        _ = &mut place.gives_way => return Err(Refused { server_name, ..Refused::new(
            "handshake cut off, since too many are under way",
            "over 1024 clients were in their TLS handshakes, and this one had taken the longest",
        )}),
    };
    match ended {
        Ok(Ok(open)) => Ok(open),
        Ok(Err((refused, wire))) => {
            linger(wire).await;
            Err(Refused { server_name, ..refused })
        }
        Err(_) => Err(Refused {
            server_name,
            ..Refused::new(
                "handshake not finished within 10s",
                "the client stopped in the middle of its TLS handshake, or said nothing at all",
            )
        }),
    }
}

/// What went wrong, and with which socket, as far as there is somebody on it.
type Failure = (Refused, Option<Wire>);

async fn shake(
    mut wire: Wire,
    credentials: &Credentials,
    plaintext: bool,
    server_name: &mut String,
) -> Result<(Stream, Caller), Failure> {
    let first = match first_bytes(&mut wire).await {
        Ok(first) if first.is_empty() => return Err((nothing_said(), None)),
        Ok(first) => first,
        Err(error) => return Err((broken_off(&error), None)),
    };
    if !looks_like_tls(&first) {
        if plaintext {
            return Ok((Stream::Plain(Rewound::new(first, wire)), Caller::default()));
        }
        return Err((no_tls(&first, &mut wire).await, Some(wire)));
    }
    let mut hello = LazyConfigAcceptor::new(Default::default(), Rewound::new(first, wire));
    let start = match (&mut hello).await {
        Ok(start) => start,
        Err(error) => {
            let wire = hello.take_io().map(Rewound::into_inner);
            return Err((failed(credentials, &error), wire));
        }
    };
    *server_name = start.client_hello().server_name().unwrap_or_default().to_owned();
    let accept = start.into_stream(credentials.current()).into_fallible();
    match accept.await {
        Ok(stream) => {
            let (wire, session) = stream.get_ref();
            let chain = session.peer_certificates();
            let caller = Caller::of(chain);
            if let Some(from) = wire.inner().peer().filter(|_| credentials.compares_addresses()) {
                let compared = check_address(chain, from).await;
                compared.map_err(|why| (elsewhere(why), None))?;
            }
            Ok((Stream::tls(stream), caller))
        }
        Err((error, io)) => Err((failed(credentials, &error), Some(io.into_inner()))),
    }
}

/// Enough to tell TLS from HTTP; fewer if the client says no more. Reads no more than that.
async fn first_bytes(wire: &mut Wire) -> io::Result<Bytes> {
    let mut first = BytesMut::with_capacity(1 << 10);
    loop {
        let read = wire.read_buf(&mut first).await?;
        if read == 0 || first.len() >= 5 || first[0] == 0x16 {
            return Ok(first.freeze());
        }
    }
}

/// Plaintext where TLS is spoken; HTTP is told so in its own words.
async fn no_tls(first: &[u8], wire: &mut Wire) -> Refused {
    let methods: [&[u8]; 5] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO"];
    if methods.iter().any(|method| first.starts_with(method)) {
        // Whoever does not take it is closed all the same.
        drop(wire.write_all(SPEAK_TLS).await);
    }
    Refused::new(
        "tls: first record does not look like a TLS handshake",
        "plaintext on a TLS port: the client is to use https:// for this endpoint",
    )
}

fn elsewhere(why: String) -> Refused {
    let refused = Refused::new("tls: the certificate is for another address", "");
    Refused { reason: Cow::Owned(why), ..refused }
}

fn nothing_said() -> Refused {
    let refused = Refused::new("EOF", "closed before it said anything");
    Refused { quiet: true, ..refused }
}

fn broken_off(error: &io::Error) -> Refused {
    Refused { error: Cow::Owned(error.to_string()), quiet: true, ..nothing_said() }
}

fn failed(credentials: &Credentials, error: &io::Error) -> Refused {
    let (reason, error_text) = (credentials.reason(error), error.to_string());
    let gone = [io::ErrorKind::UnexpectedEof, io::ErrorKind::ConnectionReset];
    Refused {
        server_name: String::new(),
        error: Cow::Owned(error_text),
        reason: Cow::Owned(reason),
        quiet: gone.contains(&error.kind()),
    }
}

/// Lets the other side read what it was told; what it still says is thrown away.
async fn linger(wire: Option<Wire>) {
    let Some(mut wire) = wire else { return };
    let hear = async {
        wire.shutdown().await?;
        tokio::io::copy(&mut wire, &mut tokio::io::sink()).await
    };
    drop(tokio::time::timeout(LINGER, hear).await);
}
