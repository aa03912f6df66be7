//! DynamoDB for this machine: dynoxide over a SQLite file, reached by the real SDK over loopback.
//!
//! SQLite runs with a write-ahead log and `synchronous = FULL`: what was acknowledged survives a kill of
//! the process and a loss of power.

mod operations;
mod server;
mod table;
mod timeouts;

pub use self::{
    server::{DynamoDb, StartError, Storage},
    table::{TableError, prepare_table},
    timeouts::with_long_timeouts,
};

#[cfg(test)]
mod tests;
