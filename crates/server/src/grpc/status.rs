//! gRPC's status: a code and a sentence, as they stand in the trailers.

use std::borrow::Cow;
use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

macro_rules! codes {
    ($($number:literal $name:ident $shown:literal),* $(,)?) => {
        /// gRPC's codes.
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub enum Code { $($name = $number),* }

        impl Code {
            /// All, in the order of their numbers.
            pub const ALL: [Self; 17] = [$(Self::$name),*];

            /// As grpc-go writes it, which is also the label in metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $shown),* }
            }

            const fn digits(self) -> &'static str {
                match self { $(Self::$name => stringify!($number)),* }
            }
        }
    };
}

codes! {
    0 Ok "OK",
    1 Canceled "Canceled",
    2 Unknown "Unknown",
    3 InvalidArgument "InvalidArgument",
    4 DeadlineExceeded "DeadlineExceeded",
    5 NotFound "NotFound",
    6 AlreadyExists "AlreadyExists",
    7 PermissionDenied "PermissionDenied",
    8 ResourceExhausted "ResourceExhausted",
    9 FailedPrecondition "FailedPrecondition",
    10 Aborted "Aborted",
    11 OutOfRange "OutOfRange",
    12 Unimplemented "Unimplemented",
    13 Internal "Internal",
    14 Unavailable "Unavailable",
    15 DataLoss "DataLoss",
    16 Unauthenticated "Unauthenticated",
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What kind of end.
    pub code: Code,
    /// What the caller is told.
    pub message: Cow<'static, str>,
}

impl Status {
    /// The good end.
    pub const OK: Self = Self::fixed(Code::Ok, "");

    /// With a sentence that never changes.
    #[must_use]
    pub const fn fixed(code: Code, message: &'static str) -> Self {
        Self { code, message: Cow::Borrowed(message) }
    }

    /// With a sentence made for the occasion.
    #[must_use]
    pub const fn new(code: Code, message: String) -> Self {
        Self { code, message: Cow::Owned(message) }
    }

    /// Adds the status to trailers (or to headers, when there is nothing else to say).
    pub(crate) fn write_to(&self, headers: &mut HeaderMap) {
        headers.insert(GRPC_STATUS, HeaderValue::from_static(self.code.digits()));
        let message = match percent_encode(&self.message) {
            Cow::Borrowed(_) if self.message.is_empty() => HeaderValue::from_static(""),
            encoded => HeaderValue::from_str(&encoded)
                .unwrap_or_else(|_| HeaderValue::from_static("unprintable message")),
        };
        headers.insert(GRPC_MESSAGE, message);
    }

    /// The status as trailers.
    pub(super) fn trailers(&self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(2);
        self.write_to(&mut trailers);
        trailers
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rpc error: code = {} desc = {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Status {}

/// gRPC's escape: every byte outside printable ASCII, and `%`, as `%XX`.
fn percent_encode(message: &str) -> Cow<'_, str> {
    let plain = |byte: u8| (0x20..=0x7e).contains(&byte) && byte != b'%';
    if message.bytes().all(plain) {
        return Cow::Borrowed(message);
    }
    let mut encoded = String::with_capacity(message.len() + 16);
    for byte in message.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_escaped() {
        assert_eq!(percent_encode("a b~"), "a b~");
        assert_eq!(percent_encode("50%\né"), "50%25%0A%C3%A9");
    }

    #[test]
    fn trailers_carry_code_and_message() {
        let trailers = Status::fixed(Code::OutOfRange, "too far").trailers();
        assert_eq!(trailers["grpc-status"], "11");
        assert_eq!(trailers["grpc-message"], "too far");
        assert_eq!(Status::OK.trailers()["grpc-message"], "");
    }

    #[test]
    fn codes_stand_in_the_order_of_their_numbers() {
        for (number, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, number);
            assert_eq!(code.digits(), number.to_string());
        }
    }
}
