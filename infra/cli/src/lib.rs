//! The commands of `gatehouse` that speak to any Gatehouse by its URL.
//!
//! [`Command`] is what `gatehouse` adds to its own commands, and [`run`] does one, with
//! [`Dependencies`] that tests can make up. Nothing here knows how Gatehouse works inside: only what `infra/openapi.json` promises.

mod audit;
mod catalog;
mod client;
mod command;
mod context;
mod credentials;
mod dependencies;
mod environment;
mod exit;
mod failure;
mod jobs;
mod keys;
mod modules;
mod operations;
mod output;
mod private_file;
mod process;
mod providers;
mod retry;
mod roles;
mod runs;
mod second_factor;
mod server_url;
mod services;
mod session;
mod sessions;
mod tenants;
mod tokens;
mod transfer;
mod users;
mod yaml;

pub use self::{
    command::{Command, Group, Leaf, Nothing, Options, run},
    dependencies::{Ask, Dependencies, Stream},
    environment::Environment,
    exit::{EXIT_CODES, Exit},
    process::run_here,
};
