//! The language of the scripts: a line is a request, the lines after it that begin with `>` are what
//! the machine said.

mod machine;
mod parse;
mod print;
mod words;

/// Runs a script and gives it back with the answers of today.
pub(crate) fn run(name: &str, script: &str) -> String {
    let mut machine = machine::Machine::default();
    let mut out = String::new();
    for (number, line) in script.lines().enumerate() {
        if line.starts_with('>') {
            continue;
        }
        out.push_str(line);
        out.push('\n');
        let request = line.trim();
        if request.is_empty() || request.starts_with('#') {
            continue;
        }
        let place = format!("{name}:{}", number + 1);
        for answer in machine.line(request, &place).lines() {
            out.push_str(&format!("> {answer}\n"));
        }
    }
    out
}
