//! Importing catalog files.

use std::collections::BTreeSet;

use super::{
    describe::{describe, service_name},
    save::{EntityEdit, FindForImport, FoundForImport, SaveEntities, ServiceEdit},
};
use crate::{
    access::IMPORT_ENTITIES,
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    caller::Caller,
    catalog::{Service, diff::diff, service::audit_target as service_target},
    clock::System,
    entities::{Entity, EntityDraft, EntityKind, EntityRef, WrittenEntity},
    jobs::{ImportMode, MAX_ATOMIC_IMPORT, MAX_WRITES},
    name::{TenantId, UserName},
    revision::{EditOutcome, Revision},
    store::StoreError,
    validation::FieldError,
};

/// The most entities of one file: each may cost three writes and one for each that it names, within one request.
const MAX_ENTITIES: usize = 500;

/// How many entities are saved together. One has at most 192 KB, a service that it describes at most 400 KB, and a
/// transaction takes 4 MB.
const MAX_TOGETHER: usize = 5;

/// A catalog file, and how it is imported.
#[derive(Debug)]
pub struct EntityFile<'a> {
    pub entries: Vec<FileEntry>,
    /// Whose its entities are to be; the caller's only tenant's without it.
    pub tenant: Option<&'a TenantId>,
    pub mode: ImportMode,
    /// Whether to say only what would be done.
    pub dry_run: bool,
}

/// One entity of a file, as far as it could be read.
#[derive(Debug, Clone)]
pub struct FileEntry {
    /// What it is called in the file, readable or not.
    pub written: String,
    pub entity: WrittenEntry,
}

#[derive(Debug, Clone)]
pub enum WrittenEntry {
    Entity(Box<WrittenEntity>),
    /// It is of a kind that is not kept here, for this reason.
    NotKept(&'static str),
    Unreadable(Vec<FieldError>),
}

/// What became of one entity of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportedEntry {
    pub outcome: EntryOutcome,
    /// What is written of it and not kept, as JSON pointers.
    pub ignored: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryOutcome {
    Created,
    /// It is different now, or the service that it describes is.
    Changed,
    /// It was already so.
    Unchanged,
    /// It is of a kind that is not kept here, for this reason.
    NotKept(&'static str),
    /// Nothing was done, and why.
    Refused(Vec<FieldError>),
    /// It would have been done, but another entity of an all-or-nothing import was refused.
    Skipped,
}

/// Why an import did not start.
#[derive(Debug, thiserror::Error)]
pub enum ImportFileError {
    /// The caller has several tenants, and did not say which one they mean.
    #[error("say with ?tenant= whose the entities are to be")]
    TenantUnclear,
    /// There is no such tenant, or the caller is not in it.
    #[error("you are in no such tenant")]
    NoTenant,
    /// The caller's role in this tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    #[error("at most {max} entities can be imported at once, this file has {found}")]
    TooMany { found: usize, max: usize },
    /// All or nothing is one transaction, and the entities take more writes than it has.
    #[error(
        "all or nothing takes at most {MAX_WRITES} writes, and these entities, what they say of others and what is \
         recorded of them need {writes}; split the file"
    )]
    TooMuch { writes: usize },
    /// The store failed. With all or nothing, nothing was written, unless the answer to a write was lost; otherwise what
    /// stands before in the file may have been.
    #[error("could not import the entities")]
    Store(#[from] StoreError),
}

/// Imports the entities of a file for one tenant: what became of each, in their order. What is already so is not written
/// at all.
///
/// # Errors
///
/// Why nothing of it was done.
pub async fn import_entities<S>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    file: EntityFile<'_>,
) -> Result<Vec<ImportedEntry>, ImportFileError>
where
    S: FindForImport + SaveEntities,
{
    let EntityFile { entries, tenant, mode, dry_run } = file;
    let tenant = tenant_of(audit.caller, tenant)?;
    let max = if mode == ImportMode::AllOrNothing { MAX_ATOMIC_IMPORT } else { MAX_ENTITIES };
    if entries.len() > max {
        return Err(ImportFileError::TooMany { found: entries.len(), max });
    }
    let read: Vec<_> = entries.into_iter().map(|entry| read(entry.entity)).collect();
    let drafts = || read.iter().filter_map(|read| read.entity.as_ref().ok());
    let references = drafts().map(EntityDraft::reference).collect();
    let services = drafts().filter_map(service_name).collect();
    // One read for the whole file. What changes between it and a write is found by the write's condition.
    let found = store.find_for_import(&tenant, &references, &services).await?;
    let planner = Planner { system, audit, tenant: &tenant, found: &found };
    let mut seen = BTreeSet::new();
    let mut plan_one =
        |entity: Result<_, _>| entity.map_or_else(Planned::Nothing, |draft| planner.plan(&mut seen, draft));
    let (plan, ignored): (Vec<_>, Vec<_>) =
        read.into_iter().map(|Read { entity, ignored }| (plan_one(entity), ignored)).unzip();
    let outcomes = match mode {
        ImportMode::EachOnItsOwn => import_each(store, plan, dry_run).await?,
        ImportMode::AllOrNothing => import_all(store, plan, dry_run).await?,
    };
    let imported = outcomes.into_iter().zip(ignored);
    Ok(imported.map(|(outcome, ignored)| ImportedEntry { outcome, ignored }).collect())
}

