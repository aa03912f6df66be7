//! The audit trail: two items for each entry, so that it can be read by time, tenant and actor.
//!
//! A month of each of these trails is divided into shards, so that no partition takes all writes: each page reads all of them,
//! and merges what they have by time. ADR 23 says why.

use std::{
    collections::{BTreeMap, btree_map},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::future::try_join_all;
use gatehouse_domain::{
    audit::{AppendAudit, AuditFilter, CountAudit, Entry, ListAudit},
    caller::Tenants,
    paging::{InvalidCursor, Limit, ListError, Page, PageRequest},
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

/// A trail, and where its months are.
struct Trail {
    name: String,
    in_index: bool,
}

impl Trail {
    fn of(filter: &AuditFilter) -> Self {
        let name = match filter {
            AuditFilter::Everything => keys::AUDIT.to_owned(),
            AuditFilter::Tenant(tenant) => keys::trail_of_tenant(tenant),
            AuditFilter::Actor { actor, .. } => keys::trail_of_actor(actor),
        };
        Self { name, in_index: matches!(filter, AuditFilter::Tenant(_)) }
    }

    /// The partitions of a month, with how many entries a page of so many reads of each. The first has what older versions
    /// wrote, which may be all of the month.
    fn month(&self, month: &str, before: &str, limit: Limit) -> Vec<(ByTime, Limit)> {
        let by_time =
            |partition| ByTime { partition, in_index: self.in_index, before: Some(before.to_owned()) };
        let shards = (0..keys::AUDIT_SHARDS).map(|shard| keys::shard_of_month(&self.name, month, shard));
        let mut partitions = vec![(by_time(keys::of_month(&self.name, month)), limit)];
        partitions.extend(shards.map(|shard| (by_time(shard), share(limit))));
        partitions
    }
}

/// How many entries of each shard a page of so many reads: twice a shard's share, since chance does not share out evenly. A
/// page is short where one of them has still more of it.
fn share(limit: Limit) -> Limit {
    let share = 2 * limit.get().div_ceil(keys::AUDIT_SHARDS) + 2;
    Limit::new(share.min(limit.get())).unwrap_or(limit)
}

/// What was read of one partition.
struct Part {
    /// With the sort key of each, which is the same in every partition.
    entries: Vec<(String, Entry)>,
    /// The last of them, where there are more behind it.
    cut_off_at: Option<String>,
}

/// What partitions have together, the newest first, at most so many; and where the next page goes on, if there is more.
/// Behind the place where one of them was cut off nobody knows what comes next.
fn merge(parts: Vec<Part>, limit: Limit) -> (Vec<Entry>, Option<String>) {
    let down_to = parts.iter().filter_map(|part| part.cut_off_at.clone()).max();
    let mut merged = BTreeMap::new();
    for (place, entry) in parts.into_iter().flat_map(|part| part.entries) {
        match merged.entry(place) {
            btree_map::Entry::Vacant(free) => {
                free.insert(entry);
            }
            btree_map::Entry::Occupied(taken) => {
                let taken: &mut Entry = taken.into_mut();
                // A version without shards has counted some of it, and one with them the rest.
                taken.count = taken.count.zip(entry.count).map(|(one, other)| one.saturating_add(other));
            }
        }
    }
    if let Some(down_to) = &down_to {
        merged = merged.split_off(down_to);
    }
    let mut newest_first = merged.into_iter().rev();
    let (mut places, entries): (Vec<_>, Vec<_>) = newest_first.by_ref().take(limit.get().into()).unzip();
    let end = if newest_first.next().is_some() { places.pop() } else { down_to };
    (entries, end)
}

impl Table {
    /// One query of each partition of a month, all at once, and what [`merge`] makes of it.
    async fn read_month(
        &self,
        partitions: &[(ByTime, Limit)],
        limit: Limit,
    ) -> Result<(Vec<Entry>, Option<String>), StoreError> {
        let reads = partitions.iter().map(|(partition, limit)| self.read_part(partition, *limit));
        Ok(merge(try_join_all(reads).await?, limit))
    }

    async fn read_part(&self, partition: &ByTime, limit: Limit) -> Result<Part, StoreError> {
        let answer = self.newest_first(partition, limit).await?;
        let cut_off_at = end_of(&answer, partition.sort_key());
        let read = |item: Item| {
            let place = item.get(partition.sort_key()).and_then(|place| place.as_s().ok()).cloned();
            decompose::<Entry>(item).map(|entry| (place.unwrap_or_default(), entry))
        };
        let entries = answer.items.unwrap_or_default().into_iter().map(read);
        Ok(Part { entries: entries.collect::<Result<_, _>>()?, cut_off_at })
    }
}

#[async_trait]
impl ListAudit for Table {
    /// One query of each partition of one month: a page that ends with a month is short, and the next one begins with the
    /// month before it, until the months that are forgotten.
    async fn list_audit(
        &self,
        filter: &AuditFilter,
        until: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Entry>, ListError> {
        let trail = Trail::of(filter);
        let now = self.system.now();
        if until < now - RETENTION {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let oldest = keys::month(now - RETENTION);
        let mut before = format!("{}$", keys::sortable(until.min(now)));
        if let Some(place) = self.place(&trail.name, page).await? {
            before = before.min(place);
        }
        let month = month_before(&before).ok_or(InvalidCursor)?;
        if month < oldest {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let partitions = trail.month(&month, &before, page.limit);
        let (mut entries, end) = self.read_month(&partitions, page.limit).await?;
        let next = end.or_else(|| (month > oldest).then_some(month));
        entries.retain(|entry| may_be_seen(filter, entry));
        Ok(Page { items: entries, next: self.next(&trail.name, page, next).await? })
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
    use gatehouse_domain::audit::{Action, Origin, Outcome};

    use super::*;

    fn entry(id: &str, count: Option<u64>) -> Entry {
        Entry {
            id: id.to_owned(),
            at: Timestamp::UNIX_EPOCH,
            actor: "user:ada".to_owned(),
            on_behalf_of: None,
            action: Action::Login,
            target: "user:ada".to_owned(),
            tenant: None,
            outcome: Outcome::Refused,
            detail: None,
            count,
            origin: Origin::default(),
        }
    }

    fn limit(of: u8) -> Limit {
        Limit::new(of).unwrap()
    }

    /// Numbers that look as if they were random, the same for the same seed.
    fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
        let mut state = seed;
        move |below| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        }
    }

    /// What the table answers of a partition with these places, the newest of which is first.
    fn query(partition: &[String], before: &str, limit: Limit) -> Part {
        let full = usize::from(limit.get());
        let places = partition.iter().filter(|place| place.as_str() < before).take(full);
        let entries: Vec<_> = places.map(|place| (place.clone(), entry(place, None))).collect();
        // It says so even where nothing is left.
        let last = entries.last().filter(|_| entries.len() == full);
        Part { cut_off_at: last.map(|(place, _)| place.clone()), entries }
    }

    /// Every page of what is in the partitions, of which the first is not a shard.
    fn pages(partitions: &[Vec<String>], limit: Limit) -> Vec<Vec<String>> {
        let (mut pages, mut before) = (Vec::new(), "~".to_owned());
        loop {
            let read = |(place, partition): (usize, &Vec<String>)| {
                query(partition, &before, if place == 0 { limit } else { share(limit) })
            };
            let (entries, end) = merge(partitions.iter().enumerate().map(read).collect(), limit);
            pages.push(entries.into_iter().map(|entry| entry.id).collect());
            let Some(end) = end else { return pages };
            assert!(end < before, "{end} is not behind {before}");
            before = end;
        }
    }

    #[test]
    fn whatever_is_in_which_partition_is_read_once_and_in_order_by_pages_of_any_size() {
        for seed in 0..60 {
            let mut below = numbers(seed);
            let mut partitions = vec![Vec::new(); usize::from(keys::AUDIT_SHARDS) + 1];
            // Some of the time all is in few of them, as by chance or in the month of the change.
            let used = 1 + below(partitions.len() as u64);
            let mut all: Vec<_> = (0..below(70)).map(|number| format!("{number:02}")).collect();
            all.reverse();
            for place in &all {
                for _ in 0..=u64::from(below(7) == 0) {
                    let partition = &mut partitions[usize::try_from(below(used)).unwrap()];
                    if partition.last() != Some(place) {
                        partition.push(place.clone());
                    }
                }
            }
            for size in 1..=20 {
                let pages = pages(&partitions, limit(size));
                assert!(pages.iter().all(|page| page.len() <= usize::from(size)), "{seed} by {size}");
                assert_eq!(pages.concat(), all, "{seed} by {size}");
            }
        }
    }

    #[test]
    fn a_page_is_full_where_chance_shares_out_about_evenly() {
        let mut below = numbers(1);
        let mut shards = vec![Vec::new(); usize::from(keys::AUDIT_SHARDS) + 1];
        for number in (0..1_000).rev() {
            shards[1 + usize::try_from(below(keys::AUDIT_SHARDS.into())).unwrap()]
                .push(format!("{number:03}"));
        }
        for size in [1, 10, 50, 100] {
            let pages = pages(&shards, limit(size));
            let full = pages.iter().filter(|page| page.len() == usize::from(size)).count();
            assert!(full * 10 >= (pages.len() - 1) * 9, "{full} of {} pages of {size}", pages.len());
        }
    }

    #[test]
    fn what_versions_with_and_without_shards_counted_is_one_count() {
        let part = |count| Part { entries: vec![("1".to_owned(), entry("1", count))], cut_off_at: None };
        let (entries, end) = merge(vec![part(Some(3)), part(Some(4))], limit(10));
        assert_eq!((entries, end), (vec![entry("1", Some(7))], None));
        let (entries, _) = merge(vec![part(None), part(None)], limit(10));
        assert_eq!(entries, [entry("1", None)]);
    }

    #[test]
    fn a_page_reads_of_each_shard_some_more_than_its_share() {
        let shares = [1, 2, 3, 10, 50, 100].map(|size| share(limit(size)).get());
        assert_eq!(shares, [1, 2, 3, 6, 16, 28]);
    }

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
