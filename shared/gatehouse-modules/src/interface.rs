//! What modules take and give, as it is published.

use std::{collections::BTreeMap, fs, io, path::Path};

use gatehouse_domain::{
    modules::{Input, Interface, OWN, Output},
    name::{InvalidName, ModuleName},
};

use super::{
    ModuleError, backends,
    declared::declarations,
    files::{self, ConfigurationFile},
    is_module,
    told::tells,
    variables::{self, Variable},
};

/// The longest default and description that is published, in bytes: a longer one is left out, or cut.
const MAX_TEXT: usize = 1000;

/// Why a folder cannot be published as a module.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("its name is none of a module")]
    Name(#[from] InvalidName),
    #[error(transparent)]
    Module(#[from] ModuleError),
}

/// A folder with Terraform files in it.
#[derive(Debug)]
pub struct Folder {
    pub name: String,
    pub module: Result<(ModuleName, Interface), FolderError>,
}

/// The modules in this directory, each a folder of it, by name.
///
/// # Errors
///
/// When the directory cannot be read.
pub fn modules_in(directory: &Path) -> io::Result<Vec<Folder>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if is_module(&entry.path()) {
            let name = entry.file_name().to_string_lossy().into_owned();
            folders.push(Folder { module: module(&name, &entry.path()), name });
        }
    }
    folders.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(folders)
}

fn module(name: &str, directory: &Path) -> Result<(ModuleName, Interface), FolderError> {
    Ok((name.parse::<ModuleName>()?, interface(directory)?))
}

fn interface(directory: &Path) -> Result<Interface, ModuleError> {
    let files = files::read(directory)?;
    backends::refuse(&files)?;
    let variables = variables::declared_in(&files).into_iter().filter(|(name, _)| name != OWN);
    let inputs = variables.map(|(name, variable)| {
        let input = input(&name, variable);
        (name, input)
    });
    Ok(Interface { inputs: inputs.collect(), outputs: outputs(&files) })
}

fn input(name: &str, variable: Variable) -> Input {
    let Variable { sensitive, default, kind, description } = variable;
    Input {
        required: default.is_none() && !tells(name, kind.as_deref()),
        // What the default of a secret is stands in the module's source, and need not stand elsewhere.
        default: default.filter(|default| !sensitive && default.to_string().len() <= MAX_TEXT),
        kind: kind.filter(|kind| kind.len() <= MAX_TEXT),
        description: description.map(cut),
        sensitive,
    }
}

fn outputs(files: &[ConfigurationFile]) -> BTreeMap<String, Output> {
    let mut outputs = BTreeMap::<_, Output>::new();
    for (name, declared) in files.iter().flat_map(|file| declarations(file, "output")) {
        let output = outputs.entry(name).or_default();
        if let Some(sensitive) = declared.sensitive {
            output.sensitive = sensitive;
        }
        output.description = declared.description.map(cut).or(output.description.take());
    }
    outputs
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        directory
    }

    #[test]
    fn each_folder_with_terraform_in_it_is_a_module() {
        let long = "x".repeat(1001);
        let main = format!(
            r#"
            variable "gatehouse" {{ type = any }}
            variable "tenant" {{ type = string }}
            variable "environment" {{ type = object({{ name = string }}) }}
            variable "size" {{
              description = "How much."
              type        = number
              default     = 3
            }}
            variable "password" {{
              sensitive = true
              default   = "canary"
            }}
            variable "long" {{ default = "{long}" }}
            output "url" {{
              description = "Where it is."
              value       = "x"
            }}
            output "key" {{
              value     = var.password
              sensitive = true
            }}
            "#
        );
        let directory = directory(&[("bucket/main.tf", &main), ("notes/README.md", ""), ("file", "")]);
        let folders = modules_in(directory.path()).unwrap();
        let modules: BTreeMap<_, _> = folders.into_iter().map(|folder| folder.module.unwrap()).collect();
        let expected = json!({
            "bucket": {
                "inputs": {
                    "environment": { "type": "object({name=string})", "required": true },
                    "long": {},
                    "password": { "sensitive": true },
                    "size": { "type": "number", "description": "How much.", "default": 3 },
                    "tenant": { "type": "string" },
                },
                "outputs": { "key": { "sensitive": true }, "url": { "description": "Where it is." } },
            },
        });
        assert_eq!(serde_json::to_value(&modules).unwrap(), expected);
    }

    #[test]
    fn a_folder_that_nobody_could_use_is_named_beside_those_that_can_be() {
        let directory = directory(&[
            ("X Y/main.tf", ""),
            ("broken/main.tf", "variable {"),
            ("fine/main.tf", ""),
            ("foreign/main.tf", "terraform {\n backend \"s3\" {}\n}"),
        ]);
        let folders = modules_in(directory.path()).unwrap();
        let said: Vec<_> = folders
            .iter()
            .map(|folder| {
                (folder.name.as_str(), folder.module.as_ref().map(drop).map_err(ToString::to_string))
            })
            .collect();
        let (names, problems): (Vec<_>, Vec<_>) = said.into_iter().unzip();
        assert_eq!(names, ["X Y", "broken", "fine", "foreign"]);
        assert_eq!(problems[0].as_ref().unwrap_err(), "its name is none of a module");
        assert!(problems[1].as_ref().unwrap_err().contains("`main.tf` of the module cannot be understood"));
        assert!(problems[2].is_ok());
        assert!(problems[3].as_ref().unwrap_err().contains("has a `backend` block"));
        assert!(modules_in(Path::new("/nonexistent")).is_err());
    }
}
