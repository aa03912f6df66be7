//! Importing jobs files.

use std::collections::BTreeSet;

use super::{
    edit::{JobDraft, NewOwner, Planner, Refusal},
    job::{FindForEdit, JobEdit, MAX_ATOMIC_IMPORT, MAX_WRITES, SaveJobs},
};
use crate::{
    audit::AuditContext,
    ci::ProviderKind,
    clock::System,
    name::{JobId, ProjectName, TenantId},
    project::FindTenant,
    providers::ListProviders,
    revision::EditOutcome,
    scopes::Shares,
    store::StoreError,
    tenant::CountTenants,
    validation::FieldError,
};

/// What became of one entry of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// There is a new job.
    Created,
    /// A job is different now.
    Changed,
    /// The job was already so.
    Unchanged,
    /// Nothing was done, and why.
    Refused(ImportRefusal),
    /// It would have been done, but another entry of an all-or-nothing import was refused.
    Skipped,
}

/// Why an entry was not imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportRefusal {
    /// The entry itself cannot be read.
    Unreadable(FieldError),
    /// The job is refused.
    Job(Refusal),
    /// An earlier entry has the same id.
    Duplicate,
    /// Somebody edited the job at the same moment.
    Conflict,
}

/// One entry of a jobs file, as far as it could be read.
#[derive(Debug, Clone)]
pub struct ImportEntry {
    /// The id that was written, readable or not.
    pub written_id: String,
    /// The job, or what could not be read.
    pub draft: Result<JobDraft, FieldError>,
}

/// Whether one refused entry stops the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportMode {
    /// Import what can be.
    EachOnItsOwn,
    /// Import everything or nothing.
    AllOrNothing,
}

/// The most jobs in one import: as many items as a list of a body may have.
pub const MAX_IMPORT: usize = 5_000;

/// Why an import did not start.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file has more entries than an import takes.
    #[error("at most {max} jobs can be imported at once, this file has {found}")]
    TooMany {
        /// How many it has.
        found: usize,
        /// How many it may have.
        max: usize,
    },
    /// All or nothing is one transaction, and the entries take more writes than it has.
    #[error(
        "all or nothing takes at most {MAX_WRITES} writes, and these jobs and what is recorded of them need {writes}; split the file"
    )]
    TooMuch {
        /// How many writes they need.
        writes: usize,
    },
    /// The store failed before anything, or everything, was written.
    #[error("could not import the jobs")]
    Store(#[from] StoreError),
}

/// Imports entries of a jobs file: what became of each, in their order. Projects that do not exist yet are
/// created for `tenant`, for the caller's only tenant, or for the only one there is.
pub async fn import<S: FindForEdit + SaveJobs + ListProviders + CountTenants + FindTenant>(
    store: &S,
    system: &dyn System,
    kinds: &BTreeSet<ProviderKind>,
    audit: &AuditContext<'_>,
    entries: Vec<ImportEntry>,
    tenant: Option<&TenantId>,
    mode: ImportMode,
) -> Result<Vec<Imported>, ImportError> {
    let max = if mode == ImportMode::AllOrNothing { MAX_ATOMIC_IMPORT } else { MAX_IMPORT };
    if entries.len() > max {
        return Err(ImportError::TooMany { found: entries.len(), max });
    }
    let drafts = || entries.iter().filter_map(|entry| entry.draft.as_ref().ok());
    let ids = drafts().map(|draft| draft.id.clone()).collect();
    let projects: BTreeSet<_> = drafts().map(|draft| draft.spec.project.clone()).collect();
    // One read for the whole file. What changes between it and a write is found by the write's condition.
    let existing = store.find_for_edit(&ids, &projects).await?;
    let shares = Shares::of_all(store).await?;
    let is_any_new = projects.iter().any(|project| !existing.projects.contains_key(project));
    let new_owner = NewOwner::find(store, audit.caller, tenant, is_any_new).await?;
    let planner = Planner { system, kinds, audit, existing: &existing, shares: &shares, new_owner };
    let mut seen = BTreeSet::new();
    let plan: Vec<_> = entries.into_iter().map(|entry| plan_entry(&planner, &mut seen, entry)).collect();
    match mode {
        ImportMode::EachOnItsOwn => import_each(store, plan).await,
        ImportMode::AllOrNothing => import_all(store, plan).await,
    }
}

enum Planned {
    Edit(Box<JobEdit>),
    Nothing(Imported),
}

