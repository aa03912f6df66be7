//! A directory with everything that workers share: state, artifacts, modules.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use super::OPERATION;

/// The place. Dropping it deletes it.
pub struct Place {
    directory: TempDir,
    modules: PathBuf,
}

impl Place {
    /// An empty one, with the modules of this repository.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("tmp")).unwrap();
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules");
        Self { directory, modules }
    }

    /// One with modules of its own.
    pub fn with_modules(modules: &[(&str, &str)]) -> Self {
        let place = Self::new();
        let own = place.path().join("modules");
        for (file, text) in modules {
            let path = own.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self { modules: own, ..place }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn modules(&self) -> &Path {
        &self.modules
    }

    /// The directory in which workers make their workspaces.
    pub fn temporary(&self) -> PathBuf {
        self.path().join("tmp")
    }

    pub fn state_file(&self) -> PathBuf {
        self.path().join("state/tenants/acme/shop/dev/terraform.tfstate")
    }

    pub fn plan_file(&self) -> PathBuf {
        self.path().join(format!("artifacts/plans/{OPERATION}-1.tfplan"))
    }

    /// Puts a plan there, as an earlier phase would have.
    pub fn keep_plan(&self) {
        fs::create_dir_all(self.plan_file().parent().unwrap()).unwrap();
        fs::write(self.plan_file(), "a plan").unwrap();
    }

    /// What is left of workspaces.
    pub fn workspaces(&self) -> usize {
        fs::read_dir(self.temporary()).unwrap().count()
    }

    /// Every file below this place that holds the text, state and plans apart.
    pub fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        search(self.path(), text, &mut found);
        found
    }
}

fn search(directory: &Path, text: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.ends_with("state") || path.ends_with("artifacts") {
            continue;
        }
        if path.is_dir() {
            search(&path, text, found);
        } else if String::from_utf8_lossy(&fs::read(&path).unwrap()).contains(text) {
            found.push(path);
        }
    }
}
