//! The file that keeps the secrets: readable by its owner only, replaced whole.

use std::{
    fs::{File, OpenOptions, Permissions, rename, set_permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use super::{OpenError, store::Secrets};

/// Read and write for the owner, nothing for anybody else.
const OWNER_ONLY: u32 = 0o600;

/// The file, known by its path.
#[derive(Clone, Debug)]
pub struct SecretsFile {
    path: PathBuf,
}

impl SecretsFile {
    /// Reads the secrets, none when there is no file yet.
    pub fn open(path: PathBuf) -> Result<(Self, Secrets), OpenError> {
        let secrets = match std::fs::read(&path) {
            Ok(content) => {
                protect(&path)?;
                parse(&path, &content)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Secrets::default(),
            Err(source) => return Err(OpenError::Io { path, source }),
        };
        Ok((Self { path }, secrets))
    }

    /// Replaces the file. After a crash at any moment it holds the old or the new secrets, whole.
    pub fn write(&self, secrets: &Secrets) -> io::Result<()> {
        let content = serde_json::to_vec_pretty(secrets)?;
        let temporary = self.path.with_extension("tmp");
        write_new(&temporary, &content)?;
        rename(&temporary, &self.path)?;
        sync_directory(&self.path)
    }
}

fn parse(path: &Path, content: &[u8]) -> Result<Secrets, OpenError> {
    serde_json::from_slice(content).map_err(|error| OpenError::Unreadable {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
    })
}

fn protect(path: &Path) -> Result<(), OpenError> {
    set_permissions(path, Permissions::from_mode(OWNER_ONLY))
        .map_err(|source| OpenError::Io { path: path.to_owned(), source })
}

/// What an earlier crash left behind is removed first, because it keeps its own mode.
fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// The rename itself must reach the disk, too.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
