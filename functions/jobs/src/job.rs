//! Listing, showing, saving and deleting jobs.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use gatehouse_domain::{
    jobs::{self, DeleteJobError, PutJobError, Refusal, ShowJobError},
    name::{EnvironmentName, JobId, ProjectName, TenantId},
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, Audited, Expected, JsonBody, NoQuery, PathParameter, QueryParameters, etag},
    page,
    problem::{self, CONFLICT, NOT_FOUND, ProblemBody, VALIDATION_FAILED},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    AppState,
    wire::{JobAnswer, JobBody, JobsAnswer},
};

/// Which jobs are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Those of this project.
    #[param(value_type = Option<String>)]
    project: Option<ProjectName>,
    /// Those for this environment.
    #[param(value_type = Option<String>)]
    environment: Option<EnvironmentName>,
    /// How many at most, 1 to 100; 50 without it.
    limit: Option<u8>,
    /// Where to start: the `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the jobs of the caller's tenants. A page may be short and still have a next one.
#[utoipa::path(
    get, path = "/v1/jobs", operation_id = "list_jobs", tag = "jobs", params(ListQuery),
    responses(
        (status = 200, description = "A page of jobs.", body = JobsAnswer),
        (status = 400, description = "The query cannot be read.", body = ProblemBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    QueryParameters(query): QueryParameters<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let filters = [
        ("project", query.project.as_ref().map(ProjectName::as_str)),
        ("environment", query.environment.as_ref().map(EnvironmentName::as_str)),
    ];
    let request = page::request(query.limit, query.cursor, &caller, &filters)?;
    let environment = query.environment.clone();
    let page = jobs::list(&*state.table, &caller, query.project.as_ref(), environment, &request)
        .await
        .map_err(Problem::list)?;
    let (link, next_cursor) = page::next(page.next, request.limit, &filters);
    let jobs = page.items.into_iter().map(Into::into).collect();
    Ok((link, Json(JobsAnswer { jobs, next_cursor })))
}

/// Shows one job.
#[utoipa::path(
    get, path = "/v1/jobs/{job_id}", operation_id = "show_job", tag = "jobs",
    params(("job_id" = String, Path, description = "The job's id.")),
    responses(
        (status = 200, description = "The job; its `ETag` is wanted for edits.", body = JobAnswer),
        (status = 404, description = "There is no such job.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    PathParameter(id): PathParameter<JobId>,
    _: NoQuery,
) -> Result<impl IntoResponse, Problem> {
    let job = jobs::show(&*state.table, &caller, &id).await.map_err(|error| match error {
        ShowJobError::NotFound => not_found(),
        ShowJobError::Store(error) => Problem::store(error),
    })?;
    Ok(([etag(&job.revision)], Json(JobAnswer { job: job.into() })))
}

/// Which tenant a new project is for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PutQuery {
    /// The tenant that a project which does not exist yet is to belong to; without it the caller's own, or the only one
    /// there is.
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
}

/// Creates a job, or replaces one whose `ETag` is sent in `If-Match`.
#[utoipa::path(
    put, path = "/v1/jobs/{job_id}", operation_id = "put_job", tag = "jobs",
    params(
        ("job_id" = String, Path, description = "The job's id."), PutQuery,
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the job that is replaced."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only create."),
    ),
    request_body = JobBody,
    responses(
        (status = 200, description = "The job was replaced.", body = JobAnswer),
        (status = 201, description = "The job was created.", body = JobAnswer),
        (status = 403, description = "The project's tenant may not use what the job points into.",
            body = ProblemBody),
        (status = 409, description = "The id or the project belongs to somebody else.", body = ProblemBody),
        (status = 412, description = "The job was changed since it was read.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
        (status = 428, description = "Replacing needs `If-Match`.", body = ProblemBody),
    )
)]
pub(crate) async fn put(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(id): PathParameter<JobId>,
    QueryParameters(query): QueryParameters<PutQuery>,
    Expected(expected): Expected,
    JsonBody(body): JsonBody<JobBody>,
) -> Result<impl IntoResponse, Problem> {
    let draft = body.into_draft(id).map_err(|error| Problem::invalid(vec![error]))?;
    let kinds = state.providers.kinds();
    let (store, system, audit) = (&*state.table, &*state.system, audited.context());
    let put = jobs::put(store, system, &kinds, &audit, draft, query.tenant.as_ref(), &expected);
    let put = put.await.map_err(|error| match error {
        PutJobError::Refused(refusal) => refusal_problem(refusal),
        PutJobError::Precondition(error) => Problem::precondition(error),
        PutJobError::Store(error) => Problem::store(error),
    })?;
    let status = if put.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [etag(&put.job.revision)], Json(JobAnswer { job: put.job.into() })))
}

/// Deletes a job whose `ETag` is sent in `If-Match`. Its runs stay until their time ends.
#[utoipa::path(
    delete, path = "/v1/jobs/{job_id}", operation_id = "delete_job", tag = "jobs",
    params(
        ("job_id" = String, Path, description = "The job's id."),
        ("If-Match" = String, Header, description = "The `ETag` of the job."),
    ),
    responses(
        (status = 204, description = "The job was deleted."),
        (status = 404, description = "There is no such job.", body = ProblemBody),
        (status = 412, description = "The job was changed since it was read.", body = ProblemBody),
        (status = 428, description = "Deleting needs `If-Match`.", body = ProblemBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(id): PathParameter<JobId>,
    _: NoQuery,
    Expected(expected): Expected,
) -> Result<StatusCode, Problem> {
    let audit = audited.context();
    let deleted = jobs::delete(&*state.table, &*state.system, &audit, &id, &expected);
    deleted.await.map_err(|error| match error {
        DeleteJobError::NotFound => not_found(),
        DeleteJobError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        DeleteJobError::Precondition(error) => Problem::precondition(error),
        DeleteJobError::Store(error) => Problem::store(error),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// The same for a job of somebody else and for one that never was.
fn not_found() -> Problem {
    Problem::new(NOT_FOUND, "There is no such job.")
}

pub(crate) fn refusal_problem(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Invalid(errors) => Problem::invalid(errors),
        Refusal::TenantUnclear(_) | Refusal::NoTenant(_) => {
            Problem::new(VALIDATION_FAILED, refusal.to_string())
        }
        Refusal::ProjectTaken(_) | Refusal::IdTaken(_) => Problem::new(CONFLICT, refusal.to_string()),
        Refusal::Scope(closed) => Problem::scope_closed(&closed),
        Refusal::TenantForeign(_) | Refusal::Forbidden(_) => {
            Problem::new(problem::FORBIDDEN, refusal.to_string())
        }
    }
}
