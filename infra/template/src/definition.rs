//! The routes of the API, as its `DefinitionBody` has them: an OpenAPI document that says of every path and method which
//! function answers, how, and behind which authorizer.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::{
    error::TemplateError,
    resolve::whole_number,
    shape::{Resource, shaped},
};

/// The verbs that API Gateway has. Our own template lists those of [`ANY`] one by one, because `MiniStack`, in
/// which it is proven, does not import it.
const METHODS: [Method; 7] =
    [Method::DELETE, Method::GET, Method::HEAD, Method::OPTIONS, Method::PATCH, Method::POST, Method::PUT];

/// Every verb that the path does not have otherwise.
const ANY: &str = "x-amazon-apigateway-any-method";

/// The name that switches authorization off for a route.
pub const NO_AUTHORIZER: &str = "NONE";

/// Versions of the Lambda API with the calls that API Gateway makes.
const INVOKE: (&str, &str) = ("2015-03-31", "invocations");
const INVOKE_WITH_RESPONSE_STREAM: (&str, &str) = ("2021-11-15", "response-streaming-invocations");

/// One route of a function.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// The resource path, such as `/v1/jobs/{job_id}`.
    pub path: String,
    pub method: Method,
    /// Whether it stands for any verb; one that the path names goes before.
    pub any: bool,
    /// What `security` says: a name, `NONE`, or nothing.
    pub authorizer: Option<String>,
    /// How the answer travels.
    pub transfer: TransferMode,
    /// `timeoutInMillis`: how long API Gateway waits, for a stream including its whole body.
    pub timeout: Option<Duration>,
}

/// How an answer travels from the function to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferMode {
    /// Whole, at most 6 MB, within 29 s.
    Buffered,
    /// In pieces, as the function produces them.
    Streaming,
}

/// A route with who answers it.
pub struct Operation {
    /// Where it stands, for messages: `<api>, <method> <path>`.
    pub place: String,
    /// The logical id of the function.
    pub function: String,
    pub route: RouteSettings,
}

