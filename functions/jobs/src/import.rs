//! Importing a jobs file.

use axum::{Json, extract::State, http::HeaderMap};
use gatehouse_domain::{
    jobs::{self, ImportError, ImportMode, ImportRefusal, Imported, Refusal},
    name::TenantId,
    validation::FieldError,
};
use gatehouse_http::{
    Problem,
    extract::{Audited, QueryParameters, RawBody},
    file::Format,
    problem::{BODY_TOO_LARGE, ProblemBody},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{AppState, jobs_file};

/// How a jobs file is imported.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// Import everything or nothing; without it, what can be.
    #[serde(default)]
    atomic: bool,
    /// The tenant that projects which do not exist yet are to belong to; without it the caller's own, or the only one
    /// there is.
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
}

/// A jobs file, for the description.
#[derive(Debug, ToSchema)]
#[schema(as = JobsFile)]
#[expect(dead_code, reason = "it only describes what `jobs_file` reads")]
pub(crate) struct JobsFileBody {
    #[schema(max_items = 5000)]
    jobs: Vec<crate::wire::JobEntry>,
}

/// What became of each entry, in their order.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportAnswer {
    summary: Summary,
    entries: Vec<EntryReport>,
}

/// How many entries came to what.
#[derive(Debug, Default, Serialize, ToSchema)]
struct Summary {
    created: usize,
    changed: usize,
    unchanged: usize,
    refused: usize,
    skipped: usize,
}

/// What became of one entry.
#[derive(Debug, Serialize, ToSchema)]
struct EntryReport {
    /// The id as it was written.
    job_id: String,
    outcome: Outcome,
    /// Why, when it was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<EntryError>,
}

/// What became of one entry.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// There is a new job.
    Created,
    /// A job is different now.
    Changed,
    /// The job was already so.
    Unchanged,
    /// Nothing was done.
    Refused,
    /// Nothing was done, since another entry was refused and everything or nothing was wanted.
    Skipped,
}

/// Why an entry was refused.
#[derive(Debug, Serialize, ToSchema)]
struct EntryError {
    /// JSON pointer into the document.
    pointer: String,
    detail: String,
}

/// Imports a jobs file, YAML or JSON: creates what is new, replaces what is different, leaves the rest.
/// Importing the same file again changes nothing.
#[utoipa::path(
    post, path = "/v1/jobs/import", operation_id = "import_jobs", tag = "jobs", params(ImportQuery),
    request_body(
        content((JobsFileBody = "application/yaml"), (JobsFileBody = "application/json")),
        description = "A jobs file."
    ),
    responses(
        (status = 200, description = "What became of each entry. With `atomic=true`, entries that were not \
            refused are `skipped` when another one was.", body = ImportAnswer),
        (status = 400, description = "The file cannot be read.", body = ProblemBody),
        (status = 413, description = "The file has too many entries.", body = ProblemBody),
        (status = 415, description = "The file is of another type.", body = ProblemBody),
    )
)]
pub(crate) async fn import(
    State(state): State<AppState>,
    audited: Audited,
    QueryParameters(query): QueryParameters<ImportQuery>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<Json<ImportAnswer>, Problem> {
    let entries = jobs_file::read(Format::of(&headers)?, &body)?;
    let ids: Vec<_> = entries.iter().map(|entry| entry.written_id.clone()).collect();
    let mode = if query.atomic { ImportMode::AllOrNothing } else { ImportMode::EachOnItsOwn };
    let kinds = state.providers.kinds();
    let (store, system, audit) = (&*state.table, &*state.system, audited.context());
    let imported = jobs::import(store, system, &kinds, &audit, entries, query.tenant.as_ref(), mode);
    let imported = imported.await.map_err(|error| match error {
        ImportError::TooMany { .. } | ImportError::TooMuch { .. } => {
            Problem::new(BODY_TOO_LARGE, error.to_string())
        }
        ImportError::Store(error) => Problem::store(error),
    })?;
    Ok(Json(report(ids, imported)))
}

fn report(ids: Vec<String>, imported: Vec<Imported>) -> ImportAnswer {
    let mut summary = Summary::default();
    let entries = ids.into_iter().zip(imported).enumerate().map(|(index, (job_id, imported))| {
        let (outcome, count) = match &imported {
            Imported::Created => (Outcome::Created, &mut summary.created),
            Imported::Changed => (Outcome::Changed, &mut summary.changed),
            Imported::Unchanged => (Outcome::Unchanged, &mut summary.unchanged),
            Imported::Refused(_) => (Outcome::Refused, &mut summary.refused),
            Imported::Skipped => (Outcome::Skipped, &mut summary.skipped),
        };
        *count += 1;
        let errors = match imported {
            Imported::Refused(refusal) => explain(index, refusal),
            _ => Vec::new(),
        };
        EntryReport { job_id, outcome, errors }
    });
    let entries = entries.collect();
    ImportAnswer { summary, entries }
}

fn explain(index: usize, refusal: ImportRefusal) -> Vec<EntryError> {
    let entry = format!("/jobs/{index}");
    let errors = match refusal {
        ImportRefusal::Unreadable(error) => vec![error],
        ImportRefusal::Job(Refusal::Invalid(errors)) => errors,
        ImportRefusal::Job(refusal @ Refusal::IdTaken(_)) => {
            vec![FieldError::new("/job_id", refusal.to_string())]
        }
        ImportRefusal::Job(Refusal::Scope(closed)) => {
            vec![FieldError::new("/provider/ref", closed.to_string())]
        }
        ImportRefusal::Job(refusal) => vec![FieldError::new("/project", refusal.to_string())],
        ImportRefusal::Duplicate => vec![FieldError::new("/job_id", "an earlier entry has the same id")],
        ImportRefusal::Conflict => {
            vec![FieldError::new("", "somebody edited the job at the same moment; import again")]
        }
    };
    let inside =
        |error: FieldError| EntryError { pointer: format!("{entry}{}", error.pointer), detail: error.detail };
    errors.into_iter().map(inside).collect()
}
