//! Files and directories for the user alone, and JSON files that are replaced whole.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use serde::{Serialize, de::DeserializeOwned};

/// What ends so was being written when the stack was killed.
pub const UNFINISHED: &str = "tmp";

/// Why what is kept cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory or a file in it cannot be used.
    #[error("cannot use {}", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        source: io::Error,
    },
    /// The file is not one that this program wrote. Its content, which may be secret, is not repeated here.
    #[error("{} does not hold {what} (line {line}, column {column})", path.display())]
    Unreadable {
        path: PathBuf,
        /// What it should hold: `secrets`.
        what: &'static str,
        line: usize,
        /// Where in the line.
        column: usize,
    },
}

/// Creates a directory, with those above it, where it is missing.
pub fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Reads JSON that holds `what`; `None` when there is no such file.
pub fn read<T: DeserializeOwned>(path: &Path, what: &'static str) -> Result<Option<T>, OpenError> {
    let content = match fs::read(path) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { path: path.to_owned(), source }),
    };
    serde_json::from_slice(&content).map(Some).map_err(|error| OpenError::Unreadable {
        path: path.to_owned(),
        what,
        line: error.line(),
        column: error.column(),
    })
}

/// Replaces the file `path` by JSON. After a crash at any moment it holds the old or the new content, whole.
pub fn replace(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let unfinished = path.with_extension(UNFINISHED);
    // What an earlier crash left would keep its own mode.
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(&serde_json::to_vec_pretty(content)?)?;
    // Before the rename: a name that leads to an empty file would be worse than the old one.
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    // The rename itself must reach the disk, too.
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
