//! `AWS::Serverless::Function` and its `Api` events.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{
    error::TemplateError,
    resolve::{scalar_text, whole_number},
    shape::{Resource, Resources, shaped},
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

/// The verbs that API Gateway has. Our own template lists those of `ANY` one by one, because `MiniStack`, in
/// which it is proven, does not import `ANY`.
const METHODS: [Method; 7] =
    [Method::DELETE, Method::GET, Method::HEAD, Method::OPTIONS, Method::PATCH, Method::POST, Method::PUT];

/// One route of a function.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// `<function>.<event>`, for messages.
    pub event: String,
    /// The resource path, such as `/v1/jobs/{job_id}`.
    pub path: String,
    pub method: Method,
    /// Whether the template says `ANY`, which another function's verb at the same path goes before.
    pub any: bool,
    /// What `Auth.Authorizer` says: a name, `NONE`, or nothing.
    pub authorizer: Option<String>,
    /// How the answer travels.
    pub transfer: TransferMode,
    /// `TimeoutInMillis`: how long API Gateway waits, for a stream including its whole body.
    pub timeout: Option<Duration>,
    /// The API that the event names; `None` stands for SAM's implicit API.
    pub api: Option<String>,
}

/// How an answer travels from the function to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferMode {
    /// Whole, at most 6 MB, within 29 s.
    Buffered,
    /// In pieces, as the function produces them.
    Streaming,
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
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    properties: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ApiEvent {
    path: String,
    method: String,
    #[serde(default)]
    auth: EventAuth,
    #[serde(default)]
    rest_api_id: Value,
    response_transfer_mode: Option<String>,
    #[serde(default)]
    timeout_in_millis: Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EventAuth {
    authorizer: Option<String>,
}

/// Reads every function of the template.
pub fn all(resources: &Resources<'_>) -> Result<Vec<FunctionSettings>, TemplateError> {
    resources.of_type("AWS::Serverless::Function")?.iter().map(|one| read(resources, one)).collect()
}

fn read(resources: &Resources<'_>, resource: &Resource) -> Result<FunctionSettings, TemplateError> {
    let properties: Properties = resource.shaped()?;
    Ok(FunctionSettings {
        logical_id: resource.id.clone(),
        name: name(&resource.id, properties.code_uri.as_deref())?,
        timeout: Duration::from_secs(whole_number(&properties.timeout).unwrap_or(DEFAULT_TIMEOUT_SECONDS)),
        memory_mb: memory(&properties.memory_size),
        environment: properties.environment.variables.into_iter().map(setting).collect(),
        routes: routes(resources, resource, properties.events)?,
    })
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

fn routes(
    resources: &Resources<'_>,
    resource: &Resource,
    events: BTreeMap<String, Event>,
) -> Result<Vec<RouteSettings>, TemplateError> {
    let mut routes = Vec::new();
    for (name, event) in events {
        let label = format!("{}.{name}", resource.id);
        match event.kind.as_str() {
            "Api" => {
                let written = &resource.raw["Events"][&name]["Properties"]["ResponseTransferMode"];
                if !resources.resolved_before_sam() {
                    refuse_conditional_transfer_mode(&label, written)?;
                }
                routes.extend(event_routes(&label, event.properties)?);
            }
            "HttpApi" => {
                return Err(TemplateError::resource(label, "HttpApi events are not played: use Api"));
            }
            _ => {}
        }
    }
    Ok(routes)
}

/// SAM compares this property with a text before conditions are evaluated, so an `!If` silently
/// deploys a buffered route.
fn refuse_conditional_transfer_mode(label: &str, written: &Value) -> Result<(), TemplateError> {
    if written.get("Fn::If").is_none() {
        return Ok(());
    }
    let message = "SAM ignores !If in ResponseTransferMode and deploys a buffered route: put \
                   AWS::LanguageExtensions before the SAM transform";
    Err(TemplateError::resource(label, message))
}

/// The route of an event; for `ANY`, one per verb, so that nothing after this has to know about it.
fn event_routes(label: &str, properties: Value) -> Result<Vec<RouteSettings>, TemplateError> {
    let event: ApiEvent = shaped(label, properties)?;
    let upper = event.method.to_ascii_uppercase();
    let any = matches!(upper.as_str(), "ANY" | "*" | "X-AMAZON-APIGATEWAY-ANY-METHOD");
    let methods: Vec<_> = METHODS.into_iter().filter(|method| any || upper == method.as_str()).collect();
    if methods.is_empty() {
        let message = format!("API Gateway has no method {:?}", event.method);
        return Err(TemplateError::resource(label, message));
    }
    let path = path(label, event.path)?;
    let transfer = transfer(label, event.response_transfer_mode.as_deref())?;
    let timeout = whole_number(&event.timeout_in_millis).map(Duration::from_millis);
    let route = |method| RouteSettings {
        event: label.to_owned(),
        path: path.clone(),
        method,
        any,
        authorizer: event.auth.authorizer.clone(),
        transfer,
        timeout,
        api: event.rest_api_id["Ref"].as_str().map(str::to_owned),
    };
    Ok(methods.into_iter().map(route).collect())
}

fn path(label: &str, path: String) -> Result<String, TemplateError> {
    if path.starts_with('/') {
        return Ok(path);
    }
    Err(TemplateError::resource(label, format!("the path {path:?} must start with a slash")))
}

fn transfer(label: &str, mode: Option<&str>) -> Result<TransferMode, TemplateError> {
    match mode {
        None | Some("BUFFERED") => Ok(TransferMode::Buffered),
        Some("RESPONSE_STREAM") => Ok(TransferMode::Streaming),
        Some(other) => Err(TemplateError::resource(
            label,
            format!("ResponseTransferMode {other:?} is neither RESPONSE_STREAM nor BUFFERED"),
        )),
    }
}
