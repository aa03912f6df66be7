//! Entities of catalog files: how they are stored, what others say of them, and how many calls that takes.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures_util::future::join;
use gatehouse_domain::{
    audit::{Action, AuditFilter, Entry, ListAudit},
    catalog::{
        self, CreateService, CreatedService, Described, EditServiceError, EntityEdit, EntityFile,
        EntryOutcome, FileEntry, FindForImport, FindService, ForgetEntityError, Forgotten, FoundForImport,
        KeptSecrets, LeftService, SaveEntities, SaveService, SeenComponent, Service, ServiceDraft,
        WrittenEntry,
    },
    clock::Clock,
    entities::{self, Entity, EntityKind, EntityQuery, EntityRef, FindEntity, Shown, WrittenEntity},
    jobs::ImportMode,
    name::{ServiceName, TenantId},
    paging::{Limit, PageRequest},
    project::{Project, SaveProject},
    revision::{EditOutcome, Precondition, PreconditionError, Revision},
    store::StoreError,
};
use serde_json::{Value, json};

use crate::{
    catalog::{entry_of, saved, service},
    support::{NoSecrets, TestTable, admin, audit, behind, item, origin},
};

fn entry(kind: EntityKind, name: &str, spec: &Value) -> FileEntry {
    let metadata = serde_json::from_value(json!({ "name": name, "tags": ["java"] })).unwrap();
    let spec = serde_json::from_value(spec.clone()).unwrap();
    let written = WrittenEntity { kind, metadata, spec, rest: serde_json::Map::new() };
    FileEntry { written: name.to_owned(), entity: WrittenEntry::Entity(Box::new(written)) }
}

fn component(name: &str, more: &Value) -> FileEntry {
    let mut spec = json!({ "type": "service", "lifecycle": "production", "owner": "platform" });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    entry(EntityKind::Component, name, &spec)
}

async fn import(table: &TestTable, entries: Vec<FileEntry>, mode: ImportMode) -> Vec<EntryOutcome> {
    let (caller, origin) = (admin("acme"), origin());
    let file = EntityFile { entries, tenant: None, mode, dry_run: false };
    let (store, system) = (&*table.table, &*table.system);
    let imported = catalog::import_entities(store, system, &audit(&caller, &origin), file).await.unwrap();
    imported.into_iter().map(|imported| imported.outcome).collect()
}

async fn one(table: &TestTable, entry: FileEntry) -> EntryOutcome {
    import(table, vec![entry], ImportMode::EachOnItsOwn).await.remove(0)
}

async fn show(table: &TestTable, reference: &str) -> Shown {
    let reference = reference.parse().unwrap();
    entities::show(&*table.table, &admin("acme"), None, &reference).await.unwrap()
}

#[tokio::test]
async fn an_entity_and_what_it_says_of_others_are_stored_so() {
    let table = TestTable::new().await;
    let spec = json!({ "dependsOn": ["resource:db"], "system": "payments/core" });
    assert_eq!(one(&table, component("Shop", &spec)).await, EntryOutcome::Created);
    let mut stored = item(&table, "ENTITY#acme#component:default/shop", "ENTITY").await;
    let members = stored.as_object_mut().unwrap();
    for changing in ["revision", "created_at", "created_by", "updated_at", "updated_by"] {
        assert!(members.remove(changing).is_some(), "{changing}");
    }
    assert_eq!(
        stored,
        json!({
            "pk": "ENTITY#acme#component:default/shop", "sk": "ENTITY",
            "gsi1pk": "ENTITIES", "gsi1sk": "acme#component#default/shop",
            "tenant": "acme", "kind": "Component",
            "metadata": { "name": "Shop", "namespace": "default", "tags": ["java"] },
            "spec": {
                "type": "service", "lifecycle": "production", "owner": "group:default/platform",
                "system": "system:payments/core", "dependsOn": ["resource:default/db"],
            },
        })
    );
    let place = "ENTITY#RELATION#dependencyOf#component:default/shop";
    assert_eq!(
        item(&table, "ENTITY#acme#resource:default/db", place).await,
        json!({
            "pk": "ENTITY#acme#resource:default/db", "sk": place,
            "relation": "dependencyOf", "source": "component:default/shop",
        })
    );
}