fn tenant_of(caller: &Caller, tenant: Option<&TenantId>) -> Result<TenantId, ImportFileError> {
    let own = caller.tenants_for(&IMPORT_ENTITIES);
    let tenant = tenant.or_else(|| own.sole()).ok_or(ImportFileError::TenantUnclear)?;
    if caller.may_in(&IMPORT_ENTITIES, tenant) {
        Ok(tenant.clone())
    } else if caller.sees(tenant) {
        Err(ImportFileError::Forbidden(tenant.clone()))
    } else {
        Err(ImportFileError::NoTenant)
    }
}

/// An entity of a file that was read.
struct Read {
    entity: Result<EntityDraft, EntryOutcome>,
    ignored: Vec<String>,
}

fn read(entry: WrittenEntry) -> Read {
    let nothing = |outcome| Read { entity: Err(outcome), ignored: Vec::new() };
    match entry {
        WrittenEntry::NotKept(why) => nothing(EntryOutcome::NotKept(why)),
        WrittenEntry::Unreadable(errors) => nothing(EntryOutcome::Refused(errors)),
        WrittenEntry::Entity(written) => match written.read() {
            Ok((draft, ignored)) => Read { entity: Ok(draft), ignored },
            Err(errors) => nothing(EntryOutcome::Refused(errors)),
        },
    }
}

enum Planned {
    Edit(Box<EntityEdit>),
    Nothing(EntryOutcome),
}

/// Decides what saving the entities of one file would mean.
struct Planner<'a> {
    system: &'a dyn System,
    audit: &'a AuditContext<'a>,
    tenant: &'a TenantId,
    found: &'a FoundForImport,
}

