//! Whether a tenant may use a scope of a provider: whatever its CI system grants roles in, such as a team of
//! Concourse. What a provider says of it is a [`Sharing`].

use std::{collections::BTreeMap, fmt, sync::Arc};

use crate::{
    ci::{CiProvider, ProviderDirectory, ProviderLookupError, Sharing, Target},
    name::{ProviderName, TenantId},
    providers::{FindProvider, ListProviders, Provider},
    store::StoreError,
    tenant::{CountTenants, Population},
};

/// A tenant may not use a scope of a provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct ScopeClosed {
    pub provider: ProviderName,
    pub tenant: TenantId,
    /// Any scope, where none is named.
    pub scope: Option<String>,
    /// Whether the provider says which tenants may use what.
    pub is_said: bool,
}

impl fmt::Display for ScopeClosed {
    /// What is missing, and who can mend it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, tenant, scope, is_said } = self;
        let scope = scope.as_ref().map_or_else(|| "any scope".to_owned(), |scope| format!("scope `{scope}`"));
        write!(f, "provider `{provider}` does not let tenant `{tenant}` use {scope}: a platform admin can ")?;
        if *is_said {
            f.write_str("name it in the provider's `scopes`")
        } else {
            f.write_str("say in its `scopes`, or with `open_to_all`, who may use what")
        }
    }
}

/// What somebody wants to do with a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// To have a job that points into it.
    Begin,
    /// To run a job that points into it already.
    GoOn,
}

/// What some providers say of who may use them, as it stands now.
///
/// Of a provider that is not registered there is nothing to say: a job may name one that is registered later, and
/// is looked at again when it is triggered.
#[derive(Debug)]
pub struct Shares {
    providers: BTreeMap<ProviderName, Provider>,
    population: Population,
}

impl Shares {
    /// Of one provider. Strongly consistent, so that what was taken away is gone at once.
    pub async fn of<S>(store: &S, provider: &ProviderName) -> Result<Self, StoreError>
    where
        S: FindProvider + CountTenants,
    {
        Self::among(store, store.find_provider(provider).await?).await
    }

    /// Of every provider.
    pub async fn of_all<S>(store: &S) -> Result<Self, StoreError>
    where
        S: ListProviders + CountTenants,
    {
        Self::among(store, store.list_providers().await?).await
    }

    async fn among<S: CountTenants>(
        store: &S,
        providers: impl IntoIterator<Item = Provider>,
    ) -> Result<Self, StoreError> {
        let providers: BTreeMap<_, _> =
            providers.into_iter().map(|provider| (provider.name.clone(), provider)).collect();
        let asks = |sharing: &Sharing| matches!(sharing, Sharing::NotAsked | Sharing::Unsaid);
        // How many tenants there are matters only where nobody has said who may use what.
        let population = if providers.values().any(|provider| asks(&provider.sharing)) {
            store.population().await?
        } else {
            Population::Several
        };
        Ok(Self { providers, population })
    }

    /// Whether every tenant may use everything, so that it does not matter which one wants to.
    pub fn are_open(&self, provider: &ProviderName) -> bool {
        self.sharing(provider).is_none_or(|sharing| *sharing == Sharing::OpenToAll)
    }

    /// The tenant, where the installation has only one.
    pub fn only_tenant(&self) -> Option<&TenantId> {
        match &self.population {
            Population::One(tenant) => Some(tenant),
            Population::Nobody | Population::Several => None,
        }
    }

    /// Refuses what `tenant` may not use.
    pub fn admit(
        &self,
        provider: &ProviderName,
        tenant: &TenantId,
        scope: Option<&str>,
        purpose: Use,
    ) -> Result<(), ScopeClosed> {
        let open = match self.sharing(provider) {
            None | Some(Sharing::OpenToAll) => true,
            Some(Sharing::NotAsked) if purpose == Use::GoOn => true,
            Some(Sharing::NotAsked | Sharing::Unsaid) => self.population.is_all(tenant),
            Some(Sharing::Scopes(scopes)) => scopes.include(tenant, scope),
        };
        if open { Ok(()) } else { Err(self.closed(provider, tenant, scope)) }
    }

    /// Refuses a tenant that may use nothing at all.
    pub fn admit_any(&self, provider: &ProviderName, tenant: &TenantId) -> Result<(), ScopeClosed> {
        match self.sharing(provider) {
            Some(Sharing::Scopes(scopes)) if scopes.include_any(tenant) => Ok(()),
            _ => self.admit(provider, tenant, None, Use::Begin),
        }
    }

    /// Refuses a target that `tenant` may not use.
    pub fn admit_target(
        &self,
        provider: &ProviderName,
        tenant: &TenantId,
        target: &Target,
        purpose: Use,
    ) -> Result<(), ScopeClosed> {
        self.admit(provider, tenant, target.scope(), purpose)
    }

    fn sharing(&self, provider: &ProviderName) -> Option<&Sharing> {
        self.providers.get(provider).map(|provider| &provider.sharing)
    }

    fn closed(&self, provider: &ProviderName, tenant: &TenantId, scope: Option<&str>) -> ScopeClosed {
        ScopeClosed {
            provider: provider.clone(),
            tenant: tenant.clone(),
            scope: scope.map(str::to_owned),
            is_said: matches!(self.sharing(provider), Some(Sharing::Scopes(_))),
        }
    }
}

/// A provider, and what it says of who may use it.
///
/// The directory may know it from settings that are some seconds old; what it says is of this moment. Of one that was
/// deleted meanwhile nobody says anything any more, so it is looked for again.
pub(crate) async fn provider_and_shares<S: FindProvider + CountTenants>(
    store: &S,
    providers: &dyn ProviderDirectory,
    name: &ProviderName,
) -> Result<(Arc<dyn CiProvider>, Shares), ProviderLookupError> {
    let provider = providers.provider(name).await?;
    let shares = Shares::of(store, name).await?;
    if shares.providers.is_empty() {
        // It is there only when it is one that nobody registers.
        return Ok((providers.provider_now(name).await?, shares));
    }
    Ok((provider, shares))
}