#[tokio::test]
async fn each_use_takes_so_many_calls() {
    let table = TestTable::new().await;
    saved(&table, "acme", "shop").await;
    let shop = || component("shop", &json!({ "dependsOn": ["component:cart"] }));
    table.calls.take();
    let both = vec![component("cart", &json!({})), shop()];
    assert_eq!(
        import(&table, both.clone(), ImportMode::AllOrNothing).await,
        [EntryOutcome::Created, EntryOutcome::Created]
    );
    assert_eq!(
        table.calls.take(),
        ["BatchGetItem", "BatchGetItem", "TransactWriteItems"],
        "one for the services"
    );
    assert_eq!(
        import(&table, both, ImportMode::EachOnItsOwn).await,
        [EntryOutcome::Unchanged, EntryOutcome::Unchanged]
    );
    assert_eq!(table.calls.take(), ["BatchGetItem", "BatchGetItem"]);
    let shown = show(&table, "component:shop").await;
    assert_eq!(shown.relations.iter().filter(|it| it.missing).count(), 1, "{shown:?}");
    assert_eq!(table.calls.take(), ["Query", "BatchGetItem"]);
    let page = PageRequest::default();
    entities::list(&*table.table, &admin("acme"), EntityQuery::default(), &page).await.unwrap();
    assert_eq!(table.calls.take(), ["Query"]);
    let (caller, origin) = (admin("acme"), origin());
    let (store, system, audit) = (&*table.table, &*table.system, audit(&caller, &origin));
    let expected = Precondition::Revision(shown.entity.revision);
    let reference = "component:shop".parse().unwrap();
    let forgotten = catalog::forget(store, system, &audit, None, &reference, &expected).await.unwrap();
    assert!(forgotten.service.is_some());
    let calls = ["BatchGetItem", "BatchGetItem", "BatchGetItem", "TransactWriteItems"];
    assert_eq!(table.calls.take(), calls);
}

/// Puts the components `c0000` and so on of tenant `acme` into the table. The group `wanted` owns these of them.
async fn put_many(table: &TestTable, count: usize, wanted: &[usize]) {
    one(table, component("template", &json!({}))).await;
    let key = |text: &str| AttributeValue::S(text.to_owned());
    let place = |name: &str| AttributeValue::S(format!("ENTITY#acme#component:default/{name}"));
    let call = table.client.get_item().table_name(&table.name);
    let call = call.key("pk", place("template")).key("sk", key("ENTITY"));
    let template = call.send().await.unwrap().item.unwrap();
    let puts: Vec<_> = (0..count)
        .map(|n| {
            let (mut item, name) = (template.clone(), format!("c{n:04}"));
            let owner = if wanted.contains(&n) { "group:default/wanted" } else { "group:default/others" };
            item.insert("pk".to_owned(), place(&name));
            item.insert("gsi1sk".to_owned(), AttributeValue::S(format!("acme#component#default/{name}")));
            set(&mut item, "metadata", "name", &name);
            set(&mut item, "spec", "owner", owner);
            let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        })
        .collect();
    for batch in puts.chunks(25) {
        let call = table.client.batch_write_item().request_items(&table.name, batch.to_vec());
        let left = call.send().await.unwrap().unprocessed_items.unwrap_or_default();
        assert!(left.is_empty());
    }
}

fn set(item: &mut HashMap<String, AttributeValue>, map: &str, member: &str, value: &str) {
    let Some(AttributeValue::M(members)) = item.get_mut(map) else { panic!("no map {map}") };
    members.insert(member.to_owned(), AttributeValue::S(value.to_owned()));
}

/// The pages of components that a group owns, of two each: their names, and how many calls each took.
async fn owned_by(table: &TestTable, group: &str) -> Vec<(Vec<String>, usize)> {
    let owner = Some(format!("group:{group}").parse().unwrap());
    let (mut pages, mut cursor) = (Vec::new(), None);
    loop {
        let query = EntityQuery { owner: owner.clone(), ..EntityQuery::default() };
        table.calls.take();
        let request = PageRequest { limit: Limit::new(2).unwrap(), ..behind(cursor) };
        let page = entities::list(&*table.table, &admin("acme"), query, &request).await.unwrap();
        let calls = table.calls.take();
        assert!(calls.iter().all(|call| call == "Query"), "{calls:?}");
        let names = page.items.iter().map(|entity| entity.draft.metadata.name.as_str().to_owned());
        pages.push((names.collect(), calls.len()));
        cursor = page.next;
        if cursor.is_none() {
            return pages;
        }
    }
}

