//! What a disk hands us: entries, images, checkpoints, journal files, an etcd's database.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use engine::restore::Database;
use futures::executor::block_on;
use journal::file::{ReadOnlyDisk, Survey, UnsyncedDisk};
use journal::{FileJournal, FileOptions, Journal, JournalError, Slot};
use state::{
    Command, Entry, Epoch, ImageLoader, KeyRange, LeaseId, MemberId, Position, Put, Revision,
    State, Timestamp, Txn,
};

use super::says;

/// An entry of the journal: what is understood comes back the same.
pub fn entry(data: &[u8]) {
    match Entry::decode(&Bytes::copy_from_slice(data)) {
        Ok(entry) => {
            let again = Entry::decode(&entry.encode());
            assert_eq!(again.as_ref(), Ok(&entry), "what was read can be written");
        }
        Err(error) => says(&error),
    }
}

pub(super) fn entries() -> Vec<Vec<u8>> {
    let put = |key: &'static str| {
        Command::Put(Put {
            key: key.into(),
            value: "value".into(),
            lease: LeaseId(5),
            prev_kv: true,
            ..Put::default()
        })
    };
    let commands = vec![
        vec![Command::Claim { epoch: Epoch(1), member: MemberId(2) }],
        vec![put("a"), Command::Compact { revision: Revision(7) }, Command::DigestDue],
        vec![Command::Txn(Txn::default()), Command::LeaseGrant { id: LeaseId(-1), ttl: 60 }],
        vec![Command::LeaseRenew { ids: vec![LeaseId(1), LeaseId(2)] }],
        vec![Command::DeleteRange(state::DeleteRange {
            range: KeyRange { key: "a".into(), range_end: "b".into() },
            prev_kv: true,
        })],
    ];
    let entry =
        |commands| Entry { epoch: Epoch(3), clock: Timestamp(300), commands, origins: Vec::new() };
    let mut seeds: Vec<_> = commands.into_iter().map(|of| entry(of).encode().to_vec()).collect();
    // As format.md draws them: of another replica, and a transaction inside one.
    seeds
        .push(b"\xe5\x01\x01\x02\x06\x02\x0d\x07\x01\xac\x02\x02\x06\x04\x06\x06\x00\x03".to_vec());
    seeds.push(
        b"\xe5\x01\x01\x02\x03\x00\x01\x03\x00\x01\x01\x00\x01k\x01v\x00\x00\x00\x01".to_vec(),
    );
    seeds.push(b"\xe5\x01\x01\x02\x0b\x01u\x05\x0a\x01\x00\x01".to_vec());
    seeds
}

fn some_state() -> State {
    let mut state = State::new();
    let mut position = 0;
    let mut apply = |epoch, command| {
        position += 1;
        let (epoch, clock) = (Epoch(epoch), Timestamp(9));
        let entry = Entry { epoch, clock, commands: vec![command], origins: Vec::new() };
        state.apply(Position(position), &entry);
    };
    apply(0, Command::Claim { epoch: Epoch(1), member: MemberId(2) });
    apply(1, Command::LeaseGrant { id: LeaseId(5), ttl: 100 });
    for n in 0..6_u8 {
        let key = vec![b'a' + n % 4].into();
        let value = vec![n; 9].into();
        apply(1, Command::Put(Put { key, value, lease: LeaseId(5), ..Put::default() }));
    }
    let range = KeyRange { key: "b".into(), range_end: Bytes::new() };
    apply(1, Command::DeleteRange(state::DeleteRange { range, prev_kv: false }));
    state
}

