//! Reading a CI system's own jobs.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use gatehouse_domain::{
    ci::{DiscoveredJob, ProviderDirectory, ProviderKind},
    jobs::JobSpec,
    name::{EnvironmentName, ProjectName, ProviderName},
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
    wire::{JobBody, JobEntry, default_provider},
};

/// What to discover, and what to say of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DiscoverBody {
    /// The provider to read; `concourse` without it.
    #[schema(value_type = Option<String>)]
    provider: Option<ProviderName>,
    /// The teams to read; all that Gatehouse's account can see without it.
    #[serde(default)]
    teams: BTreeSet<String>,
    /// The project that the entries are to name.
    #[schema(value_type = String)]
    project: ProjectName,
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

/// Reads a CI system's own jobs and proposes entries that `import` takes as they are. Nothing is saved.
#[utoipa::path(
    post, path = "/v1/jobs/discover", operation_id = "discover_jobs", tag = "jobs",
    request_body = DiscoverBody,
    responses(
        (status = 200, description = "Entries ready for import.", body = DiscoverAnswer),
        (status = 409, description = "There is no such provider.", body = ProblemBody),
        (status = 422, description = "The provider cannot list its jobs.", body = ProblemBody),
        (status = 502, description = "The CI system refuses Gatehouse.", body = ProblemBody),
        (status = 503, description = "The CI system cannot be reached.", body = ProblemBody),
    )
)]
pub(crate) async fn discover(
    State(state): State<AppState>,
    Admitted(_caller): Admitted,
    _: NoQuery,
    JsonBody(body): JsonBody<DiscoverBody>,
) -> Result<Json<DiscoverAnswer>, Problem> {
    let name = body.provider.clone().unwrap_or_else(|| default_provider(ProviderKind::Concourse));
    let provider = state.providers.provider_now(&name).await.map_err(Problem::provider_lookup)?;
    let found = provider.discover(&body.teams).await.map_err(Problem::ci)?;
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
    };
    JobEntry { job_id: job.job_id, body: JobBody::of(spec) }
}