#[tokio::test]
async fn a_page_is_filled_in_so_many_queries_where_its_filter_leaves_much_out() {
    let table = TestTable::new().await;
    put_many(&table, 3000, &[0, 299, 599]).await;
    // The first cursor makes their key.
    let page = entities::list(&*table.table, &admin("acme"), EntityQuery::default(), &behind(None)).await;
    assert!(page.unwrap().next.is_some());
    let (names, calls): (Vec<_>, Vec<_>) = owned_by(&table, "wanted").await.into_iter().unzip();
    // The second page has looked through 2,252 components when it ends; the third finds the end of the list.
    assert_eq!(names, [vec!["c0000".to_owned(), "c0299".to_owned()], vec!["c0599".to_owned()], vec![]]);
    assert_eq!(calls, [3, 10, 2]);
    let nobodys: Vec<_> = owned_by(&table, "nobody").await.into_iter().map(|(_, calls)| calls).collect();
    assert_eq!(nobodys, [10, 4]);
}

#[tokio::test]
async fn of_two_imports_at_once_one_wins_and_the_other_says_so() {
    let table = TestTable::new().await;
    for round in 0..10 {
        let other = |owner: &str| component(&format!("c{round}"), &json!({ "owner": owner }));
        let (first, second) = join(one(&table, other("first")), one(&table, other("second"))).await;
        let won = |outcome: &EntryOutcome| matches!(outcome, EntryOutcome::Created | EntryOutcome::Changed);
        for outcome in [&first, &second] {
            match outcome {
                EntryOutcome::Refused(errors) => {
                    assert!(errors[0].detail.contains("at the same moment"), "{errors:?}");
                }
                outcome => assert!(won(outcome), "{outcome:?}"),
            }
        }
        assert!(won(&first) || won(&second));
        let shown = show(&table, &format!("component:c{round}")).await;
        let owner = shown.entity.draft.spec.owner.unwrap();
        for group in ["first", "second"] {
            assert_eq!(is_owner(&table, group, round).await, owner.name() == group, "{group}");
        }
    }
}

/// Whether the group, which is made where it is not there, knows that it owns the component.
async fn is_owner(table: &TestTable, group: &str, round: usize) -> bool {
    let reference = format!("group:{group}").parse().unwrap();
    if table.table.find_entity(&"acme".parse().unwrap(), &reference).await.unwrap().is_none() {
        one(table, entry(EntityKind::Group, group, &json!({ "type": "team" }))).await;
    }
    let shown = show(table, &format!("group:{group}")).await;
    let owned = format!("component:default/c{round}");
    shown.relations.iter().any(|relationship| relationship.target.to_string() == owned)
}

/// A table in which somebody imports `c3` whenever an import has read what there is.
struct Overtaken<'a>(&'a TestTable);

#[async_trait]
impl FindForImport for Overtaken<'_> {
    async fn find_for_import(
        &self,
        tenant: &TenantId,
        entities: &BTreeSet<EntityRef>,
        services: &BTreeSet<ServiceName>,
    ) -> Result<FoundForImport, StoreError> {
        let found = self.0.table.find_for_import(tenant, entities, services).await?;
        one(self.0, component("c3", &json!({ "owner": "others" }))).await;
        Ok(found)
    }
}

#[async_trait]
impl SaveEntities for Overtaken<'_> {
    async fn save_entities(&self, edits: &[EntityEdit]) -> Result<EditOutcome, StoreError> {
        self.0.table.save_entities(edits).await
    }

    async fn delete_entity(
        &self,
        entity: &Entity,
        service: &LeftService,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        self.0.table.delete_entity(entity, service, entry).await
    }
}

