//! Triggering runs, and running them again.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use gatehouse_domain::{
    name::JobId,
    runs::{
        RunId,
        start::{self, Started},
    },
};
use gatehouse_http::{
    Problem,
    extract::{Audited, Idempotency, JsonBody, NoQuery, PathParameter, mark_replayed},
    problem::ProblemBody,
};

use crate::{
    AppState, problems,
    wire::{RunAnswer, TriggerBody},
};

/// Triggers a run of a job.
///
/// With an `Idempotency-Key`, the same request again answers with the same run, for 24 hours. Without one,
/// a run is started exactly once all the same; when the CI system's answer is lost, the problem carries the
/// key to repeat the request with.
#[utoipa::path(
    post, path = "/v1/jobs/{job_id}/runs", operation_id = "trigger_run", tag = "runs",
    params(
        ("job_id" = String, Path, description = "The job's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe."),
    ),
    request_body = Option<TriggerBody>,
    responses(
        (status = 201, description = "The run was started.", body = RunAnswer),
        (status = 403, description = "The job's tenant may not use what the job points into.",
            body = ProblemBody),
        (status = 404, description = "There is no such job.", body = ProblemBody),
        (status = 409, description = "The first request with this key is still at work, the CI system \
            refuses, or there is no such provider.", body = ProblemBody),
        (status = 422, description = "Parameters are refused, or the key was used for another request.",
            body = ProblemBody),
        (status = 502, description = "The CI system refuses Gatehouse.", body = ProblemBody),
        (status = 503, description = "The CI system cannot be reached; no run was started.",
            body = ProblemBody),
        (status = 504, description = "The CI system's answer was lost: repeat with the same key.",
            body = ProblemBody),
    )
)]
pub(crate) async fn trigger(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(job): PathParameter<JobId>,
    _: NoQuery,
    Idempotency(key): Idempotency,
    body: Option<JsonBody<TriggerBody>>,
) -> Result<impl IntoResponse, Problem> {
    let TriggerBody { parameters } = body.map(|JsonBody(body)| body).unwrap_or_default();
    let audit = audited.context();
    let started = start::trigger(
        &*state.table,
        &*state.providers,
        &*state.system,
        &audit,
        &job,
        &parameters,
        key.as_ref(),
    );
    // Relative to `…/v1/jobs/{job_id}/runs`, since the stage may stand in front of the path.
    started.await.map(|started| answer("../../runs/", started)).map_err(problems::start)
}

/// Runs a run again that has ended, with the inputs it had.
#[utoipa::path(
    post, path = "/v1/runs/{run_id}/rerun", operation_id = "rerun_run", tag = "runs",
    params(
        ("run_id" = String, Path, description = "The run's id."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe."),
    ),
    responses(
        (status = 201, description = "The new run was started.", body = RunAnswer),
        (status = 403, description = "The run's tenant may not use what it ran in any more.",
            body = ProblemBody),
        (status = 404, description = "There is no such run.", body = ProblemBody),
        (status = 409, description = "The run has not ended, or the CI system refuses.", body = ProblemBody),
        (status = 422, description = "The CI system cannot run a run again.", body = ProblemBody),
        (status = 504, description = "The CI system's answer was lost: repeat with the same key.",
            body = ProblemBody),
    )
)]
pub(crate) async fn rerun(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(run): PathParameter<RunId>,
    _: NoQuery,
    Idempotency(key): Idempotency,
) -> Result<impl IntoResponse, Problem> {
    let audit = audited.context();
    let started = start::rerun(&*state.table, &*state.providers, &*state.system, &audit, &run, key.as_ref());
    // Relative to `…/v1/runs/{run_id}/rerun`.
    started.await.map(|started| answer("../", started)).map_err(problems::start)
}

fn answer(runs: &str, started: Started) -> impl IntoResponse {
    let mut headers = HeaderMap::new();
    if started.replayed {
        mark_replayed(&mut headers);
    }
    // A run id is made of characters that need no escaping.
    if let Ok(location) = HeaderValue::from_str(&format!("{runs}{}", started.run.id)) {
        headers.insert(header::LOCATION, location);
    }
    (StatusCode::CREATED, headers, Json(RunAnswer { run: started.run.into() }))
}
