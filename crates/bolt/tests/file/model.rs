//! A database as a map, written and read whole.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Write};

use bolt::{Error, Plan, Planner, Reader, Writer};

pub(crate) type Keys = BTreeMap<Vec<u8>, Vec<u8>>;
pub(crate) type Model = BTreeMap<Vec<u8>, Keys>;

pub(crate) fn plan(model: &Model, page_size: usize) -> Plan {
    let mut planner = Planner::new(page_size);
    for (name, keys) in model {
        planner.bucket(name).expect("a name");
        for (key, value) in keys {
            planner.entry(key.len(), value.len()).expect("an entry");
        }
    }
    planner.finish().expect("a plan")
}

pub(crate) fn write(model: &Model, page_size: usize) -> Vec<u8> {
    let plan = plan(model, page_size);
    let mut writer = Writer::new(plan, Cursor::new(Vec::new())).expect("the first pages");
    for (name, keys) in model {
        writer.bucket(name).expect("a name");
        for (key, value) in keys {
            let (head, tail) = value.split_at(value.len() / 3);
            writer.entry(key, &[head, tail]).expect("an entry");
        }
    }
    let bytes = writer.finish().expect("the rest").into_inner();
    assert_eq!(bytes.len() as u64, plan.bytes(), "the size was known before");
    bytes
}

pub(crate) fn file_of(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("room");
    file
}

pub(crate) fn read(file: File) -> Result<Model, Error> {
    let reader = Reader::new(file)?;
    let mut names = Vec::new();
    let mut cursor = reader.root().cursor();
    while let Some(entry) = cursor.next()? {
        if entry.is_bucket {
            names.push(entry.key.to_vec());
        }
    }
    let mut model = Model::new();
    for name in names {
        let Some(bucket) = reader.bucket(&name)? else { continue };
        let mut keys = Keys::new();
        let mut cursor = bucket.cursor();
        while let Some(entry) = cursor.next()? {
            keys.insert(entry.key.to_vec(), entry.value.to_vec());
        }
        model.insert(name, keys);
    }
    Ok(model)
}
