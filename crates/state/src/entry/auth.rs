//! Changes of who may do what, and in whose name a command stands, to bytes and back.

use bytes::{BufMut, BytesMut};

use super::{decode, encode, tag};
use crate::auth::{AuthChange, Identity, PasswordHash, Permission, PermissionType};
use crate::codec::{DecodeError, Reader, put_signed, put_string, put_unsigned};
use crate::ids::AuthRevision;

/// The byte after the tag: which change.
mod kind {
    pub(super) const ENABLE: u8 = 1;
    pub(super) const DISABLE: u8 = 2;
    pub(super) const USER_ADD: u8 = 3;
    pub(super) const USER_DELETE: u8 = 4;
    pub(super) const USER_CHANGE_PASSWORD: u8 = 5;
    pub(super) const USER_GRANT_ROLE: u8 = 6;
    pub(super) const USER_REVOKE_ROLE: u8 = 7;
    pub(super) const ROLE_ADD: u8 = 8;
    pub(super) const ROLE_DELETE: u8 = 9;
    pub(super) const ROLE_GRANT_PERMISSION: u8 = 10;
    pub(super) const ROLE_REVOKE_PERMISSION: u8 = 11;
    pub(super) const TOKEN_ISSUE: u8 = 12;
    pub(super) const TOKENS_END: u8 = 13;
    pub(super) const GREATEST: u8 = TOKENS_END;
}

pub(super) fn encode_who(out: &mut BytesMut, who: &Identity) {
    match who {
        Identity::User { name, auth_revision } => {
            out.put_u8(tag::AS_USER);
            put_string(out, name.as_bytes());
            put_unsigned(out, auth_revision.0);
        }
        Identity::Server => out.put_u8(tag::AS_SERVER),
    }
}

/// In whose name the command behind this tag stands; `None` if the tag says nothing of that.
pub(super) fn decode_who(
    reader: &mut Reader<'_>,
    tag: u8,
) -> Result<Option<Identity>, DecodeError> {
    match tag {
        tag::AS_USER => {
            let (name, auth_revision) = (reader.name()?, AuthRevision(reader.unsigned()?));
            Ok(Some(Identity::User { name, auth_revision }))
        }
        tag::AS_SERVER => Ok(Some(Identity::Server)),
        _ => Ok(None),
    }
}

pub(super) fn encode(out: &mut BytesMut, change: &AuthChange) {
    match change {
        AuthChange::Enable => out.put_u8(kind::ENABLE),
        AuthChange::Disable => out.put_u8(kind::DISABLE),
        AuthChange::UserAdd { name, password, no_password } => {
            names(out, kind::USER_ADD, &[name]);
            out.put_u8(u8::from(*no_password));
            put_string(out, &password.0);
        }
        AuthChange::UserDelete { name } => names(out, kind::USER_DELETE, &[name]),
        AuthChange::UserChangePassword { name, password } => {
            names(out, kind::USER_CHANGE_PASSWORD, &[name]);
            put_string(out, &password.0);
        }
        AuthChange::UserGrantRole { user, role } => {
            names(out, kind::USER_GRANT_ROLE, &[user, role]);
        }
        AuthChange::UserRevokeRole { user, role } => {
            names(out, kind::USER_REVOKE_ROLE, &[user, role]);
        }
        AuthChange::RoleAdd { name } => names(out, kind::ROLE_ADD, &[name]),
        AuthChange::RoleDelete { name } => names(out, kind::ROLE_DELETE, &[name]),
        AuthChange::RoleGrantPermission { role, permission } => {
            names(out, kind::ROLE_GRANT_PERMISSION, &[role]);
            encode_permission(out, permission);
        }
        AuthChange::RoleRevokePermission { role, range } => {
            names(out, kind::ROLE_REVOKE_PERMISSION, &[role]);
            encode::key_range(out, range);
        }
        AuthChange::TokenIssue { user, digest, auth_revision } => {
            names(out, kind::TOKEN_ISSUE, &[user]);
            out.put_slice(&digest.0);
            put_unsigned(out, auth_revision.0);
        }
        AuthChange::TokensEnd { digests } => {
            out.put_u8(kind::TOKENS_END);
            put_unsigned(out, digests.len() as u64);
            digests.iter().for_each(|digest| out.put_slice(&digest.0));
        }
    }
}

fn names(out: &mut BytesMut, kind: u8, names: &[&str]) {
    out.put_u8(kind);
    names.iter().for_each(|name| put_string(out, name.as_bytes()));
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<AuthChange, DecodeError> {
    let offset = reader.offset();
    Ok(match reader.byte()? {
        kind::ENABLE => AuthChange::Enable,
        kind::DISABLE => AuthChange::Disable,
        kind::USER_ADD => {
            let (name, no_password) = (reader.name()?, reader.flag()?);
            AuthChange::UserAdd { name, password: password(reader)?, no_password }
        }
        kind::USER_DELETE => AuthChange::UserDelete { name: reader.name()? },
        kind::USER_CHANGE_PASSWORD => {
            AuthChange::UserChangePassword { name: reader.name()?, password: password(reader)? }
        }
        kind::USER_GRANT_ROLE => {
            AuthChange::UserGrantRole { user: reader.name()?, role: reader.name()? }
        }
        kind::USER_REVOKE_ROLE => {
            AuthChange::UserRevokeRole { user: reader.name()?, role: reader.name()? }
        }
        kind::ROLE_ADD => AuthChange::RoleAdd { name: reader.name()? },
        kind::ROLE_DELETE => AuthChange::RoleDelete { name: reader.name()? },
        kind::ROLE_GRANT_PERMISSION => {
            let (role, permission) = (reader.name()?, decode_permission(reader)?);
            AuthChange::RoleGrantPermission { role, permission }
        }
        kind::ROLE_REVOKE_PERMISSION => {
            let (role, range) = (reader.name()?, decode::key_range(reader)?);
            AuthChange::RoleRevokePermission { role, range }
        }
        kind::TOKEN_ISSUE => {
            let (user, digest) = (reader.name()?, reader.digest()?);
            let auth_revision = AuthRevision(reader.unsigned()?);
            AuthChange::TokenIssue { user, digest, auth_revision }
        }
        kind::TOKENS_END => {
            AuthChange::TokensEnd { digests: decode::list(reader, |reader| reader.digest())? }
        }
        0 => return reader.damaged("no change of rights"),
        found => {
            let (found, understood) = (u64::from(found), u64::from(kind::GREATEST));
            return Err(DecodeError::Newer { what: "change of rights", found, understood, offset });
        }
    })
}

/// A role's permission.
pub(crate) fn encode_permission(out: &mut impl BufMut, permission: &Permission) {
    put_signed(out, i64::from(permission.kind.number()));
    encode::key_range(out, &permission.range);
}

/// The other way round.
pub(crate) fn decode_permission(reader: &mut Reader<'_>) -> Result<Permission, DecodeError> {
    let kind = PermissionType::of_number(reader.signed32()?);
    Ok(Permission { kind, range: decode::key_range(reader)? })
}

fn password(reader: &mut Reader<'_>) -> Result<PasswordHash, DecodeError> {
    Ok(PasswordHash(reader.string()?))
}
