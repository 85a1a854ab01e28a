//! `export KEYS BYTES [FILE]`: how quickly a state becomes etcd's database, into nothing and into a file.

use std::env;
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::etcd::{Export, Member};
use state::{Command, Entry, Position, Put, State};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [keys, bytes, ..] = &arguments[..] else { return Err("export KEYS BYTES [FILE]".into()) };
    let state = filled(keys.parse()?, bytes.parse()?);
    let began = Instant::now();
    let image = state.image();
    let pinned = began.elapsed();
    let export = Export::new(image, Member { id: 1, ..Member::default() })?;
    let planned = began.elapsed();
    let mut out = io::stdout();
    writeln!(out, "{} bytes; pinned in {pinned:?}, planned in {planned:?}", export.bytes())?;
    let began = Instant::now();
    export.write(io::sink())?;
    report(&mut out, "into nothing", export.bytes(), began.elapsed())?;
    if let Some(path) = arguments.get(2) {
        let began = Instant::now();
        let mut file = export.write(io::BufWriter::with_capacity(1 << 18, File::create(path)?))?;
        file.flush()?;
        file.get_ref().sync_all()?;
        report(&mut out, "into a file, synced", export.bytes(), began.elapsed())?;
    }
    Ok(())
}

fn report(out: &mut impl Write, what: &str, bytes: u64, took: Duration) -> io::Result<()> {
    let rate = bytes as f64 / 1e6 / took.as_secs_f64();
    writeln!(out, "{what}: {took:?}, {rate:.0} MB/s")
}

fn filled(keys: usize, bytes: usize) -> State {
    let mut state = State::new();
    let value = Bytes::from(vec![b'v'; bytes]);
    for first in (0..keys).step_by(1000) {
        let put = |n: usize| {
            // In no order, as keys come.
            let key =
                Bytes::from(format!("registry/{:012x}", n.wrapping_mul(0x9e37_79b9) % (1 << 40)));
            Command::Put(Put { key, value: value.clone(), ..Put::default() })
        };
        let commands = (first..keys.min(first + 1000)).map(put).collect();
        let entry =
            Entry { epoch: state.epoch(), clock: state.clock(), commands, origins: Vec::new() };
        state.apply(Position(state.position().0 + 1), &entry);
    }
    state
}
