//! The Auth service: users, roles, and tokens for passwords. A password is hashed or checked beside the
//! commands, never among them, and only for who may ask for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use state::{
    Auth, AuthChange, AuthRevision, Command, KeyRange, PasswordHash, Permission, PermissionType,
    ROOT, Refusal, Reply, Revision,
};

use super::{Method, Services, decode, mismatched, reply};
use crate::grpc::{Context, Payload, Status};
use crate::observe::request;
use crate::security::{Password, tokens};
use crate::wire::{authpb, etcdserverpb as pb};

/// How often a password is checked again because users or roles changed meanwhile.
const TRIES: usize = 10;

/// What most of the service's requests come to.
macro_rules! changed {
    ($reply:ident, $services:expr, $context:expr, $change:expr) => {{
        let header = Some($services.change($context, $change).await?);
        reply(&pb::$reply { header })
    }};
}

impl Services {
    /// Answers a method of this service.
    pub(super) async fn answer_auth(
        &self,
        method: Method,
        context: &Context,
        message: Bytes,
    ) -> Result<Payload, Status> {
        match method {
            Method::AuthEnable => changed!(AuthEnableResponse, self, context, AuthChange::Enable),
            Method::AuthDisable => {
                changed!(AuthDisableResponse, self, context, AuthChange::Disable)
            }
            Method::AuthStatus => reply(&self.auth_status(context).await?),
            Method::Authenticate => reply(&self.authenticate(context, decode(message)?).await?),
            Method::RoleAdd
            | Method::RoleGet
            | Method::RoleList
            | Method::RoleDelete
            | Method::RoleGrantPermission
            | Method::RoleRevokePermission => self.answer_role(method, context, message).await,
            _ => self.answer_user(method, context, message).await,
        }
    }

    async fn answer_user(
        &self,
        method: Method,
        context: &Context,
        message: Bytes,
    ) -> Result<Payload, Status> {
        match method {
            Method::UserAdd => reply(&self.user_add(context, decode(message)?).await?),
            Method::UserGet => reply(&self.user_get(context, decode(message)?).await?),
            Method::UserList => reply(&self.user_list(context).await?),
            Method::UserDelete => {
                let pb::AuthUserDeleteRequest { name } = decode(message)?;
                let change = AuthChange::UserDelete { name: name.into() };
                changed!(AuthUserDeleteResponse, self, context, change)
            }
            Method::UserChangePassword => {
                reply(&self.user_change_password(context, decode(message)?).await?)
            }
            Method::UserGrantRole => {
                let pb::AuthUserGrantRoleRequest { user, role } = decode(message)?;
                let change = AuthChange::UserGrantRole { user: user.into(), role: role.into() };
                changed!(AuthUserGrantRoleResponse, self, context, change)
            }
            Method::UserRevokeRole => {
                let pb::AuthUserRevokeRoleRequest { name, role } = decode(message)?;
                let change = AuthChange::UserRevokeRole { user: name.into(), role: role.into() };
                changed!(AuthUserRevokeRoleResponse, self, context, change)
            }
            other => Err(other.misled()),
        }
    }

    async fn answer_role(
        &self,
        method: Method,
        context: &Context,
        message: Bytes,
    ) -> Result<Payload, Status> {
        match method {
            Method::RoleAdd => {
                let pb::AuthRoleAddRequest { name } = decode(message)?;
                let change = AuthChange::RoleAdd { name: name.into() };
                changed!(AuthRoleAddResponse, self, context, change)
            }
            Method::RoleGet => reply(&self.role_get(context, decode(message)?).await?),
            Method::RoleList => reply(&self.role_list(context).await?),
            Method::RoleDelete => {
                let pb::AuthRoleDeleteRequest { role } = decode(message)?;
                let change = AuthChange::RoleDelete { name: role.into() };
                changed!(AuthRoleDeleteResponse, self, context, change)
            }
            Method::RoleGrantPermission => {
                let pb::AuthRoleGrantPermissionRequest { name, perm } = decode(message)?;
                self.may_administer(context)?;
                let permission = permission(perm.ok_or(Refusal::PermissionNotGiven)?);
                let change = AuthChange::RoleGrantPermission { role: name.into(), permission };
                changed!(AuthRoleGrantPermissionResponse, self, context, change)
            }
            Method::RoleRevokePermission => {
                let request: pb::AuthRoleRevokePermissionRequest = decode(message)?;
                let range = KeyRange { key: request.key, range_end: request.range_end };
                let change = AuthChange::RoleRevokePermission { role: request.role.into(), range };
                changed!(AuthRoleRevokePermissionResponse, self, context, change)
            }
            other => Err(other.misled()),
        }
    }

