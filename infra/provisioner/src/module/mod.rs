//! Modules: what can be provisioned. Each is a directory of Terraform files that stands alone.

mod context;
mod inputs;
mod packed;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use gatehouse_modules::{ModuleError, Variables, is_module};

pub use self::inputs::InputError;
pub(crate) use self::{context::told, inputs::check, packed::PackedModule};

#[derive(Debug)]
pub(crate) struct Module {
    name: String,
    directory: PathBuf,
}

/// There is no such module.
#[derive(Debug, thiserror::Error)]
#[error("there is no module `{name}`; there are: {known}")]
pub struct UnknownModule {
    name: String,
    known: String,
}

impl Module {
    /// The module of this name, which must be a plain one.
    pub(crate) fn find(modules: &Path, name: &str) -> Result<Self, UnknownModule> {
        let directory = modules.join(name);
        if is_module(&directory) {
            return Ok(Self { name: name.to_owned(), directory });
        }
        let entries = fs::read_dir(modules).into_iter().flatten().flatten();
        let modules = entries.filter(|entry| is_module(&entry.path()));
        let mut known: Vec<_> =
            modules.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        known.sort();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Err(UnknownModule { name: name.to_owned(), known })
    }

    /// The module of this name as it was kept, unpacked in this directory.
    pub(crate) fn kept(name: &str, directory: &Path) -> Self {
        Self { name: name.to_owned(), directory: directory.to_owned() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it declares. A module that would keep its state by itself is refused.
    pub(crate) fn variables(&self) -> Result<Variables, ModuleError> {
        gatehouse_modules::variables(&self.directory)
    }

    /// Files with values that Terraform would load by itself, and that are not copied: they would beat what a caller asked
    /// for.
    pub(crate) fn ignored_values(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut ignored: Vec<_> = names.filter(|name| is_loaded_by_itself(name)).collect();
        ignored.sort();
        ignored
    }

    /// Copies it to a directory that is not there yet.
    pub(crate) fn copy_to(&self, target: &Path) -> io::Result<()> {
        copy(&self.directory, target)
    }
}

/// What somebody left who tried the module where it is: it belongs to another state.
fn is_left_over(name: &str) -> bool {
    name == ".terraform"
        || name.contains(".tfstate")
        || name.ends_with(".tfplan")
        || name.ends_with(".tfvars")
        || name.ends_with(".tfvars.json")
}

/// Whether Terraform takes values from this file without being told to.
fn is_loaded_by_itself(name: &str) -> bool {
    let name = name.strip_suffix(".json").unwrap_or(name);
    name == "terraform.tfvars" || name.ends_with(".auto.tfvars")
}

fn copy(source: &Path, target: &Path) -> io::Result<()> {
    fs::create_dir(target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let name = entry.file_name();
        let (from, to) = (entry.path(), target.join(&name));
        let kind = entry.file_type()?;
        if is_left_over(&name.to_string_lossy()) {
            continue;
        }
        if kind.is_dir() {
            copy(&from, &to)?;
        } else if kind.is_file() {
            fs::copy(&from, &to)?;
        } else {
            let problem = format!("`{}` is neither a file nor a directory", from.display());
            return Err(io::Error::other(problem));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use gatehouse_domain::json::Object;

    use super::*;

    fn modules() -> tempfile::TempDir {
        let modules = tempfile::tempdir().unwrap();
        for file in [
            "bucket/main.tf",
            "bucket/files/policy.json",
            "bucket/.terraform.lock.hcl",
            "bucket/.terraform/providers/x",
            "bucket/terraform.tfstate",
            "bucket/terraform.tfstate.backup",
            "bucket/terraform.tfvars",
            "bucket/terraform.tfvars.json",
            "bucket/x.auto.tfvars",
            "bucket/y.auto.tfvars.json",
            "bucket/dev.tfvars",
            "queue/main.tf.json",
            "notes/README.md",
        ] {
            let path = modules.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        modules
    }

    #[test]
    fn an_unknown_module_is_told_with_those_there_are() {
        let modules = modules();
        assert_eq!(Module::find(modules.path(), "queue").unwrap().name(), "queue");
        for name in ["notes", "missing"] {
            let error = Module::find(modules.path(), name).unwrap_err().to_string();
            assert_eq!(error, format!("there is no module `{name}`; there are: bucket, queue"));
        }
        let error = Module::find(Path::new("/nonexistent"), "x").unwrap_err().to_string();
        assert_eq!(error, "there is no module `x`; there are: none");
    }

    #[test]
    fn the_modules_of_this_repository_are_made_for_gatehouse() {
        let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("modules");
        for name in ["example", "aws-bucket-and-queue"] {
            let variables = Module::find(&modules, name).unwrap().variables().unwrap();
            check(name, &variables, &Object::new(), &Object::new()).unwrap();
        }
        let example = Module::find(&modules, "example").unwrap().variables().unwrap();
        let sensitive: Vec<_> =
            example.iter().filter(|(_, variable)| variable.sensitive).map(|(name, _)| name).collect();
        assert_eq!(sensitive, ["password"]);
    }

    #[test]
    fn a_copy_has_what_the_module_is_and_nothing_that_was_left_there() {
        let modules = modules();
        let target = modules.path().join("copy");
        Module::find(modules.path(), "bucket").unwrap().copy_to(&target).unwrap();
        let has = |file: &str| target.join(file).exists();
        assert!(has("main.tf") && has("files/policy.json") && has(".terraform.lock.hcl"));
        for file in [".terraform", "terraform.tfstate", "terraform.tfstate.backup", "dev.tfvars"] {
            assert!(!has(file), "{file}");
        }
    }

    #[test]
    fn values_that_terraform_would_load_by_itself_are_named_and_not_copied() {
        let modules = modules();
        let module = Module::find(modules.path(), "bucket").unwrap();
        let ignored = ["terraform.tfvars", "terraform.tfvars.json", "x.auto.tfvars", "y.auto.tfvars.json"];
        assert_eq!(module.ignored_values(), ignored);
        let target = modules.path().join("copy");
        module.copy_to(&target).unwrap();
        assert!(ignored.iter().all(|file| !target.join(file).exists()));
    }

    #[test]
    fn a_link_that_may_lead_anywhere_is_not_followed() {
        let modules = modules();
        symlink("/etc", modules.path().join("bucket/etc")).unwrap();
        let module = Module::find(modules.path(), "bucket").unwrap();
        let error = module.copy_to(&modules.path().join("copy")).unwrap_err().to_string();
        assert!(error.ends_with("bucket/etc` is neither a file nor a directory"), "{error}");
    }
}
