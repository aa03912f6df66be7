//! Listing service tokens.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::ServiceToken;
use crate::{
    access::LIST_TOKENS,
    caller::{Caller, Tenants},
    name::{ProjectName, ServiceName},
    paging::{ListError, Page, PageRequest},
};

/// Which states are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StateFilter {
    /// Those that are valid: active, and rotated within their grace period.
    #[default]
    Active,
    /// Those whose time is over.
    Expired,
    /// Those that were revoked.
    Revoked,
    All,
}

/// What a caller asks for.
#[derive(Debug, Clone, Default)]
pub struct TokenQuery {
    /// Only of this project.
    pub project: Option<ProjectName>,
    /// Only of this service.
    pub service: Option<ServiceName>,
    /// Only in this state.
    pub state: StateFilter,
    /// Only those that were not used for so many days, or never and made before.
    pub unused_for_days: Option<u16>,
    /// Only those that end within so many days.
    pub expiring_within_days: Option<u16>,
}

/// Which tokens are wanted.
#[derive(Debug, Clone)]
pub struct TokenFilter {
    /// Those of these tenants.
    pub tenants: Tenants,
    /// Those of this project.
    pub project: Option<ProjectName>,
    /// Those of this service.
    pub service: Option<ServiceName>,
    /// Those in this state at [`TokenFilter::now`].
    pub state: StateFilter,
    /// Those that were last used, or made, before.
    pub unused_since: Option<Timestamp>,
    /// Those that end by then.
    pub expires_by: Option<Timestamp>,
    /// When the question is asked.
    pub now: Timestamp,
}

/// Lists service tokens. Needs `dynamodb:Query`.
#[async_trait]
pub trait ListTokens: Send + Sync {
    /// A page of tokens by tenant and end. A page may be short, or empty, and still have a next one.
    async fn list_tokens(
        &self,
        filter: &TokenFilter,
        page: &PageRequest,
    ) -> Result<Page<ServiceToken>, ListError>;
}

/// Lists the tokens of the tenants in which the caller may see them.
pub async fn list<S: ListTokens>(
    store: &S,
    caller: &Caller,
    query: TokenQuery,
    now: Timestamp,
    page: &PageRequest,
) -> Result<Page<ServiceToken>, ListError> {
    let days = |days: u16| Duration::from_hours(u64::from(days) * 24);
    let filter = TokenFilter {
        tenants: caller.tenants_for(&LIST_TOKENS),
        project: query.project,
        service: query.service,
        state: query.state,
        unused_since: query.unused_for_days.map(|unused| now - days(unused)),
        expires_by: query.expiring_within_days.map(|within| now + days(within)),
        now,
    };
    store.list_tokens(&filter, page).await
}
