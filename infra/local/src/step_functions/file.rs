//! Where executions are kept: one file each, readable by its owner only, replaced whole.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::execution::Execution;
use crate::files::{OpenError, UNFINISHED, private_directory, read, replace};

/// The directory with all executions.
#[derive(Clone, Debug)]
pub struct ExecutionsDirectory(PathBuf);

impl ExecutionsDirectory {
    /// The executions under `data`, in a directory that is created where it is missing.
    pub fn open(data: &Path) -> Result<Self, OpenError> {
        let path = data.join("executions");
        match private_directory(&path) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(OpenError::Io { path, source }),
        }
    }

    /// Every execution. What a crash left half written goes.
    pub fn all(&self) -> Result<Vec<Execution>, OpenError> {
        let failed = |source| OpenError::Io { path: self.0.clone(), source };
        let mut executions = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(UNFINISHED) => fs::remove_file(&path).map_err(failed)?,
                Some("json") => executions.extend(read(&path, "an execution")?),
                _ => {}
            }
        }
        Ok(executions)
    }

    /// Replaces an execution's file.
    pub fn write(&self, execution: &Execution) -> io::Result<()> {
        replace(&self.path(execution), execution)
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
