//! The reports of workers.

use std::time::Duration;

use axum::{
    Json,
    extract::{FromRequestParts, State},
    http::request::Parts,
};
use gatehouse_domain::{
    operations::{
        attempt::{CallbackKey, CallbackKeyError, CallbackTokenError},
        report::{self, Callback, ReportError, ReportRefused},
        workflow::{Workflow, WorkflowError},
    },
    validation::FieldError,
};
use gatehouse_http::{
    Problem,
    extract::{NoQuery, WithOldWords, single},
    problem::{
        ATTEMPT_SUPERSEDED, CALLBACK_OUT_OF_ORDER, CALLBACK_TOKEN_EXPIRED, CALLBACK_TOKEN_INVALID,
        CALLBACK_TOKEN_MISMATCH, NOT_FOUND, OPERATION_ENDED, ProblemBody, UNAVAILABLE,
    },
};

use crate::{
    state::AppState,
    wire::{ReportAnswer, ReportBody},
};

/// With which a worker reports.
const TOKEN: &str = "x-callback-token";

/// The longest token that is looked at, in characters: far more than one has.
const MAX_TOKEN: usize = 1024;

/// When to try again what the workflow engine could not take just now.
const PAUSE: Duration = Duration::from_secs(2);

/// Somebody whose token was made here and still counts. As an extractor before all others it is judged before anything
/// is read: who has none learns nothing of what a report looks like.
pub(crate) struct Reporter {
    key: CallbackKey,
    token: String,
}

impl FromRequestParts<AppState> for Reporter {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let token = single(&parts.headers, TOKEN).ok().flatten().filter(|token| token.len() <= MAX_TOKEN);
        let token = token.ok_or_else(no_token)?.to_owned();
        let key = CallbackKey::read(&*state.secrets).await.map_err(no_key)?;
        key.verify(&token, state.clock.now()).map_err(|error| problem(error.into()))?;
        Ok(Self { key, token })
    }
}

/// Takes the report of a worker that provisions.
#[utoipa::path(
    post, path = "/provisioning/callback", operation_id = "report_provisioning", tag = "callbacks",
    params(("X-Callback-Token" = String, Header, description = "The token of the worker's attempt.")),
    request_body = ReportBody,
    responses(
        (status = 200, description = "The report was taken, or was taken before.", body = ReportAnswer),
        (status = 401, description = "The token is missing or was not made here.", body = ProblemBody),
        (status = 403, description = "The token is for another operation or attempt.", body = ProblemBody),
        (status = 404, description = "There is no such operation any more.", body = ProblemBody),
        (status = 409, description = "The operation has ended, another attempt has taken the place of this \
            one, or the report is out of order. Nothing was changed.", body = ProblemBody),
        (status = 410, description = "The time of the token is over.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
        (status = 503, description = "Report the same again shortly.", body = ProblemBody),
    )
)]
pub(crate) async fn provisioning(
    State(state): State<AppState>,
    reporter: Reporter,
    _: NoQuery,
    WithOldWords(body): WithOldWords<ReportBody>,
) -> Result<Json<ReportAnswer>, Problem> {
    take(&state, &reporter, body, Workflow::Provision).await
}

/// Takes the report of whoever deploys for a webhook.
#[utoipa::path(
    post, path = "/services/deployments/callback", operation_id = "report_deployment", tag = "callbacks",
    params(("X-Callback-Token" = String, Header, description = "The token of the webhook's call.")),
    request_body = ReportBody,
    responses(
        (status = 200, description = "The report was taken, or was taken before.", body = ReportAnswer),
        (status = 401, description = "The token is missing or was not made here.", body = ProblemBody),
        (status = 403, description = "The token is for another operation or attempt.", body = ProblemBody),
        (status = 404, description = "There is no such operation any more.", body = ProblemBody),
        (status = 409, description = "The operation has ended, another attempt has taken the place of this \
            one, or the report is out of order. Nothing was changed.", body = ProblemBody),
        (status = 410, description = "The time of the token is over.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
        (status = 503, description = "Report the same again shortly.", body = ProblemBody),
    )
)]
pub(crate) async fn deployment(
    State(state): State<AppState>,
    reporter: Reporter,
    _: NoQuery,
    WithOldWords(body): WithOldWords<ReportBody>,
) -> Result<Json<ReportAnswer>, Problem> {
    take(&state, &reporter, body, Workflow::Deploy).await
}

async fn take(
    state: &AppState,
    reporter: &Reporter,
    body: ReportBody,
    workflow: Workflow,
) -> Result<Json<ReportAnswer>, Problem> {
    let (operation, message) = body.into_message().map_err(Problem::invalid)?;
    let callback = Callback { operation, workflow, message };
    let (table, clock, Reporter { key, token }) = (&*state.table, &*state.clock, reporter);
    let outcome = report::report(table, clock, state.workflow(), key, token, &callback).await;
    let taken = outcome.map_err(problem)?;
    let answer = ReportAnswer::of(&taken, &callback.message, &*state.open).await;
    answer.map(Json).map_err(Problem::seal)
}

fn no_token() -> Problem {
    Problem::new(CALLBACK_TOKEN_INVALID, "Send the token of your attempt in X-Callback-Token.")
}

fn no_key(error: CallbackKeyError) -> Problem {
    match error {
        CallbackKeyError::Secrets(error) => Problem::secrets(error),
        CallbackKeyError::Missing | CallbackKeyError::Weak(_) => Problem::internal(error),
    }
}

fn problem(error: ReportError) -> Problem {
    match error {
        ReportError::Token(CallbackTokenError::Invalid) => {
            Problem::new(CALLBACK_TOKEN_INVALID, "The callback token is not valid.")
        }
        ReportError::Token(CallbackTokenError::Expired) => {
            Problem::new(CALLBACK_TOKEN_EXPIRED, "The callback token has expired.")
        }
        ReportError::Mismatch => Problem::new(
            CALLBACK_TOKEN_MISMATCH,
            "The callback token is for another operation, attempt or address than this report.",
        ),
        ReportError::NotFound => Problem::new(NOT_FOUND, "There is no such operation any more."),
        ReportError::Refused(refused) => refusal(&refused),
        ReportError::Workflow(error) => unavailable(error),
        ReportError::Store(error) => Problem::store(error),
    }
}

fn refusal(refused: &ReportRefused) -> Problem {
    let detail = format!("Refused: {refused}.");
    match refused {
        ReportRefused::Superseded => Problem::new(ATTEMPT_SUPERSEDED, detail),
        ReportRefused::Ended(_) => Problem::new(OPERATION_ENDED, detail),
        ReportRefused::OutOfOrder(_) => Problem::new(CALLBACK_OUT_OF_ORDER, detail),
        ReportRefused::Incomplete(what) => Problem::invalid(vec![FieldError::new("/plan", *what)]),
    }
}

/// The report is recorded; the same report again delivers its signal.
fn unavailable(error: WorkflowError) -> Problem {
    Problem::new(UNAVAILABLE, "The workflow could not be told just now; report the same again shortly.")
        .retry_after(PAUSE)
        .caused_by(error)
}
