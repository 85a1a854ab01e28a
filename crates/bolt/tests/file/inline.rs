//! Inline buckets, which bbolt makes of small ones and our writer does not: made by hand.

use bolt::{Error, PAGE_SIZE, Reader};

use crate::model::{Model, file_of, read, write};

/// A leaf's page: its number, then key, value and flags of each element.
fn leaf(id: u64, elements: &[(&[u8], &[u8], u32)]) -> Vec<u8> {
    let mut page = id.to_le_bytes().to_vec();
    page.extend_from_slice(&2u16.to_le_bytes());
    page.extend_from_slice(&(elements.len() as u16).to_le_bytes());
    page.extend_from_slice(&0u32.to_le_bytes());
    let mut pos = elements.len() * 16;
    for (key, value, flags) in elements {
        for number in [*flags, pos as u32, key.len() as u32, value.len() as u32] {
            page.extend_from_slice(&number.to_le_bytes());
        }
        pos = pos - 16 + key.len() + value.len();
    }
    for (key, value, _) in elements {
        page.extend_from_slice(key);
        page.extend_from_slice(value);
    }
    page
}

fn bucket(root: u64, sequence: u64, page: &[u8]) -> Vec<u8> {
    [&root.to_le_bytes(), &sequence.to_le_bytes(), page].concat()
}

/// A database whose bucket of buckets has one, with this value.
fn with(value: &[u8]) -> Vec<u8> {
    let mut bytes = write(&Model::new(), PAGE_SIZE);
    let root = leaf(3, &[(b"small", value, 1)]);
    bytes[3 * PAGE_SIZE..3 * PAGE_SIZE + root.len()].copy_from_slice(&root);
    bytes
}

#[test]
fn an_inline_bucket_is_read() {
    let page =
        leaf(0, &[(b"a", b"1", 0), (b"b", b"", 0), (b"inner", &bucket(0, 0, &leaf(0, &[])), 1)]);
    let reader = Reader::new(file_of(&with(&bucket(0, 7, &page)))).expect("a database");
    let small = reader.bucket(b"small").expect("sound").expect("there");
    assert_eq!(small.sequence(), 7);
    assert_eq!(small.get(b"a").expect("sound").as_deref(), Some(&b"1"[..]));
    assert_eq!(small.get(b"b").expect("sound").as_deref(), Some(&b""[..]));
    assert_eq!(small.get(b"inner").expect("sound"), None, "a bucket is no value");
    assert!(small.bucket(b"a").expect("sound").is_none(), "a value is no bucket");
    let inner = small.bucket(b"inner").expect("sound").expect("there");
    assert_eq!(inner.cursor().next().expect("sound"), None);
    let mut cursor = small.cursor();
    cursor.seek(b"aa").expect("sound");
    assert_eq!(cursor.next().expect("sound").map(|entry| entry.key.to_vec()), Some(b"b".to_vec()));
}

#[test]
fn a_damaged_inline_bucket_names_the_page_it_stands_on() {
    let sound = leaf(0, &[(b"a", b"1", 0), (b"b", b"2", 0)]);
    let changed = |at: usize, byte: u8| {
        let mut page = sound.clone();
        page[at] = byte;
        bucket(0, 0, &page)
    };
    for (value, what) in [
        (b"short".to_vec(), "shorter than its header"),
        (bucket(0, 0, b"short"), "shorter than a page header"),
        (changed(0, 1), "not a leaf"),
        (changed(8, 1), "not a leaf"),
        (changed(12, 1), "not a leaf"),
        (changed(11, 1), "more elements than room"),
        (changed(10, 1), "element 0 is not where"),
        (changed(44, 9), "ends behind its end"),
        (changed(50, b'a'), "key 1 is not greater"),
        (bucket(1, 0, &[]), "a meta page"),
        (bucket(9, 0, &[]), "behind the last"),
    ] {
        let error = read(file_of(&with(&value))).expect_err(what);
        let Error::Damaged { page, .. } = &error else { panic!("{error}") };
        assert!(*page == 3 || *page == 0, "{error}");
        assert!(error.to_string().contains(what), "{error} does not say {what:?}");
    }
}
