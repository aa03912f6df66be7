//! The audit trail: two items for each entry, so that it can be read by time, tenant and actor.

use std::time::Duration;

use async_trait::async_trait;
use gatehouse_domain::{
    audit::{AppendAudit, AuditFilter, CountAudit, Entry, ListAudit},
    caller::Tenants,
    paging::{InvalidCursor, ListError, Page, PageRequest},
    store::StoreError,
};
use jiff::Timestamp;

use crate::{
    Table,
    error::unavailable,
    item::{EXPIRES_AT, IF_ABSENT, Item, PK, SK, compose, decompose, number},
    keys,
    lists::{ByTime, end_of},
    transaction::{self, Transaction},
};

/// The attribute that says how often something happened.
const COUNT: &str = "count";

/// How long an entry is kept.
const RETENTION: Duration = Duration::from_hours(400 * 24);

/// The items of an entry: in the trail of everything and of its tenant, and in the trail of its actor.
fn items(entry: &Entry) -> Result<[Item; 2], StoreError> {
    let mut items = [
        compose(keys::audit(entry), keys::audit_of_tenant(entry), entry)?,
        compose(keys::audit_of_actor(entry), None, entry)?,
    ];
    for item in &mut items {
        item.insert(EXPIRES_AT.to_owned(), number((entry.at + RETENTION).as_second()));
    }
    Ok(items)
}

impl Table {
    /// Writes `transaction` with an entry of the trail: both or none.
    pub(crate) async fn write_with_entry(
        &self,
        transaction: Transaction,
        entry: &Entry,
    ) -> Result<transaction::Outcome, StoreError> {
        self.write_with_entries(transaction, std::slice::from_ref(entry)).await
    }

    /// Writes `transaction` with entries of the trail: all or none.
    pub(crate) async fn write_with_entries(
        &self,
        mut transaction: Transaction,
        entries: &[Entry],
    ) -> Result<transaction::Outcome, StoreError> {
        let act = transaction.len();
        for entry in entries {
            transaction = self.with_entry(transaction, entry)?;
        }
        match transaction.write(self).await? {
            transaction::Outcome::Refused { place, .. } if place >= act => {
                Err(StoreError::Unavailable("the trail has another entry in this place".into()))
            }
            outcome => Ok(outcome),
        }
    }

    fn with_entry(&self, mut transaction: Transaction, entry: &Entry) -> Result<Transaction, StoreError> {
        for item in items(entry)? {
            transaction.put(self.transact_put(item).condition_expression(IF_ABSENT))?;
        }
        Ok(transaction)
    }
}

#[async_trait]
impl AppendAudit for Table {
    async fn append_audit(&self, entry: &Entry) -> Result<(), StoreError> {
        // Refused means that it is there already.
        self.with_entry(Transaction::default(), entry)?.write(self).await.map(drop)
    }
}

#[async_trait]
impl CountAudit for Table {
    async fn count_audit(&self, entry: &Entry) -> Result<(), StoreError> {
        for item in items(entry)? {
            self.count(item).await?;
        }
        Ok(())
    }
}

impl Table {
    /// Adds one to the count of an item; its other attributes are those of whoever wrote it first. No condition:
    /// writers at the same moment are all to be counted.
    async fn count(&self, mut item: Item) -> Result<(), StoreError> {
        let key = [PK, SK].into_iter().filter_map(|name| item.remove_entry(name)).collect();
        item.remove(COUNT);
        let mut call = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key))
            .expression_attribute_names("#count", COUNT)
            .expression_attribute_values(":one", number(1));
        let mut sets = Vec::new();
        for (place, (name, value)) in item.into_iter().enumerate() {
            sets.push(format!("#n{place} = if_not_exists(#n{place}, :v{place})"));
            call = call
                .expression_attribute_names(format!("#n{place}"), name)
                .expression_attribute_values(format!(":v{place}"), value);
        }
        let expression = format!("SET {} ADD #count :one", sets.join(", "));
        call.update_expression(expression).send().await.map_err(unavailable).map(drop)
    }
}

#[async_trait]
impl ListAudit for Table {
    /// One query of one month: a page that ends with a month is short, and the next one begins with the
    /// month before it, until the months that are forgotten.
    async fn list_audit(
        &self,
        filter: &AuditFilter,
        until: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Entry>, ListError> {
        let trail = match filter {
            AuditFilter::Everything => keys::AUDIT.to_owned(),
            AuditFilter::Tenant(tenant) => keys::trail_of_tenant(tenant),
            AuditFilter::Actor { actor, .. } => keys::trail_of_actor(actor),
        };
        let now = self.system.now();
        if until < now - RETENTION {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let oldest = keys::month(now - RETENTION);
        let mut before = format!("{}$", keys::sortable(until.min(now)));
        if let Some(place) = self.place(&trail, page).await? {
            before = before.min(place);
        }
        let month = month_before(&before).ok_or(InvalidCursor)?;
        if month < oldest {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let partition = keys::of_month(&trail, &month);
        let list =
            ByTime { partition, in_index: matches!(filter, AuditFilter::Tenant(_)), before: Some(before) };
        let answer = self.newest_first(&list, page.limit).await?;
        let next = end_of(&answer, list.sort_key()).or_else(|| (month > oldest).then_some(month));
        let entries = answer.items.unwrap_or_default().into_iter().map(decompose::<Entry>);
        let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
        entries.retain(|entry| may_be_seen(filter, entry));
        Ok(Page { items: entries, next: self.next(&trail, page, next).await? })
    }
}

/// Whether the tenant of an entry is among those that are asked for.
fn may_be_seen(filter: &AuditFilter, entry: &Entry) -> bool {
    match filter {
        AuditFilter::Everything | AuditFilter::Tenant(_) => true,
        AuditFilter::Actor { tenants, .. } => match &entry.tenant {
            None => *tenants == Tenants::All,
            Some(own) => tenants.include(own),
        },
    }
}

/// The month of the last place before this one: `2026-01` for `2026-01-05T…` and for `2026-02`. `None` when
/// it is no place of a trail.
fn month_before(place: &str) -> Option<String> {
    let (month, rest) = place.split_at_checked("2026-01".len())?;
    let (year, number) = month.split_once('-')?;
    let (year, number) = (year.parse::<u16>().ok()?, number.parse::<u8>().ok()?);
    let (year, number) = match (rest.is_empty(), number) {
        (false, 1..=12) => (year, number),
        (true, 2..=12) => (year, number - 1),
        (true, 1) => (year.checked_sub(1)?, 12),
        _ => return None,
    };
    Some(format!("{year:04}-{number:02}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trail_is_walked_month_by_month() {
        assert_eq!(month_before("2026-03-05T00:00:00.000Z#aud_1").as_deref(), Some("2026-03"));
        assert_eq!(month_before("2026-03").as_deref(), Some("2026-02"));
        assert_eq!(month_before("2026-01").as_deref(), Some("2025-12"));
    }

    #[test]
    fn what_is_no_place_of_a_trail_is_refused() {
        for bad in ["", "2026", "2026-13", "2026-00-01", "0000-01", "20x6-01-01", "2026+01", "ääää-01"] {
            assert_eq!(month_before(bad), None, "{bad:?}");
        }
    }
}
