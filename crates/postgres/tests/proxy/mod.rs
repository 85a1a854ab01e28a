//! A wire that can be cut, or held up, between the journal and the server.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the wire does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Passes them on.
    Open,
    /// Takes questions to the server and answers to nobody: the connection ends instead.
    AnswersLost,
    /// Keeps what is asked until the wire is open again, on connections made before.
    QuestionsHeld,
}

/// See the module's words.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    wire: Arc<watch::Sender<Wire>>,
}

impl Proxy {
    /// Stands before the server at `to`; must run on a runtime.
    pub(crate) async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let wire = Arc::new(watch::channel(Wire::Open).0);
        let for_all = Arc::clone(&wire);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(to).await else { continue };
                drop((client.set_nodelay(true), server.set_nodelay(true)));
                let ((from_client, to_client), (from_server, to_server)) =
                    (client.into_split(), server.into_split());
                // A wire that is held up holds up only what was connected by then.
                let fresh = *for_all.borrow() == Wire::QuestionsHeld;
                let wire = for_all.subscribe();
                tokio::spawn(questions(from_client, to_server, wire.clone(), fresh));
                tokio::spawn(answers(from_server, to_client, wire));
            }
        });
        Self { port, wire }
    }

    pub(crate) fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

async fn questions(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut wire: watch::Receiver<Wire>,
    fresh: bool,
) {
    let mut bytes = vec![0; 65536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if !fresh && wire.wait_for(|wire| *wire != Wire::QuestionsHeld).await.is_err() {
            return;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, wire: watch::Receiver<Wire>) {
    let mut bytes = vec![0; 65536];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        if *wire.borrow() == Wire::AnswersLost || to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
