//! The flags of distributed tracing. What tells of calls is [`crate::observe::spans`].

use super::flags::Flags;

/// The most that `--distributed-tracing-sampling-rate` can be: all.
const MOST: i64 = 1_000_000;

/// Traces for a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracing {
    /// The collector's host and port.
    pub address: String,
    /// What all members are called.
    pub service_name: String,
    /// What this one is called.
    pub instance_id: Option<String>,
    /// How many of a million calls are followed whose clients belong to no trace.
    pub sampled_per_million: u32,
}

impl Tracing {
    /// What is asked for, if anything is.
    pub(crate) fn resolve(flags: &Flags) -> Result<Option<Self>, String> {
        if !flags.switch("enable-distributed-tracing") {
            return Ok(None);
        }
        let wrong =
            |why: &str| Err(format!("distributed tracing configurition is not valid: ({why})"));
        let rate = flags.int("distributed-tracing-sampling-rate");
        if rate < 0 {
            return wrong("tracing sampling rate must be positive");
        }
        let Some(sampled_per_million) = u32::try_from(rate).ok().filter(|_| rate <= MOST) else {
            return wrong("tracing sampling rate must be less than 1000000");
        };
        let address = flags.text("distributed-tracing-address");
        let port = address.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
        if !matches!(port, Some(Ok(_))) {
            return wrong("--distributed-tracing-address must be \"host:port\"");
        }
        let instance_id = flags.text("distributed-tracing-instance-id");
        Ok(Some(Self {
            address,
            service_name: flags.text("distributed-tracing-service-name"),
            instance_id: Some(instance_id).filter(|id| !id.is_empty()),
            sampled_per_million,
        }))
    }
}
