//! The journal in Azure Cosmos DB, opened, and what it has to tell.

use std::sync::Arc;

use cosmos_journal::{Address, CosmosJournal, Options, Purpose, Throughput};
use tokio::runtime::Handle;

use super::StartError;
use super::journal::{Opened, archive};
use crate::config::Config;
use crate::observe::exposition::{Exposition, Type};
use crate::observe::journal::SharedJournal;

/// Opens a log, and waits for an account that does not answer as long as the options' patience.
pub(super) async fn open(
    config: &Config,
    address: &Address,
    writer: Handle,
) -> Result<Opened, StartError> {
    let options = Options {
        log: config.initial_cluster_token.clone(),
        cluster: format!("{:x}", config.identity.cluster_id),
        appends_from: Some(writer),
        ..Options::default()
    };
    tracing::info!(journal = %address, log = options.log, "opening the journal");
    let journal = CosmosJournal::open(address.clone(), options)
        .await
        .map_err(|why| StartError(format!("--journal={address}: {why}")))?;
    let (guarantee, throughput) = (journal.guarantee(), journal.throughput());
    if guarantee.survives_a_region() {
        tracing::info!(%guarantee, %throughput, "opened the journal");
    } else {
        tracing::warn!(%guarantee, %throughput, "opened the journal");
    }
    let journal = Arc::new(journal);
    let objects = archive(config, Arc::<CosmosJournal>::clone(&journal)).await?;
    let told = Arc::new(Cosmos(Arc::clone(&journal)));
    Ok(Opened { journal, shared: Some(told), objects: Some(objects) })
}

/// What a journal in Azure Cosmos DB has to tell.
struct Cosmos(Arc<CosmosJournal>);

impl SharedJournal for Cosmos {
    fn guarantee(&self) -> String {
        let stats = self.0.stats();
        format!(
            "Azure Cosmos DB: {}; throughput {}, of which this replica spends {:.1} RU/s",
            self.0.guarantee(),
            self.0.throughput(),
            stats.spent_recently()
        )
    }

    fn expose(&self, out: &mut Exposition) {
        self.latencies(out);
        self.charges(out);
        self.limits(out);
    }
}

impl Cosmos {
    fn latencies(&self, out: &mut Exposition) {
        let stats = self.0.stats();
        for (name, help, latency) in [
            (
                "meridian_cosmos_append_duration_seconds",
                "From sending an append to the service's answer.",
                &stats.append,
            ),
            (
                "meridian_cosmos_tail_duration_seconds",
                "From asking where the log ends to the answer, which linearizable reads wait for.",
                &stats.tail,
            ),
        ] {
            let sum = latency.sum().as_secs_f64();
            out.foreign_histogram(name, help, &latency.buckets(), sum, latency.count());
        }
    }

    fn charges(&self, out: &mut Exposition) {
        let stats = self.0.stats();
        let name = "meridian_cosmos_requests_total";
        out.head(name, Type::Counter, "Requests to the service, by what they were for.");
        for purpose in Purpose::ALL {
            out.value(name, &[("for", purpose.name())], stats.requests(purpose));
        }
        let name = "meridian_cosmos_request_units_total";
        out.head(name, Type::Counter, "Request units that the service charged for them.");
        for purpose in Purpose::ALL {
            out.value(name, &[("for", purpose.name())], stats.charge(purpose));
        }
        let counters = [
            (
                "meridian_cosmos_throttled_total",
                "Answers that the container's throughput is spent (429).",
                stats.throttles(),
            ),
            (
                "meridian_cosmos_appended_bytes_total",
                "Bytes of entries that this replica has appended.",
                stats.appended_bytes(),
            ),
            (
                "meridian_cosmos_unknown_outcomes_total",
                "Appends that were answered without an outcome, and settled by reading.",
                stats.unknown_outcomes(),
            ),
        ];
        for (name, help, value) in counters {
            out.single(name, Type::Counter, help, value);
        }
        out.single(
            "meridian_cosmos_throttled_seconds_total",
            Type::Counter,
            "How long the service wanted to be left alone, all told.",
            stats.throttled_for().as_secs_f64(),
        );
    }

    fn limits(&self, out: &mut Exposition) {
        out.single(
            "meridian_cosmos_spent_request_units",
            Type::Gauge,
            "Request units a second that this replica has spent over the last seconds.",
            self.0.stats().spent_recently(),
        );
        let throughput = self.0.throughput();
        let Some(most) = throughput.most() else { return };
        let name = "meridian_cosmos_throughput_request_units";
        out.head(name, Type::Gauge, "Request units a second that the container may spend.");
        let kind =
            if matches!(throughput, Throughput::Autoscale(_)) { "autoscale" } else { "manual" };
        out.value(name, &[("kind", kind)], most);
    }
}
