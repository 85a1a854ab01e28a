//! Golden scripts: what the machine says to requests, in files anybody can read and add to.
//!
//! `tests/scripts/README.md` has the language. After a wanted change, `REWRITE=1 cargo test -p state`
//! writes what the machine says now into the files; read the diff before you keep it.

mod script;

use std::path::{Path, PathBuf};
use std::{env, fs};

#[test]
fn scripts_say_what_they_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder of scripts")
        .map(|file| file.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    assert!(files.len() >= 10, "scripts are missing from {}", folder.display());

    let rewrite = env::var_os("REWRITE").is_some();
    let mut wrong = Vec::new();
    for file in files {
        let written = fs::read_to_string(&file).expect("a script");
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let said = script::run(&name, &written);
        if said == written {
            continue;
        }
        if rewrite {
            fs::write(&file, said).expect("a script that can be written");
        } else {
            wrong.push(difference(&name, &written, &said));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn difference(name: &str, written: &str, said: &str) -> String {
    let (mut written_lines, mut said_lines) = (written.lines(), said.lines());
    for line in 1.. {
        let pair = (written_lines.next(), said_lines.next());
        if pair.0 != pair.1 {
            let [expected, got] = [pair.0, pair.1].map(|side| side.unwrap_or("(the end)"));
            return format!("{name}:{line}:\n  expected: {expected}\n  got:      {got}");
        }
    }
    unreachable!("called for different texts only");
}