/// An image, block by block: a kind, two bytes of length, the payload. The checksums are made to hold,
/// so that what is behind them is reached.
pub fn image(data: &[u8]) {
    let mut loader = ImageLoader::new();
    let mut rest = data;
    while let [kind, low, high, left @ ..] = rest {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(left.len());
        let (payload, left) = left.split_at(length);
        rest = left;
        let mut block = vec![*kind];
        block.extend_from_slice(&(length as u32).to_le_bytes());
        let sum = crc32c::crc32c_append(crc32c::crc32c(&block), payload);
        block.extend_from_slice(&sum.to_le_bytes());
        block.extend_from_slice(payload);
        if let Err(error) = loader.push(&block) {
            return says(&error);
        }
    }
    match loader.finish() {
        Ok(state) => assert!(state.revision().0 >= 1, "a state has a revision"),
        Err(error) => says(&error),
    }
}

pub(super) fn images() -> Vec<Vec<u8>> {
    [State::new(), some_state()].iter().map(bare_blocks).collect()
}

fn bare_blocks(state: &State) -> Vec<u8> {
    let mut bare = Vec::new();
    for chunk in state.image().chunks() {
        let mut chunk = &chunk[..];
        while chunk.len() >= 9 {
            let length = u32::from_le_bytes([chunk[1], chunk[2], chunk[3], chunk[4]]) as usize;
            bare.extend_from_slice(&[chunk[0], chunk[1], chunk[2]]);
            bare.extend_from_slice(&chunk[9..9 + length]);
            chunk = &chunk[9 + length..];
        }
    }
    bare
}

/// A folder in memory, where the system has such a thing.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a directory")
}

fn kept(data: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = folder();
    let path = dir.path().join("file");
    fs::write(&path, data).expect("written");
    (dir, path)
}

/// A checkpoint file.
pub fn checkpoint(data: &[u8]) {
    let (_dir, path) = kept(data);
    if let Err(error) = engine::restore::checkpoint(&path) {
        says(&error);
        assert!(error.0.contains("file"), "the file is named");
    }
}

pub(super) fn checkpoints() -> Vec<Vec<u8>> {
    let file = |state: &State| {
        let mut file = b"MRDNCKP1".to_vec();
        for chunk in state.image().chunks() {
            file.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
            file.extend_from_slice(&crc32c::crc32c(&chunk).to_le_bytes());
            file.extend_from_slice(&chunk);
        }
        file.extend_from_slice(&[0; 8]);
        file
    };
    let mut seeds: Vec<_> = [State::new(), some_state()].iter().map(file).collect();
    // At which LeakSanitizer stopped, for a thread that was not gone yet: a head that ends too soon, and a block that does.
    seeds.push(b"MRDNCKP1&&\xff".to_vec());
    seeds.push(
        b"MRDNCKP1\x0f\0\0\0\xde7\x8cr\x02\x01\0\x01a\x09\x04\x04\x04\0\x04\x01\x0c\0\0".to_vec(),
    );
    seeds
}

/// An etcd's database.
pub fn database(data: &[u8]) {
    let (_dir, path) = kept(data);
    match Database::open(&path).and_then(|database| database.load(&mut |_, _| {})) {
        Ok(_) => {}
        Err(error) => says(&error),
    }
}

pub(super) fn databases() -> Vec<Vec<u8>> {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/server/tests/data/restore");
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/restore");
    let folder = if Path::new(data).is_dir() { data } else { here };
    let files = ["rights.db", "snapshot.db", "killed/member/snap/db"];
    files.map(|file| fs::read(Path::new(folder).join(file)).expect("a recording")).to_vec()
}

const LOG: u128 = 0x1234_5678;
const PAGE: usize = 4096;
/// The smallest file that holds something, and the size of all here.
const SIZE: usize = 4 * PAGE;

