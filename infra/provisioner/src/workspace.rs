//! The directory that one attempt works in: a copy of the module, and what Gatehouse adds to it.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::{
    location::{Location, key_below},
    module::Module,
    work::WorkOrder,
};

/// Values of the variables, under a name that Terraform looks for by itself.
const VARIABLES_FILE: &str = "gatehouse.auto.tfvars.json";

/// Replaces the backend that the module names, if it names one.
const BACKEND_FILE: &str = "backend_override.tf.json";

/// Which providers were taken, down to their hashes.
const LOCK_FILE: &str = ".terraform.lock.hcl";

/// A directory that goes when the attempt is over.
pub(crate) struct Workspace {
    directory: TempDir,
    module: PathBuf,
}

impl Workspace {
    /// Makes one with a copy of the module, the order's variables and the place of its state.
    pub(crate) fn prepare(module: &Module, order: &WorkOrder, backend: &Value) -> io::Result<Self> {
        // Plans and variables hold secrets.
        let private = Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new().prefix("gatehouse-").permissions(private).tempdir()?;
        let workspace = Self { module: directory.path().join("module"), directory };
        module.copy_to(&workspace.module)?;
        workspace.write(BACKEND_FILE, backend)?;
        workspace.write(VARIABLES_FILE, &variables(order))?;
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

    fn write(&self, name: &str, content: &Value) -> io::Result<()> {
        let path = self.module.join(name);
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(&serde_json::to_vec_pretty(content)?)
    }
}

/// The inputs, and what every module is told of the place that it is for.
fn variables(order: &WorkOrder) -> Value {
    let mut variables: Map<String, Value> = order.inputs.clone();
    let gatehouse = json!({
        "tenant": order.tenant,
        "service": order.service,
        "environment": order.environment,
        "operation_id": order.operation_id,
    });
    variables.insert("gatehouse".to_owned(), gatehouse);
    variables.into()
}

/// The configuration of the backend that keeps the order's state at this location.
pub(crate) fn backend(state: &Location, region: Option<&str>, order: &WorkOrder) -> Value {
    let backend = match state {
        Location::Directory(directory) => {
            json!({ "local": { "path": directory.join(order.state_key()) } })
        }
        Location::Bucket { bucket, prefix } => {
            let mut settings = json!({
                "bucket": bucket,
                "key": key_below(prefix, &order.state_key()),
                "encrypt": true,
                "use_lockfile": true,
            });
            if let Some(region) = region {
                settings["region"] = region.into();
            }
            json!({ "s3": settings })
        }
    };
    json!({ "terraform": { "backend": backend } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> WorkOrder {
        serde_json::from_value(json!({
            "operation_id": "op_1", "kind": "provision", "phase": "plan", "tenant": "acme", "service": "shop",
            "environment": "dev", "module": "example", "inputs": { "size": 3 }, "heartbeat_seconds": 20,
        }))
        .unwrap()
    }

    #[test]
    fn state_in_a_bucket_is_encrypted_and_locked() {
        let state = "s3://states/gatehouse".parse().unwrap();
        let expected = json!({ "terraform": { "backend": { "s3": {
            "bucket": "states",
            "key": "gatehouse/tenants/acme/shop/dev/terraform.tfstate",
            "region": "eu-west-1",
            "encrypt": true,
            "use_lockfile": true,
        } } } });
        assert_eq!(backend(&state, Some("eu-west-1"), &order()), expected);
        assert_eq!(backend(&state, None, &order())["terraform"]["backend"]["s3"].get("region"), None);
    }

    #[test]
    fn state_in_a_directory_is_a_file() {
        let path = "/states/tenants/acme/shop/dev/terraform.tfstate";
        let expected = json!({ "terraform": { "backend": { "local": { "path": path } } } });
        assert_eq!(backend(&"file:///states".parse().unwrap(), Some("eu-west-1"), &order()), expected);
    }

    #[test]
    fn a_module_is_told_what_it_is_for() {
        let gatehouse =
            json!({ "tenant": "acme", "service": "shop", "environment": "dev", "operation_id": "op_1" });
        assert_eq!(variables(&order()), json!({ "size": 3, "gatehouse": gatehouse }));
    }

    #[test]
    fn what_holds_secrets_is_for_the_worker_alone() {
        let modules = tempfile::tempdir().unwrap();
        std::fs::create_dir(modules.path().join("example")).unwrap();
        std::fs::write(modules.path().join("example/main.tf"), "").unwrap();
        let module = Module::find(modules.path(), "example").unwrap();
        let workspace = Workspace::prepare(&module, &order(), &json!({})).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(workspace.outside()), 0o700);
        assert_eq!(mode(&workspace.module().join(VARIABLES_FILE)), 0o600);
        let path = workspace.outside().to_owned();
        drop(workspace);
        assert!(!path.exists());
    }
}
