//! Writing entities together with the services that they describe.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use crate::{
    audit::Entry,
    catalog::Service,
    entities::{Entity, EntityRef},
    id::ServiceId,
    name::{ServiceName, TenantId},
    revision::{EditOutcome, Revision},
    store::StoreError,
};

/// Looks up what an import of entities has to know. Needs `dynamodb:BatchGetItem`.
#[async_trait]
pub trait FindForImport: Send + Sync {
    /// Those of the tenant's entities and services that exist, strongly consistent: one call for up to 100 entities and
    /// names of services, and one for up to 100 services.
    async fn find_for_import(
        &self,
        tenant: &TenantId,
        entities: &BTreeSet<EntityRef>,
        services: &BTreeSet<ServiceName>,
    ) -> Result<FoundForImport, StoreError>;
}

/// What an import found.
#[derive(Debug, Clone, Default)]
pub struct FoundForImport {
    pub entities: BTreeMap<EntityRef, Entity>,
    pub services: BTreeMap<ServiceName, Service>,
}

/// A service that is described another way than before.
#[derive(Debug, Clone)]
pub struct ServiceEdit {
    /// As it is to stand.
    pub service: Service,
    /// Which edit of it has to stand still.
    pub previous: Revision,
}

/// What becomes of the service of an entity's name when the entity is deleted.
#[derive(Debug, Clone)]
pub enum LeftService {
    /// The entity describes none, whatever there is.
    None,
    /// It is not described any more.
    Edited(Box<ServiceEdit>),
    /// There was none, or one that is not described. Nobody else may have taken the name since: a service that was created
    /// meanwhile is described by the entity.
    Kept { name: ServiceName, holder: Option<ServiceId> },
}

/// One entity to be saved.
#[derive(Debug, Clone)]
pub struct EntityEdit {
    /// As it is to stand.
    pub entity: Entity,
    /// As it stands now.
    pub previous: Option<Entity>,
    /// The service that it describes, where that changes.
    pub service: Option<ServiceEdit>,
    /// What the trail says of it.
    pub entries: Vec<Entry>,
}

impl EntityEdit {
    /// How many writes it takes: the entity, what others find it by, its service, and two for each entry.
    pub(super) fn writes(&self) -> usize {
        let before = self.previous.as_ref().map(|previous| previous.draft.edges()).unwrap_or_default();
        let edges = before.symmetric_difference(&self.entity.draft.edges()).count();
        1 + edges + usize::from(self.service.is_some()) + 2 * self.entries.len()
    }
}

/// Saves and deletes entities. Needs `dynamodb:PutItem` and `dynamodb:DeleteItem`.
#[async_trait]
pub trait SaveEntities: Send + Sync {
    /// Makes all of these edits or none, where every `previous` still stands, with their entries of the trail.
    async fn save_entities(&self, edits: &[EntityEdit]) -> Result<EditOutcome, StoreError>;

    /// Deletes the entity where its revision still stands, with what it said of others, and edits its service, or leaves
    /// it where it is as it was seen.
    async fn delete_entity(
        &self,
        entity: &Entity,
        service: &LeftService,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError>;
}
