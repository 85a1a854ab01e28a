//! `docs/flags.md` is made from the table, and is what the table says. `UPDATE=1` writes it anew.

use std::fmt::Write;
use std::path::Path;

use super::super::environment::variable;
use super::super::file;
use super::super::gates::GATES;
use super::super::table::{self, Flag, Meaning, SECTIONS};

const HEAD: &str = "\
# Flags, environment variables and keys of the config file

Every flag of etcd 3.7.1, and Meridian's own. This page is made from the table that `--help` and the parser are made from
(`crates/server/src/config/table.rs`): `UPDATE=1 cargo test -p server flags_md` writes it anew, and a test holds it to the table.
`conformance/tools/flags` holds names, defaults and keys to etcd's own code and to what its binary prints.

* **honoured**: it does what etcd says of it, in etcd's way of reading it.
* **shared**: honoured where replicas share a journal (`--journal postgres://…`, `cosmos://…`); accepted with the embedded one.
* **accepted**: it is read and checked as etcd does, and changes nothing; why is said here, and once in the log when it is set.
* **refused**: the server does not start with it (exit code 1), and says why.
* **later**: accepted and not in effect yet; said in the log when it is set.

A flag stands on the command line (`--name=x`, `--name x`, one dash or two; a switch takes `=`), or in the environment; in both is
refused. A flag that nobody knows, or a value that cannot be read, ends with exit code 2, a stray word or a contradiction with 1,
all in etcd's words. With `--config-file` (or `ETCD_CONFIG_FILE`) everything else is ignored, as in etcd, except the journal. In a
file durations are whole nanoseconds, lists are YAML lists, URLs are one comma-separated text; a key that nobody knows is named in
the log with its line. Spellings of etcd 3.5 and 3.6 (`--experimental-…`) are read as today's, with a warning.
";

fn page() -> String {
    let mut text = HEAD.to_owned();
    for (heading, flags) in SECTIONS {
        write!(text, "\n## {heading}\n\n").unwrap();
        text += "| flag | default | environment | config file | here |\n|---|---|---|---|---|\n";
        flags.iter().for_each(|flag| text += &row(flag));
    }
    text += "\n## Keys of the file without a flag\n\n| key | here |\n|---|---|\n";
    for flag in table::FILE_ONLY {
        writeln!(text, "| `{}` | {} |", flag.name, here(flag)).unwrap();
    }
    text += "\n## Feature gates\n\n| gate | default | here: accepted |\n|---|---|---|\n";
    for gate in GATES {
        writeln!(text, "| `{}` | {} | {} |", gate.name, gate.default, gate.here).unwrap();
    }
    text += "\nA gate that etcd 3.7.1 does not know is refused with exit code 2.\n";
    text +=
        "\n## Accepted since etcd 2\n\nWithout effect there and here, and not shown by `--help`: ";
    let gone: Vec<String> = table::LONG_GONE.iter().map(|name| format!("`--{name}`")).collect();
    text + &gone.join(", ") + ".\n"
}

fn row(flag: &Flag) -> String {
    let default = match flag.default {
        "" => String::new(),
        default => format!("`{default}`"),
    };
    let key = file::key_of(flag.name).map_or_else(|| "–".to_owned(), |key| format!("`{key}`"));
    // The one that etcd warns of, and does not read.
    let variable = match variable(flag.name).as_str() {
        "ETCD_VERSION" => "–".to_owned(),
        name => format!("`{name}`"),
    };
    format!("| `--{}` | {default} | {variable} | {key} | {} |\n", flag.name, here(flag))
}

fn here(flag: &Flag) -> String {
    let here = match flag.meaning {
        Meaning::Used(what) => format!("**honoured.** {what}"),
        Meaning::Shared(what) => format!("**shared**: {what}"),
        Meaning::Nothing(why) => format!("**accepted**: {why}"),
        Meaning::Refused(why) => format!("**refused**: {why}"),
    };
    here.replace('|', "\\|")
}

#[test]
fn flags_md_is_what_the_table_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/flags.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page(), "docs/flags.md is old: UPDATE=1 cargo test -p server flags_md");
}

#[test]
fn a_key_of_the_file_sets_the_flag_that_it_is_listed_with() {
    for flag in table::all() {
        match file::key_of(flag.name) {
            Some(key) => assert_eq!(file::target(&key).map(|f| f.name), Some(flag.name), "{key}"),
            None => assert!(file::target(flag.name).is_none(), "{}", flag.name),
        }
    }
}
