//! Which variables a module declares. Terraform has no command that says so without a plan, so the
//! declarations are read here.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use hcl::{Block, Body, Expression};
use serde_json::Value;

use super::files::is_configuration;

/// The variables of a module by name.
pub(crate) type Variables = BTreeMap<String, Variable>;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Variable {
    /// Whether its values are secrets.
    pub(crate) sensitive: bool,
    /// What it is without an input; a variable without a default needs an input.
    pub(crate) default: Option<Value>,
}

/// A module that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableModule {
    /// A file cannot be read.
    #[error("`{}` of the module cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("`{}` of the module cannot be understood: {problem}", path.display())]
    Syntax { path: PathBuf, problem: String },
}

/// Reads every file of the module that Terraform would read.
pub(super) fn declared_in(directory: &Path) -> Result<Variables, UnreadableModule> {
    let read = |source| UnreadableModule::Read { path: directory.to_owned(), source };
    let entries: Vec<_> = fs::read_dir(directory).and_then(Iterator::collect).map_err(read)?;
    let mut files: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    files.retain(|path| is_configuration(path));
    // As Terraform does it: what overrides comes last.
    files.sort_by_key(|path| (is_override(path), path.clone()));
    let mut variables = Variables::new();
    for file in files {
        let name = PathBuf::from(file.file_name().unwrap_or_default());
        let text = fs::read_to_string(&file)
            .map_err(|source| UnreadableModule::Read { path: name.clone(), source })?;
        let is_json = file.extension().is_some_and(|extension| extension == "json");
        let declared = if is_json { from_json(&text) } else { from_hcl(&text) };
        let declared = declared.map_err(|problem| UnreadableModule::Syntax { path: name, problem })?;
        for (name, declared) in declared {
            merge(&mut variables, name, declared);
        }
    }
    Ok(variables)
}

/// One declaration, which in a file that overrides may say a part only.
#[derive(Default)]
struct Declared {
    sensitive: Option<bool>,
    default: Option<Value>,
}

fn merge(variables: &mut Variables, name: String, declared: Declared) {
    let variable = variables.entry(name).or_default();
    if let Some(sensitive) = declared.sensitive {
        variable.sensitive = sensitive;
    }
    if declared.default.is_some() {
        variable.default = declared.default;
    }
}

fn is_override(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.trim_end_matches(".json").trim_end_matches(".tf");
    stem == "override" || stem.ends_with("_override")
}

fn from_hcl(text: &str) -> Result<Vec<(String, Declared)>, String> {
    let body: Body = hcl::parse(text).map_err(|error| error.to_string())?;
    let blocks = body.blocks().filter(|block| block.identifier() == "variable");
    Ok(blocks
        .filter_map(|block| Some((block.labels().first()?.as_str().to_owned(), declared(block))))
        .collect())
}

fn declared(block: &Block) -> Declared {
    let expression = |name: &str| {
        block.body().attributes().find(|attribute| attribute.key() == name).map(hcl::Attribute::expr)
    };
    Declared {
        sensitive: expression("sensitive").map(is_true),
        // Whatever cannot be said as JSON is a default all the same.
        default: expression("default").map(|value| serde_json::to_value(value).unwrap_or_default()),
    }
}

/// A declaration that is not understood had better be a secret's.
fn is_true(expression: &Expression) -> bool {
    !matches!(expression, Expression::Bool(false))
}

fn from_json(text: &str) -> Result<Vec<(String, Declared)>, String> {
    let file: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let blocks = match &file["variable"] {
        Value::Array(blocks) => blocks.iter().collect(),
        block => vec![block],
    };
    let named = blocks.into_iter().filter_map(Value::as_object).flatten();
    let declared = named.map(|(name, fields)| {
        let sensitive = fields.get("sensitive").map(|value| *value != Value::Bool(false));
        (name.clone(), Declared { sensitive, default: fields.get("default").cloned() })
    });
    Ok(declared.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn module(files: &[(&str, &str)]) -> Result<Variables, UnreadableModule> {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        declared_in(directory.path())
    }

    #[test]
    fn declarations_are_found_in_every_file() {
        let hcl = r#"
            # variable "commented" {}
            variable "gatehouse" {
              type = object({ tenant = string, tags = optional(map(string), {}) })
              validation {
                condition     = length(var.gatehouse.tenant) > 0
                error_message = "No \"tenant\" ${var.x}."
              }
            }
            variable "password" {
              type      = string
              sensitive = true
              default   = "swordfish"
            }
            resource "x" "y" {
              script = <<-EOT
                variable "in_a_text" {}
              EOT
            }
        "#;
        let json = r#"{ "variable": { "size": { "default": 3 }, "key": { "sensitive": true } } }"#;
        let found =
            module(&[("main.tf", hcl), ("more.tf.json", json), ("README.md", "{"), (".x.tf", "{")]).unwrap();
        let expected = [
            ("gatehouse", false, None),
            ("key", true, None),
            ("password", true, Some(json!("swordfish"))),
            ("size", false, Some(json!(3))),
        ];
        let expected =
            expected.map(|(name, sensitive, default)| (name.into(), Variable { sensitive, default }));
        assert_eq!(found, Variables::from(expected));
    }

    #[test]
    fn an_override_changes_what_it_names() {
        let files = [
            ("a_override.tf", "variable \"x\" {\n  sensitive = true\n}"),
            ("z.tf", "variable \"x\" {\n  default = 1\n}"),
        ];
        let expected = Variable { sensitive: true, default: Some(json!(1)) };
        assert_eq!(module(&files).unwrap()["x"], expected);
    }

    #[test]
    fn a_sensitivity_that_is_not_plain_counts() {
        let found = module(&[("a.tf", "variable \"x\" {\n  sensitive = local.secret\n}")]).unwrap();
        assert!(found["x"].sensitive);
    }

    #[test]
    fn a_file_that_is_no_terraform_is_named() {
        let error = module(&[("broken.tf", "variable \"x\" {")]).unwrap_err().to_string();
        assert!(error.starts_with("`broken.tf` of the module cannot be understood: "), "{error}");
        assert!(module(&[("broken.tf.json", "{")]).is_err());
    }
}
