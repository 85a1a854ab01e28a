//! Who calls, and whether they may. Reads are judged here, by rights at least as new as what is read;
//! commands get the caller's name and are judged by the machine, at their place in the order.

use std::sync::Arc;

use engine::Fault;
use http::{HeaderMap, HeaderValue};
use state::{Auth, Command, Identity, KeyRange, LeaseId, Refusal, Txn};

use super::{Method, Services};
use crate::grpc::{Context, Status};
use crate::security::tokens::fingerprint;
use crate::security::{Caller, Passwords, Tokens};

/// Where clients of gRPC put their token, and where those of the gateway do.
const TOKEN: [&str; 2] = ["token", "authorization"];
/// The gateway's own certificate says nothing of who uses it.
const GATEWAY: &str = "grpcgateway-accept";
/// Keys on leases that the machine looks at before it turns to others.
const KEYS_A_TURN: usize = 1000;

/// By what callers are known.
#[derive(Debug)]
pub struct Authentication {
    /// What they get for a password.
    pub tokens: Tokens,
    /// Checks passwords.
    pub passwords: Passwords,
    /// Whether a verified certificate's common name is a user: `--client-cert-auth`.
    pub certificates: bool,
}

/// Simple tokens, for as long as etcd's last without a flag, and no certificates.
impl Default for Authentication {
    fn default() -> Self {
        let passwords = Passwords::new(10);
        Self { tokens: Tokens::default(), passwords, certificates: false }
    }
}

/// What a call shows of who it is from, for as long as a stream lasts.
pub(super) struct Shown {
    token: Option<HeaderValue>,
    common_name: Option<Arc<str>>,
}

/// Whom a method is for, as far as its name tells.
enum For {
    /// Those with the root role.
    Root,
    /// Whoever is known.
    Known,
    /// It looks at what is asked for, or there is nothing to look at.
    Asked,
}

/// All of them by name, so that none is forgotten.
const fn whom(method: Method) -> For {
    match method {
        Method::Compact
        | Method::MemberAdd
        | Method::MemberRemove
        | Method::MemberUpdate
        | Method::MemberPromote
        | Method::Defragment
        | Method::Hash
        | Method::HashKv
        | Method::Snapshot
        | Method::MoveLeader
        | Method::Downgrade => For::Root,
        Method::Status
        | Method::MemberList
        | Method::Alarm
        | Method::LeaseGrant
        | Method::LeaseRevoke
        | Method::LeaseTimeToLive
        | Method::LeaseLeases => For::Known,
        Method::Range
        | Method::RangeStream
        | Method::Put
        | Method::DeleteRange
        | Method::Txn
        | Method::Watch
        | Method::LeaseKeepAlive
        | Method::Lock
        | Method::Unlock
        | Method::Campaign
        | Method::Proclaim
        | Method::Leader
        | Method::Observe
        | Method::Resign
        | Method::HealthCheck
        | Method::HealthList
        | Method::HealthWatch => For::Asked,
        Method::AuthEnable
        | Method::AuthDisable
        | Method::AuthStatus
        | Method::Authenticate
        | Method::UserAdd
        | Method::UserGet
        | Method::UserList
        | Method::UserDelete
        | Method::UserChangePassword
        | Method::UserGrantRole
        | Method::UserRevokeRole
        | Method::RoleAdd
        | Method::RoleGet
        | Method::RoleList
        | Method::RoleDelete
        | Method::RoleGrantPermission
        | Method::RoleRevokePermission => For::Asked,
    }
}

impl Services {
    /// Whether the caller may use a method at all.
    pub(super) fn admit_caller(&self, method: Method, context: &Context) -> Result<(), Status> {
        match whom(method) {
            For::Asked => Ok(()),
            For::Known => self.judge(context, Auth::is_somebody),
            For::Root => self.may_administer(context),
        }
    }

    /// Who calls; nobody in particular while nobody is asked.
    pub(super) fn who(&self, auth: &Auth, context: &Context) -> Result<Option<Identity>, Status> {
        if !auth.is_enabled() {
            return Ok(None);
        }
        let common_name = self.common_name(context);
        Ok(self.identify(auth, token(&context.metadata), common_name)?)
    }

    /// What to keep of a call to know its caller later.
    pub(super) fn shown(&self, context: &Context) -> Shown {
        let token = token(&context.metadata).cloned();
        Shown { token, common_name: self.common_name(context).cloned() }
    }

    /// As [`Services::who`], of a stream.
    pub(super) fn who_showed(
        &self,
        auth: &Auth,
        shown: &Shown,
    ) -> Result<Option<Identity>, Refusal> {
        if !auth.is_enabled() {
            return Ok(None);
        }
        self.identify(auth, shown.token.as_ref(), shown.common_name.as_ref())
    }

    /// Whether a certificate would say who calls, if the call came by gRPC.
    pub(crate) fn counts_on_certificate(&self, caller: &Caller) -> bool {
        let named = caller.common_name.as_ref().is_some_and(|name| !name.is_empty());
        named && self.authentication.certificates && self.engine.auth().is_enabled()
    }

