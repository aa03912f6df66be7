//! Where executions are kept: one file each, readable by its owner only, replaced whole.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::{OpenError, execution::Execution};

/// What ends so is a file that a crash left half written.
const UNFINISHED: &str = "tmp";

/// The directory with all executions.
#[derive(Clone, Debug)]
pub struct ExecutionsDirectory(PathBuf);

impl ExecutionsDirectory {
    /// The executions under `data`, in a directory that is created where it is missing.
    pub fn open(data: &Path) -> Result<Self, OpenError> {
        let directory = Self(data.join("executions"));
        let created = DirBuilder::new().recursive(true).mode(0o700).create(&directory.0);
        created.map_err(|source| OpenError::Io { path: directory.0.clone(), source })?;
        Ok(directory)
    }

    /// Every execution. What a crash left half written goes.
    pub fn all(&self) -> Result<Vec<Execution>, OpenError> {
        let failed = |source| OpenError::Io { path: self.0.clone(), source };
        let mut executions = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(UNFINISHED) => fs::remove_file(&path).map_err(failed)?,
                Some("json") => executions.push(read(path)?),
                _ => {}
            }
        }
        Ok(executions)
    }

    /// Writes an execution. After a crash at any moment the file holds the old or the new one, whole.
    pub fn write(&self, execution: &Execution) -> io::Result<()> {
        let path = self.path(execution);
        let unfinished = path.with_extension(UNFINISHED);
        let content = serde_json::to_vec_pretty(execution)?;
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(&content)?;
        file.sync_all()?;
        // With the content on disk first: a name that leads to an empty file would be worse than the old one.
        fs::rename(&unfinished, &path)?;
        File::open(&self.0)?.sync_all()
    }

    pub fn remove(&self, execution: &Execution) -> Result<(), OpenError> {
        let path = self.path(execution);
        fs::remove_file(&path).map_err(|source| OpenError::Io { path, source })
    }

    /// Unambiguous, because a machine's name has no dot, and neither name has a slash.
    fn path(&self, execution: &Execution) -> PathBuf {
        self.0.join(format!("{}.{}.json", execution.machine, execution.name))
    }
}

fn read(path: PathBuf) -> Result<Execution, OpenError> {
    let content = match fs::read(&path) {
        Ok(content) => content,
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    serde_json::from_slice(&content).map_err(|error| OpenError::Unreadable {
        path,
        line: error.line(),
        column: error.column(),
    })
}
