//! Authentication and rights, the whole server in one process: who is known, by what, and what each
//! may have. Passwords are hashed as cheaply as bcrypt can.

mod certificates;
mod others;
mod pitfalls;
mod rights;
mod secrets;
mod support;
mod tokens;
mod users;
mod watches;
