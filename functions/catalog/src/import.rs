//! Importing a catalog file.

use axum::{Json, extract::State, http::HeaderMap};
use gatehouse_domain::{
    catalog::{self, EntityFile, EntryOutcome, ImportFileError, ImportedEntry},
    jobs::ImportMode,
    name::TenantId,
};
use gatehouse_http::{
    Problem,
    extract::{Audited, QueryParameters, RawBody},
    file::Format,
    problem::{BODY_TOO_LARGE, INVALID_QUERY, ProblemBody},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{catalog_file, state::AppState};

/// How a catalog file is imported.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ImportQuery {
    /// Import everything or nothing; without it, what can be.
    #[serde(default)]
    atomic: bool,
    /// Write nothing, and say only what would become of each entity.
    #[serde(default)]
    dry_run: bool,
    /// Whose the entities are to be; the caller's only tenant's without it.
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
}

/// An entity of Backstage's format, for the description. In YAML a file has several of them as its documents, in JSON as
/// a list.
#[derive(Debug, ToSchema)]
#[schema(as = CatalogEntity)]
#[expect(dead_code, reason = "it only describes what `catalog_file` reads")]
pub(crate) struct EntityBody {
    /// `backstage.io/v1alpha1` or `backstage.io/v1beta1`.
    #[schema(rename = "apiVersion", example = "backstage.io/v1alpha1")]
    api_version: String,
    /// `Component`, `System`, `API`, `Resource` or `Group`; Backstage's other kinds are passed over.
    #[schema(example = "Component")]
    kind: String,
    /// `name`, `namespace`, `title`, `description`, `labels`, `annotations`, `tags`, `links`.
    #[schema(value_type = Object)]
    metadata: (),
    /// What the kind has.
    #[schema(value_type = Option<Object>)]
    spec: (),
}

/// What became of each entity, in their order.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogImport)]
pub(crate) struct ImportAnswer {
    /// Whether nothing was written, since that was asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
    summary: Summary,
    entries: Vec<EntryReport>,
}

/// How many entities came to what.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = CatalogImportSummary)]
struct Summary {
    created: usize,
    changed: usize,
    unchanged: usize,
    not_kept: usize,
    refused: usize,
    skipped: usize,
}

/// What became of one entity.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogImportEntry)]
struct EntryReport {
    /// Its kind and name as they were written.
    #[schema(example = "component:shop")]
    entity: String,
    outcome: Outcome,
    /// Why, when it was not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Why, when it was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<EntryError>,
    /// What is written of it and not kept: JSON pointers into the list of the file's documents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored: Vec<String>,
}

/// What became of one entity.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = CatalogImportOutcome)]
enum Outcome {
    /// It is new.
    Created,
    /// It is different now, or the service that it describes is.
    Changed,
    /// It was already so.
    Unchanged,
    /// It is of a kind that is not kept here.
    NotKept,
    /// Nothing was done.
    Refused,
    /// Nothing was done, since another entity was refused and everything or nothing was wanted.
    Skipped,
}

/// Why an entity was refused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogImportError)]
struct EntryError {
    /// JSON pointer into the list of the file's documents.
    pointer: String,
    detail: String,
}

/// Imports a catalog file, Backstage's `catalog-info.yaml`, of one or several entities: creates what is new, replaces what
/// is different, leaves the rest. Importing the same file again changes nothing. The service of a component's name gets its
/// owner, life, links and tags from it. Who is in a group is changed by an admin only.
#[utoipa::path(
    post, path = "/v1/catalog/import", operation_id = "import_entities", tag = "catalog", params(ImportQuery),
    request_body(
        content((EntityBody = "application/yaml"), (EntityBody = "application/json")),
        description = "A catalog file."
    ),
    responses(
        (status = 200, description = "What became of each entity. With `atomic=true`, entities that were not \
            refused are `skipped` when another one was.", body = ImportAnswer),
        (status = 400, description = "The file cannot be read, or the tenant is not clear.", body = ProblemBody),
        (status = 413, description = "The file has too many entities.", body = ProblemBody),
        (status = 422, description = "The file is no catalog file.", body = ProblemBody),
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
    let ImportQuery { atomic, dry_run, tenant } = query;
    let entries = catalog_file::read(Format::of(&headers)?, &body)?;
    let names: Vec<_> = entries.iter().map(|entry| entry.written.clone()).collect();
    let mode = if atomic { ImportMode::AllOrNothing } else { ImportMode::EachOnItsOwn };
    let file = EntityFile { entries, tenant: tenant.as_ref(), mode, dry_run };
    let imported = catalog::import_entities(&*state.table, &*state.system, &audited.context(), file).await;
    Ok(Json(report(dry_run, names, imported.map_err(refused)?)))
}

fn refused(error: ImportFileError) -> Problem {
    match error {
        ImportFileError::TenantUnclear | ImportFileError::NoTenant => {
            Problem::new(INVALID_QUERY, error.to_string())
        }
        ImportFileError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        ImportFileError::TooMany { .. } | ImportFileError::TooMuch { .. } => {
            Problem::new(BODY_TOO_LARGE, error.to_string())
        }
        ImportFileError::Store(error) => Problem::store(error),
    }
}

fn report(dry_run: bool, names: Vec<String>, imported: Vec<ImportedEntry>) -> ImportAnswer {
    let mut summary = Summary::default();
    let entries = names.into_iter().zip(imported).enumerate().map(|(index, (entity, imported))| {
        let (outcome, count) = match &imported.outcome {
            EntryOutcome::Created => (Outcome::Created, &mut summary.created),
            EntryOutcome::Changed => (Outcome::Changed, &mut summary.changed),
            EntryOutcome::Unchanged => (Outcome::Unchanged, &mut summary.unchanged),
            EntryOutcome::NotKept(_) => (Outcome::NotKept, &mut summary.not_kept),
            EntryOutcome::Refused(_) => (Outcome::Refused, &mut summary.refused),
            EntryOutcome::Skipped => (Outcome::Skipped, &mut summary.skipped),
        };
        *count += 1;
        let inside = |pointer: &str| format!("/{index}{pointer}");
        let (reason, errors) = match imported.outcome {
            EntryOutcome::NotKept(why) => (Some(why), Vec::new()),
            EntryOutcome::Refused(errors) => (None, errors),
            _ => (None, Vec::new()),
        };
        let errors = errors
            .into_iter()
            .map(|error| EntryError { pointer: inside(&error.pointer), detail: error.detail });
        let ignored = imported.ignored.iter().map(|pointer| inside(pointer)).collect();
        EntryReport { entity, outcome, reason, errors: errors.collect(), ignored }
    });
    let entries = entries.collect();
    ImportAnswer { dry_run, summary, entries }
}
