//! Signed tokens (JWT) as etcd writes and reads them: a header that names the method, the claims
//! `username`, `revision` and `exp`, a signature. Tokens that were verified are remembered, since a
//! signature is dearer than a request.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value, json};
use state::{AuthRevision, Identity};

use super::keys::Key;
use super::shards::Shards;
use crate::config::JwtOptions;
use crate::grpc::{Code, Status};

/// Tokens that one shard remembers.
const MOST_REMEMBERED: usize = 256;
/// Longer tokens are verified each time.
const LONGEST_REMEMBERED: usize = 4096;
/// Go's seconds run over beyond it.
const LAST_SECOND: f64 = 9.0e18;

pub(super) struct Jwt {
    key: Key,
    method: &'static str,
    ttl: Duration,
    verified: Shards<Verified>,
}

/// What a good token says.
#[derive(Clone)]
struct Verified {
    identity: Identity,
    /// The first second at which it is no longer good.
    until: u64,
}

impl Jwt {
    pub(super) fn open(options: &JwtOptions) -> Result<Self, String> {
        let key = Key::open(options)?;
        let method = options.method.name();
        Ok(Self { key, method, ttl: options.ttl, verified: Shards::new() })
    }

    pub(super) fn issue(&self, user: &str, at: AuthRevision) -> Result<String, Status> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let until = since.saturating_add(self.ttl).as_secs();
        let header = json!({ "alg": self.method, "typ": "JWT" });
        let claims = json!({ "exp": until, "revision": at.0, "username": user });
        let mut token = BASE64.encode(header.to_string());
        token.push('.');
        BASE64.encode_string(claims.to_string(), &mut token);
        let signature = self.key.sign(token.as_bytes()).ok_or(Status::fixed(
            Code::Unknown,
            "auth: token signing attempted with verify-only key",
        ))?;
        token.push('.');
        BASE64.encode_string(signature, &mut token);
        Ok(token)
    }

    pub(super) fn identify(&self, token: &str) -> Option<Identity> {
        self.identify_at(token, now())
    }

    pub(super) fn identify_at(&self, token: &str, now: u64) -> Option<Identity> {
        let shard = self.verified.of(token);
        let known = shard.read().get(token).cloned();
        match known {
            Some(known) if now < known.until => return Some(known.identity),
            Some(_) => {
                shard.write().remove(token);
                return None;
            }
            None => {}
        }
        let verified = self.verify(token, now)?;
        if token.len() <= LONGEST_REMEMBERED {
            remember(&mut shard.write(), token, verified.clone(), now);
        }
        Some(verified.identity)
    }

    /// All that makes a token good, in the order in which it can be trusted.
    fn verify(&self, token: &str, now: u64) -> Option<Verified> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let header = object(header)?;
        // The method is the server's to choose: a token that names another one is not looked at.
        if header.get("alg")?.as_str()? != self.method {
            return None;
        }
        if !self.key.verifies(signed.as_bytes(), &BASE64.decode(signature).ok()?) {
            return None;
        }
        let claims = object(claims)?;
        let until = date(&claims, "exp")?.unwrap_or(u64::MAX);
        let from = date(&claims, "nbf")?.unwrap_or(0);
        if !(from..until).contains(&now) {
            return None;
        }
        let name: Arc<str> = claims.get("username")?.as_str()?.into();
        let auth_revision = AuthRevision(revision(&claims)?);
        Some(Verified { identity: Identity::User { name, auth_revision }, until })
    }

    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.verified.all().iter().map(|shard| shard.read().len()).sum()
    }
}

/// Adds a token; where there is no room, in the place of those that ended, or of any other.
fn remember(shard: &mut HashMap<Box<str>, Verified>, token: &str, verified: Verified, now: u64) {
    if shard.len() >= MOST_REMEMBERED {
        shard.retain(|_, known| now < known.until);
    }
    if shard.len() >= MOST_REMEMBERED
        && let Some(any) = shard.keys().next().cloned()
    {
        shard.remove(&any);
    }
    shard.insert(token.into(), verified);
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64.decode(part).ok()?).ok()
}

/// A moment in whole seconds. As in Go's library one that is left out, or zero, binds nothing, one
/// that is no number spoils the token, and parts of a second are cut off.
fn date(claims: &Map<String, Value>, name: &str) -> Option<Option<u64>> {
    let Some(value) = claims.get(name) else { return Some(None) };
    let seconds = value.as_f64()?;
    if seconds == 0.0 {
        return Some(None);
    }
    whole(seconds).map(Some)
}

/// Go reads numbers as floating-point, and so do we.
fn revision(claims: &Map<String, Value>) -> Option<u64> {
    whole(claims.get("revision")?.as_f64()?)
}

/// Cut to a whole number; what is below zero is zero.
fn whole(number: f64) -> Option<u64> {
    (number < LAST_SECOND).then_some(number.max(0.0) as u64)
}
