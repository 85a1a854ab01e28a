//! Everything that knows a network, settings or a person.
