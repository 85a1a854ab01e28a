//! What makes this process one of many: who it is to the others, and how they reach one another.

use std::sync::Arc;

use engine::Engine;
use engine::replicas::{Myself, Replicas};
use journal::Objects;
use state::MemberId;
use tokio::runtime::Handle;

use super::{StartError, texts};
use crate::config::Config;
use crate::observe::peers::PeerMetrics;
use crate::peers::{Attendant, Caller, Dialer};
use crate::rpc::maintenance::VERSION;
use crate::security::Credentials;

/// TLS towards other replicas, if there is any; its files are read.
pub(super) fn credentials(config: &Config) -> Result<Option<Arc<Credentials>>, StartError> {
    let opened = config.peer_tls.as_ref().map(Credentials::open).transpose();
    Ok(opened.map_err(|error| StartError(error.to_string()))?.map(Arc::new))
}

/// The engine's part of it. `member` is the id at an earlier start.
pub(super) fn parts(
    config: &Config,
    member: Option<u64>,
    objects: Arc<dyn Objects>,
    counts: &PeerMetrics,
    credentials: Option<Arc<Credentials>>,
) -> Replicas {
    let caller =
        Caller::new(config.identity.cluster_id, Dialer::new(credentials), Handle::current());
    let myself = Myself {
        member: member.map(MemberId),
        name: config.name.clone(),
        peer_urls: texts(&config.initial_advertise_peer_urls),
        client_urls: texts(&config.advertise_client_urls),
        version: VERSION,
    };
    let founders = config.founders.iter();
    let founders = founders.map(|founder| (MemberId(founder.member_id), texts(&founder.peer_urls)));
    Replicas {
        peers: Arc::new(caller.counting(counts.clone())),
        objects,
        myself,
        digest_every: config.digest_every,
        founders: founders.collect(),
        patience: config.election_timeout,
    }
}

/// The server's part of it.
pub(super) fn attendant(config: &Config, engine: &Engine, counts: &PeerMetrics) -> Attendant {
    let attendant = Attendant::new(config.identity.cluster_id, Arc::new(engine.clone()));
    attendant.counting(counts.clone())
}
