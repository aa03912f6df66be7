//! What the table promises, held against a real `DynamoDB` API: the embedded one, or the endpoint that
//! `GATEHOUSE_TEST_DYNAMODB` names.

mod all_operations;
mod audit;
mod budgets;
mod catalog_items;
mod ci_items;
mod drift_schedules;
mod entities;
mod identity_items;
mod janitor;
mod jobs;
mod keys;
mod leases;
mod operations;
mod pins;
mod projects;
mod run_requests;
mod runs;
mod schedules;
mod scopes;
mod services;
mod support;
mod throttle;
mod tokens;
mod users;

use gatehouse_testkit::app::catalog;
