//! Showing and listing runs.

use axum::{Json, extract::State, response::IntoResponse};
use gatehouse_domain::{
    name::JobId,
    runs::{self, RunId},
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, NoQuery, PathParameter, QueryParameters},
    page::{self, PageQuery},
    problem::ProblemBody,
};

use crate::{
    AppState, problems,
    wire::{RunAnswer, RunsAnswer},
};

/// Shows one run as it stands now.
#[utoipa::path(
    get, path = "/v1/runs/{run_id}", operation_id = "show_run", tag = "runs",
    params(("run_id" = String, Path, description = "The run's id.")),
    responses(
        (status = 200, description = "The run. `stale` says when the CI system could not be asked.",
            body = RunAnswer),
        (status = 404, description = "There is no such run.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    PathParameter(id): PathParameter<RunId>,
    _: NoQuery,
) -> Result<Json<RunAnswer>, Problem> {
    let found = runs::show(&*state.table, &*state.providers, &*state.system, &caller, &id).await;
    let found = found.map_err(Problem::show_run)?;
    Ok(Json(RunAnswer { run: found.into() }))
}

/// Lists the runs of a job that were started through Gatehouse, the newest first.
#[utoipa::path(
    get, path = "/v1/jobs/{job_id}/runs", operation_id = "list_runs", tag = "runs",
    params(("job_id" = String, Path, description = "The job's id."), PageQuery),
    responses(
        (status = 200, description = "A page of runs.", body = RunsAnswer),
        (status = 404, description = "There is no such job.", body = ProblemBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    PathParameter(job): PathParameter<JobId>,
    QueryParameters(query): QueryParameters<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    let request = page::request(query.limit, query.cursor, &caller, &[])?;
    let page = runs::list(&*state.table, &*state.providers, &caller, &job, &request);
    let page = page.await.map_err(problems::list_runs)?;
    let (link, next_cursor) = page::next(page.next, request.limit, &[]);
    let runs = page.items.into_iter().map(Into::into).collect();
    Ok((link, Json(RunsAnswer { runs, next_cursor })))
}
