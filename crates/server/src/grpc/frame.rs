//! gRPC's framing: one byte "compressed", four bytes length, the message.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::status::{Code, Status};

/// Bytes before each message.
pub const PREFIX: usize = 5;

/// A message with its prefix.
#[must_use]
pub fn frame(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    frame_with(length, |out| message.encode_raw(out))
}

/// A message that `write` encodes into exactly `length` bytes, with its prefix.
///
/// # Panics
/// If `write` wrote another number of bytes: the reader of the stream would be lost.
pub fn frame_with(length: usize, write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::with_capacity(PREFIX + length);
    put_prefix(&mut out, length);
    write(&mut out);
    assert_eq!(out.len(), PREFIX + length, "a message is as long as its prefix says");
    out.freeze()
}

/// Writes the prefix of an uncompressed message. A message of 4 GiB or more has none.
pub(crate) fn put_prefix(out: &mut BytesMut, length: usize) {
    out.put_u8(0);
    out.put_u32(u32::try_from(length).expect("checked by whoever built the message"));
}

/// Cuts the bytes of a request into messages. Holds at most one message and what came with it.
#[derive(Debug)]
pub struct Decoder {
    chunk: Bytes,
    gathered: BytesMut,
    limit: usize,
    encoding: Option<String>,
}

impl Decoder {
    /// Refuses messages over `limit` bytes. `encoding` is the request's `grpc-encoding`.
    #[must_use]
    pub fn new(limit: usize, encoding: Option<String>) -> Self {
        Self { chunk: Bytes::new(), gathered: BytesMut::new(), limit, encoding }
    }

    /// Takes the next bytes. To be called only when [`Decoder::message`] gave nothing.
    pub fn push(&mut self, bytes: Bytes) {
        if self.gathered.is_empty() && self.chunk.is_empty() {
            self.chunk = bytes;
            return;
        }
        // The message is in several pieces: gather them. Its length was checked if it is known.
        self.gathered.extend_from_slice(&self.chunk);
        self.gathered.extend_from_slice(&bytes);
        self.chunk = Bytes::new();
    }

    /// The next message, if it is complete.
    ///
    /// # Errors
    /// What grpc-go says to a message that is too large or compressed.
    pub fn message(&mut self) -> Result<Option<Bytes>, Status> {
        let head: &[u8] = if self.gathered.is_empty() { &self.chunk } else { &self.gathered };
        if head.len() < PREFIX {
            return Ok(None);
        }
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let complete = head.len() - PREFIX >= length;
        self.check(head[0], length)?;
        if !complete {
            self.gathered.reserve((PREFIX + length).saturating_sub(self.gathered.len()));
            return Ok(None);
        }
        if !self.gathered.is_empty() {
            self.chunk = std::mem::take(&mut self.gathered).freeze();
        }
        self.chunk.advance(PREFIX);
        Ok(Some(self.chunk.split_to(length)))
    }

    /// Whether nothing of an unfinished message is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunk.is_empty() && self.gathered.is_empty()
    }

    fn check(&self, compressed: u8, length: usize) -> Result<(), Status> {
        if length > self.limit {
            let text =
                format!("grpc: received message larger than max ({length} vs. {})", self.limit);
            return Err(Status::new(Code::ResourceExhausted, text));
        }
        match (compressed, self.encoding.as_deref()) {
            (0, _) => Ok(()),
            (1, None | Some("" | "identity")) => Err(Status::fixed(
                Code::Internal,
                "grpc: compressed flag set with identity or empty encoding",
            )),
            (1, Some(encoding)) => Err(no_decompressor(encoding)),
            (other, _) => Err(Status::new(
                Code::Internal,
                format!("grpc: received unexpected payload format {other}"),
            )),
        }
    }
}

/// What grpc-go answers to an encoding it does not know.
pub(super) fn no_decompressor(encoding: &str) -> Status {
    Status::new(
        Code::Unimplemented,
        format!("grpc: Decompressor is not installed for grpc-encoding {encoding:?}"),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(body: &[u8]) -> Bytes {
        frame_with(body.len(), |out| out.extend_from_slice(body))
    }

    fn decode(decoder: &mut Decoder, pieces: &[Bytes]) -> Vec<Bytes> {
        let mut messages = Vec::new();
        for piece in pieces {
            decoder.push(piece.clone());
            while let Some(message) = decoder.message().unwrap() {
                messages.push(message);
            }
        }
        messages
    }

    #[test]
    fn one_piece_is_not_copied() {
        let whole = framed(b"hello");
        let mut decoder = Decoder::new(100, None);
        decoder.push(whole.clone());
        let message = decoder.message().unwrap().unwrap();
        assert_eq!(message.as_ptr(), whole[PREFIX..].as_ptr());
        assert!(decoder.is_empty());
    }

    #[test]
    fn too_large_is_refused_by_its_prefix_alone() {
        let mut decoder = Decoder::new(2_097_152, None);
        decoder.push(Bytes::from_static(&[0, 0, 0x20, 0, 1]));
        let status = decoder.message().unwrap_err();
        assert_eq!(status.code, Code::ResourceExhausted);
        assert_eq!(status.message, "grpc: received message larger than max (2097153 vs. 2097152)");
    }

    #[test]
    fn compressed_is_refused() {
        let mut decoder = Decoder::new(100, None);
        decoder.push(Bytes::from_static(&[1, 0, 0, 0, 0]));
        assert_eq!(decoder.message().unwrap_err().code, Code::Internal);
        let mut decoder = Decoder::new(100, Some("gzip".to_owned()));
        decoder.push(Bytes::from_static(&[1, 0, 0, 0, 0]));
        let status = decoder.message().unwrap_err();
        assert_eq!(status.code, Code::Unimplemented);
        assert_eq!(
            status.message,
            "grpc: Decompressor is not installed for grpc-encoding \"gzip\""
        );
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_messages(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            cuts in prop::collection::vec(1..17usize, 1..40),
        ) {
            let mut stream = BytesMut::new();
            for body in &bodies {
                stream.extend_from_slice(&framed(body));
            }
            let mut rest = stream.freeze();
            let mut pieces = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                pieces.push(rest.split_to((*cut).min(rest.len())));
            }
            let mut decoder = Decoder::new(100, None);
            let messages = decode(&mut decoder, &pieces);
            prop_assert!(decoder.is_empty());
            prop_assert_eq!(messages, bodies);
        }
    }
}
