//! `AWS::Serverless::Function`.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::{
    definition::RouteSettings,
    error::TemplateError,
    resolve::{scalar_text, whole_number},
    shape::{Resource, Resources},
};

/// Lambda's defaults where the template says nothing.
const DEFAULT_TIMEOUT_SECONDS: u64 = 3;
const DEFAULT_MEMORY_MB: u64 = 128;

#[derive(Clone, Debug)]
pub struct FunctionSettings {
    /// The logical id in the template.
    pub logical_id: String,
    /// The last segment of `CodeUri`: the crate and binary name.
    pub name: String,
    /// How long one invocation may take.
    pub timeout: Duration,
    pub memory_mb: i32,
    pub environment: BTreeMap<String, Setting>,
    /// The routes that it answers.
    pub routes: Vec<RouteSettings>,
}

/// The value of an environment variable.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// Known from the template and its parameters.
    Text(String),
    /// Known only after deploying: the intrinsic function as JSON.
    Symbolic(Value),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    code_uri: Option<String>,
    #[serde(default)]
    timeout: Value,
    #[serde(default)]
    memory_size: Value,
    #[serde(default)]
    environment: Environment,
    #[serde(default)]
    events: BTreeMap<String, Event>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    #[serde(default)]
    variables: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "Type")]
    kind: String,
}

/// Reads every function of the template, without its routes, which stand in the API.
pub fn all(resources: &Resources<'_>) -> Result<Vec<FunctionSettings>, TemplateError> {
    resources.of_type("AWS::Serverless::Function")?.iter().map(read).collect()
}

fn read(resource: &Resource) -> Result<FunctionSettings, TemplateError> {
    let properties: Properties = resource.shaped()?;
    refuse_routes(&resource.id, &properties.events)?;
    Ok(FunctionSettings {
        logical_id: resource.id.clone(),
        name: name(&resource.id, properties.code_uri.as_deref())?,
        timeout: Duration::from_secs(whole_number(&properties.timeout).unwrap_or(DEFAULT_TIMEOUT_SECONDS)),
        memory_mb: memory(&properties.memory_size),
        environment: properties.environment.variables.into_iter().map(setting).collect(),
        routes: Vec::new(),
    })
}

/// SAM gives every route that an event says a statement of its own in the resource policy of the function, which has no
/// room for many.
fn refuse_routes(id: &str, events: &BTreeMap<String, Event>) -> Result<(), TemplateError> {
    let route = |event: &Event| matches!(event.kind.as_str(), "Api" | "HttpApi");
    match events.iter().find(|(_, event)| route(event)) {
        None => Ok(()),
        Some((name, event)) => {
            let message =
                format!("{} events are not played: routes stand in the API's DefinitionBody", event.kind);
            Err(TemplateError::resource(format!("{id}.{name}"), message))
        }
    }
}

fn memory(value: &Value) -> i32 {
    i32::try_from(whole_number(value).unwrap_or(DEFAULT_MEMORY_MB)).unwrap_or(i32::MAX)
}

fn name(id: &str, code_uri: Option<&str>) -> Result<String, TemplateError> {
    let last = code_uri.and_then(|uri| uri.trim_end_matches('/').rsplit('/').next());
    match last {
        Some(name) if !name.is_empty() => Ok(name.to_owned()),
        _ => Err(TemplateError::resource(id, "needs a CodeUri such as target/lambda/<name>/")),
    }
}

fn setting((name, value): (String, Value)) -> (String, Setting) {
    let setting = scalar_text(&value).map_or_else(|| Setting::Symbolic(value), Setting::Text);
    (name, setting)
}
