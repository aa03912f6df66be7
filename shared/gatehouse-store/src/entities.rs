//! Entities of catalog files, what they say of each other, and the services that they describe.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::builders::PutBuilder};
use gatehouse_domain::{
    audit::Entry,
    catalog::{EntityEdit, FindForImport, FoundForImport, LeftService, SaveEntities, Service, ServiceEdit},
    entities::{
        Entity, EntityFilter, EntityRef, FindEntity, FindRelated, ListEntities, MAX_RELATED, Related,
        Relation,
    },
    name::{ServiceName, TenantId},
    paging::{ListError, Page, PageRequest},
    revision::{EditOutcome, Revision},
    store::StoreError,
};
use serde::{Deserialize, Serialize};

use crate::{
    Table,
    error::unavailable,
    item::{IF_ABSENT, IF_REVISION, Item, PK, SK, compose, corrupt, decompose, key_attributes, text},
    keys,
    lists::{Bounds, Section},
    services::{IF_NAMED, StoredName},
    transaction::{Outcome, Transaction},
};

/// What an entity says of another one, in the place where that one finds it.
#[derive(Serialize, Deserialize)]
struct StoredRelation {
    /// As seen from the other one.
    relation: String,
    source: EntityRef,
}

#[async_trait]
impl FindEntity for Table {
    async fn find_entity(
        &self,
        tenant: &TenantId,
        reference: &EntityRef,
    ) -> Result<Option<Entity>, StoreError> {
        self.find(keys::entity(tenant, reference)).await?.map(decompose).transpose()
    }
}

#[async_trait]
impl FindRelated for Table {
    async fn find_related(
        &self,
        tenant: &TenantId,
        reference: &EntityRef,
    ) -> Result<Option<Related>, StoreError> {
        let call = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :entity")
            .expression_attribute_values(":entity", text(keys::with_relations(tenant, reference)))
            // The entity, which sorts before its relations, and one more than are shown.
            .limit(i32::try_from(MAX_RELATED + 2).unwrap_or(i32::MAX));
        let answer = call.send().await.map_err(unavailable)?;
        let mut more = answer.last_evaluated_key.is_some();
        let (mut entity, mut said_by_others) = (None, BTreeSet::new());
        for item in answer.items.unwrap_or_default() {
            if item.get(SK) == Some(&text("ENTITY")) {
                entity = Some(decompose(item)?);
            } else {
                let StoredRelation { relation, source } = decompose(item)?;
                let relation: Relation = relation.parse().map_err(corrupt)?;
                said_by_others.insert((relation, source));
            }
        }
        while said_by_others.len() > MAX_RELATED {
            more = said_by_others.pop_last().is_some();
        }
        Ok(entity.map(|entity| Related { entity, said_by_others, more }))
    }

    async fn which_exist(
        &self,
        tenant: &TenantId,
        references: &BTreeSet<EntityRef>,
    ) -> Result<BTreeSet<EntityRef>, StoreError> {
        let wanted = references.iter().map(|reference| keys::entity(tenant, reference)).collect();
        let found = self.find_keys(wanted).await?;
        let found: BTreeSet<_> =
            found.iter().filter_map(|item| item.get(PK)?.as_s().ok().map(String::as_str)).collect();
        let there = |reference: &&EntityRef| found.contains(keys::with_relations(tenant, reference).as_str());
        Ok(references.iter().filter(there).cloned().collect())
    }
}

#[async_trait]
impl ListEntities for Table {
    async fn list_entities(
        &self,
        filter: &EntityFilter,
        page: &PageRequest,
    ) -> Result<Page<Entity>, ListError> {
        let section = |after| {
            Section::of(keys::ENTITIES, &filter.tenants, after, |tenant| {
                // Of several tenants' lists, a page may begin with the next tenant's, and not with a kind of it.
                Bounds::all(match filter.query.kind {
                    Some(kind) if filter.tenants.sole().is_some() => keys::of_kind(tenant, kind),
                    Some(_) | None => keys::of_tenant(tenant),
                })
            })
        };
        self.fill_page(keys::ENTITIES, page, section, |call| narrow(call, filter), decompose).await
    }
}

/// Leaves out what is not wanted of what is read. The kind is said here as well: the list of several tenants goes through
/// all kinds.
fn narrow(call: QueryFluentBuilder, filter: &EntityFilter) -> QueryFluentBuilder {
    let query = &filter.query;
    let reference = |reference: &Option<EntityRef>| reference.as_ref().map(ToString::to_string);
    let wanted = [
        ("#kind = :kind", ":kind", query.kind.map(|kind| kind.as_written().to_owned())),
        ("#spec.#owner = :owner", ":owner", reference(&query.owner)),
        ("#spec.#system = :system", ":system", reference(&query.system)),
        ("#spec.#lifecycle = :lifecycle", ":lifecycle", query.lifecycle.clone()),
        ("contains(#metadata.#tags, :tag)", ":tag", query.tag.clone()),
        ("contains(#spec.#members, :member)", ":member", query.member.as_ref().map(ToString::to_string)),
    ];
    let wanted: Vec<_> =
        wanted.into_iter().filter_map(|(how, name, value)| Some((how, name, value?))).collect();
    if wanted.is_empty() {
        return call;
    }
    let condition = wanted.iter().map(|(how, ..)| *how).collect::<Vec<_>>().join(" AND ");
    let words = condition.split(|it: char| it != '#' && !it.is_ascii_alphabetic());
    let names: BTreeSet<_> = words.filter(|word| word.starts_with('#')).collect();
    let call = names.into_iter().fold(call.filter_expression(&condition), |call, name| {
        call.expression_attribute_names(name, name.trim_start_matches('#'))
    });
    wanted
        .into_iter()
        .fold(call, |call, (_, name, value)| call.expression_attribute_values(name, text(value)))
}

