//! Projects.

use std::collections::BTreeSet;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use gatehouse_domain::{
    name::{ProjectName, ServiceName, TenantId},
    project::{self, EditProjectError, Project, ProjectDraft, ShowProjectError},
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, Audited, Expected, JsonBody, NoQuery, PathParameter, QueryParameters, etag},
    page::{self, PageQuery},
    problem::{CONFLICT, NOT_FOUND, ProblemBody},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::AppState;

/// A project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectView {
    project: String,
    tenant: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The services that may call it; any service without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_services: Option<Vec<String>>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<Project> for ProjectView {
    fn from(project: Project) -> Self {
        let accepted = project.accepted_services;
        Self {
            project: project.name.to_string(),
            tenant: project.tenant.to_string(),
            description: project.description,
            accepted_services: accepted.map(|names| names.iter().map(ToString::to_string).collect()),
            created_at: project.created_at,
        }
    }
}

/// One project.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectAnswer {
    project: ProjectView,
}

/// A page of projects.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProjectsAnswer {
    projects: Vec<ProjectView>,
    /// Where the next page starts; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// What people decide about a project.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProjectBody {
    /// The tenant of a new project; the caller's only one without it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "acme")]
    tenant: Option<TenantId>,
    /// What it is for, for people.
    #[serde(default)]
    description: Option<String>,
    /// The services that may call it; any service without it.
    #[serde(default)]
    #[schema(value_type = Option<Vec<String>>, max_items = 100, example = json!(["worker"]))]
    accepted_services: Option<BTreeSet<ServiceName>>,
}

/// Lists the projects of the caller's tenants. A page may be short and still have a next one.
#[utoipa::path(
    get, path = "/v1/projects", operation_id = "list_projects", tag = "projects", params(PageQuery),
    responses((status = 200, description = "A page of projects.", body = ProjectsAnswer))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    QueryParameters(query): QueryParameters<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    let request = page::request(query.limit, query.cursor, &caller, &[])?;
    let page = project::list(&*state.table, &caller, &request).await.map_err(Problem::list)?;
    let (link, next_cursor) = page::next(page.next, request.limit, &[]);
    let projects = page.items.into_iter().map(Into::into).collect();
    Ok((link, Json(ProjectsAnswer { projects, next_cursor })))
}

/// Shows one project.
#[utoipa::path(
    get, path = "/v1/projects/{project}", operation_id = "show_project", tag = "projects",
    params(("project" = String, Path, description = "The project's name.")),
    responses(
        (status = 200, description = "The project; its `ETag` is wanted for edits.", body = ProjectAnswer),
        (status = 404, description = "There is no such project.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    PathParameter(name): PathParameter<ProjectName>,
    _: NoQuery,
) -> Result<impl IntoResponse, Problem> {
    let project = project::show(&*state.table, &caller, &name).await;
    let project = project.map_err(|error| match error {
        ShowProjectError::NotFound => not_found(),
        ShowProjectError::Store(error) => Problem::store(error),
    })?;
    Ok(([etag(&project.revision)], Json(ProjectAnswer { project: project.into() })))
}

/// Creates a project, or replaces one whose `ETag` is sent in `If-Match`. Its tenant stays.
#[utoipa::path(
    put, path = "/v1/projects/{project}", operation_id = "put_project", tag = "projects",
    params(
        ("project" = String, Path, description = "The project's name."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the project that is replaced."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only create."),
    ),
    request_body = ProjectBody,
    responses(
        (status = 200, description = "The project was replaced.", body = ProjectAnswer),
        (status = 201, description = "The project was created.", body = ProjectAnswer),
        (status = 409, description = "The name belongs to somebody else.", body = ProblemBody),
        (status = 412, description = "The project was changed since it was read.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
        (status = 428, description = "Replacing needs `If-Match`.", body = ProblemBody),
    )
)]
pub(crate) async fn put(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(name): PathParameter<ProjectName>,
    _: NoQuery,
    Expected(expected): Expected,
    JsonBody(body): JsonBody<ProjectBody>,
) -> Result<impl IntoResponse, Problem> {
    let ProjectBody { tenant, description, accepted_services } = body;
    let draft = ProjectDraft { tenant, description, accepted_services };
    let audit = audited.context();
    let put = project::put(&*state.table, &*state.system, &audit, name, draft, &expected)
        .await
        .map_err(edit_problem)?;
    let status = if put.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, [etag(&put.project.revision)], Json(ProjectAnswer { project: put.project.into() })))
}

/// Deletes a project whose `ETag` is sent in `If-Match`, which nothing belongs to, and which is not its tenant's default.
#[utoipa::path(
    delete, path = "/v1/projects/{project}", operation_id = "delete_project", tag = "projects",
    params(
        ("project" = String, Path, description = "The project's name."),
        ("If-Match" = String, Header, description = "The `ETag` of the project."),
    ),
    responses(
        (status = 204, description = "The project was deleted."),
        (status = 404, description = "There is no such project.", body = ProblemBody),
        (status = 409, description = "Jobs, services or live tokens belong to it, or it is its tenant's default.", body = ProblemBody),
        (status = 412, description = "The project was changed since it was read.", body = ProblemBody),
        (status = 428, description = "Deleting needs `If-Match`.", body = ProblemBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(name): PathParameter<ProjectName>,
    _: NoQuery,
    Expected(expected): Expected,
) -> Result<StatusCode, Problem> {
    let audit = audited.context();
    project::delete(&*state.table, &*state.system, &audit, &name, &expected).await.map_err(edit_problem)?;
    Ok(StatusCode::NO_CONTENT)
}

fn edit_problem(error: EditProjectError) -> Problem {
    match error {
        EditProjectError::NotFound => not_found(),
        EditProjectError::Invalid(errors) => Problem::invalid(errors),
        EditProjectError::Taken | EditProjectError::InUse | EditProjectError::Default { .. } => {
            Problem::new(CONFLICT, error.to_string())
        }
        EditProjectError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        EditProjectError::Precondition(error) => Problem::precondition(error),
        EditProjectError::Store(error) => Problem::store(error),
    }
}

/// The same for a project of somebody else and for one that never was.
fn not_found() -> Problem {
    Problem::new(NOT_FOUND, "There is no such project.")
}
