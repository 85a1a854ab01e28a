//! A CPU profile of the process in pprof's format: who was running, a hundred times a second of
//! processor time. Nothing is measured, and nothing costs, while nobody asks.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use pprof::{Frames, ProfilerGuard, ProfilerGuardBuilder, Report, Symbol};
use prost::Message;

use crate::wire::profile::{Function, Label, Line, Location, Mapping, Profile, Sample, ValueType};

/// Samples a second, as Go takes them.
const FREQUENCY: i32 = 100;
const PERIOD: Duration = Duration::from_millis(1000 / FREQUENCY as u64);
/// Their stacks cannot be walked from within a signal.
const UNWALKABLE: &[&str] = &["libc", "libgcc", "pthread", "vdso"];

/// A profile that is being taken. It ends when this is dropped; there is only ever one.
pub struct Profiling {
    guard: ProfilerGuard<'static>,
    began: SystemTime,
    _turn: Turn,
}

/// Whether a profile is being taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The right to take one: whoever came first has it, also while the beginning takes its time.
struct Turn;

impl Turn {
    fn take() -> Result<Self, String> {
        if TAKEN.swap(true, Ordering::AcqRel) {
            return Err("cpu profiling already in use".to_owned());
        }
        Ok(Self)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        TAKEN.store(false, Ordering::Release);
    }
}

impl Profiling {
    /// Begins one.
    ///
    /// # Errors
    /// When another is being taken.
    pub fn begin() -> Result<Self, String> {
        let turn = Turn::take()?;
        let builder = ProfilerGuardBuilder::default().frequency(FREQUENCY).blocklist(UNWALKABLE);
        let guard = builder.build().map_err(|error| match error {
            pprof::Error::CreatingError => {
                format!("{error}: samples need a folder for temporary files (TMPDIR)")
            }
            other => other.to_string(),
        })?;
        Ok(Self { guard, began: SystemTime::now(), _turn: turn })
    }

    /// Ends it; what was seen, compressed. Finding the names takes a while.
    ///
    /// # Errors
    /// When the samples cannot be read.
    pub fn end(self) -> Result<Vec<u8>, String> {
        let took = self.began.elapsed().unwrap_or_default();
        let report = self.guard.report().build().map_err(|error| error.to_string())?;
        let profile = profile(&report, self.began, took);
        compressed(&profile.encode_to_vec()).map_err(|error| error.to_string())
    }
}

