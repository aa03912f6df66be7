//! `AWS::Serverless::Api`: stage, authorizers, gateway responses, binary media types.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use super::{
    definition::{NO_AUTHORIZER, Operation, RouteSettings},
    error::TemplateError,
    function::FunctionSettings,
    resolve::{scalar_text, whole_number},
    shape::{Resource, Resources},
};

/// API Gateway keeps an authorizer's answer this long by default.
const DEFAULT_TTL_SECONDS: u64 = 300;

/// The longest time that API Gateway keeps an authorizer's answer.
const MAX_TTL_SECONDS: u64 = 3600;

#[derive(Clone, Debug)]
pub struct ApiSettings {
    /// The stage, which is the first segment of every deployed path.
    pub stage: String,
    /// The authorizer of routes that name none.
    pub default_authorizer: Option<String>,
    /// The Lambda authorizers by name.
    pub authorizers: BTreeMap<String, AuthorizerSettings>,
    /// How the gateway's own answers look, by response type.
    pub gateway_responses: BTreeMap<String, GatewayResponseSettings>,
    /// Media types that travel as base64; `*/*` for all.
    pub binary_media_types: Vec<String>,
}

/// A Lambda authorizer of payload type REQUEST.
#[derive(Clone, Debug)]
pub struct AuthorizerSettings {
    /// The name of the function that it calls.
    pub function: String,
    /// The identity sources that are headers.
    pub headers: Vec<String>,
    /// The identity sources that are query parameters.
    pub query_strings: Vec<String>,
    /// How long an answer is kept; zero keeps none.
    pub ttl: Duration,
}

