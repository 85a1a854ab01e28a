//! `boltfile write FILE RECORDS BYTES` writes a database like etcd's, `boltfile read FILE` walks one:
//! for judges written in Go, and to see how quick that is.

use std::env;
use std::error::Error;
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::Path;
use std::time::Instant;

use bolt::{PAGE_SIZE, Planner, Reader, Writer};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["write", file, records, bytes] => write(file, records.parse()?, bytes.parse()?),
        ["read", file] => read(file),
        _ => Err("boltfile write FILE RECORDS BYTES | boltfile read FILE".into()),
    }
}

/// Some values are ten times as long, some empty.
fn size(n: u64, bytes: usize) -> usize {
    match n % 100 {
        99 => 0,
        50 => bytes * 10,
        _ => bytes,
    }
}

fn write(file: &str, records: u64, bytes: usize) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let mut planner = Planner::new(PAGE_SIZE);
    planner.bucket(b"alarm")?;
    planner.bucket(b"key")?;
    for n in 0..records {
        planner.entry(17, size(n, bytes))?;
    }
    planner.bucket(b"lease")?;
    planner.entry(8, 8)?;
    let plan = planner.finish()?;
    let planned = began.elapsed();
    let mut writer = Writer::new(plan, File::create(file)?)?;
    let value = vec![b'v'; bytes * 10];
    writer.bucket(b"alarm")?;
    writer.bucket(b"key")?;
    for n in 0..records {
        let mut key = [b'_'; 17];
        key[..8].copy_from_slice(&n.to_be_bytes());
        writer.entry(&key, &[&value[..size(n, bytes)]])?;
    }
    writer.bucket(b"lease")?;
    writer.entry(&1u64.to_be_bytes(), &[&[0; 8]])?;
    writer.finish()?;
    let took = began.elapsed();
    let rate = plan.bytes() as f64 / 1e6 / took.as_secs_f64();
    writeln!(io::stdout(), "{} bytes, planned in {planned:?}, {rate:.0} MB/s", plan.bytes())?;
    Ok(())
}

fn read(file: &str) -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let reader = Reader::open(Path::new(file))?;
    if let Some(why) = reader.other_meta() {
        writeln!(io::stdout(), "one meta page is not sound: {why}")?;
    }
    let mut buckets = reader.root().cursor();
    while let Some(entry) = buckets.next()? {
        let name = entry.key.to_vec();
        let Some(bucket) = reader.bucket(&name)? else { continue };
        let (mut keys, mut bytes) = (0u64, 0u64);
        let mut sum = DefaultHasher::new();
        let mut cursor = bucket.cursor();
        while let Some(entry) = cursor.next()? {
            keys += 1;
            bytes += (entry.key.len() + entry.value.len()) as u64;
            (entry.key, entry.value).hash(&mut sum);
        }
        let (name, sum) = (String::from_utf8_lossy(&name), sum.finish());
        writeln!(io::stdout(), "bucket {name}: {keys} keys, {bytes} bytes, sum {sum:016x}")?;
    }
    let rate = reader.bytes() as f64 / 1e6 / began.elapsed().as_secs_f64();
    writeln!(io::stdout(), "{rate:.0} MB/s")?;
    Ok(())
}
