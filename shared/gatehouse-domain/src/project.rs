//! Projects: what a tenant owns, and what jobs and service tokens belong to.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    access::{DELETE_PROJECT, ENDPOINTS, LIST_PROJECTS, PUT_PROJECT},
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    caller::{Caller, Tenants},
    clock::System,
    name::{ProjectName, ServiceName, TenantId},
    paging::{ListError, Page, PageRequest},
    revision::{EditOutcome, Precondition, PreconditionError, Revision},
    store::StoreError,
    validation::FieldError,
};

/// First path segments of routes that need no caller, and of what may come to the API.
const RESERVED: [&str; 14] = [
    "health",
    "ping",
    "sping",
    "provisioning",
    "oauth",
    "callback",
    "webhooks",
    "metrics",
    "console",
    "well-known",
    "openapi",
    "openapi.json",
    "favicon.ico",
    "robots.txt",
];

/// The most services that a project accepts by name.
const MAX_SERVICES: usize = 100;

/// A project of a tenant. One that was written before projects could be edited has a name and a tenant only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// Unique in the installation.
    #[serde(rename = "project")]
    pub name: ProjectName,
    /// The tenant that owns it; every authorisation resolves to this.
    pub tenant: TenantId,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The services that may call the project; any service without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_services: Option<BTreeSet<ServiceName>>,
    /// Changes with every edit.
    #[serde(default = "Revision::unwritten")]
    pub revision: Revision,
    /// When it was created.
    #[serde(default)]
    pub created_at: Timestamp,
}

impl Project {
    /// A project that nobody has said anything about yet.
    pub fn new(name: ProjectName, tenant: TenantId, revision: Revision, now: Timestamp) -> Self {
        Self { name, tenant, description: None, accepted_services: None, revision, created_at: now }
    }

    /// Whether `service` may call it.
    pub fn accepts(&self, service: &ServiceName) -> bool {
        self.accepted_services.as_ref().is_none_or(|accepted| accepted.contains(service))
    }
}

/// Whether no project may be called so, in capitals either: projects become first path segments themselves.
pub(crate) fn is_reserved(name: &ProjectName) -> bool {
    let name = name.as_str();
    let mut segments = ENDPOINTS.iter().filter_map(|endpoint| endpoint.path.split('/').nth(1));
    RESERVED.iter().any(|reserved| reserved.eq_ignore_ascii_case(name))
        || segments.any(|segment| segment.eq_ignore_ascii_case(name))
}

/// Looks projects up. Needs `dynamodb:GetItem`.
#[async_trait]
pub trait FindProject: Send + Sync {
    /// Returns `None` when no such project exists. Strongly consistent.
    async fn find_project(&self, name: &ProjectName) -> Result<Option<Project>, StoreError>;
}

/// Looks up what services of a tenant belong to that say nothing of it. Needs `dynamodb:GetItem`.
#[async_trait]
pub trait FindDefaultProject: Send + Sync {
    /// The tenant's default project, if it has one. It may be gone. Strongly consistent.
    async fn default_project(&self, tenant: &TenantId) -> Result<Option<ProjectName>, StoreError>;
}

/// Lists projects. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListProjects: Send + Sync {
    /// A page of the projects of these tenants, by tenant and name. A page may be short, or empty, and
    /// still have a next one.
    async fn list_projects(&self, tenants: &Tenants, page: &PageRequest) -> Result<Page<Project>, ListError>;
}

/// Looks up the tenant that a project is to belong to. Needs `dynamodb:GetItem`.
#[async_trait]
pub trait FindTenant: Send + Sync {
    /// Whether somebody created the tenant, and nobody deleted it. Strongly consistent.
    async fn standing(&self, id: &TenantId) -> Result<TenantStanding, StoreError>;
}

/// How it stands with a tenant, as far as a new project of it is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TenantStanding {
    /// Nobody created it yet.
    Uncreated,
    Created,
    /// It was deleted, and nothing belongs to it any more.
    Deleted,
}