fn compressed(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

fn profile(report: &Report, began: SystemTime, took: Duration) -> Profile {
    let mut tables = Tables::default();
    tables.text("");
    let mut of =
        |kind: &str, unit: &str| ValueType { r#type: tables.text(kind), unit: tables.text(unit) };
    let sample_type = vec![of("samples", "count"), of("cpu", "nanoseconds")];
    let period_type = Some(of("cpu", "nanoseconds"));
    let thread = tables.text("thread");
    let program = std::env::args().next().unwrap_or_default();
    let filename = tables.text(&program);
    let mut sample: Vec<Sample> = report
        .data
        .iter()
        .map(|(frames, count)| tables.sample(frames, *count as i64, thread))
        .collect();
    sample.sort_by(|one, other| one.location_id.cmp(&other.location_id));
    let mapping = Mapping {
        id: 1,
        filename,
        has_functions: true,
        has_filenames: true,
        has_line_numbers: true,
        has_inline_frames: true,
    };
    let Tables { texts, functions, locations } = tables;
    Profile {
        sample_type,
        sample,
        mapping: vec![mapping],
        location: in_order(locations, |(function_id, line), id| Location {
            id,
            mapping_id: 1,
            line: vec![Line { function_id, line }],
            ..Location::default()
        }),
        function: in_order(functions, |(name, system_name, filename), id| Function {
            id,
            name,
            system_name,
            filename,
        }),
        string_table: in_order(texts, |text, _| text),
        time_nanos: nanoseconds(began.duration_since(UNIX_EPOCH).unwrap_or_default()),
        duration_nanos: nanoseconds(took),
        period_type,
        period: nanoseconds(PERIOD),
    }
}

/// What samples refer to by number.
#[derive(Default)]
struct Tables {
    texts: BTreeMap<String, u64>,
    /// Name, name as the linker has it, file.
    functions: BTreeMap<(i64, i64, i64), u64>,
    locations: BTreeMap<(u64, i64), u64>,
}

impl Tables {
    /// The place of a text, from 0.
    fn text(&mut self, text: &str) -> i64 {
        let next = self.texts.len() as u64;
        let place = match self.texts.get(text) {
            Some(place) => *place,
            None => *self.texts.entry(text.to_owned()).or_insert(next),
        };
        i64::try_from(place).unwrap_or(i64::MAX)
    }

    fn sample(&mut self, frames: &Frames, count: i64, thread: i64) -> Sample {
        let symbols = frames.frames.iter().flatten();
        let location_id = symbols.map(|symbol| self.location(symbol)).collect();
        let str = self.text(&frames.thread_name_or_id());
        let label = vec![Label { key: thread, str }];
        Sample { location_id, value: vec![count, count * nanoseconds(PERIOD)], label }
    }

    /// Numbers of functions and locations begin with 1.
    fn location(&mut self, symbol: &Symbol) -> u64 {
        let name = self.text(&placed(symbol.name(), &symbol.filename()));
        let names = (name, self.text(&symbol.sys_name()), self.text(&symbol.filename()));
        let next = self.functions.len() as u64 + 1;
        let function = *self.functions.entry(names).or_insert(next);
        let next = self.locations.len() as u64 + 1;
        *self.locations.entry((function, i64::from(symbol.lineno()))).or_insert(next)
    }
}

/// A function's name with its place. What was inlined is known by its bare name alone, unless the binary has all that
/// debuggers like; the file it stands in says the rest: `poll` in `h2-0.4.1/src/proto/connection.rs` is
/// `h2::proto::connection::poll`.
fn placed(name: String, file: &str) -> String {
    let place = file.rsplit_once("/src/").filter(|_| !name.contains("::"));
    let Some((folder, module)) = place else { return name };
    let package = folder.rsplit('/').next().unwrap_or_default();
    let versioned = package.rsplit_once('-').filter(|(_, version)| version.contains('.'));
    let package = versioned.map_or(package, |(package, _)| package).replace('-', "_");
    let module = module.strip_suffix(".rs").unwrap_or(module);
    let parts = module.split('/').filter(|part| !["lib", "main", "mod"].contains(part));
    let parts: Vec<&str> =
        [package.as_str()].into_iter().chain(parts).chain([name.as_str()]).collect();
    parts.join("::")
}

/// The rows of a table by their numbers.
fn in_order<K, T>(table: BTreeMap<K, u64>, row: impl Fn(K, u64) -> T) -> Vec<T> {
    let mut rows: Vec<(K, u64)> = table.into_iter().collect();
    rows.sort_by_key(|(_, number)| *number);
    rows.into_iter().map(|(key, number)| row(key, number)).collect()
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::placed;

    #[test]
    fn a_bare_name_gets_the_place_of_its_file() {
        let cases = [
            ("{closure#0}", "/x/crates/server/src/grpc/io.rs", "server::grpc::io::{closure#0}"),
            ("poll", "/r/h2-0.4.20/src/proto/mod.rs", "h2::proto::poll"),
            ("put", "/r/hyper-util-0.1.2/src/lib.rs", "hyper_util::put"),
            (
                "atomic_load",
                "/rustc/59/library/core/src/sync/atomic.rs",
                "core::sync::atomic::atomic_load",
            ),
            ("<a::B>::c", "/x/crates/server/src/a.rs", "<a::B>::c"),
            ("memcpy", "Unknown", "memcpy"),
        ];
        for (name, file, placed_name) in cases {
            assert_eq!(placed(name.to_owned(), file), placed_name);
        }
    }
}
