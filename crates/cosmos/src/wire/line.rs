//! One client of Microsoft's crate: made for what the account said and whom the key belongs to, and made anew
//! when either changes.

use std::sync::Arc;
use std::time::Duration;

use azure_core::http::Url;
use azure_data_cosmos::options::{
    BinaryEncodingOptions, ConnectionPoolOptions, EndToEndOperationLatencyPolicy, ExcludedRegions,
    OperationOptions, PartitionFailoverOptions, PartitionTopologyCacheMode, Region,
    ThrottlingRetryOptions,
};
use azure_data_cosmos::{
    ContainerClient, CosmosClient, CosmosRuntime, DatabaseClient, RoutingStrategy,
};

use super::answer::failure;
use super::credentials::Credentials;
use crate::account::Account;
use crate::address::Address;
use crate::failure::{Failure, Kind};

/// See the module.
pub(super) struct Line {
    pub(super) container: ContainerClient,
    /// How writes are sent.
    pub(super) writing: OperationOptions,
    /// How reads are sent: never to a region that lags.
    pub(super) reading: OperationOptions,
}

/// What all lines of a process share: connections and their settings.
pub(super) async fn runtime(address: &Address) -> Result<CosmosRuntime, Failure> {
    let mut pool = ConnectionPoolOptions::builder();
    if address.emulator {
        // What runs on one machine for tests speaks HTTP/1.1 and none of the newer gateway.
        pool = pool.with_is_http2_allowed(false).with_gateway_v2_disabled(true);
    }
    let pool = pool.build().map_err(|error| failure(&error))?;
    let runtime = CosmosRuntime::builder().with_connection_pool(pool).build().await;
    runtime.map_err(|error| failure(&error))
}

impl Line {
    /// Finds the container. The crate reads the account by itself, as its routing needs it.
    pub(super) async fn open(
        address: &Address,
        runtime: &CosmosRuntime,
        credentials: &Credentials,
        account: &Account,
        deadline: Duration,
    ) -> Result<Self, Failure> {
        let client = client(address, runtime, credentials, account).await?;
        let database = client.database_client(address.database.clone());
        let container = database.container_client(address.container.clone(), None).await;
        let container = container.map_err(|error| {
            let found = failure(&error);
            let status: u16 = error.status().status_code().into();
            if status != 404 {
                return found;
            }
            let what = format!(
                "there is no container {} in database {} of the account: make it with `meridian \
                 cosmos init '{address}'`",
                address.container, address.database
            );
            Failure::new(Kind::Missing, what)
        })?;
        let writing = options(deadline);
        let mut reading = options(deadline);
        let lagging: Vec<_> = account.lagging().map(|name| Region::new(name.to_owned())).collect();
        if !lagging.is_empty() {
            let excluded = lagging
                .into_iter()
                .fold(ExcludedRegions::new(), |excluded, region| excluded.with_region(region));
            reading.excluded_regions = Some(excluded);
        }
        Ok(Self { container, writing, reading })
    }
}

/// A client without a container, for making one.
pub(super) async fn client(
    address: &Address,
    runtime: &CosmosRuntime,
    credentials: &Credentials,
    account: &Account,
) -> Result<CosmosClient, Failure> {
    let endpoint = endpoint(address)?;
    // Nearness decides where reads go; without a word about where this is, the write region.
    let near = address.region.clone().unwrap_or_else(|| account.write_region.clone());
    let routing = RoutingStrategy::ProximityTo(Region::new(near));
    // One encoding everywhere, which emulators know too.
    let encoding = BinaryEncodingOptions::new().with_enabled(false);
    // What is asked next is mostly in one partition; the list of all is loaded when it is needed.
    let failover = PartitionFailoverOptions::builder()
        .with_partition_topology_cache_mode(PartitionTopologyCacheMode::Lazy)
        .build()
        .map_err(|error| failure(&error))?;
    let client = CosmosClient::builder()
        .with_runtime(runtime.clone())
        .with_binary_encoding_options(encoding)
        .with_partition_failover_options(failover)
        .build(credentials.account(&endpoint), routing)
        .await;
    client.map_err(|error| failure(&error))
}

pub(super) fn endpoint(address: &Address) -> Result<Url, Failure> {
    address.endpoint.parse().map_err(|why| {
        Failure::new(Kind::Address, format!("{} is no endpoint: {why}", address.endpoint))
    })
}

pub(super) fn database(client: &CosmosClient, address: &Address) -> DatabaseClient {
    client.database_client(address.database.clone())
}

/// One try, and its answer: who asks decides what comes next. Another region is tried where one is gone.
fn options(deadline: Duration) -> OperationOptions {
    let mut throttling = ThrottlingRetryOptions::default();
    throttling.max_retry_count = Some(0);
    let mut options = OperationOptions::default();
    options.throttling_retry_options = Some(throttling);
    options.end_to_end_latency_policy = Some(EndToEndOperationLatencyPolicy::new(deadline));
    options.session_capturing_disabled = Some(true);
    options.hedging_enabled = Some(false);
    options
}

pub(super) type Shared = Arc<Line>;
