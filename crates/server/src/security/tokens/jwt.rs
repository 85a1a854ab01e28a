//! Signed tokens (JWT) as etcd writes and reads them: a header that names the method, the claims
//! `username`, `revision` and `exp`, a signature. Tokens that were verified are remembered, since a
//! signature is dearer than a request.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use serde_json::{Map, Value, json};
use state::{AuthRevision, Identity};

use super::fingerprint;
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
        let verified = match self.verify(token, now) {
            Ok(verified) => verified,
            Err(why) => {
                tracing::debug!(token = fingerprint(token), reason = why, "a JWT was refused");
                return None;
            }
        };
        if token.len() <= LONGEST_REMEMBERED {
            remember(&mut shard.write(), token, verified.clone(), now);
        }
        Some(verified.identity)
    }

    /// All that makes a token good, in the order in which it can be trusted; or why it is not.
    fn verify(&self, token: &str, now: u64) -> Result<Verified, &'static str> {
        let (signed, signature) = token.rsplit_once('.').ok_or("it has not three parts")?;
        let (header, claims) = signed.split_once('.').ok_or("it has not three parts")?;
        let header = object(header).ok_or("its header cannot be read")?;
        // The method is the server's to choose: a token that names another one is not looked at.
        if header.get("alg").and_then(Value::as_str) != Some(self.method) {
            return Err("it is signed by another method than sign-method");
        }
        let signature = BASE64.decode(signature).map_err(|_| "its signature cannot be read")?;
        if !self.key.verifies(signed.as_bytes(), &signature) {
            return Err("its signature is not of our key");
        }
        let claims = object(claims).ok_or("its claims cannot be read")?;
        let until = date(&claims, "exp").ok_or("its exp is no date")?.unwrap_or(u64::MAX);
        let from = date(&claims, "nbf").ok_or("its nbf is no date")?.unwrap_or(0);
        if now >= until {
            return Err("it has expired");
        }
        if now < from {
            return Err("it is not valid yet");
        }
        let name = claims.get("username").and_then(Value::as_str).ok_or("it has no username")?;
        let auth_revision = AuthRevision(revision(&claims).ok_or("it has no revision")?);
        Ok(Verified { identity: Identity::User { name: name.into(), auth_revision }, until })
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
