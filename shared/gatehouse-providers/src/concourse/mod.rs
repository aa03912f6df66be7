//! Concourse CI, 6.5 and later. `README.md` beside this file says what it is like to talk to.

mod auth;
mod check;
mod client;
mod discover;
mod error;
mod events;
mod fly;
mod outlook;
mod path;
mod pins;
mod provider;
mod roles;
mod runs;
mod status;
mod stream;
mod transport;
mod version;
mod wire;

pub use self::provider::ConcourseProvider;
