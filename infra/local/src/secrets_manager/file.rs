//! The file that keeps the secrets: readable by its owner only, replaced whole.

use std::{
    fs::{Permissions, set_permissions},
    io,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use super::store::Secrets;
use crate::files::{OpenError, read, replace};

/// The file, known by its path.
#[derive(Clone, Debug)]
pub struct SecretsFile(PathBuf);

impl SecretsFile {
    /// Reads the secrets, none when there is no file yet.
    pub fn open(path: PathBuf) -> Result<(Self, Secrets), OpenError> {
        match set_permissions(&path, Permissions::from_mode(0o600)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::Io { path, source });
            }
            _ => {}
        }
        let secrets = read(&path, "secrets")?.unwrap_or_default();
        Ok((Self(path), secrets))
    }

    /// Replaces the file.
    pub fn write(&self, secrets: &Secrets) -> io::Result<()> {
        replace(&self.0, secrets)
    }
}
