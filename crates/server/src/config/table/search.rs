//! Finding a flag in the table, also one that was not quite meant.

use super::{FILE_ONLY, Flag, SECTIONS};

/// All flags of the table.
pub(crate) fn all() -> impl Iterator<Item = &'static Flag> {
    SECTIONS.iter().flat_map(|(_, flags)| flags.iter())
}

/// The flag of this name.
pub(crate) fn find(name: &str) -> Option<&'static Flag> {
    all().find(|flag| flag.name == name)
}

/// The flag of this name, or what is set by a key of the file alone.
pub(crate) fn of_key(name: &str) -> Option<&'static Flag> {
    find(name).or_else(|| FILE_ONLY.iter().find(|flag| flag.name == name))
}

/// The known name that an unknown one most likely meant.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let close = |known: &&'static str| distance(name, known) <= 1 + name.len() / 4;
    all().map(|flag| flag.name).filter(close).min_by_key(|known| distance(name, known))
}

/// Edit distance, by insertion, removal and replacement.
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