    /// Has a change ordered in the caller's name.
    async fn change(
        &self,
        context: &Context,
        change: AuthChange,
    ) -> Result<pb::ResponseHeader, Status> {
        self.may_administer(context)?;
        let command = self.by(context, Command::Auth(change))?;
        let told = request::of_command(&command);
        let outcome = self.commit(command).await?;
        let Reply::Auth = outcome.result? else { return Err(mismatched()) };
        tracing::info!(change = told, "users or roles changed");
        Ok(self.header(outcome.revision))
    }

    async fn auth_status(&self, context: &Context) -> Result<pb::AuthStatusResponse, Status> {
        self.engine.linearizable_view().await?;
        let auth = self.engine.auth();
        // Nobody in particular may ask, but not by a token that is wrong.
        self.who(&auth, context)?;
        Ok(pb::AuthStatusResponse {
            header: Some(self.header_now()),
            enabled: auth.is_enabled(),
            auth_revision: auth.revision().0,
        })
    }

    async fn authenticate(
        &self,
        context: &Context,
        request: pb::AuthenticateRequest,
    ) -> Result<pb::AuthenticateResponse, Status> {
        let pb::AuthenticateRequest { name, password } = request;
        let password = Password::from(password);
        self.engine.linearizable_view().await?;
        for _ in 0..TRIES {
            let auth = self.engine.auth();
            if let Err(status) = self.check_password(&auth, context, &name, &password).await {
                tracing::warn!("user-name" = name, error = %status, "authentication failed");
                return Err(status);
            }
            if let Some((token, revision)) = self.issue(&name, auth.revision()).await? {
                let header = Some(self.header(revision));
                return Ok(pb::AuthenticateResponse { header, token });
            }
            tracing::info!("users or roles changed while a password was checked; checking again");
        }
        Err(Refusal::AuthOldRevision.into())
    }

    async fn check_password(
        &self,
        auth: &Auth,
        context: &Context,
        name: &str,
        password: &Password,
    ) -> Result<(), Status> {
        if !auth.is_enabled() {
            return Err(Refusal::AuthNotEnabled.into());
        }
        let user = auth.user(name).ok_or(Refusal::AuthFailed)?;
        if user.has_no_password() {
            return Err(Refusal::NoPasswordUser.into());
        }
        let (passwords, hash) = (&self.authentication.passwords, user.password().0.clone());
        let caller = context.peer.address.map(|address| address.ip());
        if passwords.check(caller, password.clone(), hash).await? {
            return Ok(());
        }
        Err(Refusal::AuthFailed.into())
    }

