//! API Gateway, REST flavour, in front of functions that run in this process.

pub mod routes;
pub mod template;
