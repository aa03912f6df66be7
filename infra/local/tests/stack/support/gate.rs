//! A named pipe through which a test sets the pace of a command.

use std::{fs::File, io::Write, path::PathBuf, process::Command};

use tempfile::TempDir;

pub struct Gate {
    pipe: File,
    path: PathBuf,
    _directory: TempDir,
}

impl Gate {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("gate");
        let made = Command::new("mkfifo").arg(&path).status().expect("there is mkfifo");
        assert!(made.success(), "no pipe could be made");
        // Open for both, so that opening does not wait for the other side.
        let pipe = File::options().read(true).write(true).open(&path).expect("a pipe opens");
        Self { pipe, path, _directory: directory }
    }

    pub fn path(&self) -> &str {
        self.path.to_str().expect("temporary paths are text")
    }

    /// Gives one line to whoever reads the pipe.
    pub fn say(&self, line: &str) {
        (&self.pipe).write_all(format!("{line}\n").as_bytes()).expect("a pipe takes a line");
    }
}
