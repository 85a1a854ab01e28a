//! Users, roles, tokens, and who may have which command: the whole machine, by its public face.

mod changes;
mod images;
mod judging;
mod ranges;
mod secrets;
mod support;
