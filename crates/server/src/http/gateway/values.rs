//! The JSON values of a request's body, one after the other, as they arrive. Holds no more than one
//! value of the allowed length and what came with it.

use std::pin::Pin;
use std::task::{Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use http_body::Body;

use super::scan::{Scanner, Seen, is_space};

/// See the module.
pub(super) struct Values {
    body: Parts,
    over: bool,
    held: BytesMut,
    scanner: Scanner,
    scanned: usize,
    longest: usize,
}

/// Why there is no next value.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is no JSON; Go's words.
    Wrong(String),
    /// It is longer than allowed.
    TooLong,
    /// The client went away.
    Gone,
}

/// The parts of a body, or word that its client went away.
type Parts = Pin<Box<dyn Stream<Item = Result<Bytes, Unread>> + Send>>;

impl Values {
    pub(super) fn new(body: Parts, longest: usize) -> Self {
        let (held, scanner) = (BytesMut::new(), Scanner::default());
        Self { body, over: false, held, scanner, scanned: 0, longest }
    }

    /// Those of a request's body.
    pub(super) fn of_body<B>(mut body: B, longest: usize) -> Self
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let parts = stream::poll_fn(move |cx| {
            loop {
                match ready!(Pin::new(&mut body).poll_frame(cx)) {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                    Some(Err(_)) => return Poll::Ready(Some(Err(Unread::Gone))),
                    None => return Poll::Ready(None),
                }
            }
        });
        Self::new(Box::pin(parts), longest)
    }

    /// Of a body that somebody else has read.
    pub(super) fn unread(self) -> Self {
        Self { over: true, ..self }
    }

    /// The next value; nothing at the end of the body. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Unread> {
        loop {
            if let Some(value) = self.scan()? {
                return Ok(Some(value));
            }
            if self.over {
                return self.last();
            }
            if self.held.len() > self.longest {
                return Err(Unread::TooLong);
            }
            self.receive().await?;
        }
    }

    /// Reads what is left of the body, as far as that is a bearable length: a client may not look at
    /// the answer before it has sent everything.
    pub(super) async fn discard(&mut self) {
        let mut left = self.longest;
        while !self.over && left > 0 {
            self.held.clear();
            if self.receive().await.is_err() {
                return;
            }
            left = left.saturating_sub(self.held.len().max(1));
        }
    }

    async fn receive(&mut self) -> Result<(), Unread> {
        match self.body.next().await {
            Some(part) => self.held.extend_from_slice(&part?),
            None => self.over = true,
        }
        Ok(())
    }

    fn scan(&mut self) -> Result<Option<Bytes>, Unread> {
        while let Some(byte) = self.held.get(self.scanned) {
            let seen = self.scanner.take(*byte).map_err(Unread::Wrong)?;
            self.scanned += usize::from(seen != Seen::EndedBefore);
            if seen != Seen::More {
                return Ok(Some(self.cut()));
            }
        }
        Ok(None)
    }

    fn cut(&mut self) -> Bytes {
        let mut value = self.held.split_to(self.scanned).freeze();
        let spaces = value.iter().take_while(|byte| is_space(**byte)).count();
        value.advance(spaces);
        self.scanner = Scanner::default();
        self.scanned = 0;
        value
    }

    /// What is held when nothing more comes.
    fn last(&mut self) -> Result<Option<Bytes>, Unread> {
        if self.held.iter().all(|byte| is_space(*byte)) {
            return Ok(None);
        }
        if self.scanner.ends_here() {
            return Ok(Some(self.cut()));
        }
        Err(Unread::Wrong("unexpected EOF".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::executor::block_on;
    use http_body_util::Full;

    fn pieces(text: &'static str, size: usize) -> Parts {
        let pieces = text.as_bytes().chunks(size);
        Box::pin(stream::iter(pieces.map(|piece| Ok(Bytes::from_static(piece)))))
    }

    #[test]
    fn a_body_is_cut_into_values_wherever_it_is_torn() {
        let text = " {\"a\":\"}\"}\n[1,2]12 3";
        for size in 1..=text.len() {
            let mut values = Values::new(pieces(text, size), 100);
            for expected in ["{\"a\":\"}\"}", "[1,2]", "12", "3"] {
                let value = block_on(values.next()).unwrap().unwrap();
                assert_eq!(value, expected, "in pieces of {size}");
            }
            assert_eq!(block_on(values.next()), Ok(None));
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_apart() {
        let read = |text| block_on(Values::of_body(Full::new(Bytes::from_static(text)), 8).next());
        assert_eq!(read(b"{\"a\""), Err(Unread::Wrong("unexpected EOF".to_owned())));
        assert_eq!(read(b"\"123456789"), Err(Unread::TooLong));
        assert_eq!(read(b" \n "), Ok(None));
    }
}
