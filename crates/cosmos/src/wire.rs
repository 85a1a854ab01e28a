//! The wire: [`Items`] on Microsoft's crate. This file and its folder are the only ones that know it.
//!
//! A change of the key's file, of the account's regions or its write region makes a new client, which takes
//! over from the next request on. An account that may not be relied on any more answers nothing.

mod account;
mod answer;
mod control;
mod credentials;
mod line;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use azure_data_cosmos::diagnostics::DiagnosticsContext;
use azure_data_cosmos::feed::FeedScope;
use azure_data_cosmos::models::ItemResponse;
use azure_data_cosmos::options::{
    FeedOptions, ItemReadOptions, ItemWriteOptions, MaxItemCountHint, OperationOptions,
    Precondition, QueryOptions,
};
use azure_data_cosmos::{CosmosError, CosmosRuntime, Query};
use futures::future::{BoxFuture, FutureExt};
use futures::stream::StreamExt;
use parking_lot::RwLock;
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tokio::time::{Instant, interval, sleep};

pub(crate) use control::{Control, Found};
use credentials::Credentials;
use line::{Line, Shared};

use crate::account::Account;
use crate::address::Address;
use crate::failure::{Failure, Kind};
use crate::guarantee::Guarantee;
use crate::item::{Item, Name};
use crate::items::{Created, Items, Range};
use crate::stats::{Purpose, Stats};
use crate::throughput::Throughput;
use account::Accounts;

/// How often the account is read, and the key's file looked at.
const LOOK_AT_ACCOUNT: Duration = Duration::from_secs(60);
const LOOK_AT_KEY: Duration = Duration::from_secs(5);
/// The pause between two looks that failures asked for.
const PAUSE: Duration = Duration::from_secs(1);

/// Slots, in order. The names are those of `item.rs`.
const RANGE: &str = "SELECT * FROM c WHERE c.slot >= @from AND c.slot < @to ORDER BY c.slot";

/// See the module.
pub(crate) struct Wire {
    address: Address,
    deadline: Duration,
    stats: Arc<Stats>,
    accounts: Accounts,
    state: RwLock<State>,
    /// Something failed that another look at account and key may explain.
    doubt: Arc<Notify>,
}

struct State {
    credentials: Credentials,
    account: Account,
    /// It keeps what it knows of a container, and with that the key it was asked with.
    runtime: CosmosRuntime,
    line: Shared,
    throughput: Throughput,
    /// Why nothing is answered any more, until the account is put right.
    closed: Option<Failure>,
}

impl Wire {
    /// Reads the account, judges it, and finds the container.
    pub(crate) async fn open(
        address: Address,
        deadline: Duration,
        stats: Arc<Stats>,
    ) -> Result<Self, Failure> {
        let credentials = Credentials::open(&address)?;
        let accounts = Accounts::new(&address, deadline)?;
        let account = accounts.read(&credentials, &stats).await?;
        let runtime = line::runtime(&address).await?;
        let line = Line::open(&address, &runtime, &credentials, &account, deadline).await?;
        control::check(&line.container, &address).await?;
        let throughput = control::throughput(&line, &credentials).await;
        let line = Arc::new(line);
        let state = State { credentials, account, runtime, line, throughput, closed: None };
        let (state, doubt) = (RwLock::new(state), Arc::new(Notify::new()));
        Ok(Self { address, deadline, stats, accounts, state, doubt })
    }

