//! A recorded store in a folder of its own, and what becomes of it.

use std::fs;
use std::path::{Path, PathBuf};

use server::ctl::restore::{Order, restore};
use state::{Revision, State};
use tempfile::TempDir;

/// A folder with a copy of a recorded store.
pub(crate) struct Store {
    folder: TempDir,
    pub(crate) source: PathBuf,
}

impl Store {
    /// A copy of `tests/data/restore/<name>`, a file or a folder.
    pub(crate) fn of(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let source = folder.path().join(name);
        copy(&recorded(name), &source);
        Self { folder, source }
    }

    /// Where it is restored to.
    pub(crate) fn target(&self) -> PathBuf {
        self.folder.path().join("target")
    }

    /// Restores it, with more arguments.
    pub(crate) fn restore(&self, arguments: &[&str]) -> Result<String, String> {
        self.restore_from(&self.source, arguments)
    }

    /// Restores something else into its target.
    pub(crate) fn restore_from(&self, source: &Path, arguments: &[&str]) -> Result<String, String> {
        let mut line = vec![source.display().to_string()];
        line.push(format!("--data-dir={}", self.target().display()));
        line.extend(arguments.iter().map(ToString::to_string));
        let order = Order::parse(&line).expect("an order");
        let mut said = Vec::new();
        let done = restore(&order, &mut said).map_err(|error| error.to_string());
        done.map(|()| String::from_utf8(said).expect("text"))
    }

    /// That it is refused, with these words, and that nothing is left behind.
    pub(crate) fn refused(&self, arguments: &[&str], words: &[&str]) {
        let why = self.restore(arguments).expect_err("refused");
        for word in words {
            assert!(why.contains(word), "no {word:?} in {why:?}");
        }
        let left = fs::read_dir(self.target()).map_or(0, Iterator::count);
        assert_eq!(left, 0, "something is left behind");
    }

    /// The state that was restored.
    pub(crate) fn restored(&self) -> State {
        state_in(&self.target())
    }
}

/// The state of a data directory.
pub(crate) fn state_in(dir: &Path) -> State {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(engine::restore::directory(dir)).expect("a state")
}

/// Where a recording is.
pub(crate) fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/restore").join(name)
}

fn copy(from: &Path, to: &Path) {
    if !from.is_dir() {
        fs::copy(from, to).expect("a recording");
        return;
    }
    fs::create_dir_all(to).expect("a folder");
    for file in fs::read_dir(from).expect("a recording") {
        let file = file.expect("a file");
        copy(&file.path(), &to.join(file.file_name()));
    }
}

/// That a state gives the revisions and checksums that etcd gave.
pub(crate) fn agrees(state: &State, expected: &str) {
    let expected = fs::read_to_string(recorded(expected)).expect("a recording");
    let mut checked = 0;
    for line in expected.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<i64>().expect("a number");
        match words[0] {
            "revision" => assert_eq!(state.revision().0, number(1)),
            "compacted" => assert_eq!(state.compact_revision().0, number(1)),
            "hash" => {
                let hash = state.view().hash(Revision(number(1))).expect("a checksum");
                assert_eq!(i64::from(hash.hash), number(2), "{line}");
            }
            _ => continue,
        }
        checked += 1;
    }
    assert!(checked > 6, "only {checked} lines were compared");
}
