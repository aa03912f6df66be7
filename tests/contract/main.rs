//! What the table promises, held against a real `DynamoDB` API: the embedded one, or the endpoint that
//! `GATEHOUSE_TEST_DYNAMODB` names.

mod access;
mod budgets;
mod jobs;
mod runs;
mod schedules;
mod starts;
mod support;
