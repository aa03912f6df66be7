//! Lists: by tenant and name, and by time with the newest first.
//!
//! A cursor holds the sort key that a page ended with, sealed. The next page is asked for as "behind it" in the key
//! condition, so that even a key which got into a cursor otherwise could only choose a place within the list.

use aws_sdk_dynamodb::operation::query::{QueryOutput, builders::QueryFluentBuilder};
use gatehouse_domain::{
    caller::Tenants,
    name::TenantId,
    paging::{InvalidCursor, Limit, ListError, Page, PageRequest},
    store::StoreError,
};

use crate::{
    Table,
    error::unavailable,
    item::{INDEX, INDEX_SK, Item, SK, size, text},
    keys,
};

/// Sorts before every character that a sort key is made of.
const FIRST: char = ' ';

/// Sorts behind every character that a sort key is made of.
const LAST: char = '\u{7f}';

/// How often a list is read for one page at most, where things are left out of it.
const READS: usize = 10;

/// How many things are looked through in one query, where the first page of them did not fill the page.
const LOOKED_THROUGH: i32 = 250;

/// How large the things of a page may be before it is handed over as it is, in bytes. An answer of Lambda has 6 MB at most,
/// and is JSON within JSON: of a text that is JSON itself, a quotation mark takes four bytes there.
const FULL_AT: usize = 1024 * 1024;

/// Which sort keys of a tenant are wanted.
pub struct Bounds {
    /// What all of them begin with.
    prefix: String,
    /// The first that is wanted.
    from: String,
    /// The last that is wanted.
    to: String,
}

impl Bounds {
    /// All that begin with `prefix`.
    pub fn all(prefix: String) -> Self {
        Self { from: prefix.clone(), to: format!("{prefix}{LAST}"), prefix }
    }

    /// Those behind all that begin with `start`.
    pub fn behind(self, start: &str) -> Self {
        Self { from: format!("{start}{LAST}"), ..self }
    }

    /// Those up to and with all that begin with `end`.
    pub fn until(self, end: &str) -> Self {
        Self { to: format!("{end}{LAST}"), ..self }
    }
}

/// What one page reads of a list by tenant.
pub struct Section {
    list: &'static str,
    from: String,
    to: String,
    /// The tenant whose things come after this one's.
    next_tenant: Option<TenantId>,
}

impl Section {
    /// The section that a page of these tenants' things reads, behind `after`; `None` when there are no tenants. A page
    /// that ends with a tenant is short, and the next one begins with the next tenant.
    pub fn of(
        list: &'static str,
        tenants: &Tenants,
        after: Option<String>,
        bounds: impl Fn(&TenantId) -> Bounds,
    ) -> Result<Option<Self>, InvalidCursor> {
        let Tenants::Only(tenants) = tenants else {
            return Self::within(list, Bounds::all(String::new()), after, None).map(Some);
        };
        let wanted = after.as_deref().and_then(|key| key.split('#').next()).map(str::to_owned);
        let mut tenants =
            tenants.iter().skip_while(|tenant| wanted.as_deref().is_some_and(|w| w != tenant.as_str()));
        let Some(tenant) = tenants.next() else {
            return if wanted.is_some() { Err(InvalidCursor) } else { Ok(None) };
        };
        let next = tenants.next().cloned();
        Self::within(list, bounds(tenant), after, next).map(Some)
    }

    /// The section of a list without tenants that ends with all that begin with `end`.
    pub fn until(list: &'static str, end: &str, after: Option<String>) -> Result<Self, InvalidCursor> {
        Self::within(list, Bounds::all(String::new()).until(end), after, None)
    }

    fn within(
        list: &'static str,
        bounds: Bounds,
        after: Option<String>,
        next_tenant: Option<TenantId>,
    ) -> Result<Self, InvalidCursor> {
        let Bounds { prefix, from, to } = bounds;
        let from = match after {
            Some(key) if !key.starts_with(&prefix) => return Err(InvalidCursor),
            Some(key) => from.max(format!("{key}{FIRST}")),
            None if from.is_empty() => FIRST.to_string(),
            None => from,
        };
        Ok(Self { list, from, to, next_tenant })
    }

