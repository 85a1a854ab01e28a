//! The requests of an etcd's write-ahead log, as commands.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use prost::Message;
use state::{
    AlarmAction, AuthChange, AuthRevision, Command, Identity, KeyRange, LeaseId, MemberId,
    PasswordHash, Permission, PermissionType, Refusal, Revision,
};

use crate::rpc::translate;
use crate::wire::etcdserverpb as pb;
use crate::wire::raftpb::{Grant, Header, NewPassword, NewUser, OldRequest, Request, Revocation};

/// What etcd grants at the least, with the election timeout that it has by default.
const LEAST_TTL: i64 = 2;
/// The methods of the old API.
const OLD: [&str; 7] = ["GET", "PUT", "POST", "DELETE", "QGET", "SYNC", "HEAD"];

/// The command that a request comes to; none, if it changes nothing of what a state is.
///
/// # Errors
/// Why it cannot be understood.
pub(super) fn command(request: &[u8]) -> Result<Option<Command>, String> {
    if request.is_empty() {
        return Ok(None);
    }
    let bytes = Bytes::copy_from_slice(request);
    if OldRequest::decode(bytes.clone()).is_ok_and(|old| OLD.contains(&old.method.as_str())) {
        return Ok(None);
    }
    let request = Request::decode(bytes).map_err(|error| format!("it cannot be read: {error}"))?;
    if is_nothing(&request) {
        return Ok(None);
    }
    let who = request.header.as_ref().and_then(who);
    if let Some(command) = of_keys(&request).map_err(unacceptable)? {
        return Ok(Some(in_name(command, who)));
    }
    if let Some(command) = of_others(&request) {
        // Nobody is asked for these when they are applied: whoever wrote them was let in before.
        return Ok(command.map(|command| command.by(Identity::Server)));
    }
    match of_auth(request)? {
        Some(change) => Ok(Some(in_name(Command::Auth(change), who))),
        None => Err("it is of a kind that no etcd up to 3.7 writes".to_owned()),
    }
}

fn unacceptable(refusal: Refusal) -> String {
    format!("it is none that an etcd accepts: {refusal:?}")
}

fn in_name(command: Command, who: Option<Identity>) -> Command {
    match who {
        Some(who) => command.by(who),
        None => command,
    }
}

fn who(header: &Header) -> Option<Identity> {
    let auth_revision = AuthRevision(header.auth_revision);
    let name = Arc::from(header.username.as_str());
    Some(Identity::User { name, auth_revision }).filter(|_| !header.username.is_empty())
}

/// Whether it reads, or is about members, versions and tokens.
fn is_nothing(request: &Request) -> bool {
    let Request { range, lease_checkpoint, authenticate, auth_status, .. } = request;
    let Request { auth_user_get, auth_user_list, auth_role_get, auth_role_list, .. } = request;
    let Request { cluster_version_set, cluster_member_attr_set, downgrade_info_set, .. } = request;
    let nothings = [
        range,
        lease_checkpoint,
        authenticate,
        auth_status,
        auth_user_get,
        auth_user_list,
        auth_role_get,
        auth_role_list,
        cluster_version_set,
        cluster_member_attr_set,
        downgrade_info_set,
        &request.downgrade_version_test,
    ];
    !request.v2.is_empty() || nothings.iter().any(|nothing| nothing.is_some())
}

/// A command that is judged by who asks.
fn of_keys(request: &Request) -> Result<Option<Command>, Refusal> {
    let request = request.clone();
    Ok(if let Some(put) = request.put {
        Some(Command::Put(translate::put(put)?))
    } else if let Some(delete) = request.delete_range {
        Some(Command::DeleteRange(translate::delete_range(delete)?))
    } else if let Some(txn) = request.txn {
        // How many operations it may have, that etcd was told by --max-txn-ops.
        Some(Command::Txn(translate::txn(txn, usize::MAX)?.0))
    } else {
        request.lease_revoke.map(|revoke| Command::LeaseRevoke { id: LeaseId(revoke.id) })
    })
}

