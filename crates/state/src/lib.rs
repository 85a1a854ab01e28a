//! The deterministic machine: MVCC, leases, alarms. Commands in, outcomes and events out.
//!
//! No clock, no randomness, no file, no network, no `async`: the same entries give the same state,
//! byte for byte, on every replica and for ever.

mod command;
mod ids;
mod mvcc;
mod outcome;
mod range;

pub use command::{
    AlarmAction, AlarmType, Command, Compare, CompareResult, CompareTarget, DeleteRange, Entry, Op,
    Put, Txn,
};
pub use ids::{Epoch, LeaseId, MemberId, ModRevision, Position, Revision, Timestamp};
pub use mvcc::{Events, KeyspaceHash, KvRef, Loader, Mvcc, RangePage, Sizes, Unloadable, View};
pub use outcome::{Alarm, KeyValue, OpReply, Outcome, Refusal, Reply, TxnReply};
pub use range::{KeyRange, RangeQuery, Sort, SortOrder, SortTarget};