#[tokio::test]
async fn a_file_is_saved_five_at_a_time_and_who_was_overtaken_is_refused_alone() {
    let table = TestTable::new().await;
    let entries = || (0..12).map(|n| component(&format!("c{n}"), &json!({}))).collect::<Vec<_>>();
    table.calls.take();
    let created = import(&table, entries(), ImportMode::EachOnItsOwn).await;
    assert!(created.iter().all(|outcome| *outcome == EntryOutcome::Created), "{created:?}");
    let calls = table.calls.take();
    assert_eq!(calls, ["BatchGetItem", "TransactWriteItems", "TransactWriteItems", "TransactWriteItems"]);

    let (caller, origin) = (admin("acme"), origin());
    let entries = (0..12).map(|n| component(&format!("c{n}"), &json!({ "owner": "we" }))).collect();
    let file = EntityFile { entries, tenant: None, mode: ImportMode::EachOnItsOwn, dry_run: false };
    let audit = audit(&caller, &origin);
    let imported = catalog::import_entities(&Overtaken(&table), &*table.system, &audit, file).await.unwrap();
    for (n, imported) in imported.into_iter().enumerate() {
        let refused = matches!(imported.outcome, EntryOutcome::Refused(_));
        assert_eq!((imported.outcome == EntryOutcome::Changed, refused), (n != 3, n == 3), "c{n}");
        let owner =
            show(&table, &format!("component:c{n}")).await.entity.draft.spec.owner.unwrap().to_string();
        assert_eq!(owner, if n == 3 { "group:default/others" } else { "group:default/we" }, "c{n}");
    }
}

#[tokio::test]
async fn an_edit_of_the_service_and_an_import_at_once_lose_nothing() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let (caller, origin) = (admin("acme"), origin());
    let (store, system) = (&*table.table, &*table.system);
    one(&table, component("shop", &json!({}))).await;
    let found = store.find_service(&shop.id).await.unwrap().unwrap().service;
    // The import of another owner comes between the read and the edit.
    one(&table, component("shop", &json!({ "owner": "others" }))).await;
    let spec = found.spec.clone().in_project(Some(found.spec.project.clone()));
    let kept_secrets = KeptSecrets::new();
    let draft = ServiceDraft { tenant: None, name: shop.name.clone(), spec, kept_secrets };
    let expected = Precondition::Revision(found.revision);
    let audit = audit(&caller, &origin);
    let edited = catalog::replace(store, &NoSecrets, system, &audit, &shop.id, draft, &expected).await;
    assert!(edited.is_err(), "the edit was of a service that was described another way");
    let now = store.find_service(&shop.id).await.unwrap().unwrap().service;
    assert_eq!(now.spec.owner, "group:others");
    assert_eq!(now.described.unwrap().tags, ["java"]);
}

#[tokio::test]
async fn one_that_was_changed_since_is_not_deleted() {
    let table = TestTable::new().await;
    one(&table, component("shop", &json!({}))).await;
    let before = show(&table, "component:shop").await.entity.revision;
    one(&table, component("shop", &json!({ "owner": "others" }))).await;
    let (caller, origin) = (admin("acme"), origin());
    let audit = audit(&caller, &origin);
    let reference = "component:shop".parse().unwrap();
    let expected = Precondition::Revision(before);
    let refused = catalog::forget(&*table.table, &*table.system, &audit, None, &reference, &expected)
        .await
        .unwrap_err();
    assert!(matches!(refused, ForgetEntityError::Precondition(PreconditionError::Failed)), "{refused:?}");
}

async fn forget(table: &TestTable, entity: &Entity) -> Result<Forgotten, ForgetEntityError> {
    let (caller, origin) = (admin("acme"), origin());
    let (store, system, audit) = (&*table.table, &*table.system, audit(&caller, &origin));
    let expected = Precondition::Revision(entity.revision.clone());
    catalog::forget(store, system, &audit, None, &entity.reference(), &expected).await
}

#[tokio::test]
async fn a_service_is_created_only_while_its_component_is_as_it_was_read() {
    let table = TestTable::new().await;
    let shop = service(&table, "acme", "shop");
    let create = async |component: &Entity, revision: Option<&Revision>| {
        let described = revision.map(|_| Described { by: component.reference(), tags: Vec::new() });
        let shop = Service { described, ..shop.clone() };
        let seen = SeenComponent { reference: component.reference(), revision: revision.cloned() };
        table.table.create_service(&shop, Some(&seen), &entry_of(&table, &shop)).await.unwrap()
    };
    one(&table, component("shop", &json!({}))).await;
    let first = show(&table, "component:shop").await.entity;
    one(&table, component("shop", &json!({ "owner": "others" }))).await;
    let second = show(&table, "component:shop").await.entity;
    // It was written since, as another one or as the first.
    for revision in [Some(&first.revision), None] {
        let created = create(&first, revision).await;
        assert!(matches!(created, CreateService::ComponentChanged), "{created:?}");
    }
    forget(&table, &second).await.unwrap();
    let created = create(&second, Some(&second.revision)).await;
    assert!(matches!(created, CreateService::ComponentChanged), "it is gone: {created:?}");
    assert!(table.table.find_service(&shop.id).await.unwrap().is_none());
    assert!(matches!(create(&second, None).await, CreateService::Created));
}

