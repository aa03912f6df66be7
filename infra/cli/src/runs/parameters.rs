//! Values for a run's parameters, as they are written on a command line.

use gatehouse_domain::json::{Json, Object};

use crate::failure::Failure;

/// A value for a parameter: `name=text`, or `name:=json`.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    name: String,
    value: Json,
}

impl Parameter {
    /// Reads one. What follows the first `=` is the value, whatever it holds.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        const SHAPE: &str = "write name=value, or name:=json";
        let (name, value) = text.split_once('=').ok_or(SHAPE)?;
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => {
                let value = Json::parse(value).map_err(|error| format!("{name} is no JSON: {error}"))?;
                (name, value)
            }
            None => (name, Json::from(value)),
        };
        if name.is_empty() { Err(SHAPE.to_owned()) } else { Ok(Self { name: name.to_owned(), value }) }
    }

    /// All of them as the API takes them.
    pub(crate) fn to_json(parameters: Vec<Self>) -> Result<Json, Failure> {
        let mut values = Object::new();
        for Self { name, value } in parameters {
            if values.contains_key(&name) {
                return Err(Failure::Usage(format!("the parameter {name} is given twice")));
            }
            values.insert(name, value);
        }
        Ok(Json::Object(values))
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
            let value = Json::from(value);
            assert_eq!(Parameter::parse(text), Ok(Parameter { name: name.to_owned(), value }), "{text}");
        }
        for bad in ["who", "=Ada", ":=1", "count:=three"] {
            assert!(Parameter::parse(bad).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn numbers_are_sent_as_they_were_written() {
        let sent = Parameter::to_json(vec![Parameter::parse("n:=123456789012345678901234567890").unwrap()]);
        assert_eq!(sent.unwrap().to_string(), r#"{"n":123456789012345678901234567890}"#);
    }

    #[test]
    fn a_parameter_has_one_value() {
        let twice = ["who=Ada", "who=Grace"].map(|text| Parameter::parse(text).unwrap()).to_vec();
        assert!(Parameter::to_json(twice).is_err());
    }
}
