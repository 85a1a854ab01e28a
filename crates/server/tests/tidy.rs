//! The house polices itself: walls between crates, sizes, first lines, names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FUNCTION_LIMIT: usize = 70;
const FILE_LIMIT: usize = 800;
const TEST_LIMIT: usize = 200;

/// Crate, and the crates of ours it may import.
const WALLS: [(&str, &[&str]); 7] = [
    ("bolt", &[]),
    ("state", &[]),
    ("journal", &[]),
    ("postgres", &["journal"]),
    ("cosmos", &["journal"]),
    ("engine", &["state", "journal", "bolt"]),
    ("server", &["state", "journal", "postgres", "cosmos", "engine", "bolt"]),
];

/// What the machine must not even be able to name: replay is exact only without these.
const IMPURE: [&str; 7] = ["tokio", "rand", "parking_lot", "futures", "tracing", "time", "rustix"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn is_test(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains("/tests/") || text.ends_with("tests.rs") || text.ends_with("_test.rs")
}

/// The lines before the test module.
fn production(text: &str) -> Vec<&str> {
    text.lines().take_while(|line| line.trim() != "#[cfg(test)]").collect()
}

#[test]
fn crates_import_only_what_the_walls_allow() {
    for (name, allowed) in WALLS {
        let manifest = fs::read_to_string(root().join(format!("crates/{name}/Cargo.toml")))
            .expect("a manifest");
        let dependencies = manifest.split("[dependencies]").nth(1).expect("dependencies");
        let dependencies = dependencies.split("\n[").next().unwrap_or_default();
        for (other, _) in WALLS {
            let package = format!("{other}-journal");
            let named = |key: &str| key == other || key == package;
            let imported = dependencies
                .lines()
                .any(|line| line.split(['.', ' ', '=']).next().is_some_and(named));
            assert!(!imported || allowed.contains(&other), "{name} must not import {other}");
        }
    }
}

/// What a hash table holds here is sorted before anybody sees its order, or is never listed.
const UNORDERED: [&str; 2] =
    ["crates/state/src/mvcc/newest.rs", "crates/state/src/image/transcript.rs"];

#[test]
fn the_machine_is_pure() {
    let manifest = fs::read_to_string(root().join("crates/state/Cargo.toml")).expect("a manifest");
    let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
    for impure in IMPURE {
        let named = dependencies.lines().any(|line| line.starts_with(impure));
        assert!(!named, "state must not depend on {impure}");
    }
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a source");
        if !path.to_string_lossy().contains("/crates/state/src/") || is_test(&path) {
            continue;
        }
        for word in ["std::fs", "std::net", "std::time", "std::env", "async fn", "HashMap<"] {
            if word == "HashMap<" && UNORDERED.iter().any(|file| path.ends_with(file)) {
                continue;
            }
            let used = production(&text).iter().any(|line| line.contains(word));
            assert!(!used, "{} uses {word}: the machine must replay exactly", path.display());
        }
    }
}

#[test]
fn every_module_says_what_it_is() {
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a source");
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("//!"), "{} must begin with //!", path.display());
    }
}

#[test]
fn files_fit_in_the_head() {
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a source");
        let lines = text.lines().count();
        let ahead = production(&text).len();
        if is_test(&path) {
            continue;
        }
        assert!(ahead <= FILE_LIMIT, "{} has {ahead} production lines", path.display());
        let tests = lines - ahead;
        assert!(tests <= TEST_LIMIT, "{} has {tests} lines of tests: move them", path.display());
    }
}

#[test]
fn functions_fit_on_a_page() {
    for path in sources() {
        let text = fs::read_to_string(&path).expect("a source");
        for (line, name, length) in functions(&text) {
            assert!(
                length <= FUNCTION_LIMIT,
                "{}:{line} {name} has {length} lines",
                path.display()
            );
        }
    }
}

/// Line, name and length of each function, found by indentation (rustfmt sees to that).
fn functions(text: &str) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, usize, String)> = None;
    for (number, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let trimmed = line.trim_start();
        if let Some((start, at, name)) = &open {
            if indent == *at && trimmed.starts_with('}') {
                found.push((start + 1, name.clone(), number - start + 1));
                open = None;
            }
        } else if let Some(name) = function_name(trimmed)
            && !trimmed.ends_with(';')
            && !trimmed.ends_with('}')
        {
            open = Some((number, indent, name));
        }
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let before = line.split("fn ").next()?;
    let words = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", ""];
    let is_function = line.contains("fn ") && before.split(' ').all(|word| words.contains(&word));
    let name = line.split("fn ").nth(1)?.split(['(', '<']).next()?;
    is_function.then(|| name.to_owned())
}

