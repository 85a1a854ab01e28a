//! What is written is read again; what is damaged is refused, and never taken for more than it is.

mod damage;
mod inline;
mod model;
mod round_trip;