impl Planner<'_> {
    fn plan(&self, seen: &mut BTreeSet<EntityRef>, draft: EntityDraft) -> Planned {
        let refused = |error| Planned::Nothing(EntryOutcome::Refused(vec![error]));
        let reference = draft.reference();
        if !seen.insert(reference.clone()) {
            return refused(FieldError::new(
                "/metadata/name",
                "an earlier entity of the file has the same name",
            ));
        }
        let previous = self.found.entities.get(&reference);
        let members = Members::between(previous, Some(&draft));
        if members.differ() && !self.audit.caller.is_admin_in(self.tenant) {
            return refused(FieldError::new("/spec/members", members.refusal(self.tenant)));
        }
        let service = self.service(&draft);
        // Not written at all: whoever holds an ETag keeps a valid one when a file is imported again.
        if service.is_none() && previous.is_some_and(|previous| previous.draft == draft) {
            return Planned::Nothing(EntryOutcome::Unchanged);
        }
        let now = self.system.now();
        let actor = self.audit.caller.actor();
        let entity = Entity {
            tenant: self.tenant.clone(),
            draft,
            revision: Revision::new(self.system),
            created_at: previous.map_or(now, |previous| previous.created_at),
            created_by: previous.map_or_else(|| actor.clone(), |previous| previous.created_by.clone()),
            updated_at: now,
            updated_by: actor,
        };
        let target = AuditTarget { detail: members.detail(), ..audit_target(&reference, self.tenant) };
        let mut entries = vec![self.audit.entry(self.system, Action::PutEntity, Outcome::Done, target)];
        entries.extend(service.as_ref().map(|edit| self.service_entry(edit)));
        Planned::Edit(Box::new(EntityEdit { entity, previous: previous.cloned(), service, entries }))
    }

    /// The service of the component's name, where the component says something else of it than it says.
    fn service(&self, draft: &EntityDraft) -> Option<ServiceEdit> {
        let service = self.found.services.get(&service_name(draft)?)?;
        let (spec, described) = describe(service.spec.clone(), draft);
        if spec == service.spec && service.described.as_ref() == Some(&described) {
            return None;
        }
        let described = Service { spec, described: Some(described), ..service.clone() };
        Some(edit_of(described, self.system, self.audit))
    }

    fn service_entry(&self, edit: &ServiceEdit) -> Entry {
        let before = self.found.services.get(&edit.service.name);
        let detail = before.and_then(|before| diff(&before.spec, &edit.service.spec));
        let target = AuditTarget { detail, ..service_target(&edit.service.name, &edit.service.tenant) };
        self.audit.entry(self.system, Action::PutService, Outcome::Done, target)
    }
}

/// The edit that makes a service what it is here, of the revision that it has here.
pub(super) fn edit_of(service: Service, system: &dyn System, audit: &AuditContext<'_>) -> ServiceEdit {
    let previous = service.revision.clone();
    let (revision, updated_at) = (Revision::new(system), system.now());
    ServiceEdit {
        service: Service { revision, updated_at, updated_by: audit.caller.actor(), ..service },
        previous,
    }
}

pub(super) fn audit_target(reference: &EntityRef, tenant: &TenantId) -> AuditTarget {
    AuditTarget { target: format!("entity:{tenant}/{reference}"), tenant: Some(tenant.clone()), detail: None }
}

/// Who comes into a group, and who leaves it. Groups approve what is done in environments, so that being in one is a right,
/// which only a tenant's admins give and take: also in a group that nothing asks for yet, or that does not exist yet.
pub(super) struct Members {
    come: Vec<UserName>,
    leave: Vec<UserName>,
}

impl Members {
    pub(super) fn between(before: Option<&Entity>, after: Option<&EntityDraft>) -> Self {
        let of = |draft: Option<&EntityDraft>| match draft {
            Some(draft) if draft.kind == EntityKind::Group => draft.spec.members.clone(),
            Some(_) | None => BTreeSet::new(),
        };
        let (before, after) = (of(before.map(|entity| &entity.draft)), of(after));
        Self {
            come: after.difference(&before).cloned().collect(),
            leave: before.difference(&after).cloned().collect(),
        }
    }

    pub(super) fn differ(&self) -> bool {
        !self.come.is_empty() || !self.leave.is_empty()
    }

    pub(super) fn refusal(&self, tenant: &TenantId) -> String {
        let changes = self.detail().unwrap_or_default();
        format!("only an admin of tenant `{tenant}` changes who is in a group; this would be {changes}")
    }

    /// For the trail.
    pub(super) fn detail(&self) -> Option<String> {
        let signed = |sign: char, names: &[UserName]| -> Vec<String> {
            names.iter().map(|name| format!("{sign}{name}")).collect()
        };
        let all = [signed('+', &self.come), signed('-', &self.leave)].concat().join(" ");
        let short = &all[..all.floor_char_boundary(2000)];
        self.differ().then(|| format!("members: {short}"))
    }
}

fn done(edit: &EntityEdit) -> EntryOutcome {
    if edit.previous.is_some() { EntryOutcome::Changed } else { EntryOutcome::Created }
}