/// Writes projects. Needs `dynamodb:PutItem`, `DeleteItem` and `Query`.
#[async_trait]
pub trait SaveProject: Send + Sync {
    /// Writes `project` where `previous` still stands; where nothing stands without it.
    async fn save_project(
        &self,
        project: &Project,
        previous: Option<&Revision>,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError>;

    /// Deletes the project where its revision still stands.
    async fn delete_project(&self, project: &Project, entry: &Entry) -> Result<EditOutcome, StoreError>;

    /// Whether a job, a service, or a service token that has not ended belongs to the project.
    async fn is_used(&self, project: &Project, now: Timestamp) -> Result<bool, StoreError>;
}

/// Why a project cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowProjectError {
    /// There is none, or it belongs to a tenant that the caller is not in.
    #[error("there is no such project")]
    NotFound,
    #[error("could not read the project")]
    Store(#[from] StoreError),
}

pub async fn show<S: FindProject>(
    store: &S,
    caller: &Caller,
    name: &ProjectName,
) -> Result<Project, ShowProjectError> {
    let project = store.find_project(name).await?;
    project.filter(|project| caller.sees(&project.tenant)).ok_or(ShowProjectError::NotFound)
}

/// Lists the projects of the caller's tenants.
pub async fn list<S: ListProjects>(
    store: &S,
    caller: &Caller,
    page: &PageRequest,
) -> Result<Page<Project>, ListError> {
    store.list_projects(&caller.tenants_for(&LIST_PROJECTS), page).await
}

/// What people decide about a project.
#[derive(Debug, Clone)]
pub struct ProjectDraft {
    /// The tenant of a new project; the caller's only one without it. It cannot be changed.
    pub tenant: Option<TenantId>,
    /// What it is for, for people.
    pub description: Option<String>,
    /// The services that may call it; any service without it.
    pub accepted_services: Option<BTreeSet<ServiceName>>,
}

/// Why a project cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum EditProjectError {
    #[error("there is no such project")]
    NotFound,
    #[error("the project is not valid")]
    Invalid(Vec<FieldError>),
    /// The name belongs to a tenant that the caller is not in.
    #[error("this name cannot be used; choose another")]
    Taken,
    /// The caller's role in this tenant is too small.
    #[error("your role in tenant `{0}` does not allow this")]
    Forbidden(TenantId),
    /// It is not as the caller expects.
    #[error(transparent)]
    Precondition(#[from] PreconditionError),
    /// Something still belongs to it.
    #[error("jobs, services or service tokens still belong to this project; delete or revoke them first")]
    InUse,
    /// Services that say no project would have none.
    #[error(
        "project `{project}` is the default project of tenant `{tenant}`; a platform admin gives the tenant another one \
         first, or none, with `PUT /v1/tenants/{tenant}`"
    )]
    Default { project: ProjectName, tenant: TenantId },
    #[error("could not change the project")]
    Store(#[from] StoreError),
}

/// A project was saved.
#[derive(Debug)]
pub struct PutProject {
    /// As it stands now.
    pub project: Project,
    /// Whether there was none before.
    pub created: bool,
}

/// Creates or replaces a project.
pub async fn put<S: FindProject + SaveProject + FindTenant>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    name: ProjectName,
    draft: ProjectDraft,
    expected: &Precondition,
) -> Result<PutProject, EditProjectError> {
    let current = store.find_project(&name).await?;
    if current.as_ref().is_some_and(|project| !audit.caller.sees(&project.tenant)) {
        // It is none for this caller: only where one would be created, they hear that the name cannot be had.
        expected.admit(None)?;
        return Err(EditProjectError::Taken);
    }
    let tenant = tenant_of(audit.caller, &name, &draft, current.as_ref())?;
    if !audit.caller.may_in(&PUT_PROJECT, &tenant) {
        return Err(EditProjectError::Forbidden(tenant));
    }
    let is_refused = current.is_none()
        && match store.standing(&tenant).await? {
            TenantStanding::Created => false,
            // A caller's only tenant need not have been created.
            TenantStanding::Uncreated => draft.tenant.is_some(),
            TenantStanding::Deleted => true,
        };
    if is_refused {
        let detail = format!("there is no tenant `{tenant}`; create it first");
        return Err(EditProjectError::Invalid(vec![FieldError::new("/tenant", detail)]));
    }
    expected.admit(current.as_ref().map(|project| &project.revision))?;
    check(&draft)?;
    let audit_target = audit_target(&name, &tenant);
    let entry = audit.entry(system, Action::PutProject, Outcome::Done, audit_target);
    let project = Project {
        name,
        tenant,
        description: draft.description,
        accepted_services: draft.accepted_services,
        revision: Revision::new(system),
        created_at: current.as_ref().map_or(entry.at, |project| project.created_at),
    };
    let previous = current.as_ref().map(|project| &project.revision);
    match store.save_project(&project, previous, &entry).await? {
        EditOutcome::Done => Ok(PutProject { project, created: current.is_none() }),
        EditOutcome::Conflict => Err(PreconditionError::Failed.into()),
    }
}

