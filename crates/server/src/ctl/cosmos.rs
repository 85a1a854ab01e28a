//! `meridian cosmos init`: makes the database and the container of a journal in Azure Cosmos DB, or finds
//! that they are there. Says what it will do before it does it. `docs/cosmos.md` is for who runs it.

use std::io::Write;

use cosmos_journal::{Address, Plan, Throughput};

/// What `meridian cosmos --help` says.
pub const HELP: &str = "Usage:

  meridian cosmos init cosmos://ACCOUNT/DATABASE/CONTAINER?key_file=FILE [flags]

Reads the account, says whether its settings can be relied on, prints what has to be made of the database
and the container, and makes it. What is there already is looked at and left as it is. The service lets
nobody but the account's key make them; with Entra ID, use the template in deploy/azure.

Flags:
  --autoscale RU/S   a new container may spend up to so much, and is paid for from a tenth of it
                     (default 4000; at least 1000, in steps of 1000)
  --manual RU/S      a new container may spend so much, always paid for (at least 400, in steps of 100)
  --no-throughput    a new container has none of its own: of a serverless account, or shared with the
                     database
  --dry-run          print what has to be made, and make nothing

Exit code: 0 if all is there (with --dry-run: if the plan could be made), 1 if not, 2 for a wrong command.
";

/// What a new container may spend if nothing is said.
const DEFAULT: u64 = 4000;

/// What to do.
#[derive(Debug, PartialEq)]
pub struct Order {
    address: Address,
    throughput: Throughput,
    dry_run: bool,
}

impl Order {
    /// Reads the arguments behind `cosmos`; none, if the help was asked for.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(arguments: &[String]) -> Result<Option<Self>, String> {
        let mut rest = arguments.iter().map(String::as_str);
        match rest.next() {
            Some("init") => {}
            None | Some("--help" | "-h" | "help") => return Ok(None),
            Some(other) => {
                return Err(format!("unknown command {other:?} (run 'meridian cosmos --help')"));
            }
        }
        let (mut address, mut throughput, mut dry_run) = (None, None, false);
        while let Some(argument) = rest.next() {
            let (flag, value) = argument
                .split_once('=')
                .filter(|_| argument.starts_with("--"))
                .map_or((argument, None), |(flag, value)| (flag, Some(value)));
            let asked = match flag {
                "--help" | "-h" => return Ok(None),
                "--dry-run" if value.is_none() => {
                    dry_run = true;
                    continue;
                }
                "--no-throughput" if value.is_none() => Throughput::Shared,
                "--autoscale" => Throughput::Autoscale(units(flag, value.or(rest.next()), 1000)?),
                "--manual" => Throughput::Manual(units(flag, value.or(rest.next()), 100)?),
                _ if argument.starts_with('-') => {
                    return Err(format!("unknown flag: {flag} (run 'meridian cosmos --help')"));
                }
                _ if address.is_none() => {
                    address = Some(Address::parse(argument).map_err(|why| why.to_string())?);
                    continue;
                }
                _ => return Err("cosmos init takes one address".to_owned()),
            };
            if throughput.replace(asked).is_some() {
                return Err(
                    "--autoscale, --manual and --no-throughput exclude one another".to_owned()
                );
            }
        }
        let address = address
            .ok_or("cosmos init requires an address: cosmos://ACCOUNT/DATABASE/CONTAINER")?;
        let throughput = throughput.unwrap_or(Throughput::Autoscale(DEFAULT));
        Ok(Some(Self { address, throughput, dry_run }))
    }
}

fn units(flag: &str, value: Option<&str>, step: u64) -> Result<u64, String> {
    let least = if step == 100 { 400 } else { step };
    let units = value.and_then(|value| value.parse().ok());
    units.filter(|units| *units >= least && units % step == 0).ok_or_else(|| {
        format!("{flag} takes request units a second: at least {least}, in steps of {step}")
    })
}

/// Carries an order out, saying on `out` what it finds and does.
///
/// # Errors
/// What is wrong, and what to do.
pub fn init(order: &Order, out: &mut dyn Write) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        // Nobody may be reading any more: what was begun goes on.
        let mut say = |line: &str| drop(writeln!(out, "{line}"));
        say(&format!("{}: reading the account at {}", order.address, order.address.endpoint()));
        let plan = Plan::make(order.address.clone(), order.throughput).await;
        let plan = plan.map_err(|why| why.to_string())?;
        say(&format!("  the account: {}", plan.guarantee()));
        say(&plan.to_string());
        if plan.is_empty() {
            say("nothing is to be done");
            return Ok(());
        }
        if order.dry_run {
            say("made nothing (--dry-run)");
            return Ok(());
        }
        plan.carry_out().await.map_err(|why| why.to_string())?;
        say(&format!("ready: meridian --journal '{}' and the address's words", order.address));
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Option<Order>, String> {
        let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
        Order::parse(&arguments)
    }

    #[test]
    fn orders_are_read() {
        let order = parse("init cosmos://acme/d/c").expect("an order").expect("no help");
        assert_eq!(order.throughput, Throughput::Autoscale(4000));
        assert!(!order.dry_run);
        let order =
            parse("init --manual 400 cosmos://acme/d/c?key_file=k --dry-run").expect("an order");
        let order = order.expect("no help");
        assert_eq!(order.throughput, Throughput::Manual(400));
        assert!(order.dry_run);
        assert_eq!(parse("--help"), Ok(None));
        assert_eq!(parse("init --help"), Ok(None));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (line, why) in [
            ("drop x", "unknown command"),
            ("init", "requires an address"),
            ("init cosmos://acme", "an address is cosmos://"),
            ("init cosmos://a/d/c --autoscale", "at least 1000"),
            ("init cosmos://a/d/c --autoscale=1500", "in steps of 1000"),
            ("init cosmos://a/d/c --manual 100", "at least 400"),
            ("init cosmos://a/d/c --manual 400 --no-throughput", "exclude one another"),
            ("init cosmos://a/d/c cosmos://a/d/e", "takes one address"),
            ("init cosmos://a/d/c --force", "unknown flag: --force"),
        ] {
            let refused = parse(line).expect_err(line);
            assert!(refused.contains(why), "{line}: {refused}");
        }
    }
}
