//! `--config-file`: etcd's YAML or JSON file, key by key into the same flags. As in etcd, durations
//! are whole nanoseconds, the last of two equal keys counts, and a key that nobody knows does not
//! stop the start; unlike etcd, it is named in the log with its line.

use std::path::Path;

use super::duration::Span;
use super::flags::Flags;
use super::node::Node;
use super::notice::Notice;
use super::table::{self, Flag};
use super::url;
use super::value::{Kind, Value, boolean};

/// Keys inside a section, and the flags they stand for.
const NESTED: &[(&str, &str)] = &[
    ("client-transport-security.cert-file", "cert-file"),
    ("client-transport-security.key-file", "key-file"),
    ("client-transport-security.client-cert-file", "client-cert-file"),
    ("client-transport-security.client-key-file", "client-key-file"),
    ("client-transport-security.client-cert-auth", "client-cert-auth"),
    ("client-transport-security.trusted-ca-file", "trusted-ca-file"),
    ("client-transport-security.auto-tls", "auto-tls"),
    ("client-transport-security.allowed-cn", table::ALLOWED_CN),
    ("client-transport-security.allowed-hostname", "client-cert-allowed-hostname"),
    ("peer-transport-security.cert-file", "peer-cert-file"),
    ("peer-transport-security.key-file", "peer-key-file"),
    ("peer-transport-security.client-cert-file", "peer-client-cert-file"),
    ("peer-transport-security.client-key-file", "peer-client-key-file"),
    ("peer-transport-security.client-cert-auth", "peer-client-cert-auth"),
    ("peer-transport-security.trusted-ca-file", "peer-trusted-ca-file"),
    ("peer-transport-security.auto-tls", "peer-auto-tls"),
    ("peer-transport-security.allowed-cn", "peer-cert-allowed-cn"),
    ("peer-transport-security.allowed-hostname", "peer-cert-allowed-hostname"),
    ("peer-transport-security.skip-client-san-verification", "peer-skip-client-san-verification"),
    ("socket-options.reuse-port", "socket-reuse-port"),
    ("socket-options.reuse-address", "socket-reuse-address"),
    ("discovery-config.token", "discovery-token"),
    ("discovery-config.client.endpoints", "discovery-endpoints"),
    ("discovery-config.client.dial-timeout", "discovery-dial-timeout"),
    ("discovery-config.client.request-timeout", "discovery-request-timeout"),
    ("discovery-config.client.keepalive-time", "discovery-keepalive-time"),
    ("discovery-config.client.keepalive-timeout", "discovery-keepalive-timeout"),
    ("discovery-config.client.secure.cert", "discovery-cert"),
    ("discovery-config.client.secure.key", "discovery-key"),
    ("discovery-config.client.secure.cacert", "discovery-cacert"),
    ("discovery-config.client.secure.insecure-transport", "discovery-insecure-transport"),
    (
        "discovery-config.client.secure.insecure-skip-tls-verify",
        "discovery-insecure-skip-tls-verify",
    ),
    ("discovery-config.client.auth.username", "discovery-user"),
    ("discovery-config.client.auth.password", "discovery-password"),
    ("discovery-config.client.auth.token", "discovery-config.client.auth.token"),
    ("discovery-config.client.max-request-bytes", "discovery-config.client.max-request-bytes"),
    ("discovery-config.client.max-recv-bytes", "discovery-config.client.max-recv-bytes"),
    ("discovery-config.client.secure.server-name", "discovery-config.client.secure.server-name"),
];

/// Flags that etcd reads from the command line only, not as a key at the top of the file.
const COMMAND_LINE_ONLY: &[&str] =
    &["config-file", "version", "raft-read-timeout", "raft-write-timeout", "discovery-fallback"];

/// Reads the whole file. An error names the key and its line.
pub(crate) fn read(path: &Path, text: &str) -> Result<Flags, String> {
    let place = path.display();
    let mut flags = Flags::default();
    match Node::parse(text).map_err(|why| format!("{place}: {why}"))? {
        Node::Null => {}
        Node::Map(entries) => {
            for entry in entries {
                read_key(&mut flags, "", &entry.key, entry.line, &entry.value)
                    .map_err(|why| format!("{place}, line {}: {why}", entry.line))?;
            }
        }
        _ => return Err(format!("{place}: expected keys and values at the top of the file")),
    }
    Ok(flags)
}