/// The shape of one type of gateway response.
#[derive(Clone, Debug, Default)]
pub struct GatewayResponseSettings {
    /// The status; the type's own when absent.
    pub status: Option<u16>,
    /// Header name to mapping expression (`'static'`, `context.requestId`, `method.request.header.X`).
    pub headers: BTreeMap<String, String>,
    /// Media type to body template.
    pub templates: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    stage_name: String,
    #[serde(default)]
    auth: Auth,
    #[serde(default)]
    gateway_responses: BTreeMap<String, Response>,
    #[serde(default)]
    binary_media_types: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Auth {
    default_authorizer: Option<String>,
    #[serde(default)]
    authorizers: BTreeMap<String, Authorizer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Authorizer {
    #[serde(default)]
    function_arn: Value,
    function_payload_type: Option<String>,
    #[serde(default)]
    identity: Identity,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    #[serde(default)]
    headers: Vec<String>,
    #[serde(default)]
    query_strings: Vec<String>,
    #[serde(default)]
    stage_variables: Vec<String>,
    #[serde(default)]
    context: Vec<String>,
    #[serde(default)]
    reauthorize_every: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Response {
    #[serde(default)]
    status_code: Value,
    #[serde(default, rename = "ResponseParameters")]
    parameters: ResponseParameters,
    #[serde(default, rename = "ResponseTemplates")]
    templates: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ResponseParameters {
    #[serde(default)]
    headers: BTreeMap<String, Value>,
}

/// Finds the API of the template.
pub fn only(resources: &Resources<'_>) -> Result<Resource, TemplateError> {
    let mut apis = resources.of_type("AWS::Serverless::Api")?;
    if let [_, second, ..] = apis.as_slice() {
        return Err(TemplateError::resource(&second.id, "the local stack plays one API per template"));
    }
    apis.pop().ok_or_else(|| TemplateError::resource("Resources", "there is no AWS::Serverless::Api"))
}

/// Reads the API without its routes.
pub fn read(resource: &Resource, functions: &[FunctionSettings]) -> Result<ApiSettings, TemplateError> {
    let properties: Properties = resource.shaped()?;
    let authorizers = properties.auth.authorizers.into_iter();
    Ok(ApiSettings {
        stage: properties.stage_name,
        default_authorizer: properties.auth.default_authorizer.filter(|name| name != NO_AUTHORIZER),
        authorizers: authorizers.map(|entry| authorizer(entry, functions)).collect::<Result<_, _>>()?,
        gateway_responses: properties.gateway_responses.into_iter().map(gateway_response).collect(),
        binary_media_types: properties
            .binary_media_types
            .iter()
            .map(|kind| kind.replace("~1", "/"))
            .collect(),
    })
}

fn authorizer(
    (name, settings): (String, Authorizer),
    functions: &[FunctionSettings],
) -> Result<(String, AuthorizerSettings), TemplateError> {
    check_playable(&name, &settings)?;
    let ttl = whole_number(&settings.identity.reauthorize_every).unwrap_or(DEFAULT_TTL_SECONDS);
    let authorizer = AuthorizerSettings {
        function: function(&name, &settings.function_arn, functions)?,
        headers: settings.identity.headers,
        query_strings: settings.identity.query_strings,
        ttl: Duration::from_secs(ttl.min(MAX_TTL_SECONDS)),
    };
    if !authorizer.ttl.is_zero() && authorizer.headers.is_empty() && authorizer.query_strings.is_empty() {
        return Err(TemplateError::resource(
            name,
            "SAM wants an identity source unless ReauthorizeEvery is 0",
        ));
    }
    Ok((name, authorizer))
}

fn check_playable(name: &str, settings: &Authorizer) -> Result<(), TemplateError> {
    if settings.function_payload_type.as_deref() != Some("REQUEST") {
        return Err(TemplateError::resource(
            name,
            "only authorizers of FunctionPayloadType REQUEST are played",
        ));
    }
    if settings.identity.stage_variables.is_empty() && settings.identity.context.is_empty() {
        return Ok(());
    }
    Err(TemplateError::resource(name, "only headers and query strings are played as identity sources"))
}

fn function(name: &str, arn: &Value, functions: &[FunctionSettings]) -> Result<String, TemplateError> {
    let logical_id = function_of(arn)
        .ok_or_else(|| TemplateError::resource(name, "FunctionArn must be !GetAtt <Function>.Arn"))?;
    let found = functions.iter().find(|function| function.logical_id == logical_id);
    found
        .map(|function| function.name.clone())
        .ok_or_else(|| TemplateError::resource(name, format!("there is no function {logical_id}")))
}

fn function_of(arn: &Value) -> Option<&str> {
    match (&arn["Fn::GetAtt"], &arn["Fn::Sub"]) {
        (Value::Array(parts), _) if parts.get(1)? == "Arn" => parts.first()?.as_str(),
        (Value::String(path), _) => path.strip_suffix(".Arn"),
        (_, Value::String(text)) => {
            // With or without an alias: the local stack has one version of a function.
            let (name, qualifier) = text.strip_prefix("${")?.split_once(".Arn}")?;
            (qualifier.is_empty() || qualifier.starts_with(':')).then_some(name)
        }
        _ => None,
    }
}

fn gateway_response((kind, response): (String, Response)) -> (String, GatewayResponseSettings) {
    let headers = response.parameters.headers.into_iter();
    let settings = GatewayResponseSettings {
        status: whole_number(&response.status_code).and_then(|status| u16::try_from(status).ok()),
        headers: headers.filter_map(|(name, value)| Some((name, scalar_text(&value)?))).collect(),
        templates: response.templates,
    };
    (kind, settings)
}

impl ApiSettings {
    /// The authorizer that decides on a route; `None` when anybody may call it.
    pub fn authorizer_of<'a>(&'a self, route: &'a RouteSettings) -> Option<&'a str> {
        match route.authorizer.as_deref() {
            Some(NO_AUTHORIZER) => None,
            Some(name) => Some(name),
            None => self.default_authorizer.as_deref(),
        }
    }

    /// Refuses an operation whose authorizer does not exist.
    pub(super) fn check(&self, operation: &Operation) -> Result<(), TemplateError> {
        match self.authorizer_of(&operation.route) {
            Some(name) if !self.authorizers.contains_key(name) => {
                let message = format!("there is no authorizer {name} (only Lambda authorizers are played)");
                Err(TemplateError::resource(&operation.place, message))
            }
            _ => Ok(()),
        }
    }
}
