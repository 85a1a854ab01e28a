//! The buckets `auth`, `authUsers` and `authRoles`: whether rights are enforced and how often they were
//! changed; name → `authpb.User`; name → `authpb.Role`.

use bytes::Bytes;
use state::{
    Auth, AuthRevision, ImportedAuth, ImportedUser, KeyRange, PasswordHash, Permission,
    PermissionType, User,
};

use super::protobuf::{Fields, put_bytes, put_message, put_number};
use super::{Malformed, Pair, number};

pub(crate) const ENABLED: &[u8] = b"authEnabled";
pub(crate) const REVISION: &[u8] = b"authRevision";

/// The entries of `auth`. etcd writes the first when rights are first enforced, and so whether it is there
/// makes no difference.
pub(crate) fn encode(auth: &Auth) -> [Pair; 2] {
    let revision = auth.revision().0.to_be_bytes().to_vec();
    [(ENABLED.to_vec(), vec![u8::from(auth.is_enabled())]), (REVISION.to_vec(), revision)]
}

/// A user's entry.
pub(crate) fn encode_user(name: &str, user: &User) -> Pair {
    let mut value = Vec::new();
    put_bytes(&mut value, 1, name.as_bytes());
    put_bytes(&mut value, 2, &user.password().0);
    for role in user.roles() {
        put_message(&mut value, 3, role.as_bytes());
    }
    let mut options = Vec::new();
    put_number(&mut options, 1, i64::from(user.has_no_password()));
    put_message(&mut value, 4, &options);
    (name.as_bytes().to_vec(), value)
}

/// A role's entry.
pub(crate) fn encode_role(name: &str, permissions: &[Permission]) -> Pair {
    let mut value = Vec::new();
    put_bytes(&mut value, 1, name.as_bytes());
    let mut message = Vec::new();
    for Permission { kind, range } in permissions {
        message.clear();
        put_number(&mut message, 1, i64::from(kind.number()));
        put_bytes(&mut message, 2, &range.key);
        put_bytes(&mut message, 3, &range.range_end);
        put_message(&mut value, 2, &message);
    }
    (name.as_bytes().to_vec(), value)
}

/// Takes in what an entry of `auth` says.
pub(crate) fn decode(key: &[u8], value: &[u8], auth: &mut ImportedAuth) -> Result<(), Malformed> {
    match key {
        ENABLED => auth.enabled = value == [1],
        REVISION => {
            let revision = number(value, "the revision of users and roles is not a number")?;
            auth.revision = AuthRevision(revision);
        }
        _ => {}
    }
    Ok(())
}

fn text(bytes: &[u8]) -> Result<String, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed("a name is not UTF-8"))?;
    Ok(text.to_owned())
}

/// Reads a user's entry.
pub(crate) fn decode_user(key: &[u8], value: &[u8]) -> Result<ImportedUser, Malformed> {
    let mut user = ImportedUser { name: text(key)?, ..ImportedUser::default() };
    for field in Fields::of(value) {
        let (number, field) = field?;
        match number {
            1 if field.bytes() != key => {
                return Err(Malformed("its value names another user than its key"));
            }
            2 => user.password = PasswordHash(Bytes::copy_from_slice(field.bytes())),
            3 => user.roles.push(text(field.bytes())?),
            4 => {
                for option in Fields::of(field.bytes()) {
                    let (number, option) = option?;
                    if number == 1 {
                        user.no_password = option.number() != 0;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(user)
}

/// Reads a role's entry: its name, and what it allows.
pub(crate) fn decode_role(
    key: &[u8],
    value: &[u8],
) -> Result<(String, Vec<Permission>), Malformed> {
    let (name, mut permissions) = (text(key)?, Vec::new());
    for field in Fields::of(value) {
        let (number, field) = field?;
        match number {
            1 if field.bytes() != key => {
                return Err(Malformed("its value names another role than its key"));
            }
            2 => permissions.push(decode_permission(field.bytes())?),
            _ => {}
        }
    }
    Ok((name, permissions))
}

fn decode_permission(message: &[u8]) -> Result<Permission, Malformed> {
    let mut kind = PermissionType::of_number(0);
    let mut range = KeyRange::default();
    for field in Fields::of(message) {
        let (number, field) = field?;
        match number {
            1 => kind = PermissionType::of_number(field.number() as i32),
            2 => range.key = Bytes::copy_from_slice(field.bytes()),
            3 => range.range_end = Bytes::copy_from_slice(field.bytes()),
            _ => {}
        }
    }
    Ok(Permission { kind, range })
}
