//! HTTP/1, as a client writes it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use super::support::Server;

/// A test that waits longer than this for a byte has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// One connection with one request on it.
pub(crate) struct Exchange {
    pub(crate) socket: BufReader<TcpStream>,
}

/// An answer as a whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    /// In lower case, a line each.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Exchange {
    /// Sends a POST with its body.
    pub(crate) async fn post(server: &Server, path: &str, headers: &str, body: &[u8]) -> Self {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{headers}\r\n");
        Self::send(server, &[head.as_bytes(), body].concat()).await
    }

    /// Sends a POST whose body comes later, in chunks.
    pub(crate) async fn open(server: &Server, path: &str) -> Self {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
        Self::send(server, head.as_bytes()).await
    }

    pub(crate) async fn send(server: &Server, bytes: &[u8]) -> Self {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(bytes).await.unwrap();
        Self { socket: BufReader::new(socket) }
    }

    /// One more chunk of the body; an empty one is its end.
    pub(crate) async fn chunk(&mut self, bytes: &str) {
        let chunk = format!("{:x}\r\n{bytes}\r\n", bytes.len());
        self.socket.get_mut().write_all(chunk.as_bytes()).await.unwrap();
    }

    /// The next line, without its end.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = Vec::new();
        let read = async {
            while !line.ends_with(b"\n") {
                line.push(self.socket.read_u8().await.unwrap());
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("a line in time");
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// The head of the answer, in lower case.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = String::new();
        loop {
            let line = self.line().await;
            if line.is_empty() {
                return head;
            }
            head += &line.to_lowercase();
            head.push('\n');
        }
    }

    /// The next chunk of a body that grows.
    pub(crate) async fn next(&mut self) -> String {
        let length = usize::from_str_radix(&self.line().await, 16).unwrap();
        let mut chunk = vec![0; length + 2];
        let read = self.socket.read_exact(&mut chunk);
        tokio::time::timeout(PATIENCE, read).await.expect("a chunk in time").unwrap();
        String::from_utf8(chunk).unwrap().trim_end().to_owned()
    }

    /// The answer, its body as a whole.
    pub(crate) async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let code = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let mut body = String::new();
        match length {
            Some(length) => {
                let mut bytes = vec![0; length.parse().unwrap()];
                self.socket.read_exact(&mut bytes).await.unwrap();
                body = String::from_utf8(bytes).unwrap();
            }
            None => loop {
                let chunk = self.next().await;
                if chunk.is_empty() {
                    break;
                }
                body += &chunk;
            },
        }
        Answer { code, head, body }
    }
}

/// The answer to a POST of JSON.
pub(crate) async fn post(server: &Server, path: &str, body: &str) -> Answer {
    Exchange::post(server, path, "", body.as_bytes()).await.answer().await
}
