//! Which variables a module declares. Terraform has no command that says so without a plan, so the
//! declarations are read here.

use std::collections::BTreeMap;

use gatehouse_domain::json::Json;
use hcl::{Block, Expression};
use serde_json::Value;

use super::files::{ConfigurationFile, Content, json_blocks};

/// The variables of a module by name.
pub(crate) type Variables = BTreeMap<String, Variable>;

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Variable {
    /// Whether its values are secrets.
    pub(crate) sensitive: bool,
    /// What it is without an input; a variable without a default needs an input.
    pub(crate) default: Option<Json>,
    /// Its type, without spaces: `string`, `map(string)`.
    pub(crate) kind: Option<String>,
}

/// What these files declare, of which later ones override.
pub(super) fn declared_in(files: &[ConfigurationFile]) -> Variables {
    let mut variables = Variables::new();
    for file in files {
        let declared = match &file.content {
            Content::Hcl(body) => from_hcl(body),
            Content::Json(file) => from_json(file),
        };
        for (name, declared) in declared {
            merge(&mut variables, name, declared);
        }
    }
    variables
}

/// One declaration, which in a file that overrides may say a part only.
#[derive(Default)]
struct Declared {
    sensitive: Option<bool>,
    default: Option<Json>,
    kind: Option<String>,
}

fn merge(variables: &mut Variables, name: String, declared: Declared) {
    let variable = variables.entry(name).or_default();
    if let Some(sensitive) = declared.sensitive {
        variable.sensitive = sensitive;
    }
    if declared.default.is_some() {
        variable.default = declared.default;
    }
    if declared.kind.is_some() {
        variable.kind = declared.kind;
    }
}

fn from_hcl(body: &hcl::Body) -> Vec<(String, Declared)> {
    let blocks = body.blocks().filter(|block| block.identifier() == "variable");
    blocks.filter_map(|block| Some((block.labels().first()?.as_str().to_owned(), declared(block)))).collect()
}

fn declared(block: &Block) -> Declared {
    let expression = |name: &str| {
        block.body().attributes().find(|attribute| attribute.key() == name).map(hcl::Attribute::expr)
    };
    Declared {
        sensitive: expression("sensitive").map(is_true),
        // Whatever cannot be said as JSON is a default all the same.
        default: expression("default").map(|value| serde_json::to_value(value).unwrap_or_default().into()),
        kind: expression("type").map(|kind| without_spaces(&kind.to_string())),
    }
}

/// A declaration that is not understood had better be a secret's.
fn is_true(expression: &Expression) -> bool {
    !matches!(expression, Expression::Bool(false))
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|char| !char.is_whitespace()).collect()
}

fn from_json(file: &Value) -> Vec<(String, Declared)> {
    let named = json_blocks(file, "variable").filter_map(Value::as_object).flatten();
    let declared = named.map(|(name, fields)| {
        let declared = Declared {
            sensitive: fields.get("sensitive").map(|value| *value != Value::Bool(false)),
            default: fields.get("default").cloned().map(Json::from),
            kind: fields.get("type").and_then(Value::as_str).map(without_spaces),
        };
        (name.clone(), declared)
    });
    declared.collect()
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
        let json = r#"{ "variable": { "size": { "default": 3, "type": "map( any )" }, "key": { "sensitive": true } } }"#;
        let found = module(&[("main.tf", hcl), ("more.tf.json", json), ("README.md", "{"), (".x.tf", "{")]);
        let expected = [
            ("gatehouse", false, None, Some("object({tenant=string,tags=optional(map(string),{})})")),
            ("key", true, None, None),
            ("password", true, Some(json!("swordfish")), Some("string")),
            ("size", false, Some(json!(3)), Some("map(any)")),
        ];
        let expected = expected.map(|(name, sensitive, default, kind)| {
            let (default, kind) = (default.map(Json::from), kind.map(str::to_owned));
            (name.into(), Variable { sensitive, default, kind })
        });
        assert_eq!(found, Variables::from(expected));
    }

    #[test]
    fn an_override_changes_what_it_names() {
        let files = [
            ("a_override.tf", "variable \"x\" {\n  sensitive = true\n}"),
            ("z.tf", "variable \"x\" {\n  default = 1\n}"),
        ];
        let expected = Variable { sensitive: true, default: Some(json!(1).into()), kind: None };
        assert_eq!(module(&files)["x"], expected);
    }

    #[test]
    fn a_sensitivity_that_is_not_plain_counts() {
        let found = module(&[("a.tf", "variable \"x\" {\n  sensitive = local.secret\n}")]);
        assert!(found["x"].sensitive);
    }
}
