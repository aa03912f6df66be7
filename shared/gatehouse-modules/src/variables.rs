//! Which variables a module declares.

use std::collections::BTreeMap;

use gatehouse_domain::json::Json;

use super::{
    declared::{Declared, declarations},
    files::ConfigurationFile,
};

/// The variables of a module by name.
pub type Variables = BTreeMap<String, Variable>;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Variable {
    /// Whether its values are secrets.
    pub sensitive: bool,
    /// What it is without an input; a variable without a default needs an input.
    pub default: Option<Json>,
    /// Its type, without spaces: `string`, `map(string)`.
    pub kind: Option<String>,
    pub description: Option<String>,
}

/// What these files declare, of which later ones override.
pub(super) fn declared_in(files: &[ConfigurationFile]) -> Variables {
    let mut variables = Variables::new();
    for (name, declared) in files.iter().flat_map(|file| declarations(file, "variable")) {
        merge(variables.entry(name).or_default(), declared);
    }
    variables
}

fn merge(variable: &mut Variable, declared: Declared) {
    let Declared { sensitive, default, kind, description } = declared;
    if let Some(sensitive) = sensitive {
        variable.sensitive = sensitive;
    }
    variable.default = default.or(variable.default.take());
    variable.kind = kind.or(variable.kind.take());
    variable.description = description.or(variable.description.take());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::files::read, *};

    fn module(files: &[(&str, &str)]) -> Variables {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        declared_in(&read(directory.path()).unwrap())
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
              description = "What opens it."
              type        = string
              sensitive   = true
              default     = "swordfish"
            }
            resource "x" "y" {
              script = <<-EOT
                variable "in_a_text" {}
              EOT
            }
        "#;
        let json = r#"{ "variable": { "size": { "default": 3, "type": "map( any )" }, "key": { "sensitive": true } } }"#;
        let found = module(&[("main.tf", hcl), ("more.tf.json", json), ("README.md", "{"), (".x.tf", "{")]);
        let expected = [
            ("gatehouse", false, None, None, Some("object({tenant=string,tags=optional(map(string),{})})")),
            ("key", true, None, None, None),
            ("password", true, Some("What opens it."), Some(json!("swordfish")), Some("string")),
            ("size", false, None, Some(json!(3)), Some("map(any)")),
        ];
        let expected = expected.map(|(name, sensitive, description, default, kind)| {
            let (default, kind) = (default.map(Json::from), kind.map(str::to_owned));
            (name.into(), Variable { sensitive, default, kind, description: description.map(str::to_owned) })
        });
        assert_eq!(found, Variables::from(expected));
    }

    #[test]
    fn an_override_changes_what_it_names() {
        let files = [
            ("a_override.tf", "variable \"x\" {\n  sensitive = true\n}"),
            ("z.tf", "variable \"x\" {\n  default = 1\n}"),
        ];
        let expected = Variable { sensitive: true, default: Some(json!(1).into()), ..Variable::default() };
        assert_eq!(module(&files)["x"], expected);
    }

    #[test]
    fn a_sensitivity_that_is_not_plain_counts() {
        let found = module(&[("a.tf", "variable \"x\" {\n  sensitive = local.secret\n}")]);
        assert!(found["x"].sensitive);
    }
}
