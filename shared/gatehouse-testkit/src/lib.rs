//! Stand-ins for what Gatehouse talks to and runs in: a stateful twin of Concourse, a stub of the Lambda
//! Runtime API, one function over a table in memory, a suite for adapters to CI systems.

#[cfg(feature = "app")]
#[expect(clippy::missing_panics_doc, reason = "a test that cannot be set up has failed")]
pub mod app;
#[cfg(feature = "ci-provider")]
pub mod ci_provider;
pub mod concourse;
#[cfg(feature = "log")]
pub mod log;
pub mod recordings;
pub mod runtime_api;
