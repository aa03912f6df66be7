//! Reading a CI system's own jobs.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use gatehouse_domain::{
    ci::{DiscoveredJob, ProviderKind},
    jobs::{self, DiscoverError, Discovery, JobSpec, Refusal},
    name::{EnvironmentName, ProjectName, ProviderName, TenantId},
    validation::FieldError,
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, JsonBody, NoQuery},
    problem::ProblemBody,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    AppState,
    job::refusal_problem,
    wire::{JobBody, JobEntry, default_provider},
};

/// What to discover, and what to say of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiscoverBody {
    /// The provider to read; `concourse` without it.
    #[schema(value_type = Option<String>)]
    provider: Option<ProviderName>,
    /// The teams to read; without it all that Gatehouse's account can see and the project's tenant may use.
    #[serde(default)]
    teams: BTreeSet<String>,
    /// The project that the entries are to name.
    #[schema(value_type = String)]
    project: ProjectName,
    /// The tenant that a project which does not exist yet is to belong to; the only one without it.
    #[schema(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// The environment that the entries are to name.
    #[schema(value_type = Option<String>)]
    environment: Option<EnvironmentName>,
}

/// Entries that can be imported as they are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DiscoverAnswer {
    jobs: Vec<JobEntry>,
    /// What is remarkable about some of them; `import` passes it over.
    notes: Vec<Note>,
}

/// What is remarkable about a job.
#[derive(Debug, Serialize, ToSchema)]
struct Note {
    job_id: String,
    note: String,
}

/// Reads a CI system's own jobs, those that the project's tenant may use, and proposes entries that `import` takes as
/// they are. Nothing is saved.
#[utoipa::path(
    post, path = "/v1/jobs/discover", operation_id = "discover_jobs", tag = "jobs",
    request_body = DiscoverBody,
    responses(
        (status = 200, description = "Entries ready for import.", body = DiscoverAnswer),
        (status = 403, description = "The project's tenant may not use a team, or any.", body = ProblemBody),
        (status = 409, description = "There is no such provider.", body = ProblemBody),
        (status = 422, description = "The provider cannot list its jobs, or whose the project is to be is not \
            clear.", body = ProblemBody),
        (status = 502, description = "The CI system refuses Gatehouse.", body = ProblemBody),
        (status = 503, description = "The CI system cannot be reached.", body = ProblemBody),
    )
)]
pub(crate) async fn discover(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    _: NoQuery,
    JsonBody(body): JsonBody<DiscoverBody>,
) -> Result<Json<DiscoverAnswer>, Problem> {
    let name = body.provider.clone().unwrap_or_else(|| default_provider(ProviderKind::Concourse));
    let (scopes, project, tenant) = (&body.teams, &body.project, body.tenant.as_ref());
    let wanted = Discovery { provider: &name, scopes, project, tenant };
    let found = jobs::discover(&*state.table, &*state.providers, &caller, &wanted).await.map_err(problem)?;
    let notes = found.iter().filter_map(|job| {
        let note = job.note.clone()?;
        Some(Note { job_id: job.job_id.to_string(), note })
    });
    let notes = notes.collect();
    let jobs = found.into_iter().map(|job| entry(&body, &name, job)).collect();
    Ok(Json(DiscoverAnswer { jobs, notes }))
}

fn entry(body: &DiscoverBody, provider: &ProviderName, job: DiscoveredJob) -> JobEntry {
    let spec = JobSpec {
        project: body.project.clone(),
        display_name: job.display_name,
        description: None,
        environment: body.environment.clone(),
        provider: provider.clone(),
        target: job.target,
        parameters: Vec::new(),
        undeclared: None,
    };
    JobEntry { job_id: job.job_id, body: JobBody::of(spec) }
}

fn problem(error: DiscoverError) -> Problem {
    match error {
        DiscoverError::Provider(error) => Problem::provider_lookup(error),
        DiscoverError::Refused(Refusal::TenantUnclear(_)) => {
            let detail = "say which tenant the project, which does not exist yet, is to belong to";
            Problem::invalid(vec![FieldError::new("/tenant", detail)])
        }
        DiscoverError::Refused(refusal) => refusal_problem(refusal),
        DiscoverError::Scope(closed) => Problem::scope_closed(&closed),
        DiscoverError::Ci(error) => Problem::ci(error),
        DiscoverError::Store(error) => Problem::store(error),
    }
}
