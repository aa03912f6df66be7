//! The directory that one attempt works in: a copy of the module, and what Gatehouse adds to it.

use std::{
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use gatehouse_domain::json::{Json, Object};
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::{backend::BACKEND_FILE, module::Module};

/// Values of the variables, under a name that Terraform looks for by itself.
const VARIABLES_FILE: &str = "gatehouse.auto.tfvars.json";

/// Where `init` writes down which backend it took.
const BACKEND_IN_FORCE: &str = ".terraform/terraform.tfstate";

/// Which providers were taken, down to their hashes.
const LOCK_FILE: &str = ".terraform.lock.hcl";

/// A directory that goes when the attempt is over.
pub(crate) struct Workspace {
    directory: TempDir,
    module: PathBuf,
}

impl Workspace {
    /// Makes one with a copy of the module, values of its variables and the place of its state.
    pub(crate) fn prepare(module: &Module, variables: &Object, backend: &Value) -> io::Result<Self> {
        // Plans and variables hold secrets.
        let private = Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().prefix("gatehouse-").permissions(private).tempdir()?;
        let workspace = Self { module: directory.path().join("module"), directory };
        module.copy_to(&workspace.module)?;
        workspace.write(BACKEND_FILE, backend)?;
        workspace.write(VARIABLES_FILE, variables)?;
        Ok(workspace)
    }

    /// The module's copy, where Terraform runs.
    pub(crate) fn module(&self) -> &Path {
        &self.module
    }

    /// A place for files that are not the module's.
    pub(crate) fn outside(&self) -> &Path {
        self.directory.path()
    }

    /// Where Terraform keeps which providers it took.
    pub(crate) fn lock_file(&self) -> PathBuf {
        self.module.join(LOCK_FILE)
    }

    /// The backend that Terraform took, as `init` wrote it down.
    pub(crate) fn backend_in_force(&self) -> io::Result<Json> {
        let text = fs::read_to_string(self.module.join(BACKEND_IN_FORCE))?;
        Ok(Json::parse(&text)?["backend"].clone())
    }

    fn write(&self, name: &str, content: &impl Serialize) -> io::Result<()> {
        let path = self.module.join(name);
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec_pretty(content)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_secrets_is_for_the_worker_alone() {
        let modules = tempfile::tempdir().unwrap();
        std::fs::create_dir(modules.path().join("example")).unwrap();
        std::fs::write(modules.path().join("example/main.tf"), "").unwrap();
        let module = Module::find(modules.path(), "example").unwrap();
        let workspace = Workspace::prepare(&module, &Object::new(), &Value::Null).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(workspace.outside()), 0o700);
        assert_eq!(mode(&workspace.module().join(VARIABLES_FILE)), 0o600);
        let path = workspace.outside().to_owned();
        drop(workspace);
        assert!(!path.exists());
    }
}
