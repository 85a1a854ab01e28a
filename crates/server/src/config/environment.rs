//! `ETCD_<FLAG>`, and `MERIDIAN_<FLAG>` for our own: the environment as a second command line. A flag that is
//! set in both places is refused, as in etcd.

use super::aliases::{self, Alias};
use super::flags::Flags;
use super::notice::Notice;
use super::table;

/// Our own flags, which etcd's prefix does not cover.
const OURS: [&str; 3] = ["journal", "archive", "hold-level"];

/// The environment variable of a flag.
pub(crate) fn variable(flag: &str) -> String {
    let prefix = if OURS.contains(&flag) { "MERIDIAN" } else { "ETCD" };
    format!("{prefix}_{}", flag.to_ascii_uppercase().replace('-', "_"))
}

/// The value of the variable for one flag, where it is not empty.
pub(crate) fn lookup<'a>(env: &'a [(String, String)], flag: &str) -> Option<&'a str> {
    let name = variable(flag);
    let found = env.iter().find(|(key, _)| *key == name);
    found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
}

/// Adds what the environment sets to what the command line has set.
pub(crate) fn read(flags: &mut Flags, env: &[(String, String)]) -> Result<(), String> {
    let typed: Vec<&str> = flags.given().collect();
    let mut env: Vec<_> = env.iter().collect();
    env.sort();
    for (key, value) in env {
        if key == "ETCD_VERSION" {
            if !value.is_empty() {
                flags.note(Notice::warning(key, "cannot set special environment variable"));
            }
            continue;
        }
        let Some(name) = name_of(key) else {
            if key.starts_with("ETCD_") {
                flags.note(Notice::warning(key, "unrecognized environment variable"));
            }
            continue;
        };
        if typed.contains(&target(&name)) {
            return Err(format!(
                "conflicting environment variable {key} is shadowed by corresponding command-line \
                 flag --{} (either unset environment variable or disable flag)",
                target(&name)
            ));
        }
        if value.is_empty() {
            continue;
        }
        flags
            .set_text(&name, value)
            .map_err(|why| format!("invalid value {value:?} for {key}: {why}"))?;
        flags.note(Notice::info(key, "recognized and used environment variable"));
    }
    Ok(())
}

/// Today's name of a flag.
fn target(name: &str) -> &str {
    match aliases::alias(name) {
        Some(Alias::Flag(today)) => today,
        Some(Alias::Gate(_)) => "feature-gates",
        None => name,
    }
}

/// The flag that a variable sets, old spellings included.
fn name_of(key: &str) -> Option<String> {
    let known = table::all().map(|flag| flag.name.to_owned());
    let gone = table::LONG_GONE.iter().map(|name| (*name).to_owned());
    known.chain(aliases::all()).chain(gone).find(|name| variable(name) == key)
}
