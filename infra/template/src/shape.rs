//! The resources of a template: conditions applied, `Globals` merged in, properties resolved.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{error::TemplateError, resolve::Resolver};

pub struct Resources<'a> {
    document: &'a Value,
    resolver: Resolver,
}

pub struct Resource {
    pub id: String,
    /// The properties with `Globals` merged in, and resolved.
    pub properties: Value,
}

impl<'a> Resources<'a> {
    pub fn new(document: &'a Value, resolver: Resolver) -> Self {
        Self { document, resolver }
    }

    /// Lists the resources of one type whose condition holds.
    pub fn of_type(&self, kind: &str) -> Result<Vec<Resource>, TemplateError> {
        let Some(resources) = self.document["Resources"].as_object() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for (id, resource) in resources.iter().filter(|(_, resource)| resource["Type"] == kind) {
            if self.exists(id, resource)? {
                found.push(self.read(id, kind, resource));
            }
        }
        Ok(found)
    }

    fn exists(&self, id: &str, resource: &Value) -> Result<bool, TemplateError> {
        let Some(condition) = resource["Condition"].as_str() else { return Ok(true) };
        self.resolver.condition(condition).ok_or_else(|| {
            let message = format!("cannot tell locally whether the condition {condition} holds");
            TemplateError::resource(id, message)
        })
    }

    fn read(&self, id: &str, kind: &str, resource: &Value) -> Resource {
        let mut written = self.globals(kind);
        merge(&mut written, &resource["Properties"]);
        Resource { id: id.to_owned(), properties: self.resolver.resolve(&written).unwrap_or_default() }
    }

    fn globals(&self, kind: &str) -> Value {
        let section = kind.strip_prefix("AWS::Serverless::").unwrap_or_default();
        let globals = self.document["Globals"][section].clone();
        if globals.is_null() { Value::Object(Map::new()) } else { globals }
    }
}

impl Resource {
    /// Reads the resolved properties into their shape.
    pub fn shaped<T: DeserializeOwned>(&self) -> Result<T, TemplateError> {
        shaped(&self.id, self.properties.clone())
    }
}

/// Reads a resolved value into its shape, naming the resource when it does not fit.
pub fn shaped<T: DeserializeOwned>(resource: &str, value: Value) -> Result<T, TemplateError> {
    serde_json::from_value(value).map_err(|error| TemplateError::resource(resource, error.to_string()))
}

/// As SAM merges `Globals`: maps are merged, lists are joined, anything else is replaced.
fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) if !is_intrinsic(from) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => into.extend(from.iter().cloned()),
        (_, Value::Null) => {}
        (into, from) => *into = from.clone(),
    }
}

fn is_intrinsic(map: &Map<String, Value>) -> bool {
    map.len() == 1 && map.keys().all(|key| key == "Ref" || key.starts_with("Fn::"))
}
