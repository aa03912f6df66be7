//! What records the progress of operations: workers report by HTTP callback, and workflows by invoking this
//! function directly.
//!
//! An event of API Gateway is a report, and is let in by its callback token. Any other event is a command
//! of a state machine, which is let in by IAM: only a state machine may invoke the function.

mod command;
mod report;
mod state;
mod wire;

use axum::Router;
use gatehouse_commands::{logged, read};
use lambda_http::{Adapter, request::LambdaRequest, tower::Service};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde_json::Value;

use self::command::Command;
pub use self::{state::AppState, wire::ReportBody};

/// The routes of this function. Nobody who reports has a credential of their own: the token of the report
/// says what it may change.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

gatehouse_http::routes! {
    AppState,
    "POST" "/provisioning/callback" => report::provisioning,
    "POST" "/services/deployments/callback" => report::deployment,
}

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
        let command: Command = read(event.payload)?;
        let outcome = command::obey(&self.state, &command).await;
        Ok(logged(&command, outcome)?)
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
