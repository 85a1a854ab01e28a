//! Keys in PEM as Go reads them: by what is in the first block, whatever its label says.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const DASHES: &str = "-----";

/// What stands in the first block that can hold a key. `openssl ecparam -genkey` puts one before it
/// that cannot.
pub(super) fn first_block(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut rest = text;
    loop {
        let (_, after) = rest.split_once(BEGIN)?;
        let (label, after) = after.split_once(DASHES)?;
        let (body, after) = after.split_once(&format!("-----END {label}-----"))?;
        if label != "EC PARAMETERS" {
            let body: String = body.split_ascii_whitespace().collect();
            return STANDARD.decode(body).ok();
        }
        rest = after;
    }
}

/// Whether it is a key that only a password opens.
pub(super) fn is_encrypted(text: &[u8]) -> bool {
    let marks = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
    let text = String::from_utf8_lossy(text);
    marks.iter().any(|mark| text.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::{first_block, is_encrypted};

    #[test]
    fn the_first_block_is_found() {
        let one = "remark\n-----BEGIN A KEY-----\r\nAQID\r\nBA==\r\n-----END A KEY-----\n";
        assert_eq!(first_block(one.as_bytes()), Some(vec![1, 2, 3, 4]));
        let two =
            format!("-----BEGIN EC PARAMETERS-----\nBQ==\n-----END EC PARAMETERS-----\n{one}");
        assert_eq!(first_block(two.as_bytes()), Some(vec![1, 2, 3, 4]));
    }

    #[test]
    fn what_is_no_block_is_none() {
        for text in [
            "",
            "AQID",
            "-----BEGIN A-----",
            "-----BEGIN A-----\nAQID\n-----END B-----",
            "-----BEGIN A-----\nA!ID\n-----END A-----",
            "-----BEGIN ",
        ] {
            assert_eq!(first_block(text.as_bytes()), None, "{text}");
        }
        assert_eq!(first_block(&[0xff, 0xfe]), None);
    }

    #[test]
    fn encrypted_keys_are_told() {
        assert!(is_encrypted(b"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"));
        assert!(!is_encrypted(b"-----BEGIN PRIVATE KEY-----\n"));
    }
}
