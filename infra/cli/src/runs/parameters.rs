//! Values for a run's parameters, as they are written on a command line.

use serde_json::{Map, Value};

use crate::failure::Failure;

/// A value for a parameter: `name=text`, or `name:=json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    name: String,
    value: Value,
}

impl Parameter {
    /// Reads one. What follows the first `=` is the value, whatever it holds.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const SHAPE: &str = "write name=value, or name:=json";
        let (name, value) = text.split_once('=').ok_or(SHAPE)?;
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => {
                let value =
                    serde_json::from_str(value).map_err(|error| format!("{name} is no JSON: {error}"))?;
                (name, value)
            }
            None => (name, Value::from(value)),
        };
        if name.is_empty() { Err(SHAPE.to_owned()) } else { Ok(Self { name: name.to_owned(), value }) }
    }

    /// All of them as the API takes them.
    pub(crate) fn to_json(parameters: Vec<Self>) -> Result<Value, Failure> {
        let mut values = Map::new();
        for Self { name, value } in parameters {
            if values.contains_key(&name) {
                return Err(Failure::Usage(format!("the parameter {name} is given twice")));
            }
            values.insert(name, value);
        }
        Ok(Value::Object(values))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_text_unless_they_are_said_to_be_json() {
        let cases = [
            ("who=Ada", "who", json!("Ada")),
            ("count=3", "count", json!("3")),
            ("count:=3", "count", json!(3)),
            ("dry:=true", "dry", json!(true)),
            ("query=a=b:=c", "query", json!("a=b:=c")),
            ("empty=", "empty", json!("")),
        ];
        for (text, name, value) in cases {
            assert_eq!(Parameter::parse(text), Ok(Parameter { name: name.to_owned(), value }), "{text}");
        }
        for bad in ["who", "=Ada", ":=1", "count:=three"] {
            assert!(Parameter::parse(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn a_parameter_has_one_value() {
        let twice = ["who=Ada", "who=Grace"].map(|text| Parameter::parse(text).unwrap()).to_vec();
        assert!(Parameter::to_json(twice).is_err());
    }
}
