//! Listing the operations that were stored before there were lists of them over all services.

use std::{collections::BTreeSet, convert::Infallible};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::{
    audit::{AuditFilter, ListAudit},
    clock::Clock,
    id::OperationId,
    operations::{
        Changed, FindOperation, Operation, SaveOperation,
        change::{ChangeError, change},
    },
    paging::{Cursor, Limit, ListError, PageRequest},
    store::StoreError,
};

/// How far this has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ListingProgress {
    #[default]
    NotBegun,
    /// The trail is read from here on.
    Until(Cursor),
    Done,
}

/// Remembers how far this has come. Needs `dynamodb:GetItem` and `dynamodb:PutItem`.
#[async_trait]
pub trait RememberListing: Send + Sync {
    async fn listing_progress(&self) -> Result<ListingProgress, StoreError>;

    async fn note_listing(&self, progress: &ListingProgress) -> Result<(), StoreError>;
}

/// They could not be listed. The next sweep goes on where this one was.
#[derive(Debug, thiserror::Error)]
pub enum ListOperationsError {
    #[error("could not read the trail")]
    Trail(#[from] ListError),
    #[error("could not list an operation")]
    Store(#[from] StoreError),
}

/// Lists what is not listed yet, once in an installation: no list has all operations, but the trail, which keeps the
/// entries of what it names as long as operations are kept, and has those of services that are gone. Returns how
/// many were listed.
///
/// # Errors
///
/// When the store failed. What was done before that stays done.
pub async fn list_unlisted<S>(
    store: &S,
    clock: &dyn Clock,
    deadline: Timestamp,
) -> Result<usize, ListOperationsError>
where
    S: RememberListing + ListAudit + FindOperation + SaveOperation,
{
    let limit = Limit::new(Limit::MAX).unwrap_or_default();
    let mut page = PageRequest { limit, ..PageRequest::default() };
    page.cursor = match store.listing_progress().await? {
        ListingProgress::Done => return Ok(0),
        ListingProgress::NotBegun => None,
        ListingProgress::Until(cursor) => Some(cursor),
    };
    let mut listed = 0;
    while clock.now() < deadline {
        let entries = store.list_audit(&AuditFilter::Everything, clock.now(), &page).await?;
        let named = entries.items.iter().filter_map(|entry| entry.target.strip_prefix("operation:"));
        let ids: BTreeSet<OperationId> = named.filter_map(|id| id.parse().ok()).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let found = if ids.is_empty() { Vec::new() } else { store.find_operations(&ids).await? };
        for operation in found.iter().filter(|operation| operation.listed_as.is_none()) {
            list(store, clock, operation).await?;
            listed += 1;
        }
        let progress = entries.next.map_or(ListingProgress::Done, ListingProgress::Until);
        store.note_listing(&progress).await?;
        let ListingProgress::Until(cursor) = progress else { break };
        page.cursor = Some(cursor);
    }
    Ok(listed)
}

/// Any change lists an operation; this one is of nothing else.
async fn list<S>(store: &S, clock: &dyn Clock, operation: &Operation) -> Result<(), StoreError>
where
    S: FindOperation + SaveOperation,
{
    let rule = |operation: &mut Operation| {
        let is_listed = operation.listed_as.is_some();
        Ok::<_, Infallible>(if is_listed { Changed::Nothing } else { Changed::Record })
    };
    match change(store, clock, &operation.id, None, rule).await {
        Ok(_) | Err(ChangeError::NotFound) => Ok(()),
        Err(ChangeError::Store(error)) => Err(error),
    }
}
