//! What a process that was started with these arguments, this environment and these files is to do.

use std::io;
use std::path::{Path, PathBuf};

use super::flags::{Fault, Flags};
use super::notice::Notice;
use super::table::{self, CONFIG_FILE};
use super::{Config, environment, file, help, resolve};
use crate::ctl::restore::{self, Order, Refused};
use crate::ctl::{check, cosmos, status};

/// What to do.
#[derive(Debug, PartialEq)]
pub enum Invocation {
    /// Serve, and say the notices first.
    Serve(Box<Config>, Vec<Notice>),
    /// Fetch this health page and exit with 0 if it is well.
    Probe(String),
    /// Make a data directory from another store.
    Restore(Box<Order>),
    /// Look at a data directory.
    Check(PathBuf),
    /// Tell of the server at this address.
    Status(String),
    /// Make a container for a journal.
    Cosmos(Box<cosmos::Order>),
    /// Print to standard output and exit with 0.
    Print(String),
    /// Print to standard error and exit.
    Refuse {
        /// 2 for a command line that cannot be read, else 1, as in etcd.
        exit_code: u8,
        /// Why, and what to do.
        message: String,
    },
}

/// Decides from the arguments (the program's name first), the environment and a reader of files.
pub fn from_process(
    args: impl IntoIterator<Item = String>,
    env: impl IntoIterator<Item = (String, String)>,
    read: impl FnOnce(&Path) -> io::Result<String>,
) -> Invocation {
    let mut args = args.into_iter();
    let program = args.next().unwrap_or_default();
    let program = Path::new(&program).file_name().and_then(|name| name.to_str());
    let program = program.unwrap_or("meridian");
    let args: Vec<String> = args.collect();
    let env: Vec<(String, String)> = env.into_iter().collect();
    let refuse = |message| Invocation::Refuse { exit_code: 1, message };
    if let Some(command @ ("gateway" | "grpc-proxy")) = args.first().map(String::as_str) {
        return refuse(format!(
            "'{program} {command}' is not part of Meridian: point clients at the server itself, or \
             run etcd's own '{command}' before it"
        ));
    }
    match args.as_slice() {
        [command, url] if command == "probe" => return Invocation::Probe(url.clone()),
        [command, ..] if command == "probe" => {
            return refuse(format!("say '{program} probe URL', as http://127.0.0.1:2381/readyz"));
        }
        [command, rest @ ..] if command == "restore" => return restored(rest),
        [command, rest @ ..] if command == "check" => return checked(rest),
        [command, rest @ ..] if command == "status" => return told(rest),
        [command, rest @ ..] if command == "cosmos" => return provisioned(rest),
        _ => {}
    }
    let mut flags = Flags::default();
    match flags.read_arguments(&args) {
        Ok(()) => {}
        Err(Fault::Help) => return Invocation::Print(help::help(program)),
        Err(Fault::Stray(why)) => return refuse(why),
        Err(Fault::Syntax(why)) => {
            let message = format!("{why} (run '{program} --help' for all flags)");
            return Invocation::Refuse { exit_code: 2, message };
        }
    }
    if flags.switch("version") {
        return Invocation::Print(help::version());
    }
    match settle(flags, &env, read) {
        Ok((config, notices)) => Invocation::Serve(Box::new(config), notices),
        Err(why) => refuse(why),
    }
}

fn restored(arguments: &[String]) -> Invocation {
    match Order::parse(arguments) {
        Ok(order) => Invocation::Restore(Box::new(order)),
        Err(Refused::Help) => Invocation::Print(restore::help().to_owned()),
        // As etcdutl.
        Err(Refused::Wrong(message)) => Invocation::Refuse { exit_code: 128, message },
    }
}

fn checked(arguments: &[String]) -> Invocation {
    match check::directory(arguments) {
        Ok(Some(dir)) => Invocation::Check(dir),
        Ok(None) => Invocation::Print(check::HELP.to_owned()),
        Err(message) => Invocation::Refuse { exit_code: check::UNREADABLE, message },
    }
}

fn told(arguments: &[String]) -> Invocation {
    match status::address(arguments) {
        Ok(Some(url)) => Invocation::Status(url),
        Ok(None) => Invocation::Print(status::HELP.to_owned()),
        Err(message) => Invocation::Refuse { exit_code: 2, message },
    }
}

fn provisioned(arguments: &[String]) -> Invocation {
    match cosmos::Order::parse(arguments) {
        Ok(Some(order)) => Invocation::Cosmos(Box::new(order)),
        Ok(None) => Invocation::Print(cosmos::HELP.to_owned()),
        Err(message) => Invocation::Refuse { exit_code: 2, message },
    }
}

/// [`from_process`] for the process that calls it.
#[must_use]
pub fn this_process() -> Invocation {
    let text = |os: std::ffi::OsString| os.to_string_lossy().into_owned();
    let env = std::env::vars_os().map(|(key, value)| (text(key), text(value)));
    from_process(std::env::args_os().map(text), env, |path| std::fs::read_to_string(path))
}

fn settle(
    mut flags: Flags,
    env: &[(String, String)],
    read: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<(Config, Vec<Notice>), String> {
    let path = match flags.text(CONFIG_FILE) {
        typed if typed.is_empty() => environment::lookup(env, CONFIG_FILE).map(str::to_owned),
        typed => Some(typed),
    };
    let from_file = path.is_some();
    if let Some(path) = path {
        flags = from_file_alone(flags, env, Path::new(&path), read)?;
    } else {
        environment::read(&mut flags, env)?;
    }
    let mut notices = flags.take_notices();
    let (config, more) = resolve::resolve(&flags, from_file)?;
    notices.extend(more);
    Ok((config, notices))
}

/// Reads the file in place of all that was typed, as etcd does. The journal is no setting of etcd:
/// it is heeded wherever it is given, because a journal that is silently another one loses data.
fn from_file_alone(
    mut typed: Flags,
    env: &[(String, String)],
    path: &Path,
    read: impl FnOnce(&Path) -> io::Result<String>,
) -> Result<Flags, String> {
    let text = read(path).map_err(|why| format!("open {}: {}", path.display(), in_words(&why)))?;
    let mut flags = file::read(path, &text)?;
    let on_the_line = typed.forget("journal");
    let in_env = environment::lookup(env, "journal");
    let places = [on_the_line.is_some(), in_env.is_some(), flags.is_set("journal")];
    if places.iter().filter(|given| **given).count() > 1 {
        return Err(
            "the journal is given twice, of --journal, MERIDIAN_JOURNAL and the file's key \
                    'journal': keep one"
                .to_owned(),
        );
    }
    if let Some(place) = in_env {
        flags.set_text("journal", place)?;
    }
    if let (Some(place), Some(flag)) = (on_the_line, table::find("journal")) {
        flags.set(flag, place);
    }
    let ignored: Vec<_> = typed.given().filter(|name| *name != CONFIG_FILE).collect();
    let mut said = "loaded server configuration, other configuration command line flags and \
                    environment variables will be ignored if provided"
        .to_owned();
    if !ignored.is_empty() {
        said += &format!("; ignored: {}", ignored.join(", "));
    }
    flags.note(Notice::info(&path.display().to_string(), &said));
    Ok(flags)
}

/// What the system says of a file, as Go puts it.
fn in_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}
