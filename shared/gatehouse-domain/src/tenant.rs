//! Tenants: who owns projects.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    access::LIST_TENANTS,
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    caller::{Caller, Tenants},
    clock::System,
    name::{ProjectName, TenantId},
    project::FindProject,
    revision::EditOutcome,
    revocation::{self, FlushAuthorizer, FlushError, PendingFlush},
    store::StoreError,
    validation::FieldError,
};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Unique in the installation.
    #[serde(rename = "tenant")]
    pub id: TenantId,
    /// A name for people.
    pub display_name: String,
    /// Whether its members have to enrol a second factor before anything else is open to them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub require_second_factor: bool,
    /// The project of services that say nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_project: Option<ProjectName>,
    /// When it was created.
    pub created_at: Timestamp,
    pub created_by: String,
}

/// Lists tenants. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListTenants: Send + Sync {
    /// Every tenant, by name: an installation has some dozens.
    async fn list_tenants(&self) -> Result<Vec<Tenant>, StoreError>;
}

/// Writes tenants. Needs `dynamodb:PutItem` and `DeleteItem`.
#[async_trait]
pub trait SaveTenant: Send + Sync {
    /// Writes the tenant, whether there is one or not, but not what is `unsaid`; when it was created stays. Marks a
    /// flush as pending, since what it wants of its members may be another thing now. `Conflict` when one of this name
    /// was deleted.
    async fn edit_tenant(
        &self,
        tenant: &Tenant,
        unsaid: Unsaid,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError>;

    /// Writes all of the tenant.
    async fn save_tenant(&self, tenant: &Tenant, entry: &Entry) -> Result<EditOutcome, StoreError> {
        self.edit_tenant(tenant, Unsaid::default(), entry).await
    }

    /// Deletes the tenant, whose name stays taken; `Conflict` when there is none.
    async fn delete_tenant(&self, id: &TenantId, entry: &Entry) -> Result<EditOutcome, StoreError>;

    /// Whether the tenant has a project. Needs `dynamodb:Query`.
    async fn has_projects(&self, id: &TenantId) -> Result<bool, StoreError>;
}

/// What an edit says nothing of. It stays as it stands when the edit is written: writing what was read before would
/// undo an edit of the same moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unsaid {
    pub require_second_factor: bool,
    pub default_project: bool,
}

/// How many tenants an installation has, as far as it matters who else is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Population {
    Nobody,
    One(TenantId),
    Several,
}

impl Population {
    /// Whether there is nobody but `tenant`, which may not be there yet itself.
    pub fn is_all(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Nobody => true,
            Self::One(only) => only == tenant,
            Self::Several => false,
        }
    }
}

/// Looks how many tenants there are. Needs `dynamodb:Query`.
#[async_trait]
pub trait CountTenants: Send + Sync {
    /// Those that were created, and those that have a project: a job can make the first project of a tenant that
    /// nobody created. Projects of the last second may be missed.
    async fn population(&self) -> Result<Population, StoreError>;
}

/// Lists the tenants that the caller is in.
pub async fn list<S: ListTenants>(store: &S, caller: &Caller) -> Result<Vec<Tenant>, StoreError> {
    let own = caller.tenants_for(&LIST_TENANTS);
    let mut all = store.list_tenants().await?;
    if own != Tenants::All {
        all.retain(|tenant| own.include(&tenant.id));
    }
    Ok(all)
}

/// Why a tenant cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditTenantError {
    #[error("the tenant is not valid")]
    Invalid(Vec<FieldError>),
    #[error("there is no such tenant")]
    NotFound,
    /// A tenant of this name was deleted.
    #[error("a tenant of this name was deleted, and its name is not given again")]
    NameSpent,
    /// It still has projects.
    #[error("the tenant still has projects; delete them first")]
    InUse,
    #[error("could not change the tenant")]
    Store(#[from] StoreError),
}

/// What is decided about a tenant.
#[derive(Debug, Clone)]
pub struct TenantDraft {
    pub id: TenantId,
    /// A name for people.
    pub display_name: String,
    /// Whether its members have to enrol a second factor; as it is without it.
    pub require_second_factor: Option<bool>,
    pub default_project: DefaultProject,
}

