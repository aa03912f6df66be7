//! Blocks with a name, which declare a variable or an output.

use gatehouse_domain::json::Json;
use hcl::{Block, Expression};
use serde_json::{Map, Value};

use super::files::{ConfigurationFile, Content, json_blocks};

/// One declaration, which in a file that overrides may say a part only.
#[derive(Default)]
pub(super) struct Declared {
    pub(super) sensitive: Option<bool>,
    pub(super) default: Option<Json>,
    pub(super) kind: Option<String>,
    pub(super) description: Option<String>,
}

/// What a file declares by blocks of this kind, in the order in which it does.
pub(super) fn declarations(file: &ConfigurationFile, kind: &str) -> Vec<(String, Declared)> {
    match &file.content {
        Content::Hcl(body) => {
            let blocks = body.blocks().filter(|block| block.identifier() == kind);
            blocks
                .filter_map(|block| Some((block.labels().first()?.as_str().to_owned(), of_hcl(block))))
                .collect()
        }
        Content::Json(file) => {
            let named = json_blocks(file, kind).filter_map(Value::as_object).flatten();
            named.filter_map(|(name, fields)| Some((name.clone(), of_json(fields.as_object()?)))).collect()
        }
    }
}

fn of_hcl(block: &Block) -> Declared {
    let expression = |name: &str| {
        block.body().attributes().find(|attribute| attribute.key() == name).map(hcl::Attribute::expr)
    };
    Declared {
        sensitive: expression("sensitive").map(is_true),
        // Whatever cannot be said as JSON is a default all the same.
        default: expression("default").map(|value| serde_json::to_value(value).unwrap_or_default().into()),
        kind: expression("type").map(|kind| without_spaces(&kind.to_string())),
        description: expression("description").and_then(text),
    }
}

/// A text without anything in it that would have to be worked out.
fn text(expression: &Expression) -> Option<String> {
    match expression {
        Expression::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// A declaration that is not understood had better be a secret's.
fn is_true(expression: &Expression) -> bool {
    !matches!(expression, Expression::Bool(false))
}

fn of_json(fields: &Map<String, Value>) -> Declared {
    Declared {
        sensitive: fields.get("sensitive").map(|value| *value != Value::Bool(false)),
        default: fields.get("default").cloned().map(Json::from),
        kind: fields.get("type").and_then(Value::as_str).map(without_spaces),
        description: fields.get("description").and_then(Value::as_str).map(str::to_owned),
    }
}

fn without_spaces(text: &str) -> String {
    text.chars().filter(|char| !char.is_whitespace()).collect()
}
