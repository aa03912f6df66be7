//! Stand-ins for what Gatehouse talks to and runs in: a stateful twin of Concourse, a stub of the Lambda
//! Runtime API.

pub mod ci_provider;
pub mod concourse;
pub mod runtime_api;