/// Nothing was written, since somebody was faster.
fn conflict() -> EntryOutcome {
    let detail = "somebody edited the entity, or its service, at the same moment; import again";
    EntryOutcome::Refused(vec![FieldError::new("", detail)])
}

async fn import_each<S: SaveEntities>(
    store: &S,
    plan: Vec<Planned>,
    dry_run: bool,
) -> Result<Vec<EntryOutcome>, ImportFileError> {
    let mut edits = Vec::new();
    let mut outcomes = Vec::with_capacity(plan.len());
    for planned in plan {
        outcomes.push(match planned {
            Planned::Nothing(outcome) => outcome,
            Planned::Edit(edit) => {
                let outcome = done(&edit);
                edits.push((outcomes.len(), *edit));
                outcome
            }
        });
    }
    if dry_run {
        return Ok(outcomes);
    }
    for batch in batches(edits) {
        for place in conflicts(store, batch).await? {
            if let Some(outcome) = outcomes.get_mut(place) {
                *outcome = conflict();
            }
        }
    }
    Ok(outcomes)
}

/// An entity to be saved, and the place of its entry.
type PlacedEdit = (usize, EntityEdit);

/// The edits in their order, as many together as a transaction takes: one by one, those of a whole file would take longer
/// than a request may.
fn batches(edits: Vec<PlacedEdit>) -> Vec<Vec<PlacedEdit>> {
    let mut batches = Vec::new();
    let (mut batch, mut written) = (Vec::new(), 0);
    for (place, edit) in edits {
        let writes = edit.writes();
        if batch.len() == MAX_TOGETHER || written + writes > MAX_WRITES {
            batches.push(std::mem::take(&mut batch));
            written = 0;
        }
        written += writes;
        batch.push((place, edit));
    }
    batches.push(batch);
    batches.retain(|batch| !batch.is_empty());
    batches
}

/// Saves the edits together, or one by one where something is otherwise than it was read; the places of those that are
/// refused.
async fn conflicts<S: SaveEntities>(store: &S, batch: Vec<PlacedEdit>) -> Result<Vec<usize>, StoreError> {
    let (places, edits): (Vec<usize>, Vec<EntityEdit>) = batch.into_iter().unzip();
    if store.save_entities(&edits).await? == EditOutcome::Done {
        return Ok(Vec::new());
    }
    if edits.len() == 1 {
        return Ok(places);
    }
    let mut refused = Vec::new();
    for (place, edit) in places.into_iter().zip(&edits) {
        if store.save_entities(std::slice::from_ref(edit)).await? == EditOutcome::Conflict {
            refused.push(place);
        }
    }
    Ok(refused)
}

async fn import_all<S: SaveEntities>(
    store: &S,
    plan: Vec<Planned>,
    dry_run: bool,
) -> Result<Vec<EntryOutcome>, ImportFileError> {
    let is_refused = |planned: &Planned| matches!(planned, Planned::Nothing(EntryOutcome::Refused(_)));
    let hindered = plan.iter().any(is_refused);
    let edits: Vec<EntityEdit> = plan
        .iter()
        .filter_map(|planned| match planned {
            Planned::Edit(edit) if !hindered => Some((**edit).clone()),
            _ => None,
        })
        .collect();
    let writes = edits.iter().map(EntityEdit::writes).sum();
    if writes > MAX_WRITES {
        return Err(ImportFileError::TooMuch { writes });
    }
    let nothing_to_write = edits.is_empty() || dry_run;
    let saved = if nothing_to_write { EditOutcome::Done } else { store.save_entities(&edits).await? };
    let outcomes = plan.into_iter().map(|planned| match (planned, saved) {
        (Planned::Nothing(outcome), _) => outcome,
        (Planned::Edit(_), _) if hindered => EntryOutcome::Skipped,
        (Planned::Edit(edit), EditOutcome::Done) => done(&edit),
        // The transaction does not say whose condition failed in terms of entities, and none was written.
        (Planned::Edit(_), EditOutcome::Conflict) => conflict(),
    });
    Ok(outcomes.collect())
}
