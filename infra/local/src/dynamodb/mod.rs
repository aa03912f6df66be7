//! DynamoDB for this machine: dynoxide over a SQLite file, reached by the real SDK over loopback.
//!
//! SQLite runs with a write-ahead log and `synchronous = FULL`: what was acknowledged survives a kill of
//! the process and a loss of power.

mod patience;
mod server;
mod table;

pub use self::{
    patience::patient,
    server::{DynamoDb, StartError, Storage},
    table::{TableError, prepare_table},
};

#[cfg(test)]
mod tests;
