//! A function with what its deployment says about it: name, timeout, memory.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use gatehouse_domain::clock::{Clock, IdSource};
use gatehouse_template::{FunctionSettings, Setting};
use lambda_runtime::{Config, Context, Diagnostic};
use serde_json::Value;
use tokio::time::timeout;

use super::code::{Invocation, LambdaFunction, StreamedAnswer};
use crate::{
    aws::ids::uuid,
    gateway::{request::Incoming, settings::GatewaySettings},
};

/// The variable that keeps `lambda_http` from putting the stage in front of paths.
const IGNORE_STAGE: &str = "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH";

/// A function that can be called.
#[derive(Clone)]
pub struct DeployedFunction {
    code: LambdaFunction,
    arn: String,
    config: Arc<Config>,
    timeout: Duration,
    ignore_stage: bool,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    event_limit: usize,
    answer_limit: usize,
}

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The function returned an error.
    #[error("{kind}: {message}")]
    Failed {
        kind: String,
        /// The error's text, exactly as the function gave it.
        message: String,
    },
    #[error("the function panicked")]
    Panicked,
    /// The function did not answer within its own timeout.
    #[error("the function timed out after {0:?}")]
    TimedOut(Duration),
    /// The event is larger than Lambda takes.
    #[error("the event is larger than {0} bytes")]
    EventTooLarge(usize),
    /// The answer is larger than Lambda gives whole.
    #[error("the answer is larger than {0} bytes")]
    AnswerTooLarge(usize),
}

impl From<Diagnostic> for CallError {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Failed { kind: diagnostic.error_type, message: diagnostic.error_message }
    }
}

impl DeployedFunction {
    /// Puts code behind its settings.
    pub fn new(
        code: LambdaFunction,
        settings: &FunctionSettings,
        arn: String,
        gateway: &GatewaySettings,
    ) -> Self {
        Self {
            code,
            arn,
            config: Arc::new(config(settings)),
            timeout: settings.timeout,
            ignore_stage: matches!(settings.environment.get(IGNORE_STAGE), Some(Setting::Text(_))),
            clock: gateway.clock.clone(),
            ids: gateway.ids.clone(),
            event_limit: gateway.limits.event,
            answer_limit: gateway.limits.answer,
        }
    }

    pub fn name(&self) -> &str {
        &self.config.function_name
    }

    /// Calls the function and waits for its whole answer.
    ///
    /// Runs on its own task: a caller that goes away does not stop it, as on AWS. Only the function's
    /// timeout does.
    pub async fn call(&self, event: &Value, request: &Incoming) -> Result<Bytes, CallError> {
        let invocation = self.invocation(event, request)?;
        let code = self.code.clone();
        let answer = self.run(async move { code.invoke(invocation).await }).await?;
        if answer.len() > self.answer_limit {
            return Err(CallError::AnswerTooLarge(self.answer_limit));
        }
        Ok(answer)
    }

    /// Calls the function and waits until it has status and headers.
    ///
    /// When nobody takes the answer, or its body is dropped, the function's work ends there. On AWS it
    /// would run to its end.
    pub async fn stream(&self, event: &Value, request: &Incoming) -> Result<StreamedAnswer, CallError> {
        let invocation = self.invocation(event, request)?;
        let code = self.code.clone();
        self.run(async move { code.stream(invocation).await }).await
    }

    /// How long one call may take, the body of a stream included.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Diagnostic>> + Send + 'static,
    ) -> Result<T, CallError> {
        let finished = tokio::spawn(timeout(self.timeout, work)).await;
        let in_time = finished.map_err(|_| CallError::Panicked)?;
        Ok(in_time.map_err(|_| CallError::TimedOut(self.timeout))??)
    }

    fn invocation(&self, event: &Value, request: &Incoming) -> Result<Invocation, CallError> {
        let payload = event.to_string();
        if payload.len() > self.event_limit {
            return Err(CallError::EventTooLarge(self.event_limit));
        }
        Ok(Invocation {
            payload: payload.into(),
            context: self.context(request),
            ignore_stage: self.ignore_stage,
        })
    }

    fn context(&self, request: &Incoming) -> Context {
        let mut context = Context::default();
        context.request_id = uuid(&*self.ids);
        context.deadline = self.deadline_ms();
        context.invoked_function_arn.clone_from(&self.arn);
        context.xray_trace_id = Some(request.trace_id.clone());
        context.env_config = Arc::clone(&self.config);
        context
    }

    fn deadline_ms(&self) -> u64 {
        let deadline = self.clock.now() + self.timeout;
        u64::try_from(deadline.as_millisecond()).unwrap_or_default()
    }
}

fn config(settings: &FunctionSettings) -> Config {
    Config {
        function_name: settings.name.clone(),
        memory: settings.memory_mb,
        version: "$LATEST".into(),
        log_stream: "local".into(),
        log_group: format!("/aws/lambda/{}", settings.name),
    }
}
