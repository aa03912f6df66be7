//! Reading a CI system's own jobs.

use std::collections::BTreeSet;

use super::edit::Refusal;
use crate::{
    access::DISCOVER_JOBS,
    caller::Caller,
    ci::{CiError, DiscoveredJob, ProviderDirectory, ProviderLookupError},
    name::{ProjectName, ProviderName, TenantId},
    project::FindProject,
    providers::FindProvider,
    scopes::{ScopeClosed, Shares, Use},
    store::StoreError,
    tenant::CountTenants,
};

/// What is to be read, and for whom.
#[derive(Debug)]
pub struct Discovery<'a> {
    pub provider: &'a ProviderName,
    /// The scopes to read; all that the tenant may use where none is named.
    pub scopes: &'a BTreeSet<String>,
    /// The project that the jobs are to belong to.
    pub project: &'a ProjectName,
    /// The tenant that a project which does not exist yet is to belong to.
    pub tenant: Option<&'a TenantId>,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// There is no such provider.
    #[error(transparent)]
    Provider(#[from] ProviderLookupError),
    /// Whose project it is to be is not clear, or not the caller's to say.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The project's tenant may not use what is named, or anything.
    #[error(transparent)]
    Scope(#[from] ScopeClosed),
    /// The CI system failed.
    #[error("could not ask the CI system")]
    Ci(#[from] CiError),
    #[error("could not read the project or the provider")]
    Store(#[from] StoreError),
}

/// Reads a CI system's own jobs: those in scopes that the project's tenant may use.
pub async fn discover<S>(
    store: &S,
    providers: &dyn ProviderDirectory,
    caller: &Caller,
    wanted: &Discovery<'_>,
) -> Result<Vec<DiscoveredJob>, DiscoverError>
where
    S: FindProject + FindProvider + CountTenants,
{
    let name = wanted.provider;
    let provider = providers.provider_now(name).await?;
    let shares = Shares::of(store, name).await?;
    if shares.are_open(name) {
        return Ok(provider.discover(wanted.scopes).await?);
    }
    let tenant = tenant(store, caller, &shares, wanted).await?;
    let may_use = |scope: Option<&str>| shares.admit(name, &tenant, scope, Use::Begin);
    if wanted.scopes.is_empty() {
        shares.admit_any(name, &tenant)?;
    }
    wanted.scopes.iter().try_for_each(|scope| may_use(Some(scope.as_str())))?;
    let mut found = provider.discover(wanted.scopes).await?;
    found.retain(|job| may_use(job.target.scope()).is_ok());
    Ok(found)
}

/// The tenant that the project belongs to, or is to belong to.
async fn tenant<S: FindProject>(
    store: &S,
    caller: &Caller,
    shares: &Shares,
    wanted: &Discovery<'_>,
) -> Result<TenantId, DiscoverError> {
    if let Some(project) = store.find_project(wanted.project).await? {
        let known = caller.sees(&project.tenant);
        return if known { Ok(project.tenant) } else { Err(Refusal::ProjectTaken(project.name).into()) };
    }
    let own = caller.tenants_for(&DISCOVER_JOBS);
    let tenant = wanted.tenant.or_else(|| own.sole()).or_else(|| shares.only_tenant());
    let tenant = tenant.ok_or_else(|| Refusal::TenantUnclear(wanted.project.clone()))?;
    if caller.sees(tenant) { Ok(tenant.clone()) } else { Err(Refusal::TenantForeign(tenant.clone()).into()) }
}
