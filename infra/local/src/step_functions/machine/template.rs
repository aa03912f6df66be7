//! `Parameters` and `ResultSelector`: JSON with expressions behind keys that end in `.$`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::expression::{Context, Expression};

/// JSON that is filled from a state's data.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Template(Vec<(String, Part)>);

#[derive(Clone, Debug)]
enum Part {
    Constant(Value),
    Computed(Expression),
    Object(Template),
    List(Vec<Part>),
}

impl TryFrom<Map<String, Value>> for Template {
    type Error = String;

    fn try_from(fields: Map<String, Value>) -> Result<Self, String> {
        fields.into_iter().map(field).collect::<Result<_, _>>().map(Self)
    }
}

impl Template {
    /// Fills it. The error says which field cannot be filled, and why.
    pub fn evaluate(&self, data: &Value, context: &Context<'_>) -> Result<Value, String> {
        let fields = self.0.iter().map(|(name, part)| {
            let value = part.evaluate(data, context).map_err(|error| format!("{name}: {error}"))?;
            Ok((name.clone(), value))
        });
        fields.collect::<Result<Map<_, _>, String>>().map(Value::Object)
    }

    /// Whether it hands the task's token out.
    pub fn gives_token(&self) -> bool {
        self.0.iter().any(|(_, part)| part.gives_token())
    }

    /// The names of its fields, in order.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }
}

impl Part {
    fn parse(value: Value) -> Result<Self, String> {
        match value {
            Value::Object(fields) => Template::try_from(fields).map(Self::Object),
            Value::Array(items) => {
                items.into_iter().map(Self::parse).collect::<Result<_, _>>().map(Self::List)
            }
            value => Ok(Self::Constant(value)),
        }
    }

    fn evaluate(&self, data: &Value, context: &Context<'_>) -> Result<Value, String> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Computed(expression) => expression.evaluate(data, context),
            Self::Object(template) => template.evaluate(data, context),
            Self::List(parts) => parts.iter().map(|part| part.evaluate(data, context)).collect(),
        }
    }

    fn gives_token(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Computed(expression) => expression.gives_token(),
            Self::Object(template) => template.gives_token(),
            Self::List(parts) => parts.iter().any(Self::gives_token),
        }
    }
}

fn field((name, value): (String, Value)) -> Result<(String, Part), String> {
    let Some(computed) = name.strip_suffix(".$") else {
        return Ok((name, Part::parse(value)?));
    };
    let Value::String(text) = &value else {
        return Err(format!("`{name}` is not followed by a text"));
    };
    let expression = Expression::parse(text).map_err(|error| format!("`{name}`: {error}"))?;
    Ok((computed.to_owned(), Part::Computed(expression)))
}
