//! The REQUEST authorizer: identity, cache, function call, policy.

pub mod answer;
mod cache;
pub mod policy;

use std::sync::Arc;

use gatehouse_template::AuthorizerSettings;
use serde_json::{Map, Value};
use tracing::error;

use self::{
    answer::Answer,
    cache::{Cache, Identity},
    policy::Verdict,
};
use super::{
    event::{Routed, authorizer_event},
    gateway_response::Refusal,
    invoke::{CallError, DeployedFunction},
    request::Incoming,
};

/// The error text that makes API Gateway answer 401.
const UNAUTHORIZED: &str = "Unauthorized";

/// One authorizer with its function and its cache.
pub struct Authorizer {
    settings: AuthorizerSettings,
    function: DeployedFunction,
    cache: Cache,
}

/// The question that an authorizer answers.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    pub request: &'a Incoming,
    pub routed: &'a Routed,
    /// What the gateway knows about it.
    pub context: &'a Value,
    /// What the policy is judged against.
    pub method_arn: &'a str,
}

impl Authorizer {
    /// Puts a function behind its settings.
    pub fn new(settings: AuthorizerSettings, function: DeployedFunction) -> Self {
        Self { settings, function, cache: Cache::default() }
    }

    /// Decides, and returns the `authorizer` part of the integration's `requestContext`.
    ///
    /// A kept answer is judged again for every request.
    pub async fn authorize(&self, question: Question<'_>) -> Result<Value, Refusal> {
        let identity = self.identity(question.request).ok_or(Refusal::Unauthorized)?;
        let kept = self.cache.find(&identity, question.request.received_at);
        let (answer, latency) = match kept {
            Some(answer) => (answer, 0),
            None => self.ask(identity, question).await?,
        };
        match answer.policy.judge(question.method_arn) {
            Verdict::Allowed => Ok(principal(&answer, latency)),
            Verdict::Denied => Err(Refusal::AccessDenied { explicit: true }),
            Verdict::NotMentioned => Err(Refusal::AccessDenied { explicit: false }),
        }
    }

    /// Forgets every kept answer.
    pub fn flush(&self) {
        self.cache.flush();
    }

    /// The values of the identity sources; `None` when one is missing or empty.
    fn identity(&self, request: &Incoming) -> Option<Identity> {
        let headers = self.settings.headers.iter().map(|name| request.header(&name.to_ascii_lowercase()));
        let parameters = self.settings.query_strings.iter().map(|name| request.parameter(name));
        headers.chain(parameters).map(|value| value.filter(|text| !text.trim().is_empty())).collect()
    }

    async fn ask(&self, identity: Identity, question: Question<'_>) -> Result<(Arc<Answer>, u128), Refusal> {
        let Question { request, routed, context, method_arn } = question;
        let event = authorizer_event(request, routed, context, method_arn);
        let asked = self.cache.generation();
        let started = tokio::time::Instant::now();
        let payload = self.function.call(&event, request).await.map_err(|error| self.failure(&error))?;
        let answer = Arc::new(Answer::parse(&payload).map_err(|error| self.misconfigured(&error))?);
        self.cache.keep(identity, &answer, request.received_at, self.settings.ttl, asked);
        Ok((answer, started.elapsed().as_millis()))
    }

    fn failure(&self, error: &CallError) -> Refusal {
        if matches!(error, CallError::Failed { message, .. } if message == UNAUTHORIZED) {
            return Refusal::Unauthorized;
        }
        error!(function = self.function.name(), %error, "the authorizer failed");
        Refusal::AuthorizerFailed
    }

    fn misconfigured(&self, error: &answer::Malformed) -> Refusal {
        error!(function = self.function.name(), %error, "the authorizer's answer is malformed");
        Refusal::AuthorizerMisconfigured
    }
}

fn principal(answer: &Answer, latency_ms: u128) -> Value {
    let mut fields: Map<String, Value> = answer.context.clone();
    fields.insert("principalId".into(), answer.principal_id.clone().into());
    fields.insert("integrationLatency".into(), u64::try_from(latency_ms).unwrap_or(u64::MAX).into());
    Value::Object(fields)
}