/// A command that is not; an alarm of no kind is no command.
fn of_others(request: &Request) -> Option<Option<Command>> {
    if let Some(compaction) = &request.compaction {
        return Some(Some(Command::Compact { revision: Revision(compaction.revision) }));
    }
    if let Some(grant) = &request.lease_grant {
        let (id, ttl) = (LeaseId(grant.id), grant.ttl.max(LEAST_TTL));
        return Some(Some(Command::LeaseGrant { id, ttl }));
    }
    request.alarm.as_ref().map(alarm)
}

fn alarm(request: &pb::AlarmRequest) -> Option<Command> {
    let action = match request.action {
        1 => AlarmAction::Activate,
        2 => AlarmAction::Deactivate,
        _ => return None,
    };
    let member = MemberId(request.member_id);
    translate::alarm_type(request.alarm).map(|alarm| Command::Alarm { action, member, alarm })
}

fn of_auth(request: Request) -> Result<Option<AuthChange>, String> {
    let named = |name: String| Arc::<str>::from(name);
    Ok(Some(if request.auth_enable.is_some() {
        AuthChange::Enable
    } else if request.auth_disable.is_some() {
        AuthChange::Disable
    } else if let Some(user) = request.auth_user_add {
        user_add(user)?
    } else if let Some(user) = request.auth_user_delete {
        AuthChange::UserDelete { name: named(user.name) }
    } else if let Some(change) = request.auth_user_change_password {
        user_change_password(change)?
    } else if let Some(grant) = request.auth_user_grant_role {
        AuthChange::UserGrantRole { user: named(grant.user), role: named(grant.role) }
    } else if let Some(grant) = request.auth_user_revoke_role {
        AuthChange::UserRevokeRole { user: named(grant.user), role: named(grant.role) }
    } else if let Some(role) = request.auth_role_add {
        AuthChange::RoleAdd { name: named(role.name) }
    } else if let Some(role) = request.auth_role_delete {
        AuthChange::RoleDelete { name: named(role.name) }
    } else if let Some(Grant { role, permission }) = request.auth_role_grant_permission {
        let granted = permission.unwrap_or_default();
        let range = KeyRange { key: granted.key, range_end: granted.range_end };
        let permission = Permission { kind: PermissionType::of_number(granted.kind), range };
        AuthChange::RoleGrantPermission { role: named(role), permission }
    } else if let Some(Revocation { role, key, range_end }) = request.auth_role_revoke_permission {
        let range = KeyRange { key, range_end };
        AuthChange::RoleRevokePermission { role: named(role), range }
    } else {
        return Ok(None);
    }))
}

fn user_add(user: NewUser) -> Result<AuthChange, String> {
    let no_password = user.options.is_some_and(|options| options.no_password);
    let password = match no_password {
        true => PasswordHash::default(),
        false => hash(&user.name, &user.password, &user.hashed_password)?,
    };
    Ok(AuthChange::UserAdd { name: Arc::from(user.name), password, no_password })
}

fn user_change_password(change: NewPassword) -> Result<AuthChange, String> {
    let password = hash(&change.name, &change.password, &change.hashed_password)?;
    Ok(AuthChange::UserChangePassword { name: Arc::from(change.name), password })
}

/// etcd 3.4 writes passwords themselves, and hashes them when they are applied.
fn hash(user: &str, password: &str, hashed: &str) -> Result<PasswordHash, String> {
    if hashed.is_empty() && !password.is_empty() {
        return Err(format!(
            "it gives user {user} a password that is not hashed yet, as etcd 3.4 does: start that etcd \
             once more and stop it in order, which brings its database up to date"
        ));
    }
    BASE64
        .decode(hashed)
        .map(|bytes| PasswordHash(Bytes::from(bytes)))
        .map_err(|_| format!("the hash of user {user}'s password cannot be read"))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
