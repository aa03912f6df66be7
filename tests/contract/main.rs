//! What the table promises, held against a real `DynamoDB` API: the embedded one, or the endpoint that
//! `GATEHOUSE_TEST_DYNAMODB` names.

mod audit;
mod budgets;
mod janitor;
mod jobs;
mod keys;
mod leases;
mod projects;
mod runs;
mod schedules;
mod starts;
mod support;
mod throttle;
mod tokens;
mod users;