/// The tenant that the project belongs to, or is to belong to.
fn tenant_of(
    caller: &Caller,
    name: &ProjectName,
    draft: &ProjectDraft,
    current: Option<&Project>,
) -> Result<TenantId, EditProjectError> {
    let invalid =
        |pointer: &str, detail: &str| EditProjectError::Invalid(vec![FieldError::new(pointer, detail)]);
    if let Some(project) = current {
        return match &draft.tenant {
            Some(tenant) if *tenant != project.tenant => {
                Err(invalid("/tenant", "a project stays with its tenant; create another one instead"))
            }
            _ => Ok(project.tenant.clone()),
        };
    }
    if is_reserved(name) {
        return Err(invalid("", "the project's name is reserved: it is a first path segment of the API"));
    }
    let own = caller.tenants_for(&PUT_PROJECT);
    let tenant = draft.tenant.as_ref().or_else(|| own.sole());
    tenant.cloned().ok_or_else(|| invalid("/tenant", "say which tenant the project is to belong to"))
}

fn check(draft: &ProjectDraft) -> Result<(), EditProjectError> {
    let mut errors = Vec::new();
    if draft.description.as_deref().is_some_and(|text| text.len() > 4000) {
        errors.push(FieldError::new("/description", "must be at most 4,000 bytes"));
    }
    if draft.accepted_services.as_ref().is_some_and(|services| services.len() > MAX_SERVICES) {
        errors.push(FieldError::new("/accepted_services", "must be at most 100 services"));
    }
    if errors.is_empty() { Ok(()) } else { Err(EditProjectError::Invalid(errors)) }
}

/// Deletes a project that nothing belongs to, and which is not its tenant's default.
pub async fn delete<S: FindProject + FindDefaultProject + SaveProject>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    name: &ProjectName,
    expected: &Precondition,
) -> Result<(), EditProjectError> {
    let project = show(store, audit.caller, name).await.map_err(|error| match error {
        ShowProjectError::NotFound => EditProjectError::NotFound,
        ShowProjectError::Store(error) => error.into(),
    })?;
    if !audit.caller.may_in(&DELETE_PROJECT, &project.tenant) {
        return Err(EditProjectError::Forbidden(project.tenant));
    }
    expected.admit(Some(&project.revision))?;
    if store.default_project(&project.tenant).await?.as_ref() == Some(name) {
        return Err(EditProjectError::Default { project: project.name, tenant: project.tenant });
    }
    if store.is_used(&project, system.now()).await? {
        return Err(EditProjectError::InUse);
    }
    let audit_target = audit_target(name, &project.tenant);
    let entry = audit.entry(system, Action::DeleteProject, Outcome::Done, audit_target);
    match store.delete_project(&project, &entry).await? {
        EditOutcome::Done => Ok(()),
        EditOutcome::Conflict => Err(PreconditionError::Failed.into()),
    }
}

fn audit_target(name: &ProjectName, tenant: &TenantId) -> AuditTarget {
    AuditTarget { target: format!("project:{name}"), tenant: Some(tenant.clone()), detail: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_project_can_take_a_path_of_the_api() {
        let names = [
            "v1",
            "auth",
            "health",
            "ping",
            "sping",
            "services",
            "provisioning",
            "oauth",
            "callback",
            "webhooks",
            "metrics",
            "console",
            "well-known",
            "openapi",
            "openapi.json",
            "Services",
        ];
        for name in names {
            assert!(is_reserved(&name.parse().unwrap()), "{name}");
        }
        for name in ["payments", "my.health", "services.api", "v1_old"] {
            assert!(!is_reserved(&name.parse().unwrap()), "{name}");
        }
    }
}
