//! Names of items and what they are; docs/format.md draws them.
//!
//! A partition holds 20 GB at most, so none grows with the log: slots and parts stand in segments.

use journal::Nonce;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Kind};
use crate::item::{Item, Name};

/// Longest name of a log, and of an object, as an id has it: the service takes 1,023 bytes.
const MAX_NAME: usize = 200;
const MAX_OBJECT: usize = 1000;

/// A segment of slots, and one of parts, as powers of two: 4,096 bodies of 1.4 MB and 64 of 60 MB stay far
/// below 20 GB also in base64.
const SEGMENT: u32 = 12;
const PARTS: u32 = 6;

/// The version of items that this program writes, and the newest that it reads.
const VERSION: u32 = 1;

/// What an item is.
pub(crate) mod kind {
    /// A slot: its body.
    pub(crate) const BODY: u32 = 0;
    /// A slot whose body stands in parts: their length and checksum.
    pub(crate) const PARTS: u32 = 1;
    /// The end: the body is the successor's address. The slot counts as free.
    pub(crate) const END: u32 = 2;
    /// The log's mark: where it begins.
    pub(crate) const MARK: u32 = 3;
    /// A part of a long body.
    pub(crate) const PART: u32 = 4;
    /// What an object is, and where its pieces stand.
    pub(crate) const OBJECT: u32 = 5;
    /// An upload under way, or an object about to go.
    pub(crate) const UPLOAD: u32 = 6;
    /// A piece of an object.
    pub(crate) const PIECE: u32 = 7;
}

/// The names of one log's items.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    log: String,
}

impl Layout {
    pub(crate) fn new(log: &str) -> Result<Self, Failure> {
        let encoded = encode(log);
        if encoded.is_empty() || encoded.len() > MAX_NAME {
            let why = format!("{log:?} is no name of a log: it has 1 to {MAX_NAME} letters");
            return Err(Failure::new(Kind::Address, why));
        }
        Ok(Self { log: encoded })
    }

    pub(crate) fn slot(&self, slot: u64) -> Name {
        Name { partition: self.segment(slot), id: format!("{slot:020}") }
    }

    /// The partition of a slot.
    pub(crate) fn segment(&self, slot: u64) -> String {
        format!("{}/{}", self.log, slot >> SEGMENT)
    }

    pub(crate) fn mark(&self) -> Name {
        Name { partition: format!("{}/mark", self.log), id: "mark".into() }
    }

    pub(crate) fn part(&self, slot: u64, nonce: Nonce, part: u64) -> Name {
        Name { partition: self.parts(slot), id: format!("{slot:020}.{:032x}.{part}", nonce.0) }
    }

    /// The partition of the parts of a slot's body.
    pub(crate) fn parts(&self, slot: u64) -> String {
        format!("{}/part/{}", self.log, slot >> PARTS)
    }

    /// The partition of what is said of objects: under slot 0 the objects, under 1 the uploads.
    pub(crate) fn objects(&self) -> String {
        format!("{}/objects", self.log)
    }

    pub(crate) fn object(&self, name: &str) -> Result<Name, Failure> {
        let id = encode(name);
        if id.is_empty() || id.len() > MAX_OBJECT {
            let why = format!("{name:?} is no name of an object: it has 1 to {MAX_OBJECT} letters");
            return Err(Failure::new(Kind::Rejected, why));
        }
        Ok(Name { partition: self.objects(), id: format!("object.{id}") })
    }

    pub(crate) fn upload(&self, token: Nonce) -> Name {
        Name { partition: self.objects(), id: format!("upload.{:032x}", token.0) }
    }

    pub(crate) fn piece(&self, token: Nonce, piece: u64) -> Name {
        Name { partition: self.pieces(token), id: format!("{piece:08}") }
    }

    /// The partition of an object's pieces.
    pub(crate) fn pieces(&self, token: Nonce) -> String {
        format!("{}/object/{:032x}", self.log, token.0)
    }
}

/// The slot after the last one of the segment that `slot` is in.
pub(crate) const fn segment_end(slot: u64) -> u64 {
    ((slot >> SEGMENT) + 1) << SEGMENT
}

/// Likewise, of parts.
pub(crate) const fn parts_end(slot: u64) -> u64 {
    ((slot >> PARTS) + 1) << PARTS
}

/// What is no letter, digit, dot, dash or underscore becomes `~XX`: ids stand in addresses, where `%XX` would
/// be read twice.
fn encode(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b".-_".contains(&byte) {
            text.push(byte.into());
        } else {
            text += &format!("~{byte:02x}");
        }
    }
    text
}

/// Where the log begins, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) version: u32,
    pub(crate) cluster: String,
    /// The first slot that can be read.
    pub(crate) first: u64,
    /// Slots below are no longer there.
    pub(crate) removed: u64,
}

impl Mark {
    pub(crate) fn new(cluster: &str) -> Self {
        Self { version: VERSION, cluster: cluster.to_owned(), first: 1, removed: 1 }
    }

    pub(crate) fn read(item: &Item, cluster: &str) -> Result<Self, Failure> {
        let mark: Self = from_json(item, kind::MARK)?;
        if mark.version > VERSION {
            let theirs = mark.version;
            let why = format!(
                "the log was written by a newer version (its items are version {theirs}, ours \
                 {VERSION}): start the newer program"
            );
            return Err(Failure::new(Kind::Unsafe, why));
        }
        if mark.cluster != cluster {
            let theirs = &mark.cluster;
            let why = format!(
                "the log in this container belongs to cluster {theirs}, we are {cluster}: give \
                 --initial-cluster-token another value, or another container"
            );
            return Err(Failure::new(Kind::Address, why));
        }
        if mark.first == 0 || mark.removed > mark.first {
            return Err(damaged(item, "makes no sense"));
        }
        Ok(mark)
    }
}

/// What an item says that holds JSON.
pub(crate) fn from_json<T: for<'a> Deserialize<'a>>(item: &Item, kind: u32) -> Result<T, Failure> {
    if item.kind != kind {
        return Err(damaged(item, "is of another kind than its name says"));
    }
    serde_json::from_slice(&item.body).map_err(|why| damaged(item, &format!("is not ours: {why}")))
}

/// What to do about damage is always the same.
pub(crate) fn damaged(item: &Item, what: &str) -> Failure {
    let Name { partition, id } = &item.name;
    let why = format!("item {id:?} of partition {partition:?} {what}; restore the container");
    Failure::new(Kind::Damaged, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_nothing_that_ids_do_not_take() {
        let layout = Layout::new("a/b c\\?#%ü").expect("a log");
        let names = [layout.slot(4097), layout.object("x/y#").expect("an object"), layout.mark()];
        assert_eq!(names[0].partition, "a~2fb~20c~5c~3f~23~25~c3~bc/1");
        for name in names {
            assert!(!name.id.contains(['/', '\\', '?', '#', '%']), "{name:?}");
        }
        assert!(Layout::new("").is_err() && Layout::new(&"/".repeat(67)).is_err());
        assert!(layout.object("").is_err() && layout.object(&"x".repeat(1001)).is_err());
        assert_ne!(Layout::new("~2f").expect("a log").log, Layout::new("/").expect("a log").log);
    }
}
