//! Who may do what, in an image and in the digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::BufMut;

use crate::auth::{Auth, PasswordHash, Tokens, User};
use crate::codec::{DecodeError, Reader, put_string, put_unsigned};
use crate::entry::{decode_permission, encode_permission};
use crate::ids::AuthRevision;

pub(crate) fn encode(out: &mut impl BufMut, auth: &Auth) {
    out.put_u8(u8::from(auth.is_enabled()));
    put_unsigned(out, auth.revision().0);
    put_unsigned(out, auth.roles().count() as u64);
    for (name, permissions) in auth.roles() {
        put_string(out, name.as_bytes());
        put_unsigned(out, permissions.len() as u64);
        permissions.iter().for_each(|permission| encode_permission(out, permission));
    }
    put_unsigned(out, auth.users().count() as u64);
    for (name, user) in auth.users() {
        put_string(out, name.as_bytes());
        out.put_u8(u8::from(user.has_no_password()));
        put_string(out, &user.password().0);
        put_unsigned(out, user.roles().len() as u64);
        user.roles().iter().for_each(|role| put_string(out, role.as_bytes()));
    }
    put_unsigned(out, auth.token_count() as u64);
    for (digest, user) in auth.tokens() {
        out.put_slice(&digest.0);
        put_string(out, user.as_bytes());
    }
}

pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Auth, DecodeError> {
    let enabled = reader.flag()?;
    let revision = AuthRevision(reader.unsigned()?);
    let mut roles = BTreeMap::new();
    for _ in 0..reader.count()? {
        let name = reader.name()?;
        let count = reader.count()?;
        let role = (0..count).map(|_| Ok(decode_permission(reader)?.detached()));
        let role = role.collect::<Result<Vec<_>, DecodeError>>()?;
        if !role.is_sorted_by(|a, b| a.range.key <= b.range.key) {
            return reader.damaged("permissions out of order");
        }
        roles.insert(name, Arc::new(role));
    }
    let roles = Arc::new(roles);
    let mut auth = Auth { enabled, revision, roles, ..Auth::default() };
    let mut users = BTreeMap::new();
    for _ in 0..reader.count()? {
        let name = reader.name()?;
        users.insert(name, Arc::new(user(reader, &auth)?));
    }
    auth.users = Arc::new(users);
    auth.tokens = tokens(reader)?;
    Ok(auth)
}

fn user(reader: &mut Reader<'_>, auth: &Auth) -> Result<User, DecodeError> {
    let no_password = reader.flag()?;
    let password = PasswordHash(reader.string()?).detached();
    let count = reader.count()?;
    let roles = (0..count).map(|_| reader.name()).collect::<Result<Vec<_>, _>>()?;
    if !roles.is_sorted() {
        return reader.damaged("roles out of order");
    }
    let rights = auth.rights(&roles);
    Ok(User { password, no_password, roles, rights })
}

fn tokens(reader: &mut Reader<'_>) -> Result<Tokens, DecodeError> {
    let mut tokens = Tokens::default();
    for _ in 0..reader.count()? {
        let digest = reader.digest()?;
        tokens.insert(digest, reader.name()?);
    }
    Ok(tokens)
}