#[tokio::test]
async fn a_component_is_deleted_only_while_the_service_of_its_name_is_as_it_was_read() {
    let table = TestTable::new().await;
    one(&table, component("shop", &json!({}))).await;
    let component = show(&table, "component:shop").await.entity;
    let delete = async |holder| {
        let seen = LeftService::Kept { name: "shop".parse().unwrap(), holder };
        let entry = table.entry("user:ada", "entity:acme/component:default/shop", Some("acme"));
        table.table.delete_entity(&component, &seen, &entry).await.unwrap()
    };
    let other = saved(&table, "acme", "other").await.id;
    assert_eq!(delete(Some(other.clone())).await, EditOutcome::Conflict, "nobody has the name");
    let described = Some(Described { by: component.reference(), tags: Vec::new() });
    let shop = Service { described, ..service(&table, "acme", "shop") };
    let seen = SeenComponent { reference: component.reference(), revision: Some(component.revision.clone()) };
    table.table.create_service(&shop, Some(&seen), &entry_of(&table, &shop)).await.unwrap();
    // Whoever deletes the component has looked for its service before that.
    for holder in [None, Some(other)] {
        assert_eq!(delete(holder).await, EditOutcome::Conflict);
    }
    assert_eq!(show(&table, "component:shop").await.entity, component);
    // Who looks again finds it.
    let left = forget(&table, &component).await.unwrap().service.unwrap();
    assert_eq!((left.id, left.described), (shop.id, None));
}

#[tokio::test]
async fn no_service_is_described_by_a_component_that_was_deleted_while_it_was_created() {
    let table = TestTable::new().await;
    let (caller, origin) = (admin("acme"), origin());
    let (store, system, audit) = (&*table.table, &*table.system, audit(&caller, &origin));
    let project = service(&table, "acme", "any").spec.project;
    let project = Project::new(project, "acme".parse().unwrap(), Revision::new(system), system.now());
    let entry = table.entry("user:ada", "project:payments", Some("acme"));
    store.save_project(&project, None, &entry).await.unwrap();
    for round in 0..10 {
        let name = format!("c{round}");
        one(&table, component(&name, &json!({}))).await;
        let component = show(&table, &format!("component:{name}")).await.entity;
        let wanted = service(&table, "acme", &name);
        let spec = wanted.spec.clone().in_project(Some(wanted.spec.project.clone()));
        let kept_secrets = KeptSecrets::new();
        let draft = ServiceDraft { tenant: None, name: wanted.name, spec, kept_secrets };
        let create = catalog::create(store, &NoSecrets, system, &audit, draft, None, wanted.fingerprint);
        let (created, forgotten) = join(create, forget(&table, &component)).await;
        let is_there = store.find_entity(&component.tenant, &component.reference()).await.unwrap().is_some();
        match forgotten {
            Ok(_) => assert!(!is_there),
            Err(error) => assert!(matches!(error, ForgetEntityError::Precondition(_)), "{error:?}"),
        }
        match created {
            Ok(CreatedService { service, .. }) => {
                let found = store.find_service(&service.id).await.unwrap().unwrap().service;
                assert!(is_there || found.described.is_none(), "{found:?}");
            }
            Err(error) => assert!(matches!(error, EditServiceError::ComponentChanged), "{error:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_done_to_a_group_says_in_the_trail_who_came_and_went() {
    let table = TestTable::new().await;
    let group =
        |members: &[&str]| entry(EntityKind::Group, "leads", &json!({ "type": "team", "members": members }));
    one(&table, group(&["ada", "bob"])).await;
    one(&table, group(&["bob", "eve"])).await;
    let (now, page) = (table.system.now(), PageRequest::default());
    let trail = table.table.list_audit(&AuditFilter::Everything, now, &page).await.unwrap().items;
    let told: Vec<_> = trail
        .iter()
        .filter(|entry| entry.action == Action::PutEntity)
        .map(|entry| (entry.target.as_str(), entry.detail.as_deref()))
        .collect();
    assert_eq!(
        told,
        [
            ("entity:acme/group:default/leads", Some("members: +eve -ada")),
            ("entity:acme/group:default/leads", Some("members: +ada +bob")),
        ]
    );
}