/// A journal of two files, the later made of the data. The first byte says how: 0 as it is; 1 with a
/// header that holds; else with frames, too, whose checksums hold. `check` and a start agree on it.
pub fn segment(data: &[u8]) {
    let Some((how, data)) = data.split_first() else { return };
    let mut file = data.to_vec();
    if *how > 0 {
        file.resize(SIZE, 0);
        file[..PAGE].copy_from_slice(&header(3));
    }
    if *how > 1 {
        sign_frames(&mut file);
    }
    let dir = folder();
    let first = frames(&[(1, 0, b"one"), (2, 1, b"two")], 1);
    let write = |slot: u64, contents: &[u8]| {
        fs::write(dir.path().join(format!("{slot:020}.journal")), contents).expect("written");
    };
    write(1, &first);
    write(3, &file);
    let survey = Survey::of(&ReadOnlyDisk, dir.path(), &mut |_, _| {}).expect("the disk answers");
    let damage = survey.files.iter().filter_map(|file| file.damage.as_ref()).next();
    let readable = survey.readable(Slot(1)).expect("the first file is whole");
    let seen = block_on(readable.read(Slot(1), usize::MAX)).expect("what is whole can be read");
    let options = FileOptions { segment_bytes: SIZE as u64, ..FileOptions::default() };
    match (FileJournal::open_on(Arc::new(UnsyncedDisk), dir.path(), options), damage) {
        (Ok((journal, opening)), None) => {
            assert_eq!(opening.cut, survey.torn);
            let served = block_on(journal.read(Slot(1), usize::MAX)).expect("read");
            assert_eq!(served, seen, "what is looked at is what is served");
        }
        (Err(JournalError::Damaged(said)), Some(damage)) => {
            assert!(said.contains(&damage.to_string()), "{said}: {damage}");
        }
        (opened, damage) => panic!("{:?} {damage:?}", opened.map(|(_, opening)| opening)),
    }
}

fn header(first: u64) -> Vec<u8> {
    let mut page = vec![0; PAGE];
    page[..8].copy_from_slice(b"MERIDJNL");
    page[8] = 1;
    page[16..32].copy_from_slice(&LOG.to_le_bytes());
    page[32..40].copy_from_slice(&first.to_le_bytes());
    page[40..48].copy_from_slice(&(SIZE as u64).to_le_bytes());
    let sum = crc32c::crc32c(&page);
    page[12..16].copy_from_slice(&sum.to_le_bytes());
    page
}

/// Makes the checksums hold of frames that stand one behind the other.
fn sign_frames(file: &mut [u8]) {
    let seed = crc32c::crc32c(&LOG.to_le_bytes());
    let mut at = PAGE;
    while at + 48 <= file.len() && file[at + 40] != 0 {
        let length = u32::from_le_bytes(file[at + 4..at + 8].try_into().expect("four")) as usize;
        let end = at + (48 + length.min(SIZE)).next_multiple_of(8);
        if end > file.len() {
            return;
        }
        let sum = crc32c::crc32c_append(seed, &file[at + 4..end]);
        file[at..at + 4].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
}

/// A file of records: slot, what is declared durable, body.
fn frames(records: &[(u64, u64, &[u8])], first: u64) -> Vec<u8> {
    let mut file = header(first);
    for (slot, durable, body) in records {
        let start = file.len();
        file.extend_from_slice(&[0; 4]);
        file.extend_from_slice(&(body.len() as u32).to_le_bytes());
        file.extend_from_slice(&slot.to_le_bytes());
        file.extend_from_slice(&durable.to_le_bytes());
        file.extend_from_slice(&u128::from(*slot).to_le_bytes());
        file.extend_from_slice(&1_u64.to_le_bytes());
        file.extend_from_slice(body);
        file.resize(start + (48 + body.len()).next_multiple_of(8), 0);
    }
    file.resize(SIZE, 0);
    sign_frames(&mut file);
    file
}

pub(super) fn segments() -> Vec<Vec<u8>> {
    let whole = frames(&[(3, 2, b"three"), (4, 3, b"four"), (5, 3, b"five"), (6, 5, b"")], 3);
    let short = frames(&[(3, 2, b"three")], 3);
    let mut seeds = Vec::new();
    for how in [0, 1, 2] {
        for file in [&whole, &short] {
            let end = if how == 0 { SIZE } else { PAGE + 400 };
            seeds.push([&[how], &file[..end]].concat());
        }
    }
    seeds
}