fn plan_entry(planner: &Planner<'_>, seen: &mut BTreeSet<JobId>, entry: ImportEntry) -> Planned {
    let refused = |why| Planned::Nothing(Imported::Refused(why));
    let draft = match entry.draft {
        Ok(draft) => draft,
        Err(error) => return refused(ImportRefusal::Unreadable(error)),
    };
    if !seen.insert(draft.id.clone()) {
        return refused(ImportRefusal::Duplicate);
    }
    match planner.plan(draft) {
        Err(refusal) => refused(ImportRefusal::Job(refusal)),
        // Not written at all: whoever holds the job's ETag keeps a valid one when a file is imported again.
        Ok(edit) if edit.previous.as_ref().is_some_and(|old| old.spec == edit.job.spec) => {
            Planned::Nothing(Imported::Unchanged)
        }
        Ok(edit) => Planned::Edit(Box::new(edit)),
    }
}

fn done(edit: &JobEdit) -> Imported {
    if edit.previous.is_some() { Imported::Changed } else { Imported::Created }
}

async fn import_each<S: SaveJobs>(store: &S, plan: Vec<Planned>) -> Result<Vec<Imported>, ImportError> {
    let mut edits = Vec::new();
    let mut report: Vec<Imported> = Vec::with_capacity(plan.len());
    for planned in plan {
        report.push(match planned {
            Planned::Nothing(outcome) => outcome,
            Planned::Edit(edit) => {
                let outcome = done(&edit);
                edits.push((report.len(), *edit));
                outcome
            }
        });
    }
    // One transaction after the other: entries may share a project that does not exist yet, and concurrent ones that
    // touch it would refuse each other.
    for batch in batches(edits) {
        for index in conflicts(store, batch).await? {
            if let Some(outcome) = report.get_mut(index) {
                *outcome = Imported::Refused(ImportRefusal::Conflict);
            }
        }
    }
    Ok(report)
}

/// A job to be saved, and the place of its entry.
type PlacedEdit = (usize, JobEdit);

/// The edits in their order, as many together as a transaction takes.
fn batches(edits: Vec<PlacedEdit>) -> Vec<Vec<PlacedEdit>> {
    let mut batches = Vec::new();
    let (mut batch, mut written, mut projects) = (Vec::new(), 0, BTreeSet::new());
    for (place, edit) in edits {
        let project = edit.new_project.as_ref().map(|project| project.name.clone());
        let is_first = |projects: &BTreeSet<ProjectName>| {
            usize::from(project.as_ref().is_some_and(|project| !projects.contains(project)))
        };
        if written + edit.writes() + is_first(&projects) > MAX_WRITES {
            batches.push(std::mem::take(&mut batch));
            (written, projects) = (0, BTreeSet::new());
        }
        written += edit.writes() + is_first(&projects);
        projects.extend(project);
        batch.push((place, edit));
    }
    batches.push(batch);
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// Saves the edits together, or one by one where something is otherwise than it was read; the places of those that are
/// refused.
async fn conflicts<S: SaveJobs>(store: &S, batch: Vec<PlacedEdit>) -> Result<Vec<usize>, StoreError> {
    let (places, edits): (Vec<usize>, Vec<JobEdit>) = batch.into_iter().unzip();
    if store.save_jobs(&edits).await? == EditOutcome::Done {
        return Ok(Vec::new());
    }
    if edits.len() == 1 {
        return Ok(places);
    }
    let mut refused = Vec::new();
    for (place, edit) in places.into_iter().zip(&edits) {
        if store.save_jobs(std::slice::from_ref(edit)).await? == EditOutcome::Conflict {
            refused.push(place);
        }
    }
    Ok(refused)
}

/// How many writes the edits take together. Several jobs may be the first of a project, which is created once.
fn writes(edits: &[JobEdit]) -> usize {
    let projects: BTreeSet<_> =
        edits.iter().filter_map(|edit| Some(&edit.new_project.as_ref()?.name)).collect();
    edits.iter().map(JobEdit::writes).sum::<usize>() + projects.len()
}

async fn import_all<S: SaveJobs>(store: &S, plan: Vec<Planned>) -> Result<Vec<Imported>, ImportError> {
    let is_refused = |planned: &Planned| matches!(planned, Planned::Nothing(Imported::Refused(_)));
    let hindered = plan.iter().any(is_refused);
    let edits: Vec<JobEdit> = plan
        .iter()
        .filter_map(|planned| match planned {
            Planned::Edit(edit) if !hindered => Some((**edit).clone()),
            _ => None,
        })
        .collect();
    let writes = writes(&edits);
    if writes > MAX_WRITES {
        return Err(ImportError::TooMuch { writes });
    }
    let outcome = if edits.is_empty() { EditOutcome::Done } else { store.save_jobs(&edits).await? };
    let report = plan.into_iter().map(|planned| match (planned, outcome) {
        (Planned::Nothing(outcome), _) => outcome,
        (Planned::Edit(_), _) if hindered => Imported::Skipped,
        (Planned::Edit(edit), EditOutcome::Done) => done(&edit),
        // The transaction does not say whose condition failed in terms of entries, and none was written.
        (Planned::Edit(_), EditOutcome::Conflict) => Imported::Refused(ImportRefusal::Conflict),
    });
    Ok(report.collect())
}
