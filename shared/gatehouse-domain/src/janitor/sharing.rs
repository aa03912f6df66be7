//! Filling in what providers that were stored before it was asked say of who may use them.

use std::collections::BTreeMap;

use crate::{
    caller::Tenants,
    ci::{ProviderKind, Scopes, Sharing},
    clock::IdSource,
    jobs::{JobFilter, ListJobs},
    name::ProviderName,
    paging::{Limit, ListError, PageRequest},
    providers::{ListProviders, Provider, SaveProvider},
    revision::{EditOutcome, Revision},
    store::StoreError,
    tenant::{CountTenants, Population},
};

/// Why it could not be filled in. The next sweep tries again; until then what jobs use goes on, and nothing is
/// added.
#[derive(Debug, thiserror::Error)]
pub enum FillInError {
    /// The jobs could not be listed.
    #[error("could not list the jobs")]
    List(#[from] ListError),
    #[error("could not read or write a provider")]
    Store(#[from] StoreError),
}

/// Lets the tenants whose jobs use a scope today go on using it, and nobody anything else: once for each provider
/// that was stored before it was asked who may use what. Returns how many were filled in.
///
/// While there is one tenant only, it goes on using everything, as it would at a provider that is registered now.
pub async fn fill_in_sharing<S>(store: &S, ids: &dyn IdSource) -> Result<usize, FillInError>
where
    S: ListProviders + SaveProvider + ListJobs + CountTenants,
{
    let mut providers = store.list_providers().await?;
    providers.retain(|provider| provider.sharing == Sharing::NotAsked);
    if providers.is_empty() {
        return Ok(0);
    }
    let population = store.population().await?;
    let mut used = used(store).await?;
    let mut filled = 0;
    for provider in providers {
        let scopes = used.remove(&provider.name).unwrap_or_default();
        let sharing = sharing(provider.kind, scopes, &population);
        let revised = Provider { sharing, revision: Revision::new(ids), ..provider.clone() };
        // Refused means that somebody edited or deleted it at the same moment; the next sweep looks again.
        let outcome = store.save_provider(&revised, Some(&provider.revision), None).await?;
        filled += usize::from(outcome == EditOutcome::Done);
    }
    Ok(filled)
}

/// What a provider is to say whose jobs use these scopes.
fn sharing(kind: ProviderKind, used: Scopes, population: &Population) -> Sharing {
    match kind {
        // The machine of whoever runs the local stack; nobody registers it, nor could say anything of it later.
        ProviderKind::Process => Sharing::OpenToAll,
        ProviderKind::Concourse => {
            let alone = match population {
                Population::Several => false,
                Population::Nobody | Population::One(_) => used.tenants().all(|user| population.is_all(user)),
            };
            if alone { Sharing::Unsaid } else { Sharing::Scopes(used) }
        }
    }
}

/// The scopes that each tenant's jobs point into, by provider.
async fn used<S: ListJobs>(store: &S) -> Result<BTreeMap<ProviderName, Scopes>, ListError> {
    let filter = JobFilter { tenants: Tenants::All, project: None, environment: None };
    let mut page = PageRequest {
        limit: Limit::new(Limit::MAX).unwrap_or_default(),
        cursor: None,
        ..PageRequest::default()
    };
    let mut used = BTreeMap::<_, Scopes>::new();
    loop {
        let jobs = store.list_jobs(&filter, &page).await?;
        for job in jobs.items {
            used.entry(job.spec.provider).or_default().add(job.tenant, job.spec.target.scope());
        }
        page.cursor = jobs.next;
        if page.cursor.is_none() {
            return Ok(used);
        }
    }
}
