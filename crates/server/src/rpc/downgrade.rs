//! Downgrade: the cluster is told that its members will be exchanged for those of the version before.
//! From then on, and until that is called off, it answers as a cluster of that version.

use state::{ClusterVersion, Command, Reply};

use super::maintenance::version_of;
use super::{Services, mismatched, status};
use crate::grpc::{Context, Status};
use crate::wire::etcdserverpb as pb;
use pb::downgrade_request::DowngradeAction;

impl Services {
    pub(super) async fn downgrade(
        &self,
        context: &Context,
        request: pb::DowngradeRequest,
    ) -> Result<pb::DowngradeResponse, Status> {
        let action = DowngradeAction::try_from(request.action);
        let action = action.map_err(|_| status::UNKNOWN_ACTION)?;
        self.engine.linearizable_view().await?;
        let version = self.cluster_version();
        match action {
            DowngradeAction::Validate => self.may_downgrade(&request.version).map(drop)?,
            DowngradeAction::Enable => {
                let to = Some(self.may_downgrade(&request.version)?);
                self.change_version(context, to).await?;
            }
            // As etcd: that there is nothing to cancel stands in the log alone.
            DowngradeAction::Cancel => {
                if let Err(status) = self.change_version(context, None).await {
                    tracing::warn!(error = %status.message, "failed to cancel downgrade");
                }
            }
        }
        let version = format!("{}.{}", version.major, version.minor);
        Ok(pb::DowngradeResponse { header: Some(self.header_now()), version })
    }

    /// The version that every member can speak, unless a downgrade is under way.
    #[must_use]
    pub fn cluster_version(&self) -> ClusterVersion {
        version_of(&self.engine.status().cluster)
    }

    fn may_downgrade(&self, text: &str) -> Result<ClusterVersion, Status> {
        let target = parse(text).ok_or(status::BAD_VERSION)?;
        let version = self.cluster_version();
        let is_before = target.minor.checked_add(1) == Some(version.minor);
        if target.major != version.major || !is_before {
            return Err(status::NOT_A_DOWNGRADE);
        }
        if self.engine.status().cluster.downgrade().is_some() {
            return Err(state::Refusal::DowngradeInProgress.into());
        }
        Ok(target)
    }

    async fn change_version(
        &self,
        context: &Context,
        to: Option<ClusterVersion>,
    ) -> Result<(), Status> {
        let command = self.by(context, Command::Downgrade { to })?;
        let outcome = self.commit(command).await?;
        let Reply::Downgrade = outcome.result? else { return Err(mismatched()) };
        Ok(())
    }
}

/// The major and minor of `1.2.3`, `1.2.3-pre+build` or `1.2`.
fn parse(text: &str) -> Option<ClusterVersion> {
    dotted(text).or_else(|| dotted(&format!("{text}.0")))
}

fn dotted(text: &str) -> Option<ClusterVersion> {
    let (text, build) = text.split_once('+').unwrap_or((text, ""));
    let (text, pre) = text.split_once('-').unwrap_or((text, ""));
    let mut parts = text.splitn(3, '.').map(number);
    let (major, minor, _) = (parts.next()??, parts.next()??, parts.next()??);
    let is_named = |names: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        names.is_empty() || names.split('.').all(|name| !name.is_empty() && name.chars().all(plain))
    };
    (is_named(build) && is_named(pre)).then_some(ClusterVersion { major, minor })
}

/// As Go reads 64 bits with a sign, of which no sign is left here.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse::<i64>().ok().filter(|_| is_number).and_then(|n| n.try_into().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_etcd_reads_them() {
        for text in ["3.6", "3.6.0", "3.6.12", "3.6.0-rc.1", "3.6.0+build", "03.06.00"] {
            assert_eq!(parse(text), Some(ClusterVersion { major: 3, minor: 6 }), "{text}");
        }
        for text in ["", "3", "v3.6", "3.6.x", "3.6-rc", "3.6.0.0", "3..0", "a.b.c", " 3.6"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
