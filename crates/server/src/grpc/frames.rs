//! HTTP/2 frames as they pass by: which kinds there are, and where one ends.

/// Kinds of frames.
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PING: u8 = 6;
const GOAWAY: u8 = 7;

const ACKNOWLEDGES: u8 = 1;
const HEAD: usize = 9;
/// What a client says before its first frame.
const PREFACE: usize = 24;
const ENHANCE_YOUR_CALM: u32 = 11;

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) acknowledges: bool,
    pub(super) stream: u32,
}

/// Where in a stream of frames we are.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD],
    /// So much of the head is there.
    have: usize,
    /// So much comes before the next head.
    skip: usize,
}

impl Frames {
    /// The frames of a client: its preface comes first.
    pub(super) fn of_client() -> Self {
        Self { skip: PREFACE, ..Self::default() }
    }

    /// Whether the last frame is over and the next has not begun.
    pub(super) fn is_between(&self) -> bool {
        self.have == 0 && self.skip == 0
    }

    /// Goes over the next bytes, and names each frame whose head ends in them.
    pub(super) fn pass(&mut self, mut bytes: &[u8], mut met: impl FnMut(Frame)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if bytes.is_empty() {
                return;
            }
            let more = (HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + more].copy_from_slice(&bytes[..more]);
            self.have += more;
            bytes = &bytes[more..];
            if self.have < HEAD {
                return;
            }
            let [a, b, c, kind, flags, stream @ ..] = self.head;
            self.have = 0;
            self.skip = u32::from_be_bytes([0, a, b, c]) as usize;
            let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
            met(Frame { kind, acknowledges: flags & ACKNOWLEDGES != 0, stream });
        }
    }
}

/// The last frame for a client that pings too often.
pub(super) fn too_many_pings(newest_stream: u32) -> Vec<u8> {
    let words = b"too_many_pings";
    let length = u8::try_from(8 + words.len()).unwrap_or(u8::MAX);
    let mut frame = vec![0, 0, length, GOAWAY, 0, 0, 0, 0, 0];
    frame.extend_from_slice(&newest_stream.to_be_bytes());
    frame.extend_from_slice(&ENHANCE_YOUR_CALM.to_be_bytes());
    frame.extend_from_slice(words);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_met_however_the_bytes_are_cut() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend_from_slice(&[0, 0, 0, 4, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&[0, 0, 3, HEADERS, 4, 0x80, 0, 0, 5, 1, 2, 3]);
        bytes.extend_from_slice(&[0, 0, 8, PING, 1, 0, 0, 0, 0, 6, 6, 6, 6, 6, 6, 6, 6]);
        let frame = |kind, acknowledges, stream| Frame { kind, acknowledges, stream };
        let want = [frame(4, false, 0), frame(HEADERS, false, 5), frame(PING, true, 0)];
        for size in 1..bytes.len() {
            let (mut frames, mut met) = (Frames::of_client(), Vec::new());
            bytes.chunks(size).for_each(|chunk| frames.pass(chunk, |frame| met.push(frame)));
            assert_eq!(met, want, "{size}");
            assert!(frames.is_between());
        }
    }
}
