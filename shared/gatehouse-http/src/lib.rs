//! What HTTP functions share: mounting operations, extracting what handlers need, problem bodies, what several of them
//! show of one thing, and the one log line of each request.

pub mod extract;
pub mod file;
pub mod gateway;
pub mod page;
pub mod problem;
pub mod request_log;
pub mod revocation;
pub mod routes;
pub mod sse;
pub mod stream;
pub mod views;
pub mod written;

pub use problem::Problem;
pub use routes::Routes;