    /// Looks at account and key for as long as anybody uses this.
    pub(crate) fn tend(self: &Arc<Self>) -> impl Future<Output = ()> + Send + 'static {
        let (wire, doubt) = (Arc::downgrade(self), Arc::clone(&self.doubt));
        async move {
            let (mut accounts, mut keys) = (interval(LOOK_AT_ACCOUNT), interval(LOOK_AT_KEY));
            accounts.reset();
            let mut looked = Instant::now();
            loop {
                let account = tokio::select! {
                    _ = accounts.tick() => true,
                    _ = keys.tick() => false,
                    () = doubt.notified() => {
                        sleep(PAUSE.saturating_sub(looked.elapsed())).await;
                        true
                    }
                };
                let Some(wire) = wire.upgrade() else { return };
                if let Err(why) = wire.look(account).await {
                    tracing::warn!(error = %why, "cannot look at the account of the journal");
                }
                looked = Instant::now();
            }
        }
    }

    async fn look(&self, at_account: bool) -> Result<(), Failure> {
        let credentials = Credentials::open(&self.address)?;
        let (same, before) = {
            let state = self.state.read();
            (state.credentials.is_same(&credentials), state.account.clone())
        };
        if same && !at_account {
            return Ok(());
        }
        let account = match self.accounts.read(&credentials, &self.stats).await {
            Ok(account) => account,
            Err(why) => {
                if why.kind == Kind::Unsafe {
                    self.close(&why);
                }
                return Err(why);
            }
        };
        let runtime = if same {
            self.state.read().runtime.clone()
        } else {
            line::runtime(&self.address).await?
        };
        let line = if same && account == before && self.state.read().closed.is_none() {
            Arc::clone(&self.state.read().line)
        } else {
            if !same {
                tracing::info!("the account's key has changed");
            }
            if account != before {
                tracing::warn!(before = %before.guarantee(), now = %account.guarantee(),
                    "the account has changed");
            }
            let address = &self.address;
            Arc::new(Line::open(address, &runtime, &credentials, &account, self.deadline).await?)
        };
        let throughput = control::throughput(&line, &credentials).await;
        *self.state.write() =
            State { credentials, account, runtime, line, throughput, closed: None };
        Ok(())
    }

    fn close(&self, why: &Failure) {
        let mut state = self.state.write();
        if state.closed.as_ref() != Some(why) {
            tracing::error!(error = %why, "nothing is read or written until the account is put right");
        }
        state.closed = Some(why.clone());
    }

    fn line(&self) -> Result<Shared, Failure> {
        let state = self.state.read();
        match &state.closed {
            Some(why) => Err(why.clone()),
            None => Ok(Arc::clone(&state.line)),
        }
    }

    fn answered(&self, purpose: Purpose, diagnostics: &DiagnosticsContext) {
        for request in diagnostics.requests().iter() {
            self.stats.charged(purpose, request.request_charge().value());
        }
    }

    fn failed(&self, purpose: Purpose, error: &CosmosError) -> Failure {
        if let Some(diagnostics) = error.diagnostics() {
            self.answered(purpose, &diagnostics);
        }
        let failure = answer::failure(error);
        match failure.kind {
            Kind::Throttled => self.stats.throttled(failure.after.unwrap_or_default()),
            Kind::Ambiguous | Kind::Denied => self.doubt.notify_one(),
            _ => {}
        }
        failure
    }

    /// The answer, with what an answer of the right kind of failure means.
    fn judge<T>(
        &self,
        purpose: Purpose,
        answer: Result<ItemResponse, CosmosError>,
        good: impl FnOnce(ItemResponse) -> Result<T, Failure>,
        known: impl FnOnce(&CosmosError) -> Option<T>,
    ) -> Result<T, Failure> {
        match answer {
            Ok(response) => {
                self.answered(purpose, &response.diagnostics());
                good(response)
            }
            Err(error) => match known(&error) {
                Some(outcome) => {
                    if let Some(diagnostics) = error.diagnostics() {
                        self.answered(purpose, &diagnostics);
                    }
                    Ok(outcome)
                }
                None => Err(self.failed(purpose, &error)),
            },
        }
    }

    async fn range(&self, purpose: Purpose, range: Range) -> Result<Vec<Item>, Failure> {
        let line = self.line()?;
        let failed = |error: CosmosError| self.failed(purpose, &error);
        let query = Query::from(RANGE)
            .with_parameter("@from", range.from)
            .and_then(|query| query.with_parameter("@to", range.to))
            .map_err(failed)?;
        let most = u32::try_from(range.most).ok().and_then(NonZeroU32::new);
        let hint = most.map_or(MaxItemCountHint::ServerDecides, MaxItemCountHint::Limit);
        let options = QueryOptions::default()
            .with_operation_options(line.reading.clone())
            .with_feed_options(FeedOptions::default().with_max_item_count(hint));
        let scope = FeedScope::partition(range.partition);
        let found = line.container.query_items::<Box<RawValue>>(query, scope, Some(options)).await;
        let mut pages = found.map_err(failed)?.into_pages();
        let (mut items, mut bytes) = (Vec::new(), 0);
        while let Some(page) = pages.next().await {
            let page = page.map_err(failed)?;
            self.answered(purpose, &page.diagnostics());
            for item in page.into_items() {
                if items.len() >= range.most || (bytes >= range.bytes && !items.is_empty()) {
                    return Ok(items);
                }
                let item = Item::decode(item.get().as_bytes())?;
                bytes += item.body.len();
                items.push(item);
            }
            if items.len() >= range.most || bytes >= range.bytes {
                break;
            }
        }
        Ok(items)
    }
}