fn read_key(
    flags: &mut Flags,
    section: &str,
    key: &str,
    line: u64,
    node: &Node,
) -> Result<(), String> {
    let path = if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") };
    if let Some(flag) = target(&path) {
        if let Some(value) = read_value(flag.kind, node).map_err(|why| format!("{path}: {why}"))? {
            flags.set(flag, value);
        }
        return Ok(());
    }
    if is_section(&path) {
        let entries = match node {
            Node::Null => return Ok(()),
            Node::Map(entries) => entries,
            _ => return Err(format!("invalid {path}: expected keys and values")),
        };
        for entry in entries {
            read_key(flags, &path, &entry.key, entry.line, &entry.value)?;
        }
        return Ok(());
    }
    flags.note(Notice::warning(&path, &format!("unknown key in line {line}{}", hint(&path))));
    Ok(())
}

/// The key that sets a flag, sections and all, if any does.
#[cfg(test)]
pub(crate) fn key_of(name: &str) -> Option<String> {
    let nested = NESTED.iter().find(|(_, flag)| *flag == name).map(|(key, _)| *key);
    nested.or_else(|| target(name).map(|flag| flag.name)).map(str::to_owned)
}

/// The flag that a key sets. Letters match in either case, as they do for etcd's decoder.
pub(crate) fn target(path: &str) -> Option<&'static Flag> {
    let path = path.to_ascii_lowercase();
    if let Some((_, name)) = NESTED.iter().find(|(nested, _)| *nested == path) {
        return table::of_key(name);
    }
    let elsewhere = COMMAND_LINE_ONLY.contains(&path.as_str())
        || NESTED.iter().any(|(_, name)| *name == path)
        || matches!(path.as_str(), "client-crl-file" | "peer-crl-file");
    if elsewhere { None } else { table::find(&path) }
}

fn is_section(path: &str) -> bool {
    let start = format!("{}.", path.to_ascii_lowercase());
    NESTED.iter().any(|(nested, _)| nested.starts_with(&start))
}

fn hint(path: &str) -> String {
    if let Some((nested, _)) = NESTED.iter().find(|(_, name)| *name == path) {
        return format!(": it has no effect here; in a file it is written {nested}");
    }
    if table::find(path).is_some() {
        return ": it has no effect in a file".to_owned();
    }
    let near =
        table::nearest(path).map_or(String::new(), |name| format!(" (did you mean {name}?)"));
    format!(": it has no effect{near}")
}

/// A key's value, or `None` where it is empty and the default stays.
fn read_value(kind: Kind, node: &Node) -> Result<Option<Value>, String> {
    let value = match (kind, node) {
        (_, Node::Null) => return Ok(None),
        (Kind::Bool, Node::Bool(on)) => Value::Bool(*on),
        (Kind::Bool, Node::Text(word)) => Value::Bool(yes_or_no(word)?),
        (Kind::Duration, Node::Int(nanos)) => {
            let nanos = i64::try_from(*nanos).map_err(|_| "value out of range")?;
            Value::Duration(Span(nanos))
        }
        (Kind::Duration, _) => {
            return Err(
                "a duration in a file is a whole number of nanoseconds (600000000000 is 10m)"
                    .to_owned(),
            );
        }
        (Kind::Int | Kind::Uint | Kind::Uint32, Node::Int(number)) => {
            kind.parse(&number.to_string())?
        }
        (Kind::Bool | Kind::Int | Kind::Uint | Kind::Uint32, _) => {
            return Err(format!(
                "expected {}",
                if kind == Kind::Bool { "true or false" } else { "a number" }
            ));
        }
        (Kind::List | Kind::Set, Node::List(items)) => {
            let items = items.iter().map(scalar).collect::<Result<Vec<_>, _>>()?;
            Value::List(items)
        }
        (Kind::Urls | Kind::Origins | Kind::Set, _) if scalar(node)?.is_empty() => return Ok(None),
        (Kind::Urls, _) => Value::Urls(url::parse_list(&scalar(node)?)?),
        _ => kind.parse(&scalar(node)?)?,
    };
    Ok(Some(value))
}

fn yes_or_no(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "y" | "yes" | "on" => Ok(true),
        "n" | "no" | "off" => Ok(false),
        _ => boolean(word).ok_or_else(|| "expected true or false".to_owned()),
    }
}

fn scalar(node: &Node) -> Result<String, String> {
    Ok(match node {
        Node::Null => String::new(),
        Node::Bool(on) => on.to_string(),
        Node::Int(number) => number.to_string(),
        Node::Float(number) => number.to_string(),
        Node::Text(text) => text.clone(),
        Node::List(_) | Node::Map(_) => return Err("expected a single value".to_owned()),
    })
}
