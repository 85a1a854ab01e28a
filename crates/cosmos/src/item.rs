//! One item of the container, as JSON: what stands in a slot, a part of a long body, a mark, an object's piece.
//!
//! `{"id", "pk", "slot", "w": who offered it, "k": kind, "s": checksum, "b": body in base64}`; see docs/format.md.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use journal::Nonce;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};

/// The longest body of an item: base64 of it, and the rest, stay below the service's 2 MB.
pub(crate) const MAX_BODY: usize = 1_400_000;

/// An item's partition and id. Ids have none of `/ \ ? #`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    /// The partition key.
    pub(crate) partition: String,
    /// The id, unique in its partition.
    pub(crate) id: String,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) name: Name,
    /// By which items of a partition are ordered and found.
    pub(crate) slot: u64,
    pub(crate) nonce: Nonce,
    pub(crate) kind: u32,
    pub(crate) body: Bytes,
    /// The service's tag of what was read; none on the way there.
    pub(crate) tag: Option<String>,
}

/// The JSON on the wire. What the service adds is passed over, but for its tag.
#[derive(Serialize, Deserialize)]
struct Form {
    id: String,
    pk: String,
    slot: u64,
    w: String,
    k: u32,
    s: u32,
    b: String,
    #[serde(rename = "_etag", skip_serializing)]
    tag: Option<String>,
}

impl Item {
    /// The item's JSON.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let form = Form {
            id: self.name.id.clone(),
            pk: self.name.partition.clone(),
            slot: self.slot,
            w: format!("{:032x}", self.nonce.0),
            k: self.kind,
            s: self.checksum(),
            b: STANDARD.encode(&self.body),
            tag: None,
        };
        serde_json::to_vec(&form).unwrap_or_default()
    }

    /// Reads an item's JSON.
    ///
    /// # Errors
    /// [`Kind::Damaged`] when it is none of ours, or its checksum is not its own.
    pub(crate) fn decode(json: &[u8]) -> Result<Self, Failure> {
        let damaged = |what: String| Failure::new(Kind::Damaged, what);
        let form: Form = serde_json::from_slice(json)
            .map_err(|why| damaged(format!("an item is not one of ours: {why}")))?;
        let place = format!("item {:?} of partition {:?}", form.id, form.pk);
        let nonce = u128::from_str_radix(&form.w, 16)
            .map_err(|_| damaged(format!("{place} has no nonce")))?;
        let body = STANDARD
            .decode(&form.b)
            .map_err(|why| damaged(format!("the body of {place} is no base64: {why}")))?;
        let item = Self {
            name: Name { partition: form.pk, id: form.id },
            slot: form.slot,
            nonce: Nonce(nonce),
            kind: form.k,
            body: body.into(),
            tag: form.tag,
        };
        if item.checksum() != form.s {
            return Err(damaged(format!("the checksum of {place} is wrong")));
        }
        Ok(item)
    }

    /// Of everything that is ours in it.
    fn checksum(&self) -> u32 {
        let mut sum = crc32c::crc32c(self.name.partition.as_bytes());
        sum = crc32c::crc32c_append(sum, self.name.id.as_bytes());
        sum = crc32c::crc32c_append(sum, &self.slot.to_le_bytes());
        sum = crc32c::crc32c_append(sum, &self.nonce.0.to_le_bytes());
        sum = crc32c::crc32c_append(sum, &self.kind.to_le_bytes());
        crc32c::crc32c_append(sum, &self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> Item {
        Item {
            name: Name { partition: "log/0".into(), id: format!("{:020}", 7) },
            slot: 7,
            nonce: Nonce(u128::MAX - 5),
            kind: 0,
            body: Bytes::from_static(b"\0\xffbody"),
            tag: None,
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let json = item().encode();
        assert_eq!(Item::decode(&json).expect("ours"), item());
        let text = String::from_utf8(json).expect("JSON is text");
        let stored = text.replacen('{', "{\"_rid\":\"x\",\"_etag\":\"\\\"1\\\"\",\"_ts\":1,", 1);
        let read = Item::decode(stored.as_bytes()).expect("what the service adds does no harm");
        assert_eq!(read.tag.as_deref(), Some("\"1\""));
    }

    #[test]
    fn what_is_not_ours_is_damage() {
        let text = String::from_utf8(item().encode()).expect("JSON is text");
        for (from, to) in [("\"slot\":7", "\"slot\":8"), ("\"k\":0", "\"k\":1"), ("log/0", "log/1")]
        {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text);
            let failure = Item::decode(changed.as_bytes()).expect_err("the checksum tells");
            assert_eq!(failure.kind, Kind::Damaged);
        }
        assert_eq!(Item::decode(b"{\"id\":1}").expect_err("no item").kind, Kind::Damaged);
    }
}