    /// Whether nothing can be in it. The table refuses to be asked for such a section.
    fn is_empty(&self) -> bool {
        self.from > self.to
    }

    /// Where the page ends that the table ended at this sort key, or with the section.
    fn end(&self, end: Option<String>) -> Option<String> {
        end.or_else(|| self.next_tenant.as_ref().map(keys::of_tenant))
    }
}

/// The sort key that the table stopped at, when there is more.
pub fn end_of(answer: &QueryOutput, sort_key: &str) -> Option<String> {
    answer.last_evaluated_key.as_ref()?.get(sort_key)?.as_s().ok().cloned()
}

/// A partition that is sorted by time.
pub struct ByTime {
    pub partition: String,
    /// Whether it is one of the index.
    pub in_index: bool,
    /// Behind the last sort key that is wanted.
    pub before: Option<String>,
}

impl ByTime {
    /// The attribute that it is sorted by.
    pub fn sort_key(&self) -> &'static str {
        if self.in_index { INDEX_SK } else { SK }
    }

    fn adorn(&self, call: QueryFluentBuilder) -> QueryFluentBuilder {
        let (list, place) = if self.in_index { ("gsi1pk = :list", INDEX_SK) } else { ("pk = :list", SK) };
        let call = if self.in_index { call.index_name(INDEX) } else { call };
        let call = call.expression_attribute_values(":list", text(self.partition.clone()));
        match &self.before {
            None => call.key_condition_expression(list),
            Some(before) => call
                .key_condition_expression(format!("{list} AND {place} < :before"))
                .expression_attribute_values(":before", text(before.clone())),
        }
    }
}

