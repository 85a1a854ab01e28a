//! Who this member and this cluster are: the very numbers etcd derives from the same flags, so that
//! a client, a dashboard or a script that knows them by heart finds them again.

use sha1::{Digest, Sha1};

use super::url::Url;

/// A member's and a cluster's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// In every response header as `member_id`.
    pub member_id: u64,
    /// In every response header as `cluster_id`.
    pub cluster_id: u64,
}

impl Identity {
    /// The identity of a cluster whose one member advertises `peer_urls`.
    #[must_use]
    pub fn of_single_member(peer_urls: &[Url], token: &str) -> Self {
        let member_id = member_id(peer_urls, token);
        Self { member_id, cluster_id: cluster_id(&mut [member_id]) }
    }
}

/// A cluster's number where a journal is shared: from its token alone, since a replica may join knowing
/// nothing of the others, and must come to the same.
#[must_use]
pub fn shared_cluster_id(token: &str) -> u64 {
    first_eight([token.as_bytes()].into_iter())
}

/// A number for a member that is added at this moment, in seconds since 1970.
#[must_use]
pub fn added_member_id(peer_urls: &[Url], seconds: u64) -> u64 {
    member_id(peer_urls, &seconds.to_string())
}

/// A member's number: from its peer URLs and the cluster's token.
#[must_use]
pub fn member_id(peer_urls: &[Url], token: &str) -> u64 {
    let mut texts: Vec<&str> = peer_urls.iter().map(Url::as_str).collect();
    texts.sort_unstable();
    first_eight(texts.into_iter().chain([token]).map(str::as_bytes))
}

/// A cluster's number: from its members' numbers at the beginning.
#[must_use]
pub fn cluster_id(members: &mut [u64]) -> u64 {
    members.sort_unstable();
    let bytes: Vec<u8> = members.iter().flat_map(|id| id.to_be_bytes()).collect();
    first_eight([bytes.as_slice()].into_iter())
}

fn first_eight<'a>(parts: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hash = Sha1::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::{Identity, cluster_id, member_id};
    use crate::config::url::parse_list;

    #[test]
    fn default_flags_give_the_numbers_that_a_real_etcd_reports() {
        let urls = parse_list("http://localhost:2380").unwrap();
        let identity = Identity::of_single_member(&urls, "etcd-cluster");
        assert_eq!(identity.member_id, 0x8e9e_05c5_2164_694d);
        assert_eq!(identity.cluster_id, 0xcdf8_1819_4e3a_8c32);
    }

    #[test]
    fn the_order_of_urls_and_members_does_not_matter_but_the_token_does() {
        let one = parse_list("http://a:1,http://b:2").unwrap();
        let other: Vec<_> = one.iter().rev().cloned().collect();
        assert_eq!(member_id(&one, "t"), member_id(&other, "t"));
        assert_ne!(member_id(&one, "t"), member_id(&one, "u"));
        assert_eq!(cluster_id(&mut [1, 2]), cluster_id(&mut [2, 1]));
    }
}
