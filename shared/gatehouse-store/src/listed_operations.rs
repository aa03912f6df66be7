//! Operations in lists over all services: a small item for each, in two lists and in each of them once for everybody
//! and once for its tenant.
//!
//! The records themselves are read by their service. They are a hundred times larger than what a list shows, and change
//! with every heartbeat; these items change with the status alone.

use std::collections::BTreeSet;

use async_trait::async_trait;
use gatehouse_domain::{
    caller::Tenants,
    janitor::{ListingProgress, RememberListing},
    operations::{ListAllOperations, ListedOperation, Operation, OperationLists, OperationStatus, Wanted},
    paging::{Cursor, Limit, ListError, Page, PageRequest},
    store::StoreError,
};
use serde::{Deserialize, Serialize};

use crate::{
    Table,
    error::unavailable,
    item::{Item, compose, decompose, key_attributes},
    keys::{self, Key},
    lists::{ByTime, end_of},
    operations::expire,
    transaction::Transaction,
};

/// How many reads each list may take for a page that some of it is left out of: a thousand items, at about 500 bytes
/// each.
const READS: usize = 10;

/// How many queries all lists together may take for a page, unless one of each is more already. Whoever has many
/// tenants and asks for many statuses reads a hundred lists, one after another.
const QUERIES: usize = 40;

/// How far the operations are listed that are older than the lists.
#[derive(Serialize, Deserialize)]
struct StoredProgress {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<Cursor>,
}

fn item(key: Key, in_list: Key, operation: &Operation) -> Result<Item, StoreError> {
    let mut item = compose(key, Some(in_list), &ListedOperation::of(operation))?;
    expire(&mut item, operation);
    Ok(item)
}

impl Table {
    /// The writes that show the operation in the lists as it stands now, and not as in `left` any more. No conditions:
    /// the condition on the record, in the same transaction, decides.
    pub(crate) fn list_anew(
        &self,
        transaction: &mut Transaction,
        operation: &Operation,
        left: &[OperationStatus],
    ) -> Result<(), StoreError> {
        let status = operation.standing();
        let of_tenant = keys::listed_operation_of_tenant(operation);
        transaction.put(self.transact_put(item(keys::listed_operation(operation), of_tenant, operation)?))?;
        let by_status = keys::operation_by_status(operation, status);
        let left: BTreeSet<_> = left.iter().map(|left| keys::operation_by_status(operation, *left)).collect();
        for left in left.into_iter().filter(|left| *left != by_status) {
            transaction.delete(self.transact_delete(key_attributes(left)))?;
        }
        let of_tenant = keys::operation_by_status_of_tenant(operation, status);
        transaction.put(self.transact_put(item(by_status, of_tenant, operation)?))
    }
}

/// The partitions that are read.
fn partitions(lists: &OperationLists) -> Vec<(String, Holds)> {
    if let Some(service) = &lists.service {
        return vec![(keys::operations_of(service), Holds::Records)];
    }
    let named: BTreeSet<_> =
        lists.statuses.iter().map(|status| keys::operations_by_status(*status)).collect();
    let named = if named.is_empty() { [keys::ALL_OPERATIONS.to_owned()].into() } else { named };
    match &lists.tenants {
        Tenants::All => named.into_iter().map(|list| (list, Holds::Everybodys)).collect(),
        Tenants::Only(tenants) => {
            let of = |list: &String| {
                let list = list.clone();
                tenants.iter().map(move |tenant| keys::of_tenants_operations(&list, tenant))
            };
            named.iter().flat_map(of).map(|list| (list, Holds::Tenants)).collect()
        }
    }
}

/// What is in a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// The records of a service, in the index.
    Records,
    /// What is listed for those who see all tenants, in the table.
    Everybodys,
    /// What is listed of a tenant, in the index.
    Tenants,
}

impl Holds {
    fn read(self, item: Item) -> Result<ListedOperation, StoreError> {
        match self {
            Self::Records => decompose::<Operation>(item).map(|operation| ListedOperation::of(&operation)),
            Self::Everybodys | Self::Tenants => decompose(item),
        }
    }
}

