//! The Maintenance service: status, alarms, checksums. There is nothing to defragment here.

use std::time::{Duration, Instant};

use engine::Fault;
use engine::etcd::STORAGE_VERSION;
use state::{AlarmAction, AlarmType, Cluster, ClusterVersion, Command, MemberId, Reply, Revision};

use tokio::time::timeout;

use super::{Services, mismatched, range, status, translate};
use crate::grpc::{Context, Status};
use crate::wire::etcdserverpb as pb;
use pb::alarm_request::AlarmAction as Action;

/// The etcd that this server answers as.
pub const ETCD_VERSION: &str = "3.7.1";
/// The cluster's and the storage's version that go with it, as long as no downgrade is under way and every
/// member speaks it.
pub const VERSION: ClusterVersion = STORAGE_VERSION;
/// etcdctl and dashboards divide by the size, and an etcd's file is never empty.
pub(crate) const SMALLEST_SIZE: u64 = 4096;
/// How long the other may take to write instead of us.
const HANDING_OVER: Duration = Duration::from_secs(5);

/// The version that every member can speak, or that of the downgrade under way.
pub(super) fn version_of(cluster: &Cluster) -> ClusterVersion {
    let spoken = cluster.version().unwrap_or(VERSION).min(VERSION);
    cluster.downgrade().map_or(spoken, |to| to.min(spoken))
}

impl Services {
    pub(super) fn status(&self) -> pb::StatusResponse {
        let status = self.engine.status();
        let downgrade = status.cluster.downgrade();
        let storage_version = version_of(&status.cluster);
        let mut errors = Vec::new();
        if status.leader.0 == 0 {
            errors.push("etcdserver: no leader".to_owned());
        }
        errors.extend(status.alarms.iter().map(alarm_text));
        pb::StatusResponse {
            header: Some(self.header_now()),
            version: ETCD_VERSION.to_owned(),
            db_size: signed(status.allocated_bytes.max(SMALLEST_SIZE)),
            leader: status.leader.0,
            raft_index: status.durable.0,
            raft_term: status.epoch.0,
            raft_applied_index: status.applied.0,
            errors,
            db_size_in_use: signed(status.in_use_bytes),
            is_learner: self.engine.is_learner(),
            storage_version: storage_version.to_string(),
            db_size_quota: status.quota.map_or(-1, signed),
            downgrade_info: Some(pb::DowngradeInfo {
                enabled: downgrade.is_some(),
                target_version: downgrade.map_or_else(String::new, |to| to.to_string()),
            }),
        }
    }

    pub(super) async fn alarm(
        &self,
        context: &Context,
        request: pb::AlarmRequest,
    ) -> Result<pb::AlarmResponse, Status> {
        let alarm = translate::alarm_type(request.alarm);
        let action = match Action::try_from(request.action) {
            Ok(Action::Activate) => AlarmAction::Activate,
            Ok(Action::Deactivate) => AlarmAction::Deactivate,
            Ok(Action::Get) | Err(_) => return self.alarms(alarm).await,
        };
        self.may_administer(context)?;
        // Neither is anything done about no alarm in particular, after what was acknowledged.
        let Some(alarm) = alarm else {
            self.engine.linearizable_view().await?;
            return self.alarm_reply(Vec::new());
        };
        let command = Command::Alarm { action, member: MemberId(request.member_id), alarm };
        let outcome = self.commit(self.by(context, command)?).await?;
        let Reply::Alarm(alarms) = outcome.result? else { return Err(mismatched()) };
        self.alarm_reply(alarms)
    }

    async fn alarms(&self, only: Option<AlarmType>) -> Result<pb::AlarmResponse, Status> {
        self.engine.linearizable_view().await?;
        let mut alarms = self.engine.status().alarms;
        alarms.retain(|alarm| only.is_none_or(|only| alarm.alarm == only));
        self.alarm_reply(alarms)
    }

    #[allow(clippy::unnecessary_wraps)]
    fn alarm_reply(&self, alarms: Vec<state::Alarm>) -> Result<pb::AlarmResponse, Status> {
        let alarms = alarms.iter().map(translate::alarm_member).collect();
        Ok(pb::AlarmResponse { header: Some(self.header_now()), alarms })
    }

    /// Space is given back as it becomes free, so there is nothing to do but say so as etcd does.
    pub(super) fn defragment(&self) -> pb::DefragmentResponse {
        let began = Instant::now();
        tracing::info!("starting defragment");
        tracing::info!("finished defragment");
        self.metrics.store.defragment.observe(began.elapsed());
        pb::DefragmentResponse { header: None }
    }

    /// Has another member write from now on; where there is but one, it leads already.
    pub(super) async fn move_leader(
        &self,
        request: pb::MoveLeaderRequest,
    ) -> Result<pb::MoveLeaderResponse, Status> {
        let engine = self.engine.status();
        if engine.leader != engine.member {
            return Err(status::NOT_LEADER);
        }
        let target = MemberId(request.target_id);
        let members = engine.cluster.members();
        if members.is_empty() {
            self.known(target.0).map_err(|_| status::BAD_TRANSFEREE)?;
        } else if members.get(&target).is_none_or(|member| member.learner) {
            return Err(status::BAD_TRANSFEREE);
        }
        if target != engine.member {
            tracing::info!(to = %format_args!("{:x}", target.0), "leadership transfer starting");
            let moved = timeout(HANDING_OVER, self.engine.hand_over(Some(target))).await;
            let moved = moved.unwrap_or(Err(Fault::Timeout));
            moved.map_err(|reason| {
                tracing::warn!(%reason, "leadership transfer failed");
                status::TRANSFER_TOO_LONG
            })?;
            tracing::info!("leadership transfer finished");
        }
        Ok(pb::MoveLeaderResponse { header: None })
    }

    pub(super) async fn hash(&self) -> Result<pb::HashResponse, Status> {
        let began = Instant::now();
        let view = self.engine.view();
        let header = Some(self.header(view.revision()));
        let hashed = range::aside(move || view.hash(Revision(0))).await??;
        self.metrics.store.hash.observe(began.elapsed());
        Ok(pb::HashResponse { header, hash: hashed.hash })
    }

    pub(super) async fn hash_kv(
        &self,
        request: pb::HashKvRequest,
    ) -> Result<pb::HashKvResponse, Status> {
        let began = Instant::now();
        let view = self.engine.view();
        let header = Some(self.header(view.revision()));
        let revision = Revision(request.revision);
        let hashed = range::aside(move || view.hash(revision)).await??;
        self.metrics.store.hash_revision.observe(began.elapsed());
        Ok(pb::HashKvResponse {
            header,
            hash: hashed.hash,
            compact_revision: hashed.compact_revision.0,
            hash_revision: hashed.revision.0,
        })
    }
}

/// An alarm as etcd's `Status` writes it.
fn alarm_text(alarm: &state::Alarm) -> String {
    let name = match alarm.alarm {
        AlarmType::NoSpace => "NOSPACE",
        AlarmType::Corrupt => "CORRUPT",
    };
    match alarm.member.0 {
        0 => format!("alarm:{name}"),
        member => format!("memberID:{member} alarm:{name}"),
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
