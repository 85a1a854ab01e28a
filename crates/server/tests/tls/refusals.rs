//! Who does not come in, and what the log will say of it.
