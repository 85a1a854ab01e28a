//! The command line of `meridian restore`, in the spelling of `etcdutl snapshot restore`.

use std::path::PathBuf;

use crate::config::Identity;
use crate::config::restored_identity;

/// What is to be restored, and where to.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// A file or a directory.
    pub source: PathBuf,
    /// The directory to make.
    pub data_dir: PathBuf,
    /// Where an etcd's directory has its log.
    pub wal_dir: Option<PathBuf>,
    /// Do without the checksum of a snapshot.
    pub skip_hash_check: bool,
    /// Go so many revisions forward, and compact.
    pub bump: Option<u64>,
    /// Who the new member is, if any of the flags about that were given.
    pub identity: Option<Identity>,
    /// Who it is otherwise, if the source does not say.
    pub default_identity: Identity,
}

/// Why there is no order.
#[derive(Debug, PartialEq)]
pub enum Refused {
    /// The text of `--help` was asked for.
    Help,
    /// What is wrong.
    Wrong(String),
}

/// Flags that say who the new member is.
const IDENTITY: [&str; 4] =
    ["name", "initial-cluster", "initial-cluster-token", "initial-advertise-peer-urls"];
/// Flags without a value.
const SWITCHES: [&str; 3] = ["skip-hash-check", "mark-compacted", "help"];
const VALUES: [&str; 4] = ["data-dir", "wal-dir", "bump-revision", "initial-memory-map-size"];

/// As typed.
#[derive(Default)]
struct Typed {
    sources: Vec<String>,
    identity: Vec<String>,
    name: Option<String>,
    data_dir: Option<String>,
    wal_dir: Option<String>,
    bump: u64,
    mark_compacted: bool,
    skip_hash_check: bool,
}

impl Order {
    /// Reads the arguments behind `restore`.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn parse(arguments: &[String]) -> Result<Self, Refused> {
        let typed = Typed::read(arguments)?;
        let [source] = typed.sources.as_slice() else {
            let what = "restore requires exactly one argument: the file or directory to restore";
            return Err(Refused::Wrong(what.to_owned()));
        };
        if (typed.bump > 0) != typed.mark_compacted {
            let what = "--mark-compacted required if --bump-revision > 0, disallowed otherwise";
            return Err(Refused::Wrong(what.to_owned()));
        }
        let identity = restored_identity(&typed.identity).map_err(Refused::Wrong)?;
        let default_identity = restored_identity(&[]).map_err(Refused::Wrong)?;
        let name = typed.name.as_deref().unwrap_or("default");
        let data_dir = typed.data_dir.filter(|dir| !dir.is_empty());
        Ok(Self {
            source: source.into(),
            data_dir: data_dir.unwrap_or_else(|| format!("{name}.etcd")).into(),
            wal_dir: typed.wal_dir.filter(|dir| !dir.is_empty()).map(PathBuf::from),
            skip_hash_check: typed.skip_hash_check,
            bump: Some(typed.bump).filter(|by| *by > 0),
            identity: Some(identity).filter(|_| !typed.identity.is_empty()),
            default_identity,
        })
    }
}

impl Typed {
    fn read(arguments: &[String]) -> Result<Self, Refused> {
        let mut typed = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                typed.sources.extend(rest.by_ref().cloned());
                break;
            }
            let Some(flag) = argument.strip_prefix("--") else {
                if argument == "-h" {
                    return Err(Refused::Help);
                }
                typed.sources.push(argument.clone());
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            if SWITCHES.contains(&name) {
                typed.switch(name, value.as_deref())?;
                continue;
            }
            if !IDENTITY.contains(&name) && !VALUES.contains(&name) {
                let what = format!("unknown flag: --{name} (run 'meridian restore --help')");
                return Err(Refused::Wrong(what));
            }
            let value = value.or_else(|| rest.next().cloned());
            let Some(value) = value else {
                return Err(Refused::Wrong(format!("flag needs an argument: --{name}")));
            };
            typed.value(name, value)?;
        }
        Ok(typed)
    }

    fn switch(&mut self, name: &str, value: Option<&str>) -> Result<(), Refused> {
        let on = match value {
            None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => true,
            Some("false" | "0" | "f" | "F" | "FALSE" | "False") => false,
            Some(other) => {
                let what = format!("invalid argument \"{other}\" for \"--{name}\" flag");
                return Err(Refused::Wrong(what));
            }
        };
        match name {
            "skip-hash-check" => self.skip_hash_check = on,
            "mark-compacted" => self.mark_compacted = on,
            _ if on => return Err(Refused::Help),
            _ => {}
        }
        Ok(())
    }

    fn value(&mut self, name: &str, value: String) -> Result<(), Refused> {
        let number = || {
            let what =
                format!("invalid argument \"{value}\" for \"--{name}\" flag: a number is wanted");
            value.parse::<u64>().map_err(|_| Refused::Wrong(what))
        };
        match name {
            "data-dir" => self.data_dir = Some(value),
            "wal-dir" => self.wal_dir = Some(value),
            "bump-revision" => self.bump = number()?,
            // Nothing is mapped into memory here.
            "initial-memory-map-size" => drop(number()?),
            _ => {
                if name == "name" {
                    self.name = Some(value.clone());
                }
                self.identity.push(format!("--{name}={value}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Order, Refused> {
        Order::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn a_line_for_etcdutl_is_understood() {
        let order = parse(
            "a.db --data-dir=/new --wal-dir /wal --skip-hash-check --name m --initial-cluster \
             m=http://h:2380 --initial-cluster-token t --initial-advertise-peer-urls http://h:2380 \
             --bump-revision 1000 --mark-compacted --initial-memory-map-size 10",
        );
        let order = order.expect("an order");
        assert_eq!(order.source, PathBuf::from("a.db"));
        assert_eq!(order.data_dir, PathBuf::from("/new"));
        assert_eq!(order.wal_dir, Some(PathBuf::from("/wal")));
        assert!(order.skip_hash_check);
        assert_eq!(order.bump, Some(1000));
        assert_ne!(order.identity, Some(order.default_identity));
        assert_eq!(order.default_identity.member_id, 0x8e9e_05c5_2164_694d);
    }

    #[test]
    fn what_is_not_given_is_as_in_etcdutl() {
        let order = parse("a.db").expect("an order");
        assert_eq!(order.data_dir, PathBuf::from("default.etcd"));
        assert_eq!((order.wal_dir, order.bump, order.identity), (None, None, None));
        assert_eq!(parse("a.db --name m").expect("an order").data_dir, PathBuf::from("m.etcd"));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let wrong = |line: &str| match parse(line) {
            Err(Refused::Wrong(why)) => why,
            other => panic!("{line}: {other:?}"),
        };
        assert!(wrong("").contains("exactly one argument"));
        assert!(wrong("a b").contains("exactly one argument"));
        assert!(wrong("a --bump-revision 5").contains("--mark-compacted required"));
        assert!(wrong("a --mark-compacted").contains("--mark-compacted required"));
        assert!(wrong("a --bump-revision -5").contains("a number is wanted"));
        assert!(wrong("a --datadir x").contains("unknown flag: --datadir"));
        assert!(wrong("a --data-dir").contains("needs an argument"));
        assert!(wrong("a --initial-cluster a=http://a:1,b=http://b:1").contains("2 members"));
        assert_eq!(parse("--help"), Err(Refused::Help));
    }
}
