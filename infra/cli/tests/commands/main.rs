//! The commands, run against a server that plays the wire format and remembers what it was asked.

mod audit;
mod catalog;
mod credentials;
mod failures;
mod jobs;
mod keys;
mod modules;
mod operations;
mod providers;
mod runs;
mod second_factor;
mod services;
mod session;
mod sessions;
mod support;
mod tenants;
mod tokens;
mod transfer;
mod users;
mod watch;