    fn common_name<'a>(&self, context: &'a Context) -> Option<&'a Arc<str>> {
        let counts = self.authentication.certificates && !context.metadata.contains_key(GATEWAY);
        context.peer.caller.common_name.as_ref().filter(|_| counts)
    }

    /// A token, if there is one, and only otherwise the certificate.
    fn identify(
        &self,
        auth: &Auth,
        token: Option<&HeaderValue>,
        common_name: Option<&Arc<str>>,
    ) -> Result<Option<Identity>, Refusal> {
        let Some(token) = token else {
            let auth_revision = auth.revision();
            return Ok(common_name.cloned().map(|name| Identity::User { name, auth_revision }));
        };
        let text = token.to_str().unwrap_or_default();
        let text = text.strip_prefix("Bearer ").unwrap_or(text);
        let found = self.authentication.tokens.identify(text, auth);
        if found.is_none() {
            tracing::warn!("token-fingerprint" = fingerprint(text), "invalid auth token");
            return Err(Refusal::InvalidAuthToken);
        }
        Ok(found)
    }

    /// Has a question about the caller judged by what is in force now.
    fn judge(
        &self,
        context: &Context,
        judge: impl FnOnce(&Auth, Option<&Identity>) -> Result<(), Refusal>,
    ) -> Result<(), Status> {
        let auth = self.engine.auth();
        if !auth.is_enabled() {
            return Ok(());
        }
        let who = self.who(&auth, context)?;
        Ok(judge(&auth, who.as_ref())?)
    }

    /// Whether the caller has the root role.
    pub(super) fn may_administer(&self, context: &Context) -> Result<(), Status> {
        self.judge(context, Auth::may_administer)
    }

    /// Whether the caller may read a range; to be asked when the view it will be read from is there.
    pub(super) fn may_read(&self, context: &Context, range: &KeyRange) -> Result<(), Status> {
        self.judge(context, |auth, who| current(auth, who, auth.may_read(who, range)))
    }

    /// Whether the caller may have a transaction that only reads; to be asked as for a range.
    pub(super) fn may_read_txn(&self, context: &Context, txn: &Txn) -> Result<(), Status> {
        self.judge(context, |auth, who| current(auth, who, auth.may_read_txn(who, txn)))
    }

    /// Whether the caller may see what is attached to a lease.
    pub(super) fn may_read_keys(
        &self,
        context: &Context,
        keys: &[bytes::Bytes],
    ) -> Result<(), Status> {
        self.judge(context, |auth, who| auth.may_read_keys(who, keys.iter().map(|key| &**key)))
    }

    /// A command in the caller's name. Nobody's is refused here: at its place in the order it would be
    /// as well, and so it need not take one.
    pub(super) fn by(&self, context: &Context, command: Command) -> Result<Command, Status> {
        self.sized(context, command, 0)
    }

    /// As [`Services::by`], of a message of `size` bytes: etcd looks at those once it knows the caller, and
    /// before it misses one.
    pub(super) fn sized(
        &self,
        context: &Context,
        command: Command,
        size: usize,
    ) -> Result<Command, Status> {
        let auth = self.engine.auth();
        if !auth.is_enabled() {
            return self.check_size(size).map(|()| command);
        }
        let who = self.who(&auth, context)?;
        self.check_size(size)?;
        let Some(who) = who else {
            state::admit(self.engine.status().alarms.iter(), &command)?;
            return Err(Refusal::UserEmpty.into());
        };
        Ok(command.by(who))
    }

    /// Whether whoever showed this may renew a lease.
    pub(super) async fn may_renew(&self, shown: &Shown, id: LeaseId) -> Result<(), Status> {
        let auth = self.engine.auth();
        if !auth.is_enabled() {
            return Ok(());
        }
        let who = self.who_showed(&auth, shown)?.ok_or(Refusal::UserEmpty)?;
        if auth.may_administer(Some(&who)).is_err() {
            self.engine.ask(move |state| state.may_end_lease(Some(&who), id)).await??;
        }
        Ok(())
    }

    /// Whether the caller may know of all leases.
    pub(super) async fn may_list_leases(&self, context: &Context) -> Result<(), Status> {
        let auth = self.engine.auth();
        let who = self.who(&auth, context)?;
        if auth.may_administer(who.as_ref()).is_ok() {
            return Ok(());
        }
        let mut after = None;
        loop {
            let who = who.clone();
            let looked =
                move |state: &state::State| state.may_list_leases(who.as_ref(), after, KEYS_A_TURN);
            after = self.engine.ask(looked).await??;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Ends the tokens that nobody uses any more, for as long as it is polled.
    pub async fn sweep_tokens(self) {
        let mut every = tokio::time::interval(std::time::Duration::from_secs(1));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            every.tick().await;
            let auth = self.engine.auth();
            let expired = self.authentication.tokens.expired(&auth);
            if expired.is_empty() {
                continue;
            }
            let command = Command::Auth(state::AuthChange::TokensEnd { digests: expired });
            match self.engine.commit_own(command).await {
                Ok(_) => {}
                Err(Fault::Stopped) => return,
                Err(error) => tracing::warn!(%error, "tokens that have expired are still kept"),
            }
        }
    }
}

/// What a caller has been allowed by rights that are not those of now, it has not been allowed.
fn current(
    auth: &Auth,
    who: Option<&Identity>,
    judged: Result<(), Refusal>,
) -> Result<(), Refusal> {
    judged?;
    match who {
        Some(Identity::User { auth_revision, .. }) if *auth_revision != auth.revision() => {
            Err(Refusal::AuthOldRevision)
        }
        _ => Ok(()),
    }
}

fn token(metadata: &HeaderMap) -> Option<&HeaderValue> {
    TOKEN.iter().find_map(|name| metadata.get(*name))
}