impl Table {
    /// One query of a section of a list by tenant; `more` may add a filter.
    pub(crate) async fn list_section<T>(
        &self,
        section: Option<Section>,
        page: &PageRequest,
        more: impl FnOnce(QueryFluentBuilder) -> QueryFluentBuilder,
        read: impl Fn(Item) -> Result<T, StoreError>,
    ) -> Result<Page<T>, ListError> {
        let Some(section) = section else { return Ok(Page { items: Vec::new(), next: None }) };
        let (items, end) = self.read_section(&section, page.limit.get().into(), more).await?;
        let items = items.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Page { items, next: self.next(section.list, page, end).await? })
    }

    /// A page of a list by tenant, of whose things `more` leaves some out: they are read over until the page is full, in
    /// number or in size, or ten queries were made, each of at most 250 items or 1 MB; then it may be short, or empty, and
    /// still have a next one.
    /// `section` is what there is behind a place in the list.
    pub(crate) async fn fill_page<T>(
        &self,
        list: &'static str,
        page: &PageRequest,
        section: impl Fn(Option<String>) -> Result<Option<Section>, InvalidCursor>,
        more: impl Fn(QueryFluentBuilder) -> QueryFluentBuilder,
        read: impl Fn(Item) -> Result<T, StoreError>,
    ) -> Result<Page<T>, ListError> {
        let mut after = self.place(list, page).await?;
        let full = usize::from(page.limit.get());
        let mut limit = i32::from(page.limit.get());
        let (mut found, mut bytes) = (Vec::new(), 0);
        for _ in 0..READS {
            let Some(section) = section(after.take())? else { break };
            let (items, end) = self.read_section(&section, limit, &more).await?;
            let all = items.len();
            for (place, item) in items.into_iter().enumerate() {
                let sort_key = item.get(INDEX_SK).and_then(|key| key.as_s().ok()).cloned();
                bytes += size(&item);
                found.push(read(item)?);
                if found.len() == full || bytes >= FULL_AT {
                    // Behind the last one that is shown; or behind all that were read, if that is the same.
                    let next = if place + 1 < all { sort_key } else { end };
                    return Ok(Page { items: found, next: self.next(list, page, next).await? });
                }
            }
            after = end;
            if after.is_none() {
                break;
            }
            limit = LOOKED_THROUGH;
        }
        Ok(Page { items: found, next: self.next(list, page, after).await? })
    }

    /// The items of a section, at most so many before `more` leaves some out, and where the next section begins.
    async fn read_section(
        &self,
        section: &Section,
        limit: i32,
        more: impl FnOnce(QueryFluentBuilder) -> QueryFluentBuilder,
    ) -> Result<(Vec<Item>, Option<String>), StoreError> {
        if section.is_empty() {
            return Ok((Vec::new(), section.end(None)));
        }
        let call = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(INDEX)
            .key_condition_expression("gsi1pk = :list AND gsi1sk BETWEEN :from AND :to")
            .expression_attribute_values(":list", text(section.list))
            .expression_attribute_values(":from", text(section.from.clone()))
            .expression_attribute_values(":to", text(section.to.clone()))
            .limit(limit);
        let answer = more(call).send().await.map_err(unavailable)?;
        let end = section.end(end_of(&answer, INDEX_SK));
        Ok((answer.items.unwrap_or_default(), end))
    }

    /// One strongly consistent query of a partition of the table, in the order of its sort keys.
    pub(crate) async fn list_partition<T>(
        &self,
        partition: &'static str,
        page: &PageRequest,
        read: impl Fn(Item) -> Result<T, StoreError>,
    ) -> Result<Page<T>, ListError> {
        let after = self.place(partition, page).await?;
        let call = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .expression_attribute_values(":list", text(partition))
            .limit(page.limit.get().into());
        let call = match after {
            None => call.key_condition_expression("pk = :list"),
            Some(after) => call
                .key_condition_expression("pk = :list AND sk > :after")
                .expression_attribute_values(":after", text(after)),
        };
        let answer = call.send().await.map_err(unavailable)?;
        let next = self.next(partition, page, end_of(&answer, SK)).await?;
        let items = answer.items.unwrap_or_default().into_iter().map(read);
        Ok(Page { items: items.collect::<Result<_, _>>()?, next })
    }

    /// One query of a partition by time, the newest first.
    pub(crate) async fn newest_first(&self, list: &ByTime, limit: Limit) -> Result<QueryOutput, StoreError> {
        let call = self.client.query().table_name(&self.name).scan_index_forward(false);
        let call = list.adorn(call).limit(limit.get().into());
        call.send().await.map_err(unavailable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(tenants: &str, after: Option<&str>) -> Option<(String, String)> {
        let all = |tenant: &TenantId| Bounds::all(keys::of_tenant(tenant));
        let section =
            Section::of(keys::PROJECTS, &tenants.parse().unwrap(), after.map(str::to_owned), all).ok()??;
        Some((section.from, section.to))
    }

    #[test]
    fn a_section_begins_behind_the_cursor_and_ends_with_the_tenant() {
        assert_eq!(section("acme,beta", None), Some(("acme#".into(), "acme#\u{7f}".into())));
        assert_eq!(section("acme,beta", Some("beta#")), Some(("beta# ".into(), "beta#\u{7f}".into())));
        assert_eq!(section("acme", Some("acme#x")), Some(("acme#x ".into(), "acme#\u{7f}".into())));
        assert_eq!(section("*", Some("acme#x")), Some(("acme#x ".into(), "\u{7f}".into())));
    }

    #[test]
    fn a_cursor_of_another_tenant_is_refused() {
        assert_eq!(section("acme", Some("beta#x")), None);
        assert_eq!(section("acme", Some("acmeb#x")), None);
        assert_eq!(section("", None), None);
    }

    #[test]
    fn a_cursor_of_another_part_of_a_tenants_list_is_refused() {
        let of_project = || Bounds::all("acme#a2#".into());
        let within = |after: &str| Section::within(keys::JOBS, of_project(), Some(after.to_owned()), None);
        assert!(within("acme#a1#x").is_err() && within("acme#a2").is_err());
        assert!(within("acme#a2#x").is_ok());
    }

    #[test]
    fn a_section_whose_beginning_has_passed_its_end_is_empty() {
        let bounds = || Bounds::all("acme#".into()).until("acme#2026");
        let from =
            |after: &str| Section::within(keys::TOKENS, bounds(), Some(after.to_owned()), None).unwrap();
        assert!(!from("acme#2025").is_empty());
        assert!(from("acme#2027").is_empty());
    }
}
