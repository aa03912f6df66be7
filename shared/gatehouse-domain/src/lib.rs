//! The rules of Gatehouse: names, lifecycles, what a caller may do, and the ports the rules need.
//!
//! Nothing here does I/O. A rule takes ports (narrow traits that adapters implement), the clock and the
//! id source, and answers with an error type that names only what a caller can decide on.

pub mod access;
pub mod admission;
pub mod announcement;
pub mod api_key;
pub mod audit;
pub mod caller;
pub mod caller_context;
pub mod catalog;
pub mod ci;
pub mod claims;
pub mod clock;
pub mod entities;
pub mod error;
pub mod grants;
pub mod id;
pub mod idempotency;
pub mod janitor;
pub mod jobs;
pub mod json;
mod json_text;
pub mod lease;
pub mod modules;
pub mod name;
pub mod operations;
pub mod paging;
pub mod parameter;
pub mod plain_http;
pub mod project;
pub mod providers;
pub mod reauthentication;
pub mod revision;
pub mod revocation;
pub mod runs;
pub mod scopes;
pub mod secret;
pub mod sign;
pub mod signing;
pub mod store;
pub mod tenant;
#[cfg(test)]
mod test_support;
pub mod text;
pub mod tokens;
pub mod trail;
pub mod users;
pub mod validation;
