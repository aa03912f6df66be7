//! Deleting entities.

use super::{
    describe::service_name,
    import::{Members, audit_target, edit_of},
    save::{FindForImport, LeftService, SaveEntities},
};
use crate::{
    access::DELETE_ENTITY,
    audit::{Action, AuditContext, AuditTarget, Outcome},
    catalog::Service,
    clock::System,
    entities::{Entity, EntityRef},
    name::TenantId,
    revision::{EditOutcome, Precondition, PreconditionError},
    store::StoreError,
};

/// An entity was deleted.
#[derive(Debug)]
pub struct Forgotten {
    /// The entity as it was.
    pub entity: Entity,
    /// The service that it described, which keeps the owner, life and links that it had of it, and is edited as any other
    /// from now on. The tags went with the entity.
    pub service: Option<Service>,
}

/// Why an entity cannot be deleted.
#[derive(Debug, thiserror::Error)]
pub enum ForgetEntityError {
    /// The caller has several tenants, and did not say which one they mean.
    #[error("say with ?tenant= whose entity you mean")]
    TenantUnclear,
    /// There is none, or it belongs to a tenant that the caller is not in.
    #[error("there is no such entity")]
    NotFound,
    /// The caller's role in this tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// Only an admin of this tenant takes members from a group.
    #[error("{0}")]
    Members(String),
    #[error(transparent)]
    Precondition(#[from] PreconditionError),
    #[error("could not delete the entity")]
    Store(#[from] StoreError),
}

/// Deletes an entity of `tenant`, or of the caller's only one. What others say of it stays, and is shown as missing.
///
/// # Errors
///
/// Why it is refused, or that the store failed.
pub async fn forget<S>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    tenant: Option<&TenantId>,
    reference: &EntityRef,
    expected: &Precondition,
) -> Result<Forgotten, ForgetEntityError>
where
    S: FindForImport + SaveEntities,
{
    let caller = audit.caller;
    let own = caller.tenants();
    let tenant = tenant.or_else(|| own.sole()).ok_or(ForgetEntityError::TenantUnclear)?;
    if !caller.sees(tenant) {
        return Err(ForgetEntityError::NotFound);
    }
    let entities = [reference.clone()].into();
    let found = store.find_for_import(tenant, &entities, &[].into()).await?;
    let entity = found.entities.get(reference).cloned().ok_or(ForgetEntityError::NotFound)?;
    if !caller.may_in(&DELETE_ENTITY, tenant) {
        return Err(ForgetEntityError::Forbidden(tenant.clone()));
    }
    let members = Members::between(Some(&entity), None);
    if members.differ() && !caller.is_admin_in(tenant) {
        return Err(ForgetEntityError::Members(members.refusal(tenant)));
    }
    expected.admit(Some(&entity.revision))?;
    let service = match service_name(&entity.draft) {
        None => LeftService::None,
        Some(name) => {
            let mut found = store.find_for_import(tenant, &[].into(), &[name.clone()].into()).await?;
            match found.services.remove(&name) {
                Some(service) if service.described.is_some() => {
                    let service = Service { described: None, ..service };
                    LeftService::Edited(Box::new(edit_of(service, system, audit)))
                }
                service => LeftService::Kept { name, holder: service.map(|service| service.id) },
            }
        }
    };
    let target = AuditTarget { detail: members.detail(), ..audit_target(reference, tenant) };
    let entry = audit.entry(system, Action::DeleteEntity, Outcome::Done, target);
    match store.delete_entity(&entity, &service, &entry).await? {
        EditOutcome::Done => {
            let service = match service {
                LeftService::Edited(edit) => Some(edit.service),
                LeftService::None | LeftService::Kept { .. } => None,
            };
            Ok(Forgotten { entity, service })
        }
        EditOutcome::Conflict => Err(PreconditionError::Failed.into()),
    }
}
