//! The file journal against crashes, damage, a full disk and a failing one.

mod damage;
mod disk;
mod faults;
mod history;
mod images;
mod real;