#[async_trait]
impl FindForImport for Table {
    async fn find_for_import(
        &self,
        tenant: &TenantId,
        entities: &BTreeSet<EntityRef>,
        services: &BTreeSet<ServiceName>,
    ) -> Result<FoundForImport, StoreError> {
        let wanted = entities.iter().map(|reference| keys::entity(tenant, reference));
        let wanted = wanted.chain(services.iter().map(|name| keys::service_name(tenant, name)));
        let (mut found, mut ids) = (FoundForImport::default(), Vec::new());
        for item in self.find_all(wanted.collect()).await? {
            // One batch holds both; an item's sort key says which it is.
            if item.get(SK) == Some(&text("ENTITY")) {
                let entity: Entity = decompose(item)?;
                found.entities.insert(entity.reference(), entity);
            } else {
                ids.push(keys::service(&decompose::<StoredName>(item)?.service_id));
            }
        }
        let services = self.find_all(ids).await?.into_iter().map(decompose::<Service>);
        let services = services.map(|service| service.map(|service| (service.name.clone(), service)));
        found.services = services.collect::<Result<BTreeMap<_, _>, _>>()?;
        Ok(found)
    }
}

#[async_trait]
impl SaveEntities for Table {
    async fn save_entities(&self, edits: &[EntityEdit]) -> Result<EditOutcome, StoreError> {
        let mut transaction = Transaction::default();
        for edit in edits {
            self.add_entity(&mut transaction, edit)?;
        }
        let entries: Vec<_> = edits.iter().flat_map(|edit| edit.entries.iter().cloned()).collect();
        self.write_with_entries(transaction, &entries).await.map(Outcome::of_edit)
    }

    async fn delete_entity(
        &self,
        entity: &Entity,
        service: &LeftService,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        let mut transaction = Transaction::default();
        let source = entity.reference();
        let delete = self
            .transact_delete(key_attributes(keys::entity(&entity.tenant, &source)))
            .condition_expression(IF_REVISION)
            .expression_attribute_values(":revision", text(entity.revision.as_str()));
        transaction.delete(delete)?;
        for (relation, target) in entity.draft.edges() {
            let key = keys::relation(&entity.tenant, &target, relation.inverse(), &source);
            // No condition: what an entity says belongs to it, whose own condition decides.
            transaction.delete(self.transact_delete(key_attributes(key)))?;
        }
        match service {
            LeftService::None => {}
            LeftService::Edited(edit) => self.add_description(&mut transaction, edit)?,
            LeftService::Kept { name, holder } => {
                let check = self.transact_check(key_attributes(keys::service_name(&entity.tenant, name)));
                transaction.check(match holder {
                    None => check.condition_expression(IF_ABSENT),
                    Some(service) => check
                        .condition_expression(IF_NAMED)
                        .expression_attribute_values(":service", text(service.as_str())),
                })?;
            }
        }
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }
}

impl Table {
    /// The writes that make one edit. What it says of others has no condition of its own: the revision's makes sure that
    /// it stands where `previous` says.
    fn add_entity(&self, transaction: &mut Transaction, edit: &EntityEdit) -> Result<(), StoreError> {
        let EntityEdit { entity, previous, service, .. } = edit;
        let (tenant, source) = (&entity.tenant, entity.reference());
        let item = compose(keys::entity(tenant, &source), Some(keys::entity_in_list(entity)), entity)?;
        transaction.put(self.where_it_stands(item, previous.as_ref().map(|previous| &previous.revision)))?;
        let before = previous.as_ref().map(|previous| previous.draft.edges()).unwrap_or_default();
        let after = entity.draft.edges();
        for (relation, target) in before.difference(&after) {
            let key = keys::relation(tenant, target, relation.inverse(), &source);
            transaction.delete(self.transact_delete(key_attributes(key)))?;
        }
        for (relation, target) in after.difference(&before) {
            let seen = relation.inverse();
            let stored = StoredRelation { relation: seen.as_str().to_owned(), source: source.clone() };
            let item = compose(keys::relation(tenant, target, seen, &source), None, &stored)?;
            transaction.put(self.transact_put(item))?;
        }
        match service {
            None => Ok(()),
            Some(edit) => self.add_description(transaction, edit),
        }
    }

    /// Another description of a service. Its project stays, by which its name is listed, and so does that.
    fn add_description(&self, transaction: &mut Transaction, edit: &ServiceEdit) -> Result<(), StoreError> {
        let item = crate::services::item(&edit.service)?;
        transaction.put(self.where_it_stands(item, Some(&edit.previous)))
    }

    fn where_it_stands(&self, item: Item, previous: Option<&Revision>) -> PutBuilder {
        let put = self.transact_put(item);
        match previous {
            None => put.condition_expression(IF_ABSENT),
            Some(previous) => put
                .condition_expression(IF_REVISION)
                .expression_attribute_values(":revision", text(previous.as_str())),
        }
    }
}
