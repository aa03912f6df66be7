//! Operations over all services: as lists show them, by how they stand.

use std::collections::{BTreeMap, BTreeSet, btree_map::Entry};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Asked, FindOperation, Operation, OperationKind, OperationStatus, ShowOperationError, State, Work,
    decide::may_approve,
};
use crate::{
    access::{APPROVE_OPERATION, LIST_ALL_OPERATIONS},
    caller::{Caller, Tenants},
    catalog::PlanSummary,
    entities::{EntityRef, FindEntity},
    id::{OperationId, ServiceId},
    name::{EnvironmentName, ModuleName, ProjectName, ServiceName, TenantId},
    paging::{ListError, Page, PageRequest},
    store::StoreError,
};

/// What of an operation stands in lists over all services: nothing that its worker wrote, and none of its inputs, so
/// that it stays small, and changes only with its status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedOperation {
    #[serde(rename = "operation_id")]
    pub id: OperationId,
    pub kind: OperationKind,
    pub service: ServiceId,
    pub service_name: ServiceName,
    pub tenant: TenantId,
    pub project: ProjectName,
    pub environment: EnvironmentName,
    pub status: OperationStatus,
    /// Who asked for it, and when.
    pub requested: Asked,
    /// Since when it stands so.
    pub since: Timestamp,
    /// The module that Terraform applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<ModuleName>,
    /// The version that is deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanSummary>,
    /// The group whose approval it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_group: Option<EntityRef>,
}

impl ListedOperation {
    pub fn of(operation: &Operation) -> Self {
        let version = match &operation.work {
            Work::Deploy { version, .. } => Some(version.clone()),
            Work::Provision(_) | Work::Deprovision(_) | Work::Drift(_) => None,
        };
        let since = match &operation.state {
            State::Requested => operation.requested.at,
            State::AwaitingApproval { since, .. } => *since,
            State::Ended { at, .. } => *at,
            State::Running { .. } => operation.updated_at,
        };
        Self {
            id: operation.id.clone(),
            kind: operation.work.kind(),
            service: operation.service.clone(),
            service_name: operation.service_name.clone(),
            tenant: operation.tenant.clone(),
            project: operation.project.clone(),
            environment: operation.environment.clone(),
            status: operation.standing(),
            requested: operation.requested.clone(),
            since,
            module: operation.work.configuration().map(|given| given.module.clone()),
            version,
            plan: operation.plan,
            approval_group: operation.approval_group.clone(),
        }
    }
}

/// What a caller asks of the list.
#[derive(Debug, Clone, Default)]
pub struct OperationQuery {
    /// Only of this tenant.
    pub tenant: Option<TenantId>,
    /// Only of this service.
    pub service: Option<ServiceId>,
    /// Only in environments of this name.
    pub environment: Option<EnvironmentName>,
    /// Only those that stand in one of these ways; in any without one.
    pub statuses: BTreeSet<OperationStatus>,
    pub kind: Option<OperationKind>,
    /// Only what they asked for, themselves or with a key of theirs: `user:ada`.
    pub requested_by: Option<String>,
    /// Only what waits for an approval that the caller may give.
    pub waiting_for_caller: bool,
}

impl OperationQuery {
    /// Whether it is one of those that are asked for, as far as the lists that are read do not say so.
    fn wants(&self, caller: &Caller, operation: &ListedOperation) -> bool {
        let ListedOperation { service, environment, status, kind, requested, tenant, .. } = operation;
        self.service.as_ref().is_none_or(|wanted| wanted == service)
            && self.environment.as_ref().is_none_or(|wanted| wanted == environment)
            && (self.statuses.is_empty() || self.statuses.contains(status))
            && self.kind.is_none_or(|wanted| wanted == *kind)
            && self.requested_by.as_ref().is_none_or(|who| *who == requested.by || who == requested.hand())
            && (!self.waiting_for_caller
                // The list of a service alone has operations that stand otherwise.
                || (*status == OperationStatus::AwaitingApproval && may_approve(caller, tenant, requested)))
    }
}

