//! Files that nobody else can read.

use std::{fs::Permissions, io, os::unix::fs::PermissionsExt, path::Path};

use tempfile::NamedTempFile;

/// Puts a new file, which was never readable for others, in the place of the one before, which stays where this fails.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut NamedTempFile) -> io::Result<()>,
) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
    file.as_file().set_permissions(Permissions::from_mode(0o600))?;
    write(&mut file)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
