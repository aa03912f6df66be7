//! A small AWS Secrets Manager for this machine: the real SDK talks to it, a file keeps the secrets.

mod file;
mod protocol;
mod secret;
mod server;
mod store;

use std::{io, path::PathBuf};

pub use self::server::SecretsManager;

/// Why the secrets cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be read or protected.
    #[error("cannot open {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The file is not one that this program wrote. Its content is not repeated here.
    #[error("{} does not hold secrets (line {line}, column {column})", path.display())]
    Unreadable {
        path: PathBuf,
        line: usize,
        /// Where in the line.
        column: usize,
    },
}

#[cfg(test)]
mod tests;
