//! A machine that a script talks to, line by line. Each command is an entry of its own, takes the way
//! through the journal's bytes, and is checked before it is ordered, as the server does.

use state::{
    Command, Entry, Epoch, ImageLoader, LeaseId, Position, Revision, State, Timestamp, check,
    txn_read_only,
};

use super::words::Words;
use super::{parse, print};

pub(crate) struct Machine {
    state: State,
    epoch: Epoch,
    clock: Timestamp,
    max_txn_ops: usize,
}

impl Default for Machine {
    fn default() -> Self {
        let (epoch, clock) = (Epoch(0), Timestamp(0));
        Self { state: State::new(), epoch, clock, max_txn_ops: 128 }
    }
}

impl Machine {
    /// What the machine says to a line.
    pub(crate) fn line(&mut self, line: &str, place: &str) -> String {
        let mut words = Words::of(line, place);
        let verb = words.text();
        let answer = match parse::command(&verb, &mut words) {
            Some(command) => self.order(command),
            None => self.ask(&verb, &mut words),
        };
        words.end();
        answer
    }

    fn order(&mut self, command: Command) -> String {
        if let Err(refusal) = check(&command, self.max_txn_ops) {
            return format!("refused {refusal:?} before ordering");
        }
        let entry = Entry {
            epoch: self.epoch,
            clock: self.clock,
            commands: vec![command],
            origins: Vec::new(),
        };
        let entry = Entry::decode(&entry.encode()).expect("an entry that was just written");
        let position = Position(self.state.position().0 + 1);
        let outcomes = self.state.apply(position, &entry);
        outcomes.iter().map(print::outcome).collect::<Vec<_>>().join("\n")
    }

    fn ask(&mut self, verb: &str, words: &mut Words<'_>) -> String {
        match verb {
            "get" | "range" => self.range(words),
            "read" => self.read_only(words),
            "events" => self.events(words),
            "lease" => self.lease(LeaseId(words.number())),
            "leases" => {
                let lease = |(id, ttl)| format!("{id} ttl={ttl}");
                list(self.state.leases().map(lease).collect(), "no leases")
            }
            "alarms" => print::alarms(&self.state.alarms().collect::<Vec<_>>()),
            "cluster" => print::cluster(self.state.cluster()),
            "hash" => self.hash(words.setting_number("rev").unwrap_or(0)),
            "digest" => format!("digest={}", self.state.digest()),
            "where" => format!(
                "rev={} compacted={} epoch={} clock={}",
                self.state.revision(),
                self.state.view().compact_revision(),
                self.state.epoch(),
                self.state.clock(),
            ),
            _ => self.set(verb, words),
        }
    }

    fn set(&mut self, verb: &str, words: &mut Words<'_>) -> String {
        match verb {
            "epoch" => self.epoch = Epoch(words.number().unsigned_abs()),
            "clock" => self.clock = Timestamp(words.number().unsigned_abs()),
            "max_txn_ops" => self.max_txn_ops = words.number().unsigned_abs() as usize,
            "maintain" => while self.state.maintain(1) {},
            "reload" => self.reload(),
            _ => words.fail(&format!("no request {verb:?}")),
        }
        String::new()
    }

    fn range(&self, words: &mut Words<'_>) -> String {
        let query = parse::range(words);
        if let Err(refusal) = query.check() {
            return format!("refused {refusal:?} before ordering");
        }
        match self.state.view().range(&query) {
            Err(refusal) => format!("refused {refusal:?}"),
            Ok(page) => {
                let kvs: Vec<_> = page.iter().map(|kv| kv.to_owned()).collect();
                print::range(&kvs, page.more, page.count, 0)
            }
        }
    }

    fn read_only(&self, words: &mut Words<'_>) -> String {
        if !words.take("txn") {
            words.fail("read txn …");
        }
        let txn = parse::txn(words);
        if !txn.is_read_only() {
            return "not read-only".to_owned();
        }
        match txn_read_only(&self.state.view(), &txn) {
            Ok(reply) => print::txn(&reply, 0),
            Err(refusal) => format!("refused {refusal:?}"),
        }
    }

    fn events(&self, words: &mut Words<'_>) -> String {
        let from = words.setting_number("from").unwrap_or(1);
        let view = self.state.view();
        match view.events(Revision(from)) {
            Ok(events) => list(events.map(|event| print::event(&event)).collect(), "no events"),
            Err(refusal) => format!("refused {refusal:?}"),
        }
    }

    fn lease(&self, id: LeaseId) -> String {
        let Some(lease) = self.state.lease(id) else { return "no such lease".to_owned() };
        let keys: Vec<String> = lease.keys.iter().map(|key| print::bytes(key)).collect();
        format!("ttl={} keys: {}", lease.ttl, list(keys, "none").replace('\n', " "))
    }

    fn hash(&self, revision: i64) -> String {
        match self.state.view().hash(Revision(revision)) {
            Ok(hash) => format!(
                "hash={} rev={} compacted={}",
                hash.hash, hash.revision, hash.compact_revision
            ),
            Err(refusal) => format!("refused {refusal:?}"),
        }
    }

    /// Goes on with what an image of the state gives back.
    fn reload(&mut self) {
        let mut loader = ImageLoader::new();
        for chunk in self.state.image().chunks() {
            loader.push(&chunk).expect("an image that was just written");
        }
        self.state = loader.finish().expect("an image that was just written");
    }
}

fn list(lines: Vec<String>, none: &str) -> String {
    if lines.is_empty() { none.to_owned() } else { lines.join("\n") }
}