/// What was read of several lists that are sorted alike.
struct Read {
    /// With the sort key of each, the newest first.
    items: Vec<(String, ListedOperation)>,
    /// Down to where all of them were read; to their ends without one.
    down_to: Option<String>,
}

#[async_trait]
impl ListAllOperations for Table {
    async fn list_all_operations(
        &self,
        lists: &OperationLists,
        wanted: &Wanted<'_>,
        page: &PageRequest,
    ) -> Result<Page<ListedOperation>, ListError> {
        let partitions = partitions(lists);
        let mut before = self.place(keys::ALL_OPERATIONS, page).await?;
        let full = usize::from(page.limit.get());
        let mut found = Vec::new();
        // Where nothing is left out, the first read fills the page. Where something is, it may be most of it.
        let mut limit = page.limit;
        for round in 0..READS {
            // What was read until then is a page too, with the place where the next one goes on.
            if round > 0 && (round + 1) * partitions.len() > QUERIES {
                break;
            }
            let Read { items, down_to } = self.read_lists(&partitions, before.as_deref(), limit).await?;
            let mut items = items.into_iter().peekable();
            while let Some((place, operation)) = items.next() {
                if lists.tenants.include(&operation.tenant) && wanted(&operation) {
                    found.push(operation);
                }
                if found.len() == full {
                    let more = items.peek().is_some() || down_to.is_some();
                    let next = self.next(keys::ALL_OPERATIONS, page, more.then_some(place)).await?;
                    return Ok(Page { items: found, next });
                }
            }
            limit = Limit::new(Limit::MAX).unwrap_or(limit);
            before = down_to;
            if before.is_none() {
                break;
            }
        }
        Ok(Page { items: found, next: self.next(keys::ALL_OPERATIONS, page, before).await? })
    }
}

impl Table {
    /// One query of each list, and what all of them have down to the place where the first of them was cut off.
    async fn read_lists(
        &self,
        partitions: &[(String, Holds)],
        before: Option<&str>,
        limit: Limit,
    ) -> Result<Read, StoreError> {
        let mut items = Vec::new();
        let mut down_to: Option<String> = None;
        for (partition, holds) in partitions {
            let in_index = *holds != Holds::Everybodys;
            let list = ByTime { partition: partition.clone(), in_index, before: before.map(str::to_owned) };
            let answer = self.newest_first(&list, limit).await?;
            down_to = down_to.max(end_of(&answer, list.sort_key()));
            for item in answer.items.unwrap_or_default() {
                let place = item.get(list.sort_key()).and_then(|place| place.as_s().ok()).cloned();
                items.push((place.unwrap_or_default(), holds.read(item)?));
            }
        }
        items.retain(|(place, _)| down_to.as_ref().is_none_or(|down_to| place >= down_to));
        items.sort_by(|(one, _), (other, _)| other.cmp(one));
        Ok(Read { items, down_to })
    }
}

#[async_trait]
impl RememberListing for Table {
    async fn listing_progress(&self) -> Result<ListingProgress, StoreError> {
        let Some(item) = self.find(keys::operations_listed()).await? else {
            return Ok(ListingProgress::NotBegun);
        };
        let StoredProgress { cursor } = decompose(item)?;
        Ok(cursor.map_or(ListingProgress::Done, ListingProgress::Until))
    }

    async fn note_listing(&self, progress: &ListingProgress) -> Result<(), StoreError> {
        let cursor = match progress {
            ListingProgress::NotBegun => return Ok(()),
            ListingProgress::Until(cursor) => Some(cursor.clone()),
            ListingProgress::Done => None,
        };
        let item = compose(keys::operations_listed(), None, &StoredProgress { cursor })?;
        // No condition: of two sweeps that overlap the slower one has some of it done again, which changes nothing.
        let call = self.client.put_item().table_name(&self.name).set_item(Some(item));
        call.send().await.map(drop).map_err(unavailable)
    }
}
