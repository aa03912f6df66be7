//! A catalog file is imported or refused, entity by entity; importing it again changes nothing; all or nothing means
//! that; an entity comes back from the table as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use async_trait::async_trait;
use axum::response::IntoResponse;
use catalog::catalog_file;
use gatehouse_domain::{
    access::Scope,
    audit::{AuditContext, Entry, Origin},
    caller::{Caller, Grant, Tenants},
    catalog::{
        EntityEdit, EntityFile, EntryOutcome, FileEntry, FindForImport, FoundForImport, LeftService,
        SaveEntities, import_entities,
    },
    entities::{Entity, EntityRef},
    jobs::ImportMode,
    name::{ServiceName, TenantId},
    revision::EditOutcome,
    store::StoreError,
};
use gatehouse_http::file::Format;

use crate::system::{Still, ready};

/// The entities of one tenant, in memory, beside no services.
#[derive(Default)]
struct Saved(Mutex<BTreeMap<EntityRef, Entity>>);

#[async_trait]
impl FindForImport for Saved {
    async fn find_for_import(
        &self,
        _tenant: &TenantId,
        entities: &BTreeSet<EntityRef>,
        _services: &BTreeSet<ServiceName>,
    ) -> Result<FoundForImport, StoreError> {
        let mut found = self.now();
        found.retain(|reference, _| entities.contains(reference));
        Ok(FoundForImport { entities: found, services: BTreeMap::new() })
    }
}

#[async_trait]
impl SaveEntities for Saved {
    async fn save_entities(&self, edits: &[EntityEdit]) -> Result<EditOutcome, StoreError> {
        let mut saved = self.0.lock().expect("nobody panicked");
        let stands = |edit: &EntityEdit| saved.get(&edit.entity.draft.reference()) == edit.previous.as_ref();
        if !edits.iter().all(stands) {
            return Ok(EditOutcome::Conflict);
        }
        saved.extend(edits.iter().map(|edit| (edit.entity.draft.reference(), edit.entity.clone())));
        Ok(EditOutcome::Done)
    }

    async fn delete_entity(
        &self,
        _entity: &Entity,
        _service: &LeftService,
        _entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        unreachable!("an import deletes nothing")
    }
}

impl Saved {
    fn now(&self) -> BTreeMap<EntityRef, Entity> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

/// A catalog file as YAML, or as JSON where it begins with a brace or a bracket.
pub(crate) fn check(input: &[u8]) {
    let is_json = input.starts_with(b"{") || input.starts_with(b"[");
    let format = if is_json { Format::Json } else { Format::Yaml };
    let entries = match catalog_file::read(format, input) {
        Ok(entries) => entries,
        Err(problem) => return assert!(problem.into_response().status().is_client_error()),
    };
    let saved = Saved::default();
    if let Some(all) = import(&saved, &entries, ImportMode::AllOrNothing) {
        let refused = all.iter().any(|outcome| matches!(outcome, EntryOutcome::Refused(_)));
        assert!(!refused || saved.now().is_empty(), "all or nothing: {all:?}");
    }
    let Some(each) = import(&saved, &entries, ImportMode::EachOnItsOwn) else { return };
    let after = saved.now();
    let again = import(&saved, &entries, ImportMode::EachOnItsOwn).expect("it was imported before");
    for (before, now) in each.iter().zip(&again) {
        match before {
            EntryOutcome::Refused(_) | EntryOutcome::NotKept(_) => assert_eq!(now, before),
            _ => assert_eq!(now, &EntryOutcome::Unchanged),
        }
    }
    assert_eq!(saved.now(), after, "the same file again changes nothing");
    for entity in after.values() {
        let stored = serde_json::to_value(entity).expect("an entity is stored as JSON");
        let read = serde_json::from_value::<Entity>(stored);
        assert_eq!(read.ok().as_ref(), Some(entity), "an entity comes back as it was");
    }
}

/// What became of each entry; `None` where there are too many.
fn import(saved: &Saved, entries: &[FileEntry], mode: ImportMode) -> Option<Vec<EntryOutcome>> {
    let tenants = Tenants::Only(BTreeSet::from(["acme".parse().expect("a tenant")]));
    let grant = Grant::ApiKey { scopes: [Scope::All].into(), tenants, expires_at: None, minted_by: None };
    let caller = Caller { subject: "key".to_owned(), grant };
    let origin = Origin::default();
    let audit = AuditContext { caller: &caller, origin: &origin };
    let file = EntityFile { entries: entries.to_vec(), tenant: None, mode, dry_run: false };
    let report = ready(import_entities(saved, &Still, &audit, file)).ok()?;
    assert_eq!(report.len(), entries.len());
    Some(report.into_iter().map(|entry| entry.outcome).collect())
}
