//! What every function needs around its own code: configuration from the environment, tracing, AWS
//! clients, the clock and ids. The only crate that may touch the environment, the system's clock and its
//! random source; `clippy.toml` keeps them out of the others.

pub mod api_gateway;
pub mod aws;
#[cfg(test)]
mod canned;
pub mod clock;
pub mod env;
pub mod event_bridge;
pub mod signed;
pub mod tracing;
#[cfg(feature = "wiring")]
pub mod wiring;