#[derive(Deserialize)]
struct Definition {
    paths: BTreeMap<String, BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct Written {
    security: Option<Vec<BTreeMap<String, Value>>>,
    #[serde(rename = "x-amazon-apigateway-integration")]
    integration: Integration,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Integration {
    #[serde(rename = "type")]
    kind: String,
    http_method: String,
    #[serde(default)]
    uri: Value,
    response_transfer_mode: Option<String>,
    #[serde(default)]
    timeout_in_millis: Value,
}

/// Reads every route of the API; one for any verb comes as one per verb, so that nothing after this has to know about it.
pub fn operations(api: &Resource) -> Result<Vec<Operation>, TemplateError> {
    let Some(written) = api.properties.get("DefinitionBody") else {
        return Err(TemplateError::resource(&api.id, "needs a DefinitionBody, which says its routes"));
    };
    let definition: Definition = shaped(&format!("{}.DefinitionBody", api.id), written.clone())?;
    let mut operations = Vec::new();
    for (path, methods) in definition.paths {
        for (method, operation) in methods {
            let place = format!("{}, {method} {path}", api.id);
            operations.extend(read(&place, &path, &method, operation)?);
        }
    }
    Ok(operations)
}

fn read(place: &str, path: &str, method: &str, operation: Value) -> Result<Vec<Operation>, TemplateError> {
    let methods = methods(place, method)?;
    check_path(place, path)?;
    let Written { security, integration } = shaped(place, operation)?;
    check_integration(place, &integration)?;
    let (function, transfer) = called(place, &integration)?;
    let authorizer = authorizer(place, security)?;
    let timeout = whole_number(&integration.timeout_in_millis).map(Duration::from_millis);
    let operation = |verb| Operation {
        place: place.to_owned(),
        function: function.clone(),
        route: RouteSettings {
            path: path.to_owned(),
            method: verb,
            any: method == ANY,
            authorizer: authorizer.clone(),
            transfer,
            timeout,
        },
    };
    Ok(methods.into_iter().map(operation).collect())
}

fn methods(place: &str, name: &str) -> Result<Vec<Method>, TemplateError> {
    let means = |method: &Method| name == ANY || name == method.as_str().to_ascii_lowercase();
    let methods: Vec<_> = METHODS.into_iter().filter(means).collect();
    if methods.is_empty() {
        let message = format!("API Gateway has no method {name:?}; OpenAPI writes them in lower case");
        return Err(TemplateError::resource(place, message));
    }
    Ok(methods)
}

fn check_path(place: &str, path: &str) -> Result<(), TemplateError> {
    if path.starts_with('/') {
        return Ok(());
    }
    Err(TemplateError::resource(place, format!("the path {path:?} must start with a slash")))
}

fn check_integration(place: &str, integration: &Integration) -> Result<(), TemplateError> {
    if integration.kind != "aws_proxy" {
        let message = format!("only integrations of type aws_proxy are played, not {:?}", integration.kind);
        return Err(TemplateError::resource(place, message));
    }
    if integration.http_method != "POST" {
        let message = format!("Lambda is called by POST, not by {:?}", integration.http_method);
        return Err(TemplateError::resource(place, message));
    }
    Ok(())
}

/// The logical id of the function that an integration calls, and how its answer travels.
fn called(place: &str, integration: &Integration) -> Result<(String, TransferMode), TemplateError> {
    let (version, function, call) = parts(&integration.uri).ok_or_else(|| {
        let message = "uri must be !Sub arn:${AWS::Partition}:apigateway:${AWS::Region}:lambda:path/<version>\
                       /functions/${<Function>.Arn}[:<alias>]/<call>";
        TemplateError::resource(place, message)
    })?;
    let mode = integration.response_transfer_mode.as_deref();
    let (transfer, expected) = match mode {
        None | Some("BUFFERED") => (TransferMode::Buffered, INVOKE),
        Some("STREAM") => (TransferMode::Streaming, INVOKE_WITH_RESPONSE_STREAM),
        Some(other) => {
            let message = format!("responseTransferMode {other:?} is neither STREAM nor BUFFERED");
            return Err(TemplateError::resource(place, message));
        }
    };
    if (version, call) != expected {
        let message = format!(
            "responseTransferMode {} goes with {}/…/{} in the uri, not with {version}/…/{call}",
            mode.unwrap_or("BUFFERED"),
            expected.0,
            expected.1
        );
        return Err(TemplateError::resource(place, message));
    }
    Ok((function.to_owned(), transfer))
}

/// The version, the logical id of the function and the call that a URI is made of. An alias of a function, as in
/// `${F.Arn}:live`, runs what the function does.
fn parts(uri: &Value) -> Option<(&str, &str, &str)> {
    let text = uri["Fn::Sub"].as_str()?;
    let (_, path) = text.split_once(":lambda:path/")?;
    let (version, rest) = path.split_once("/functions/${")?;
    let (reference, rest) = rest.split_once('}')?;
    let (alias, call) = rest.split_once('/')?;
    let function = reference.strip_suffix(".Arn")?;
    (alias.is_empty() || alias.starts_with(':')).then_some((version, function, call))
}

fn authorizer(
    place: &str,
    security: Option<Vec<BTreeMap<String, Value>>>,
) -> Result<Option<String>, TemplateError> {
    let Some(security) = security else { return Ok(None) };
    let mut names = security.into_iter().flat_map(BTreeMap::into_keys);
    match (names.next(), names.next()) {
        (Some(name), None) => Ok(Some(name)),
        (None, _) => {
            let message = format!(
                "SAM puts the default authorizer before an operation whose security is empty: write [{{ \
                 {NO_AUTHORIZER}: [] }}] for none"
            );
            Err(TemplateError::resource(place, message))
        }
        (Some(_), Some(_)) => {
            Err(TemplateError::resource(place, "only one authorizer of an operation is played"))
        }
    }
}