    /// A token for a user whose password was right at this revision of users and roles; none, if that
    /// is not the present one any more.
    async fn issue(
        &self,
        name: &str,
        auth_revision: AuthRevision,
    ) -> Result<Option<(String, Revision)>, Status> {
        let tokens = &self.authentication.tokens;
        let index = self.engine.status().durable.0 + 1;
        let token = tokens.issue(name, auth_revision, index)?;
        if !tokens.are_kept() {
            let is_current = self.engine.auth().revision() == auth_revision;
            return Ok(is_current.then(|| (token, self.engine.view().revision())));
        }
        let digest = tokens::digest(&token);
        let change = AuthChange::TokenIssue { user: name.into(), digest, auth_revision };
        let outcome = self.commit(Command::Auth(change)).await?;
        match outcome.result {
            Ok(Reply::Auth) => Ok(Some((token, outcome.revision))),
            Ok(_) => Err(mismatched()),
            Err(Refusal::AuthOldRevision) => Ok(None),
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn user_add(
        &self,
        context: &Context,
        request: pb::AuthUserAddRequest,
    ) -> Result<pb::AuthUserAddResponse, Status> {
        let pb::AuthUserAddRequest { name, password, options, .. } = request;
        self.may_administer(context)?;
        let no_password = options.is_some_and(|options| options.no_password);
        let password = if no_password {
            PasswordHash::default()
        } else {
            self.hash_password(context, password).await?
        };
        let change = AuthChange::UserAdd { name: name.into(), password, no_password };
        let header = Some(self.change(context, change).await?);
        Ok(pb::AuthUserAddResponse { header })
    }

    /// Without a password, the hash that came with the request is taken, as in etcd.
    async fn user_change_password(
        &self,
        context: &Context,
        request: pb::AuthUserChangePasswordRequest,
    ) -> Result<pb::AuthUserChangePasswordResponse, Status> {
        let pb::AuthUserChangePasswordRequest { name, password, hashed_password } = request;
        self.may_administer(context)?;
        let password = if password.is_empty() {
            let auth = self.engine.auth();
            let has_one = auth.user(&name).is_some_and(|user| !user.has_no_password());
            match BASE64.decode(hashed_password) {
                Err(_) if has_one => return Err(Refusal::NoPasswordUser.into()),
                decoded => PasswordHash(decoded.unwrap_or_default().into()),
            }
        } else {
            self.hash_password(context, password).await?
        };
        let change = AuthChange::UserChangePassword { name: name.into(), password };
        let header = Some(self.change(context, change).await?);
        Ok(pb::AuthUserChangePasswordResponse { header })
    }

    async fn hash_password(
        &self,
        context: &Context,
        password: String,
    ) -> Result<PasswordHash, Status> {
        let caller = context.peer.address.map(|address| address.ip());
        let hash = self.authentication.passwords.hash(caller, password.into()).await?;
        Ok(PasswordHash(hash.into()))
    }

    /// One's own roles one may always see.
    async fn user_get(
        &self,
        context: &Context,
        request: pb::AuthUserGetRequest,
    ) -> Result<pb::AuthUserGetResponse, Status> {
        self.engine.linearizable_view().await?;
        let auth = self.engine.auth();
        let who = self.who(&auth, context)?;
        let own = who.as_ref().and_then(|who| who.name()).map_or("", |name| &**name);
        if own != request.name {
            auth.may_administer(who.as_ref())?;
        }
        let user = auth.user(&request.name).ok_or(Refusal::UserNotFound)?;
        let roles = user.roles().iter().map(|role| role.to_string()).collect();
        Ok(pb::AuthUserGetResponse { header: Some(self.header_now()), roles })
    }

    async fn user_list(&self, context: &Context) -> Result<pb::AuthUserListResponse, Status> {
        let auth = self.administered(context).await?;
        let users = auth.users().map(|(name, _)| name.to_string()).collect();
        Ok(pb::AuthUserListResponse { header: Some(self.header_now()), users })
    }

    async fn role_list(&self, context: &Context) -> Result<pb::AuthRoleListResponse, Status> {
        let auth = self.administered(context).await?;
        let roles = auth.roles().map(|(name, _)| name.to_string()).collect();
        Ok(pb::AuthRoleListResponse { header: Some(self.header_now()), roles })
    }

    /// A role one has one may always see.
    async fn role_get(
        &self,
        context: &Context,
        request: pb::AuthRoleGetRequest,
    ) -> Result<pb::AuthRoleGetResponse, Status> {
        self.engine.linearizable_view().await?;
        let auth = self.engine.auth();
        let who = self.who(&auth, context)?;
        let user = who.as_ref().and_then(|who| who.name()).and_then(|name| auth.user(name));
        if !user.is_some_and(|user| user.has_role(&request.role)) {
            auth.may_administer(who.as_ref())?;
        }
        let role = auth.role(&request.role).ok_or(Refusal::RoleNotFound)?;
        let everything = KeyRange { key: Bytes::new(), range_end: Bytes::from_static(b"\0") };
        let all = [Permission { kind: PermissionType::ReadWrite, range: everything }];
        let role = if request.role == ROOT { &all } else { role };
        let perm = role.iter().map(wire_permission).collect();
        Ok(pb::AuthRoleGetResponse { header: Some(self.header_now()), perm })
    }

    /// Users and roles, for those with the root role.
    async fn administered(&self, context: &Context) -> Result<std::sync::Arc<Auth>, Status> {
        self.engine.linearizable_view().await?;
        let auth = self.engine.auth();
        let who = self.who(&auth, context)?;
        auth.may_administer(who.as_ref())?;
        Ok(auth)
    }
}

fn permission(permission: authpb::Permission) -> Permission {
    Permission {
        kind: PermissionType::of_number(permission.perm_type),
        range: KeyRange { key: permission.key, range_end: permission.range_end },
    }
}

fn wire_permission(permission: &Permission) -> authpb::Permission {
    authpb::Permission {
        perm_type: permission.kind.number(),
        key: permission.range.key.clone(),
        range_end: permission.range.range_end.clone(),
    }
}
