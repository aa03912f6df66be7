//! Posting deploys to webhooks.

use std::time::Duration;

use async_trait::async_trait;
use gatehouse_domain::operations::{CallWebhook, OperationKind, Webhook, WebhookError};
use gatehouse_outbound::{ForbiddenDestination, OutboundClient};
use reqwest::{Method, StatusCode, Url};
use secrecy::ExposeSecret;
use serde::Serialize;

/// How long a webhook may take to take a call: it reports by callback what comes of it.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Where below the API's base URL deploys are reported.
const CALLBACK_PATH: &str = "/services/deployments/callback";

pub struct WebhookClient {
    http: OutboundClient,
    callback_url: String,
    timeout: Duration,
}

impl WebhookClient {
    /// A client that names the API at `base_url` as the place to report to.
    pub fn new(http: OutboundClient, base_url: &str) -> Self {
        Self { http, callback_url: format!("{base_url}{CALLBACK_PATH}"), timeout: ANSWER_TIMEOUT }
    }

    /// The same, and a webhook may take so long.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }
}

/// What a webhook gets.
#[derive(Serialize)]
struct Body<'a> {
    operation_id: &'a str,
    kind: &'static str,
    service: &'a str,
    service_id: &'a str,
    tenant: &'a str,
    project: &'a str,
    environment: &'a str,
    version: &'a str,
    attempt: u32,
    callback_url: &'a str,
    callback_token: &'a str,
    requested_by: &'a str,
}

impl<'a> Body<'a> {
    fn of(call: &'a CallWebhook, callback_url: &'a str) -> Self {
        let operation = &call.operation;
        Self {
            operation_id: operation.id.as_str(),
            kind: OperationKind::Deploy.as_str(),
            service: operation.service_name.as_str(),
            service_id: operation.service.as_str(),
            tenant: operation.tenant.as_str(),
            project: operation.project.as_str(),
            environment: operation.environment.as_str(),
            version: &call.version,
            attempt: call.attempt,
            callback_url,
            callback_token: call.callback_token.expose_secret(),
            requested_by: &operation.requested.by,
        }
    }
}

#[async_trait]
impl Webhook for WebhookClient {
    async fn post(&self, url: &str, call: &CallWebhook) -> Result<(), WebhookError> {
        let url: Url = url.parse().map_err(|_| WebhookError::Refused("its URL cannot be used".to_owned()))?;
        let request = self.http.request(Method::POST, url).map_err(forbidden)?;
        let key = format!("{}-{}", call.operation.id, call.attempt);
        let body = Body::of(call, &self.callback_url);
        let sent = request.header("Idempotency-Key", key).json(&body).timeout(self.timeout).send().await;
        // The body of the answer is not read: it may be of any length, and may repeat the token.
        judge(sent.map_err(lost)?.status())
    }
}

fn judge(status: StatusCode) -> Result<(), WebhookError> {
    let passes =
        matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS);
    if status.is_success() {
        Ok(())
    } else if passes || status.is_server_error() {
        Err(WebhookError::Unavailable(format!("it answered {status}"), None))
    } else if status.is_redirection() {
        Err(WebhookError::Refused(format!("it answered {status}, and redirects are not followed")))
    } else {
        Err(WebhookError::Refused(format!("it answered {status}")))
    }
}

/// Why there is no answer. Whether the call arrived is not known, unless no connection was made.
fn lost(error: reqwest::Error) -> WebhookError {
    if let Some(refusal) = ForbiddenDestination::behind(&error) {
        return forbidden(refusal);
    }
    let why = if error.is_builder() {
        return WebhookError::Refused("its URL cannot be used".to_owned());
    } else if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_connect() {
        "no connection could be made"
    } else {
        "the connection broke"
    };
    // A webhook's URL may hold a secret, and the cause is logged.
    WebhookError::Unavailable(why.to_owned(), Some(error.without_url().into()))
}

/// Says what kind of address the webhook has, and not which: where names of private networks lead is not
/// for everybody to know.
fn forbidden(refusal: ForbiddenDestination) -> WebhookError {
    WebhookError::Refused(match refusal {
        ForbiddenDestination::Address { what, .. } => format!("its host has {what}, which is not called"),
        ForbiddenDestination::Port(port) => format!("port {port} is not called"),
    })
}