#[test]
fn names_are_nouns_an_operator_would_say() {
    for path in sources() {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        for vague in ["core", "common", "utils", "util", "manager", "helper", "helpers", "misc"] {
            assert_ne!(name, vague, "{} says nothing", path.display());
        }
    }
}

#[test]
fn the_architecture_names_every_crate() {
    let page = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("the page");
    for entry in fs::read_dir(root().join("crates")).expect("the crates") {
        let name = entry.expect("a crate").file_name().to_string_lossy().into_owned();
        assert!(page.contains(&format!("{name}/")), "ARCHITECTURE.md does not name {name}");
    }
}

/// The letters of `docs/pitfalls.md` that hold in this version.
const PITFALLS: &str = "a b c d e f g h i j k l m n o p q r s t u v w x y aa ab ac ad ae af";

/// Each row says of one pitfall which tests prove that we stay out of it; they exist, here or in
/// the judges written in Go.
#[test]
fn every_pitfall_has_its_test() {
    let table = fs::read_to_string(root().join("docs/pitfalls.md")).expect("the table");
    let rust: String =
        sources().iter().map(|path| fs::read_to_string(path).expect("a source")).collect();
    let mut go = String::new();
    for folder in ["client", "differential", "kill", "kubernetes"] {
        for entry in fs::read_dir(root().join("conformance").join(folder)).expect("a judge") {
            let path = entry.expect("an entry").path();
            if path.extension().is_some_and(|extension| extension == "go") {
                go += &fs::read_to_string(path).expect("a source");
            }
        }
    }
    let is_go = |name: &str| {
        let (function, method) = (format!("func {name}("), format!(") {name}("));
        go.lines().any(|line| {
            line.starts_with(&function) || (line.starts_with("func (") && line.contains(&method))
        })
    };
    let mut letters = Vec::new();
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let columns: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(columns.len(), 6, "four columns: {row}");
        let tests: Vec<&str> = columns[4].split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "pitfall {} has no test", columns[1]);
        for name in tests {
            let known = rust.contains(&format!("fn {name}(")) || is_go(name);
            assert!(known, "pitfall {}: no test is called {name}", columns[1]);
        }
        letters.push(columns[1]);
    }
    assert_eq!(letters.join(" "), PITFALLS);
}

/// Each row of the table names a test; the test exists.
#[test]
fn every_invariant_has_its_test() {
    let table = fs::read_to_string(root().join("docs/invariants.md")).expect("the table");
    let all: String =
        sources().iter().map(|path| fs::read_to_string(path).expect("a source")).collect();
    let mut rows = 0;
    for row in table.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let tests = row.split('|').nth(5).unwrap_or_default();
        for name in tests.split('`').skip(1).step_by(2) {
            assert!(all.contains(&format!("fn {name}(")), "no test is called {name}");
            rows += 1;
        }
    }
    assert!(rows >= 8, "the table names {rows} tests; DESIGN lists eight invariants");
}

/// Each promise of `docs/proof.md` is broken on purpose by mistakes and tests that exist, and every
/// planted mistake breaks one.
#[test]
fn every_promise_is_broken_on_purpose() {
    let page = fs::read_to_string(root().join("docs/proof.md")).expect("the page");
    let mut judges = String::new();
    for folder in ["conformance/kill", "conformance/postgres/faults"] {
        for entry in fs::read_dir(root().join(folder)).expect("a judge") {
            let path = entry.expect("an entry").path();
            judges += &fs::read_to_string(path).unwrap_or_default();
        }
    }
    let planted = |name: &str| root().join(format!("sim/planted/{name}.patch")).exists();
    let mut named = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| ")) {
        let columns: Vec<&str> = row.split('|').collect();
        let [_, _, numbers, _, broken, _] = columns[..] else { continue };
        if !numbers.trim().starts_with(|first: char| first.is_ascii_digit()) {
            continue;
        }
        for name in broken.split('`').skip(1).step_by(2).filter(|name| !name.contains('.')) {
            let known = planted(name) || judges.contains(&format!("func {name}("));
            assert!(known, "{name} is neither planted nor a judge's test");
            named.insert(name.to_owned());
        }
    }
    for entry in fs::read_dir(root().join("sim/planted")).expect("the mistakes") {
        let file = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".patch").filter(|name| *name != "switch") else {
            continue;
        };
        assert!(named.contains(name), "docs/proof.md does not say what {name} breaks");
    }
}
