//! `--help` and `--version`, in etcd's layout so that what reads etcd's reads ours.

use super::gates::GATES;
use super::table::{self, Flag, Meaning, SECTIONS};
use super::value::Kind;

/// The version of etcd that clients see.
pub(crate) const ETCD_VERSION: &str = "3.7.1";

/// The lines of `--version`.
pub(crate) fn version() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!(
        "etcd Version: {ETCD_VERSION}\n\
         Git SHA: none (Meridian, not etcd's own source)\n\
         Go Version: none (Meridian is written in Rust)\n\
         Go OS/Arch: {}/{arch}\n\
         Meridian Version: {}\n",
        std::env::consts::OS,
        env!("CARGO_PKG_VERSION"),
    )
}

/// The text of `--help` for a program called `program`.
pub(crate) fn help(program: &str) -> String {
    let mut text = format!(
        "Usage:\n\n  \
         {program} [flags]\n    Start a server.\n\n  \
         {program} --version\n    Show the version.\n\n  \
         {program} probe http://HOST:PORT/readyz\n    \
         Fetch a health page of a running server; exit with 0 if it answers 200.\n\n  \
         {program} restore SNAPSHOT|DIRECTORY --data-dir DIR\n    \
         Make a data directory from an etcd's snapshot or data directory; see {program} restore --help.\n\n  \
         {program} check DIRECTORY\n    \
         Look at the data directory of a stopped server: every file, what is wrong, what to do.\n\n  \
         {program} status [http://HOST:PORT]\n    \
         Tell of a running server in a few lines; what its requests cost, where they do.\n\n  \
         {program} cosmos init cosmos://ACCOUNT/DATABASE/CONTAINER\n    \
         Make database and container for a journal in Azure Cosmos DB; see {program} cosmos --help.\n\n  \
         {program} -h | --help\n    Show this text.\n\n  \
         {program} --{} FILE\n    \
         Read all settings from a YAML or JSON file; other flags of etcd and its environment\n    \
         variables are then ignored. Durations in a file are whole nanoseconds.\n\n\
         Every flag can be given as an environment variable as well: --data-dir is ETCD_DATA_DIR,\n\
         --journal is MERIDIAN_JOURNAL, --archive is MERIDIAN_ARCHIVE, --hold-level is MERIDIAN_HOLD_LEVEL.\n\
         A flag given in both places is refused.\n",
        table::CONFIG_FILE
    );
    for (heading, flags) in SECTIONS {
        text += &format!("\n{heading}:\n");
        flags.iter().for_each(|flag| text += &entry(flag));
    }
    text
}

fn entry(flag: &Flag) -> String {
    let default = match (flag.kind, flag.default) {
        (Kind::Bool, "false") => String::new(),
        (_, default) => format!(" '{default}'"),
    };
    let mut text = format!("  --{}{default}\n    {}\n", flag.name, sentence(flag.meaning));
    if flag.kind == Kind::Gates {
        for gate in GATES {
            text += &format!(
                "    {}=true|false (default={}; without meaning here: {})\n",
                gate.name, gate.default, gate.here
            );
        }
    }
    text
}

fn sentence(meaning: Meaning) -> String {
    match meaning {
        Meaning::Used(text) => text.to_owned(),
        Meaning::Shared(text) => format!("With a shared journal: {text}"),
        Meaning::Nothing(why) => format!("Accepted, without meaning here: {why}."),
        Meaning::Refused(why) => format!("Refused: {why}."),
    }
}
