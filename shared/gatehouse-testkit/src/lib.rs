//! Stand-ins for what Gatehouse talks to and runs in: a stateful twin of Concourse, a stub of the Lambda
//! Runtime API, one function over a table in memory.

#[cfg(feature = "app")]
#[expect(clippy::missing_panics_doc, reason = "a test that cannot be set up has failed")]
pub mod app;
pub mod concourse;
pub mod runtime_api;
