//! What etcd's clients can see of a watch, by example; `guarantees` has the promises, at random.

mod behaviour;
mod crowds;
mod guarantees;
mod store;
