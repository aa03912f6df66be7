//! Showing an entity, with what it has to do with others.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::{Entity, EntityRef, Relation};
use crate::{access::SHOW_ENTITY, caller::Caller, name::TenantId, store::StoreError};

/// The most relations of an entity that others say, and are shown with it: a group may own thousands of things, which
/// the list shows page by page.
pub const MAX_RELATED: usize = 500;

/// Looks entities up. Needs `dynamodb:GetItem`.
#[async_trait]
pub trait FindEntity: Send + Sync {
    /// Returns `None` when the tenant has no such entity. Strongly consistent.
    async fn find_entity(
        &self,
        tenant: &TenantId,
        reference: &EntityRef,
    ) -> Result<Option<Entity>, StoreError>;
}

/// An entity, and what others say of it.
#[derive(Debug, Clone)]
pub struct Related {
    pub entity: Entity,
    /// As seen from it, at most [`MAX_RELATED`].
    pub said_by_others: BTreeSet<(Relation, EntityRef)>,
    /// Whether others say more.
    pub more: bool,
}

/// Looks entities up with their relations. Needs `dynamodb:Query` and `dynamodb:BatchGetItem`.
#[async_trait]
pub trait FindRelated: Send + Sync {
    /// The entity, and what others say of it, in one strongly consistent call.
    async fn find_related(
        &self,
        tenant: &TenantId,
        reference: &EntityRef,
    ) -> Result<Option<Related>, StoreError>;

    /// Those of these that exist: one strongly consistent call.
    async fn which_exist(
        &self,
        tenant: &TenantId,
        references: &BTreeSet<EntityRef>,
    ) -> Result<BTreeSet<EntityRef>, StoreError>;
}

/// What an entity has to do with another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relationship {
    pub relation: Relation,
    pub target: EntityRef,
    /// Whether the other one is not there. People are never missing: whether somebody is a user is not told here.
    pub missing: bool,
}

/// An entity and its relations, from both sides.
#[derive(Debug, Clone)]
pub struct Shown {
    pub entity: Entity,
    pub relations: Vec<Relationship>,
    /// Whether others say more of it than is shown.
    pub more: bool,
}

/// Why an entity cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowEntityError {
    /// The caller has several tenants, and did not say which one they mean.
    #[error("say with ?tenant= whose entity you mean")]
    TenantUnclear,
    /// There is none, or it belongs to a tenant that the caller is not in.
    #[error("there is no such entity")]
    NotFound,
    #[error("could not read the entity")]
    Store(#[from] StoreError),
}

/// Shows an entity of `tenant`, or of the caller's only one.
///
/// # Errors
///
/// When the caller may not know of it, or the store failed.
pub async fn show<S>(
    store: &S,
    caller: &Caller,
    tenant: Option<&TenantId>,
    reference: &EntityRef,
) -> Result<Shown, ShowEntityError>
where
    S: FindRelated,
{
    let own = caller.tenants_for(&SHOW_ENTITY);
    let tenant = tenant.or_else(|| own.sole()).ok_or(ShowEntityError::TenantUnclear)?;
    if !own.include(tenant) {
        return Err(ShowEntityError::NotFound);
    }
    let found = store.find_related(tenant, reference).await?.ok_or(ShowEntityError::NotFound)?;
    let Related { entity, said_by_others, more } = found;
    let own = entity.draft.relations();
    // Whoever says something of it is there: what it says goes with it.
    let known: BTreeSet<_> = said_by_others.iter().map(|(_, target)| target.clone()).collect();
    let unknown: BTreeSet<_> = own.iter().map(|(_, target)| target.clone()).collect();
    let unknown: BTreeSet<_> =
        unknown.difference(&known).filter(|target| !target.is_person()).cloned().collect();
    let exist =
        if unknown.is_empty() { BTreeSet::new() } else { store.which_exist(tenant, &unknown).await? };
    let relations = own.union(&said_by_others).map(|(relation, target)| Relationship {
        relation: *relation,
        missing: unknown.contains(target) && !exist.contains(target),
        target: target.clone(),
    });
    Ok(Shown { relations: relations.collect(), entity, more })
}
