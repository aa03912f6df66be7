//! A small AWS Secrets Manager for this machine: the real SDK talks to it, a file keeps the secrets.

mod file;
mod protocol;
mod secret;
mod server;
mod store;

pub use self::server::SecretsManager;

#[cfg(test)]
mod tests;
