//! What an authorizer function answers.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::policy::Policy;

#[derive(Clone, Debug)]
pub struct Answer {
    pub principal_id: String,
    /// What they may call.
    pub policy: Policy,
    /// What the integration is given; every value is text.
    pub context: Map<String, Value>,
    /// The API key that usage plans count, when the authorizer gives one.
    pub usage_identifier_key: Option<String>,
}

/// Why an answer is not one that API Gateway takes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A field is missing or of the wrong type.
    #[error("{0}")]
    Shape(String),
    /// `principalId` is empty.
    #[error("principalId is empty")]
    NoPrincipal,
    /// A value of the context is not a text, number or boolean.
    #[error("context.{0} is not a string, number or boolean")]
    Nested(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    principal_id: String,
    policy_document: Policy,
    #[serde(default)]
    context: Option<Map<String, Value>>,
    #[serde(default)]
    usage_identifier_key: Option<String>,
}

impl Answer {
    /// Reads the JSON that the function returned.
    pub fn parse(payload: &[u8]) -> Result<Self, Malformed> {
        let wire: Wire =
            serde_json::from_slice(payload).map_err(|error| Malformed::Shape(error.to_string()))?;
        if wire.principal_id.is_empty() {
            return Err(Malformed::NoPrincipal);
        }
        let context = wire.context.unwrap_or_default().into_iter().map(text);
        Ok(Self {
            principal_id: wire.principal_id,
            policy: wire.policy_document,
            context: context.collect::<Result<_, _>>()?,
            usage_identifier_key: wire.usage_identifier_key,
        })
    }
}

/// API Gateway passes numbers and booleans on as text.
fn text((name, value): (String, Value)) -> Result<(String, Value), Malformed> {
    match value {
        Value::String(text) => Ok((name, text.into())),
        Value::Number(_) | Value::Bool(_) => Ok((name, value.to_string().into())),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(Malformed::Nested(name)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(change: impl FnOnce(&mut Value)) -> Result<Answer, Malformed> {
        let mut answer = json!({
            "principalId": "key_1",
            "policyDocument": {"Version": "2012-10-17", "Statement": []},
            "context": {"role": "admin", "count": 3, "fresh": true},
        });
        change(&mut answer);
        Answer::parse(answer.to_string().as_bytes())
    }

    #[test]
    fn context_values_become_text() {
        let answer = parse(|answer| answer["usageIdentifierKey"] = "plan".into()).unwrap();
        assert_eq!(Value::from(answer.context), json!({"role": "admin", "count": "3", "fresh": "true"}));
        assert_eq!(answer.usage_identifier_key.as_deref(), Some("plan"));
    }

    #[test]
    fn the_context_may_be_absent() {
        assert!(parse(|answer| answer["context"] = Value::Null).unwrap().context.is_empty());
    }

    #[test]
    fn anything_else_is_malformed() {
        let changes: [(&str, Value); 7] = [
            ("principalId", Value::Null),
            ("principalId", "".into()),
            ("principalId", 7.into()),
            ("policyDocument", Value::Null),
            ("context", json!({"a": null})),
            ("context", json!({"a": ["b"]})),
            ("context", json!([])),
        ];
        for (field, value) in changes {
            assert!(parse(|answer| answer[field] = value.clone()).is_err(), "{field} = {value}");
        }
        assert!(Answer::parse(b"null").is_err());
        assert!(Answer::parse(b"\"allow\"").is_err());
    }
}