/// Which lists are read.
#[derive(Debug, Clone)]
pub struct OperationLists {
    /// Those of these tenants.
    pub tenants: Tenants,
    /// That of this service alone.
    pub service: Option<ServiceId>,
    /// Those of what stands so; all without one.
    pub statuses: BTreeSet<OperationStatus>,
}

/// Whether an operation of the lists is one of those that are asked for.
pub type Wanted<'a> = dyn Fn(&ListedOperation) -> bool + Send + Sync + 'a;

/// Lists operations over all services. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListAllOperations: Send + Sync {
    /// A page of what is `wanted` of these lists, the newest first, in one query of each. Where something is left out,
    /// it is read on until the page is full, or a thousand items of a list or forty queries of all were read: then a
    /// page may be short, or empty, and still have a next one. May miss changes of the last second.
    async fn list_all_operations(
        &self,
        lists: &OperationLists,
        wanted: &Wanted<'_>,
        page: &PageRequest,
    ) -> Result<Page<ListedOperation>, ListError>;
}

/// Lists the operations of the caller's tenants, the newest first. A tenant that they are not in is empty, as one that
/// does not exist. What waits for the approval of a group waits for who is in it now.
///
/// # Errors
///
/// When the cursor is of another list, or the store failed.
pub async fn list_all<S>(
    store: &S,
    caller: &Caller,
    query: &OperationQuery,
    page: &PageRequest,
) -> Result<Page<ListedOperation>, ListError>
where
    S: ListAllOperations + FindEntity,
{
    let nothing = Page { items: Vec::new(), next: None };
    let (endpoint, statuses) = if query.waiting_for_caller {
        (&APPROVE_OPERATION, BTreeSet::from([OperationStatus::AwaitingApproval]))
    } else {
        (&LIST_ALL_OPERATIONS, query.statuses.clone())
    };
    if !caller.may(endpoint) {
        return Ok(nothing);
    }
    let own = caller.tenants_for(endpoint);
    let tenants = match &query.tenant {
        None => own,
        Some(tenant) if own.include(tenant) => Tenants::Only([tenant.clone()].into()),
        Some(_) => return Ok(nothing),
    };
    let lists = OperationLists { tenants, service: query.service.clone(), statuses };
    let mut found =
        store.list_all_operations(&lists, &|operation| query.wants(caller, operation), page).await?;
    if query.waiting_for_caller {
        leave_to_groups(store, caller, &mut found.items).await?;
    }
    Ok(found)
}

/// Leaves out what waits for groups that the caller is not in.
async fn leave_to_groups<S>(
    store: &S,
    caller: &Caller,
    operations: &mut Vec<ListedOperation>,
) -> Result<(), StoreError>
where
    S: FindEntity,
{
    let hand = caller.hand();
    let mut is_member = BTreeMap::new();
    for operation in &*operations {
        let Some(group) = &operation.approval_group else { continue };
        let key = (operation.tenant.clone(), group.clone());
        if let Entry::Vacant(unknown) = is_member.entry(key) {
            let group = store.find_entity(&operation.tenant, group).await?;
            unknown.insert(group.is_some_and(|group| group.has_member(&hand)));
        }
    }
    operations.retain(|operation| {
        let group = operation.approval_group.as_ref();
        group.is_none_or(|group| is_member.get(&(operation.tenant.clone(), group.clone())) == Some(&true))
    });
    Ok(())
}

/// Finds an operation by its id alone.
///
/// # Errors
///
/// When the caller may not know of it, or the store failed.
pub async fn find<S>(store: &S, caller: &Caller, id: &OperationId) -> Result<Operation, ShowOperationError>
where
    S: FindOperation,
{
    let found = store.find_operation(id).await?;
    found.filter(|operation| caller.sees(&operation.tenant)).ok_or(ShowOperationError::NotFound)
}
