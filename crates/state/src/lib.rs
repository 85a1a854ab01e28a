//! The deterministic machine: MVCC, leases, alarms, rights, members. Commands in, outcomes out.
//!
//! No clock, no randomness, no file, no network, no `async`: the same entries give the same state,
//! byte for byte, on every replica and for ever.

mod alarms;
mod auth;
mod check;
mod cluster;
mod codec;
mod command;
mod compare;
mod cost;
mod digest;
mod entry;
mod ids;
mod image;
mod import;
mod intervals;
mod keyspace;
mod lease;
mod level;
mod mvcc;
mod outcome;
mod range;
mod source;
mod state;
mod txn;

pub use alarms::admit;
pub use auth::{
    As, Auth, AuthChange, Identity, PasswordHash, Permission, PermissionType, ROOT, TokenDigest,
    User,
};
pub use check::check;
pub use cluster::{Cluster, ClusterVersion, Member};
pub use codec::DecodeError;
pub use command::{
    AlarmAction, AlarmType, Command, Compare, CompareResult, CompareTarget, DeleteRange, Entry, Op,
    Origin, Put, Txn,
};
pub use digest::Digest;
pub use entry::{EntryWriter, MAX_TXN_DEPTH};
pub use ids::{AuthRevision, Epoch, LeaseId, MemberId, ModRevision, Position, Revision, Timestamp};
pub use image::{Image, ImageError, ImageLoader, Newer, NewerSum, Transcript, Untold};
pub use import::{Import, ImportError, ImportedAuth, ImportedUser};
pub use lease::{LeaseInfo, MAX_LEASE_TTL};
pub use level::Level;
pub use mvcc::{
    Events, KeyHash, KeyspaceHash, KvRef, Loader, Mvcc, RangePage, Sizes, Unloadable, View,
};
pub use outcome::{Alarm, KeyValue, OpReply, Outcome, Refusal, Reply, TxnReply};
pub use range::{KeyRange, RangeQuery, Sort, SortOrder, SortTarget};
pub use state::State;
pub use txn::txn_read_only;
