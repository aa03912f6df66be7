//! The table: keys, items, and the domain's ports on top of `DynamoDB`.
//!
//! The only crate that knows `DynamoDB`. Each port is implemented in the file of its resource, and each
//! call there is one request; `docs/TABLE.md` lists keys and access patterns.

mod api_keys;
mod audit;
pub mod cursor;
mod cursor_key;
mod drift_schedules;
mod entities;
mod environments;
mod error;
mod flush;
pub mod item;
mod janitor;
mod jobs;
pub mod keys;
mod leases;
mod listed_operations;
mod lists;
mod open_operations;
mod operations;
mod pins;
mod projects;
mod providers;
mod run_requests;
mod runs;
mod services;
mod sessions;
mod signing_keys;
mod tenants;
mod throttle;
mod tokens;
mod transaction;
mod users;

use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::Client;
use gatehouse_domain::clock::System;

use self::cursor::CursorKey;

/// The table, behind every port of the domain that needs it.
#[derive(Clone)]
pub struct Table {
    client: Client,
    name: String,
    system: Arc<dyn System>,
    cursor_key: Arc<OnceLock<CursorKey>>,
}

impl Table {
    /// The table `name`, reached by `client`.
    pub fn new(client: Client, name: impl Into<String>, system: Arc<dyn System>) -> Self {
        Self { client, name: name.into(), system, cursor_key: Arc::default() }
    }

    /// The time now in whole seconds since 1970, as `expires_at` is kept.
    fn epoch_seconds(&self) -> i64 {
        self.system.now().as_second()
    }
}