impl Items for Wire {
    fn create(&self, purpose: Purpose, item: Item) -> BoxFuture<'_, Result<Created, Failure>> {
        async move {
            let line = self.line()?;
            let (options, body) = (writing(&line.writing, None), raw(&item)?);
            let Name { partition, id } = item.name;
            let answer = line.container.create_item(partition, &id, body, Some(options)).await;
            self.judge(
                purpose,
                answer,
                |_| Ok(Created::New),
                |error| answer::is_taken(error).then_some(Created::Taken),
            )
        }
        .boxed()
    }

    fn get(&self, purpose: Purpose, name: Name) -> BoxFuture<'_, Result<Option<Item>, Failure>> {
        async move {
            let line = self.line()?;
            let options = ItemReadOptions::default().with_operation_options(line.reading.clone());
            let answer = line.container.read_item(name.partition, &name.id, Some(options)).await;
            let body = |response: ItemResponse| {
                response.into_body().single().map_err(|error| self.failed(purpose, &error))
            };
            let good = |response| Item::decode(&body(response)?).map(Some);
            self.judge(purpose, answer, good, |error| answer::is_absent(error).then_some(None))
        }
        .boxed()
    }

    fn range(&self, purpose: Purpose, range: Range) -> BoxFuture<'_, Result<Vec<Item>, Failure>> {
        Self::range(self, purpose, range).boxed()
    }

    fn replace(&self, purpose: Purpose, item: Item) -> BoxFuture<'_, Result<bool, Failure>> {
        async move {
            let line = self.line()?;
            let options = writing(&line.writing, item.tag.as_deref());
            let body = raw(&item)?;
            let Name { partition, id } = item.name;
            let answer = line.container.replace_item(partition, &id, body, Some(options)).await;
            self.judge(
                purpose,
                answer,
                |_| Ok(true),
                |error| (answer::is_changed(error) || answer::is_absent(error)).then_some(false),
            )
        }
        .boxed()
    }

    fn delete(&self, purpose: Purpose, name: Name) -> BoxFuture<'_, Result<(), Failure>> {
        async move {
            let line = self.line()?;
            let options = writing(&line.writing, None);
            let answer = line.container.delete_item(name.partition, &name.id, Some(options)).await;
            self.judge(purpose, answer, |_| Ok(()), |error| answer::is_absent(error).then_some(()))
        }
        .boxed()
    }

    fn may_lose(&self) -> bool {
        self.state.read().account.may_lose()
    }

    fn guarantee(&self) -> Guarantee {
        self.state.read().account.guarantee()
    }

    fn throughput(&self) -> Throughput {
        self.state.read().throughput
    }
}

fn writing(operation: &OperationOptions, tag: Option<&str>) -> ItemWriteOptions {
    let options = ItemWriteOptions::default().with_operation_options(operation.clone());
    match tag {
        Some(tag) => options.with_precondition(Precondition::if_match(tag.to_owned())),
        None => options,
    }
}

/// The item's JSON, as it goes over the wire.
fn raw(item: &Item) -> Result<Box<RawValue>, Failure> {
    let json = String::from_utf8(item.encode()).unwrap_or_default();
    RawValue::from_string(json)
        .map_err(|why| Failure::new(Kind::Rejected, format!("an item is no JSON: {why}")))
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