/// What is said of the project of services that say nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum DefaultProject {
    /// It is as it was.
    #[default]
    Unsaid,
    None,
    Project(ProjectName),
}

/// Creates a tenant, or changes what is decided about it. The name of one that was deleted is not given again: people's
/// roles, keys, runs and the trail of the one before are under it.
pub async fn put<S: ListTenants + SaveTenant + FindProject + PendingFlush>(
    store: &S,
    flush: &dyn FlushAuthorizer,
    system: &dyn System,
    audit: &AuditContext<'_>,
    draft: TenantDraft,
) -> Result<(Tenant, Option<FlushError>), EditTenantError> {
    let TenantDraft { id, display_name, require_second_factor, default_project } = draft;
    if display_name.trim().is_empty() || display_name.len() > 200 {
        let error = FieldError::new("/display_name", "must be 1 to 200 bytes of text");
        return Err(EditTenantError::Invalid(vec![error]));
    }
    let unsaid = Unsaid {
        require_second_factor: require_second_factor.is_none(),
        default_project: default_project == DefaultProject::Unsaid,
    };
    let previous = store.list_tenants().await?.into_iter().find(|tenant| tenant.id == id);
    let required_before = previous.as_ref().is_some_and(|tenant| tenant.require_second_factor);
    let require_second_factor = require_second_factor.unwrap_or(required_before);
    let default_before = previous.and_then(|tenant| tenant.default_project);
    let default_project = match default_project {
        DefaultProject::Unsaid => default_before.clone(),
        DefaultProject::None => None,
        DefaultProject::Project(project) => Some(own_project(store, &id, project).await?),
    };
    let required = match (required_before, require_second_factor) {
        (false, true) => Some("members need a second factor".to_owned()),
        (true, false) => Some("members need no second factor any more".to_owned()),
        (true, true) | (false, false) => None,
    };
    let defaulted = match &default_project {
        same if *same == default_before => None,
        Some(project) => Some(format!("default project: {project}")),
        None => Some("no default project any more".to_owned()),
    };
    let changes: Vec<_> = required.into_iter().chain(defaulted).collect();
    let detail = (!changes.is_empty()).then(|| changes.join("; "));
    let audit_target = AuditTarget { detail, ..audit_target(&id) };
    let entry = audit.entry(system, Action::PutTenant, Outcome::Done, audit_target);
    let (created_at, created_by) = (entry.at, audit.caller.actor());
    let tenant = Tenant { id, display_name, require_second_factor, default_project, created_at, created_by };
    match store.edit_tenant(&tenant, unsaid, &entry).await? {
        EditOutcome::Done => {
            let (_, flush_error) = revocation::flush(store, flush, system, entry.at).await;
            Ok((tenant, flush_error))
        }
        EditOutcome::Conflict => Err(EditTenantError::NameSpent),
    }
}

async fn own_project<S: FindProject>(
    store: &S,
    tenant: &TenantId,
    name: ProjectName,
) -> Result<ProjectName, EditTenantError> {
    let project = store.find_project(&name).await?;
    if project.is_some_and(|project| project.tenant == *tenant) {
        return Ok(name);
    }
    let error = FieldError::new("/default_project", "the tenant has no such project");
    Err(EditTenantError::Invalid(vec![error]))
}

/// Deletes a tenant that has no projects.
pub async fn delete<S: SaveTenant>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    id: &TenantId,
) -> Result<(), EditTenantError> {
    if store.has_projects(id).await? {
        return Err(EditTenantError::InUse);
    }
    let entry = audit.entry(system, Action::DeleteTenant, Outcome::Done, audit_target(id));
    match store.delete_tenant(id, &entry).await? {
        EditOutcome::Done => Ok(()),
        EditOutcome::Conflict => Err(EditTenantError::NotFound),
    }
}

fn audit_target(id: &TenantId) -> AuditTarget {
    AuditTarget { target: format!("tenant:{id}"), tenant: Some(id.clone()), detail: None }
}
