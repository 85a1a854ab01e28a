//! Databases, containers and their throughput: looked at, and made.

use std::time::Duration;

use azure_data_cosmos::ContainerClient;
use azure_data_cosmos::models::{
    ContainerProperties, IndexingMode, IndexingPolicy, PropertyPath, ThroughputProperties,
    TimeToLive,
};
use azure_data_cosmos::options::CreateContainerOptions;
use azure_data_cosmos::{CosmosClient, CosmosError};

use super::account::Accounts;
use super::answer::failure;
use super::credentials::Credentials;
use super::line::{self, Line};
use crate::account::Account;
use crate::address::Address;
use crate::failure::{Failure, Kind};
use crate::stats::Stats;
use crate::throughput::Throughput;

/// The partition key of the container.
pub(crate) const PARTITION_KEY: &str = "/pk";

/// A container that can hold a journal: its partition key is ours, and nothing in it expires.
pub(super) async fn check(container: &ContainerClient, address: &Address) -> Result<(), Failure> {
    let read = container.read(None).await.map_err(|error| failure(&error))?;
    let properties = read.into_model().map_err(|error| failure(&error))?;
    judge(&properties, address)
}

fn judge(properties: &ContainerProperties, address: &Address) -> Result<(), Failure> {
    let refuse = |what: &str| {
        let text = format!("the container {} {what}", address.container);
        Err(Failure::new(Kind::Unsafe, text))
    };
    let paths: Vec<&str> = properties.partition_key.paths().iter().map(AsRef::as_ref).collect();
    if paths != [PARTITION_KEY] {
        return refuse(
            "is not partitioned by /pk: name another, and let `meridian cosmos init` make it",
        );
    }
    if properties.default_ttl != TimeToLive::Forever {
        return refuse(
            "lets items expire (its time to live is on), and with them the journal: turn it off",
        );
    }
    if properties.unique_key_policy.is_some() {
        return refuse("has unique keys, which Meridian's items are not made for: name another");
    }
    Ok(())
}

/// What the container may spend. Only a key may ask.
pub(super) async fn throughput(line: &Line, credentials: &Credentials) -> Throughput {
    if !credentials.is_key() {
        return Throughput::Unknown;
    }
    match line.container.read_throughput(None).await {
        Ok(Some(found)) => known(&found),
        Ok(None) => Throughput::Shared,
        Err(error) => {
            tracing::debug!(error = %failure(&error), "the container's throughput cannot be read");
            Throughput::Unknown
        }
    }
}

fn known(found: &ThroughputProperties) -> Throughput {
    match (found.autoscale_maximum(), found.throughput()) {
        (Some(most), _) => Throughput::Autoscale(most),
        (None, Some(units)) => Throughput::Manual(units),
        (None, None) => Throughput::Shared,
    }
}

/// The account, as seen by who makes databases and containers.
pub(crate) struct Control {
    client: CosmosClient,
    address: Address,
    pub(crate) account: Account,
    /// The service lets nobody but the key's holder make anything, or see what may be spent.
    may_make: bool,
}

/// What is there of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Neither.
    Nothing,
    /// The database, without the container.
    Database,
    /// Both; the container can hold a journal, and may spend so much.
    Container(Throughput),
}

impl Control {
    pub(crate) async fn open(address: &Address, deadline: Duration) -> Result<Self, Failure> {
        let credentials = Credentials::open(address)?;
        let accounts = Accounts::new(address, deadline)?;
        let account = accounts.read(&credentials, &Stats::default()).await?;
        let runtime = line::runtime(address).await?;
        let client = line::client(address, &runtime, &credentials, &account).await?;
        Ok(Self { client, address: address.clone(), account, may_make: credentials.is_key() })
    }

    /// Looks at what is there.
    pub(crate) async fn look(&self) -> Result<Found, Failure> {
        let database = line::database(&self.client, &self.address);
        if self.may_make
            && let Err(error) = database.read(None).await
        {
            return if is(&error, 404) { Ok(Found::Nothing) } else { Err(failure(&error)) };
        }
        let container = database.container_client(self.address.container.clone(), None).await;
        let container = match container {
            Ok(container) => container,
            Err(error) if is(&error, 404) && self.may_make => return Ok(Found::Database),
            Err(error) if is(&error, 404) => return Err(self.only_with_a_key()),
            Err(error) => return Err(failure(&error)),
        };
        check(&container, &self.address).await?;
        if !self.may_make {
            return Ok(Found::Container(Throughput::Unknown));
        }
        let throughput = container.read_throughput(None).await;
        let throughput = throughput.map_err(|error| failure(&error))?;
        Ok(Found::Container(throughput.as_ref().map_or(Throughput::Shared, known)))
    }

    fn only_with_a_key(&self) -> Failure {
        let Address { database, container, .. } = &self.address;
        let what = format!(
            "there is no container {container} in database {database}, and the service makes one for the \
             account's key only, not for Entra ID: name the key with key_file=FILE, or make it by \
             template (deploy/azure)"
        );
        Failure::new(Kind::Missing, what)
    }

    pub(crate) async fn make_database(&self) -> Result<(), Failure> {
        let made = self.client.create_database(&self.address.database, None).await;
        there(made.map(drop))
    }

    pub(crate) async fn make_container(&self, throughput: Throughput) -> Result<(), Failure> {
        let mut options = CreateContainerOptions::default();
        match throughput {
            Throughput::Manual(units) => {
                options = options.with_throughput(ThroughputProperties::manual(units));
            }
            Throughput::Autoscale(most) => {
                options = options.with_throughput(ThroughputProperties::autoscale(most, None));
            }
            Throughput::Shared | Throughput::Unknown => {}
        }
        let database = line::database(&self.client, &self.address);
        let properties = properties(&self.address.container);
        there(database.create_container(properties, Some(options)).await.map(drop))
    }
}

/// The container's settings: nothing is indexed but what ranges are asked by.
fn properties(name: &str) -> ContainerProperties {
    let path = |path: &str| PropertyPath::default().with_path(path.to_owned());
    let indexing = IndexingPolicy::default()
        .with_indexing_mode(IndexingMode::Consistent)
        .with_included_path(path("/slot/?"))
        .with_excluded_path(path("/*"));
    ContainerProperties::new(name.to_owned(), PARTITION_KEY.into()).with_indexing_policy(indexing)
}

/// Somebody else may have made it at the same moment.
fn there(made: Result<(), CosmosError>) -> Result<(), Failure> {
    match made {
        Err(error) if !is(&error, 409) => Err(failure(&error)),
        _ => Ok(()),
    }
}

fn is(error: &CosmosError, status: u16) -> bool {
    u16::from(error.status().status_code()) == status
}
