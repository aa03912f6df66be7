//! What records how operations go on: workers report by HTTP callback, and workflows by invoking this
//! function directly.
//!
//! An event of API Gateway is a report, and is let in by its callback token. Any other event is a command
//! of a state machine, which is let in by IAM: only a state machine may invoke the function.

mod command;
mod report;
mod wire;

use std::sync::Arc;

use axum::Router;
use gatehouse_domain::{
    clock::Clock,
    operations::{
        FindOperation, SaveOperation,
        attempt::CallbackKey,
        change::{ChangePorts, WorkflowPorts},
        workflow::{AnswerTask, Workflow},
    },
    secret::{ReadSecret, SecretError, SecretName},
};
use gatehouse_http::Routes;
use gatehouse_store::Table;
use lambda_http::{Adapter, request::LambdaRequest, tower::Service};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::Value;
use utoipa::OpenApi;

pub use self::command::CommandFailed;

/// What the handlers need.
#[derive(Clone)]
pub struct AppState {
    /// Reads operations.
    pub find: Arc<dyn FindOperation>,
    /// Records what becomes of them.
    pub save: Arc<dyn SaveOperation>,
    /// Tells workflows that wait.
    pub answer: Arc<dyn AnswerTask>,
    /// Reads the key of callback tokens.
    pub secrets: Arc<dyn ReadSecret>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// The key of callback tokens cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The secret store failed.
    #[error(transparent)]
    Secrets(#[from] SecretError),
    /// There is no key, or it is too weak.
    #[error("the secret `callback-key` does not exist, or has fewer than 32 bytes")]
    Missing,
}

impl AppState {
    /// The state that lives on `table`.
    pub fn of(
        table: &Arc<Table>,
        answer: Arc<dyn AnswerTask>,
        secrets: Arc<dyn ReadSecret>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { find: table.clone(), save: table.clone(), answer, secrets, clock }
    }

    fn change_ports(&self) -> ChangePorts<'_> {
        ChangePorts { find: &*self.find, save: &*self.save, clock: &*self.clock }
    }

    fn workflow_ports(&self) -> WorkflowPorts<'_> {
        WorkflowPorts { start: None, answer: Some(&*self.answer), oversee: None }
    }

    async fn key(&self) -> Result<CallbackKey, KeyError> {
        let secret = self.secrets.read(&SecretName::callback_key()).await?;
        secret.and_then(|secret| CallbackKey::new(&secret).ok()).ok_or(KeyError::Missing)
    }
}

/// The routes of this function. Nobody who reports has a credential of their own: the token of the report
/// says what it may change.
pub fn router(state: AppState) -> Router {
    Routes::new()
        .open("POST", "/provisioning/callback", report::provisioning)
        .open("POST", "/services/deployments/callback", report::deployment)
        .into_app(state)
}

/// What this function contributes to the API description.
#[derive(Debug, OpenApi)]
#[openapi(paths(report::provisioning, report::deployment))]
pub struct Description;

/// The function: reports and commands.
#[derive(Clone)]
pub struct Callbacks {
    state: AppState,
    router: Router,
}

impl Callbacks {
    /// The function with this state.
    pub fn new(state: AppState) -> Self {
        Self { router: router(state.clone()), state }
    }

    /// Answers an invocation.
    ///
    /// # Errors
    ///
    /// When a command is refused, or an event cannot be read.
    pub async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
        // API Gateway always says this of itself, and no state machine does.
        if event.payload.get("requestContext").is_some() {
            return self.report(event).await;
        }
        Ok(command::handle(&self.state, event.payload).await?)
    }

    async fn report(&self, event: LambdaEvent<Value>) -> Result<Value, Diagnostic> {
        let request: LambdaRequest =
            serde_json::from_value(event.payload).map_err(|error| unreadable(&error))?;
        let answering = Adapter::from(self.router.clone()).call(LambdaEvent::new(request, event.context));
        let answer = answering.await;
        serde_json::to_value(answer.unwrap_or_else(|never| match never {}))
            .map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &serde_json::Error) -> Diagnostic {
    Diagnostic { error_type: "InvalidEvent".to_owned(), error_message: error.to_string() }
}

/// The workflow whose workers report at `/provisioning/callback`.
const PROVISIONING: Workflow = Workflow::Provision;

/// The workflow whose workers report at `/services/deployments/callback`.
const DEPLOYMENTS: Workflow = Workflow::Deploy;
