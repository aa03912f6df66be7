//! Services: their names, their environments, and lists of them.

use std::{collections::BTreeSet, slice, time::Duration};

use async_trait::async_trait;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use futures_util::future::join_all;
use gatehouse_domain::{
    audit::Entry,
    caller::Tenants,
    catalog::{
        self, Category, CreateService, DeployTarget, Deployed, EditServiceError, EnvironmentEdits,
        EnvironmentSpec, EnvironmentState, FindService, Infrastructure, KeptSecrets, Lifecycle, Link,
        ListServices, Provisioned, Registered, SaveService, SeenComponent, Service, ServiceDraft,
        ServiceFilter, ServiceSpec, Settled,
    },
    clock::Clock,
    entities::{Entity, EntityRef, FindEntity},
    id::ServiceId,
    idempotency::IdempotencyKey,
    jobs::{Existing, FindForEdit},
    json::{self, Json, Object},
    modules::{FindModule, Module},
    name::{JobId, ModuleName, ProjectName, TenantId},
    operations::{BeginOutcome, Operation, reconcile::ListOpenOperations},
    paging::{Limit, ListError, PageRequest},
    project::{ListProjects, Project, SaveProject},
    revision::{EditOutcome, Precondition, Revision},
    store::StoreError,
};
use serde_json::json;

use crate::{
    catalog::{
        begin, begun, edited, end, entry_of, environment, operation, present, provisioned, publish, saved,
        service, state,
    },
    support::{NoSecrets, TestTable, admin, audit, behind, origin, pages},
};

async fn create(table: &TestTable, service: &Service) -> CreateService {
    table.table.create_service(service, None, &entry_of(table, service)).await.unwrap()
}

async fn replace(table: &TestTable, service: &Service, previous: &Service, removed: &[&str]) -> EditOutcome {
    let removed = removed.iter().map(|name| name.parse().unwrap()).collect();
    let edits = EnvironmentEdits { removed, ..EnvironmentEdits::default() };
    let entry = entry_of(table, service);
    table.table.replace_service(service, &previous.revision, &edits, &entry).await.unwrap()
}

/// Deletes the service as it is read now.
async fn delete(table: &TestTable, service: &Service) -> EditOutcome {
    let found = table.table.find_service(&service.id).await.unwrap();
    let states: Vec<_> = found.into_iter().flat_map(|found| found.environments.into_values()).collect();
    table.table.delete_service(service, &states, &entry_of(table, service)).await.unwrap()
}

async fn find(table: &TestTable, service: &Service) -> Option<Service> {
    table.table.find_service(&service.id).await.unwrap().map(|found| found.service)
}

/// JSON that a table's own types would change or refuse.
fn inputs() -> Object {
    let deep = (0..60).fold(json!("bottom"), |inner, _| json!([inner]));
    let inputs = json!({
        "": "", "whole": 1.0, "great": 1e200, "most": u64::MAX, "least": i64::MIN, "none": null,
        "deep": deep, "text": "ä\u{0}\"", "list": [], "object": {},
    });
    let mut inputs = json::object(inputs.as_object().unwrap().clone());
    let exact = "[123456789012345678901234567890,1.50,-0,1E+400]";
    inputs.insert("exact".to_owned(), Json::parse(exact).unwrap());
    inputs
}

#[tokio::test]
async fn a_service_comes_back_as_it_was_saved() {
    let table = TestTable::new().await;
    let bare = service(&table, "acme", "bare");
    let bare = Service { spec: ServiceSpec { environments: Vec::new(), ..bare.spec }, ..bare };
    let full = service(&table, "acme", "full");
    let job = DeployTarget::Job("job_deploy".parse().unwrap());
    let special = EnvironmentSpec {
        category: Category::Prod,
        approval_required: true,
        inputs: inputs(),
        ttl_hours: Some(8784),
        drift_hours: Some(744),
        deploy: Some(DeployTarget::Webhook("https://deploy.example/canary".into())),
        ..environment("prod")
    };
    let spec = ServiceSpec {
        description: Some("Takes money".into()),
        repository: Some("https://git.example/payments".into()),
        lifecycle: Lifecycle::Deprecated,
        links: vec![Link { name: "Board".into(), url: "https://board.example/".into() }],
        environments: vec![special, EnvironmentSpec { module: None, ..environment("a_b-c") }],
        build_job: Some("job_build".parse().unwrap()),
        deploy: Some(job),
        ..full.spec
    };
    let full = Service { spec, created_by: "user:eve".into(), ..full };
    for service in [bare, full] {
        assert!(matches!(create(&table, &service).await, CreateService::Created));
        let found = table.table.find_service(&service.id).await.unwrap().unwrap();
        assert_eq!((found.service, found.environments.len()), (service, 0));
    }
    assert_eq!(find(&table, &service(&table, "acme", "bare")).await, None, "it goes by its id");
}

#[tokio::test]
async fn a_service_is_created_once_under_its_id_and_under_its_name() {
    let table = TestTable::new().await;
    let first = saved(&table, "acme", "shop").await;
    let second = saved(&table, "acme", "other").await;
    let again = Service { id: first.id.clone(), ..service(&table, "acme", "third") };
    match create(&table, &again).await {
        CreateService::Exists(existing) => assert_eq!(*existing, first),
        other => panic!("{other:?}"),
    }
    let both = Service { id: first.id.clone(), ..service(&table, "acme", "other") };
    assert!(matches!(create(&table, &both).await, CreateService::Exists(_)), "the id comes before the name");
    match create(&table, &service(&table, "acme", "other")).await {
        CreateService::NameTaken(by) => assert_eq!(by, second.id),
        other => panic!("{other:?}"),
    }
    saved(&table, "beta", "shop").await;
    assert_eq!(find(&table, &first).await, Some(first));
}

#[tokio::test]
async fn of_a_hundred_who_take_a_name_one_gets_it() {
    let table = TestTable::new().await;
    let services: Vec<_> = (0..100).map(|_| service(&table, "acme", "shop")).collect();
    let outcomes = join_all(services.iter().map(|service| create(&table, service))).await;
    let created = outcomes.iter().position(|outcome| matches!(outcome, CreateService::Created)).unwrap();
    for (place, outcome) in outcomes.iter().enumerate().filter(|(place, _)| *place != created) {
        match outcome {
            CreateService::NameTaken(by) => assert_eq!(*by, services[created].id),
            other => panic!("{place}: {other:?}"),
        }
    }
    assert_eq!(list(&table, &everything(), 100).await, ["acme/shop"]);
}

#[tokio::test]
async fn a_service_is_replaced_and_deleted_only_as_it_was_seen() {
    let table = TestTable::new().await;
    let first = saved(&table, "acme", "shop").await;
    let second = edited(&table, &first);
    assert_eq!(replace(&table, &second, &first, &[]).await, EditOutcome::Done);
    assert_eq!(replace(&table, &edited(&table, &first), &first, &[]).await, EditOutcome::Conflict);
    assert_eq!(delete(&table, &first).await, EditOutcome::Conflict);
    assert_eq!(find(&table, &first).await, Some(second.clone()));
    assert_eq!(delete(&table, &second).await, EditOutcome::Done);
    assert_eq!(find(&table, &first).await, None);
    assert_eq!(replace(&table, &edited(&table, &second), &second, &[]).await, EditOutcome::Conflict);
    assert_eq!(delete(&table, &second).await, EditOutcome::Conflict);
    assert_eq!(list(&table, &everything(), 100).await, [""; 0]);
}

#[tokio::test]
async fn a_deleted_service_gives_its_name_back_and_forgets_its_environments() {
    let table = TestTable::new().await;
    let first = saved(&table, "acme", "shop").await;
    let operation = begun(&table, &first, "dev").await;
    end(&table, &operation, &Settled::default()).await;
    assert!(state(&table, &first, "dev").await.is_some());
    assert_eq!(delete(&table, &first).await, EditOutcome::Done);
    let second = Service { id: first.id.clone(), ..service(&table, "acme", "shop") };
    assert!(matches!(create(&table, &second).await, CreateService::Created));
    assert_eq!(state(&table, &second, "dev").await, None);
}

#[tokio::test]
async fn an_environment_in_which_something_goes_on_or_is_provisioned_cannot_be_taken_away() {
    let table = TestTable::new().await;
    let first = saved(&table, "acme", "shop").await;
    let second = edited(&table, &first);
    let operation = begun(&table, &first, "dev").await;
    assert_eq!(replace(&table, &second, &first, &["dev", "prod"]).await, EditOutcome::Conflict);
    end(&table, &operation, &present(&table, &operation)).await;
    assert_eq!(replace(&table, &second, &first, &["dev", "prod"]).await, EditOutcome::Conflict);
    assert_eq!(find(&table, &first).await, Some(first.clone()));
    let operation = begun(&table, &first, "dev").await;
    let gone = Settled { infrastructure: Some(Infrastructure::Absent), ..Settled::default() };
    end(&table, &operation, &gone).await;
    assert_eq!(replace(&table, &second, &first, &["dev", "prod"]).await, EditOutcome::Done);
    assert_eq!(state(&table, &second, "dev").await, None, "its state is forgotten");
    assert_eq!(find(&table, &first).await, Some(second));
}

#[tokio::test]
async fn a_service_is_not_deleted_under_an_operation_that_began_after_it_was_read() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let delete_as_seen = async |states| {
        let entry = entry_of(&table, &shop);
        table.table.delete_service(&shop, states, &entry).await.unwrap()
    };
    let operation = begun(&table, &shop, "dev").await;
    assert_eq!(delete_as_seen(&[]).await, EditOutcome::Conflict, "no state was seen");
    end(&table, &operation, &Settled::default()).await;
    let idle = state(&table, &shop, "dev").await.unwrap();
    let operation = begun(&table, &shop, "dev").await;
    let seen = slice::from_ref(&idle);
    assert_eq!(delete_as_seen(seen).await, EditOutcome::Conflict, "an idle state was seen");
    end(&table, &operation, &present(&table, &operation)).await;
    assert_eq!(delete_as_seen(seen).await, EditOutcome::Conflict, "nothing was provisioned when it was seen");
    assert_eq!(delete_as_seen(&[]).await, EditOutcome::Conflict);
    let whole = state(&table, &shop, "dev").await.unwrap();
    let again = begun(&table, &shop, "dev").await;
    end(&table, &again, &present(&table, &again)).await;
    assert_eq!(
        delete_as_seen(slice::from_ref(&whole)).await,
        EditOutcome::Conflict,
        "it was provisioned anew"
    );
    let anew = state(&table, &shop, "dev").await.unwrap();
    let half = begun(&table, &shop, "dev").await;
    let partial = Infrastructure::Partial(provisioned(&table, &half));
    end(&table, &half, &Settled { infrastructure: Some(partial), ..Settled::default() }).await;
    assert_eq!(
        delete_as_seen(slice::from_ref(&anew)).await,
        EditOutcome::Conflict,
        "only a part of it is there by now"
    );
    assert_eq!(find(&table, &shop).await.as_ref(), Some(&shop));
    assert_eq!(delete(&table, &shop).await, EditOutcome::Done, "by force, as it is");
}

#[tokio::test]
async fn an_operation_and_a_delete_at_the_same_moment_never_both_happen() {
    let table = TestTable::new().await;
    for round in 0..20 {
        let shop = saved(&table, "acme", &format!("shop-{round}")).await;
        let operation = operation(&table, &shop, "dev");
        let (begun, deleted) = tokio::join!(begin(&table, &operation, &shop), delete(&table, &shop));
        match (begun, deleted) {
            (BeginOutcome::Begun, EditOutcome::Conflict)
            | (BeginOutcome::ServiceChanged, EditOutcome::Done) => {}
            other => panic!("round {round}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_the_trail_cannot_take_does_not_happen_to_a_service() {
    let table = TestTable::new().await;
    let first = service(&table, "acme", "shop");
    let used = entry_of(&table, &first);
    table.table.create_service(&first, None, &used).await.unwrap();
    let other = service(&table, "acme", "other");
    table.table.create_service(&other, None, &used).await.expect_err("created without an entry");
    let next = edited(&table, &first);
    let none = EnvironmentEdits::default();
    let replaced = table.table.replace_service(&next, &first.revision, &none, &used).await;
    replaced.expect_err("replaced without an entry");
    table.table.delete_service(&first, &[], &used).await.expect_err("deleted without an entry");
    assert_eq!((find(&table, &first).await, find(&table, &other).await), (Some(first), None));
    saved(&table, "acme", "other").await;
}

fn everything() -> ServiceFilter {
    ServiceFilter { tenants: Tenants::All, name: None, owner: None, lifecycle: None, text: None }
}

async fn list(table: &TestTable, filter: &ServiceFilter, limit: u8) -> Vec<String> {
    let pages = pages(limit, |page| {
        let (services, filter) = (table.table.clone(), filter.clone());
        async move { services.list_services(&filter, &page).await }
    });
    let services = pages.await.concat();
    services.into_iter().map(|service| format!("{}/{}", service.tenant, service.name)).collect()
}

#[tokio::test]
async fn services_are_listed_by_tenant_and_name_page_by_page() {
    let table = TestTable::new().await;
    for (tenant, name) in [("beta", "b"), ("acme", "z"), ("acme-two", "a"), ("acme", "a"), ("beta", "a")] {
        saved(&table, tenant, name).await;
    }
    let of = |tenants: &str| ServiceFilter { tenants: tenants.parse().unwrap(), ..everything() };
    for limit in [1, 2, 100] {
        let all = ["acme/a", "acme/z", "acme-two/a", "beta/a", "beta/b"];
        let mut found = list(&table, &of("*"), limit).await;
        found.sort();
        let mut wanted = all.map(str::to_owned).to_vec();
        wanted.sort();
        assert_eq!(found, wanted, "{limit}");
        assert_eq!(list(&table, &of("acme,beta"), limit).await, ["acme/a", "acme/z", "beta/a", "beta/b"]);
        assert_eq!(list(&table, &of("acme-two"), limit).await, ["acme-two/a"]);
        assert_eq!(list(&table, &of(""), limit).await, [""; 0]);
    }
}

#[tokio::test]
async fn services_are_found_by_owner_life_and_text() {
    let table = TestTable::new().await;
    let put = async |tenant: &str, name: &str, owner: &str, description: Option<&str>, lifecycle| {
        let service = service(&table, tenant, name);
        let description = description.map(str::to_owned);
        let spec = ServiceSpec { owner: owner.into(), description, lifecycle, ..service.spec };
        create(&table, &Service { spec, ..service }).await;
    };
    put("acme", "shop", "Team Ä", None, Lifecycle::Production).await;
    put("acme", "stock", "team-b", Some("Counts what the SHOP has"), Lifecycle::Experimental).await;
    put("beta", "mail", "team-b", Some("Writes"), Lifecycle::Production).await;
    let find = async |owner: Option<&str>, lifecycle, text: Option<&str>| {
        let (owner, text) = (owner.map(str::to_owned), text.map(str::to_owned));
        list(&table, &ServiceFilter { owner, lifecycle, text, ..everything() }, 1).await
    };
    assert_eq!(find(Some("team-b"), None, None).await, ["acme/stock", "beta/mail"]);
    assert_eq!(find(Some("team"), None, None).await, [""; 0], "an owner is matched exactly");
    assert_eq!(find(None, Some(Lifecycle::Production), None).await, ["acme/shop", "beta/mail"]);
    assert_eq!(find(None, None, Some("shop")).await, ["acme/shop", "acme/stock"]);
    assert_eq!(find(None, None, Some("team ä")).await, ["acme/shop"]);
    assert_eq!(find(None, None, Some("payments")).await, [""; 0], "the project is not looked through");
    assert_eq!(find(Some("team-b"), Some(Lifecycle::Experimental), Some("count")).await, ["acme/stock"]);
    assert_eq!(find(Some("team-b"), Some(Lifecycle::Deprecated), Some("count")).await, [""; 0]);
}

#[tokio::test]
async fn a_page_of_what_is_looked_for_is_filled_in_one_answer() {
    let table = TestTable::new().await;
    for (tenant, count) in [("acme", 30), ("beta", 0), ("gamma", 3)] {
        for n in 0..count {
            saved(&table, tenant, &format!("s{n:02}")).await;
        }
    }
    let text = |tenants: &str, text: &str| ServiceFilter {
        tenants: tenants.parse().unwrap(),
        text: Some(text.into()),
        ..everything()
    };
    for tenants in ["*", "acme,beta,gamma"] {
        let page = PageRequest { limit: Limit::new(5).unwrap(), ..PageRequest::default() };
        let found = table.table.list_services(&text(tenants, "s02"), &page).await.unwrap();
        let names: Vec<_> = found.items.iter().map(|it| format!("{}/{}", it.tenant, it.name)).collect();
        assert_eq!((names, found.next), (vec!["acme/s02".to_owned(), "gamma/s02".to_owned()], None));
    }
    for limit in [1, 2, 3, 7, 100] {
        let found = list(&table, &text("acme,beta,gamma", "s0"), limit).await;
        let acme = (0..10).map(|n| format!("acme/s{n:02}"));
        assert_eq!(
            found,
            acme.chain((0..3).map(|n| format!("gamma/s{n:02}"))).collect::<Vec<_>>(),
            "{limit}"
        );
    }
}

#[tokio::test]
async fn services_of_a_name_are_looked_up_with_two_calls() {
    let table = TestTable::new().await;
    for (tenant, name) in [("acme", "shop"), ("acme", "shop-2"), ("beta", "shop"), ("gamma", "mail")] {
        saved(&table, tenant, name).await;
    }
    let named = |tenants: &str| ServiceFilter {
        tenants: tenants.parse().unwrap(),
        name: Some("shop".parse().unwrap()),
        ..everything()
    };
    table.calls.take();
    for limit in [2, 100] {
        assert_eq!(list(&table, &named("acme,beta,gamma"), limit).await, ["acme/shop", "beta/shop"]);
        assert_eq!(table.calls.take(), ["BatchGetItem"; 2]);
    }
    assert_eq!(list(&table, &named("acme,beta"), 1).await, ["acme/shop", "beta/shop"], "page by page");
    assert_eq!(list(&table, &named("gamma"), 1).await, [""; 0]);
    assert_eq!(list(&table, &named("*"), 100).await, ["acme/shop", "beta/shop"]);
    let filter = ServiceFilter { owner: Some("nobody".into()), ..named("acme") };
    assert_eq!(list(&table, &filter, 100).await, [""; 0]);
}

#[tokio::test]
async fn an_edit_is_found_as_it_is_now() {
    let table = TestTable::new().await;
    let first = saved(&table, "acme", "shop").await;
    let next = edited(&table, &first);
    let spec = ServiceSpec { owner: "team-new".into(), ..next.spec.clone() };
    replace(&table, &Service { spec, ..next }, &first, &[]).await;
    let text = |text: &str| ServiceFilter { text: Some(text.into()), ..everything() };
    assert_eq!(list(&table, &text("team-new"), 10).await, ["acme/shop"]);
    assert_eq!(list(&table, &text("team-payments"), 10).await, [""; 0]);
}

#[tokio::test]
async fn a_cursor_of_another_tenant_or_list_is_refused() {
    let table = TestTable::new().await;
    for name in ["a", "b"] {
        saved(&table, "acme", name).await;
    }
    let page = table.table.list_services(&everything(), &behind(None)).await.unwrap();
    let beta = ServiceFilter { tenants: "beta".parse().unwrap(), ..everything() };
    let foreign = table.table.list_services(&beta, &behind(page.next.clone())).await;
    assert!(matches!(foreign, Err(ListError::Cursor(_))), "{foreign:?}");
    let projects = table.table.list_projects(&Tenants::All, &behind(page.next)).await;
    assert!(matches!(projects, Err(ListError::Cursor(_))));
}

/// An answer of Lambda has 6 MB at most, in which a quotation mark of a text may take four bytes.
#[tokio::test]
async fn a_page_of_large_services_is_short_and_has_a_next_one() {
    let table = TestTable::new().await;
    let description = Some("\"".repeat(100_000));
    for n in 0..25 {
        let service = service(&table, "acme", &format!("s{n:02}"));
        let spec = ServiceSpec { description: description.clone(), ..service.spec };
        create(&table, &Service { spec, ..service }).await;
    }
    let all: Vec<_> = (0..25).map(|n| format!("acme/s{n:02}")).collect();
    for limit in [5, 100] {
        assert_eq!(list(&table, &everything(), limit).await, all, "{limit}");
    }
    let page = table.table.list_services(&everything(), &PageRequest::default()).await.unwrap();
    let sent = serde_json::to_string(&page.items).unwrap();
    // As Lambda hands it over: a text within JSON.
    let sent = serde_json::to_string(&sent).unwrap().len();
    assert!(page.items.len() > 2 && sent < 6_000_000, "{} services are {sent} bytes", page.items.len());
}

#[tokio::test]
async fn a_service_is_shown_with_all_its_environments_however_large_they_are() {
    let table = TestTable::new().await;
    let shop = service(&table, "acme", "shop");
    let environments: Vec<_> = (0..20).map(|n| environment(&format!("e{n:02}"))).collect();
    let shop = Service { spec: ServiceSpec { environments, ..shop.spec }, ..shop };
    create(&table, &shop).await;
    for spec in &shop.spec.environments {
        let operation = begun(&table, &shop, spec.name.as_str()).await;
        let mut provisioned = provisioned(&table, &operation);
        provisioned.inputs.insert("text".into(), "x".repeat(60 * 1024).as_str().into());
        let infrastructure = Some(Infrastructure::Present(provisioned));
        end(&table, &operation, &Settled { infrastructure, ..Settled::default() }).await;
    }
    table.calls.take();
    let found = table.table.find_service(&shop.id).await.unwrap().unwrap();
    assert_eq!(table.calls.take(), ["Query"; 2], "more than one page");
    assert_eq!(
        found.environments.keys().collect::<Vec<_>>(),
        shop.spec.environments.iter().map(|e| &e.name).collect::<Vec<_>>()
    );
    assert_eq!(delete(&table, &shop).await, EditOutcome::Done, "in one transaction");
}

/// An environment that ends by itself, with the operation that provisioned it.
async fn ending(table: &TestTable, service: &Service, name: &str) -> Operation {
    let operation = begun(table, service, name).await;
    let expires_at = Some(table.system.now() + Duration::from_hours(1));
    let provisioned = Provisioned { expires_at, ..provisioned(table, &operation) };
    let infrastructure = Some(Infrastructure::Present(provisioned));
    end(table, &operation, &Settled { infrastructure, ..Settled::default() }).await;
    operation
}

#[tokio::test]
async fn an_edit_that_takes_a_time_to_live_away_takes_the_end_away_with_it() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let (dev, prod) = (ending(&table, &shop, "dev").await, ending(&table, &shop, "prod").await);
    let read = async |name: &str| state(&table, &shop, name).await.unwrap();
    let before = read("dev").await;
    let endless = |operation: &Operation| EnvironmentEdits {
        endless: [("dev".parse().unwrap(), operation.id.clone())].into(),
        ..EnvironmentEdits::default()
    };
    let next = edited(&table, &shop);
    // What another operation has provisioned since keeps its end, and nothing of the edit is written.
    let replace = async |edits| {
        table.table.replace_service(&next, &shop.revision, &edits, &entry_of(&table, &shop)).await.unwrap()
    };
    assert_eq!(replace(endless(&prod)).await, EditOutcome::Conflict);
    assert_eq!((read("dev").await, find(&table, &shop).await), (before.clone(), Some(shop.clone())));

    assert_eq!(replace(endless(&dev)).await, EditOutcome::Done);
    let Infrastructure::Present(provisioned) = before.infrastructure.clone() else { panic!("{before:?}") };
    let infrastructure = Infrastructure::Present(Provisioned { expires_at: None, ..provisioned });
    assert_eq!(read("dev").await, EnvironmentState { infrastructure, ..before }, "and nothing else");
    assert_ne!(read("prod").await.infrastructure.provisioned().unwrap().expires_at, None);
    // The janitor, which reads the index, finds only the other one.
    let late = table.system.now() + Duration::from_hours(2);
    let due = table.table.ended_environments(late, &PageRequest::default()).await.unwrap();
    assert_eq!(due.items, [(shop.id.clone(), "prod".parse().unwrap())]);
}

#[tokio::test]
async fn what_is_deployed_does_not_keep_a_service_from_being_deleted() {
    let table = TestTable::new().await;
    let shop = saved(&table, "acme", "shop").await;
    let operation = begun(&table, &shop, "dev").await;
    let deployed = Deployed { operation: operation.id.clone(), version: "1".into(), at: table.system.now() };
    end(&table, &operation, &Settled { deployed: Some(deployed), ..Settled::default() }).await;
    assert_eq!(delete(&table, &shop).await, EditOutcome::Done);
}

#[tokio::test]
async fn an_answer_that_is_lost_does_not_make_a_service_stand_in_its_own_way() {
    let table = TestTable::new().await;
    let line = table.losing_answers();
    let first = service(&table, "acme", "shop");
    let created = line.create_service(&first, None, &entry_of(&table, &first)).await.unwrap();
    assert!(matches!(created, CreateService::Created), "{created:?}");
    let second = edited(&table, &first);
    let entry = || entry_of(&table, &first);
    let none = EnvironmentEdits::default();
    let replaced = line.replace_service(&second, &first.revision, &none, &entry()).await.unwrap();
    assert_eq!(replaced, EditOutcome::Done);
    assert_eq!(line.delete_service(&second, &[], &entry()).await.unwrap(), EditOutcome::Done);
    assert_eq!(find(&table, &first).await, None);
}

/// A table with project `payments` of tenant `acme`.
async fn with_project() -> TestTable {
    let table = TestTable::new().await;
    let revision = Revision::new(&*table.system);
    let project =
        Project::new("payments".parse().unwrap(), "acme".parse().unwrap(), revision, table.system.now());
    let entry = table.entry("user:ada", "project:payments", Some("acme"));
    table.table.save_project(&project, None, &entry).await.unwrap();
    table
}

fn draft(service: &Service) -> ServiceDraft {
    ServiceDraft {
        tenant: Some(service.tenant.clone()),
        name: service.name.clone(),
        spec: service.spec.clone().in_project(Some(service.spec.project.clone())),
        kept_secrets: KeptSecrets::new(),
    }
}

#[tokio::test]
async fn a_repeated_request_creates_one_service_and_costs_one_transaction() {
    let table = with_project().await;
    let (caller, origin) = (admin("acme"), origin());
    let audit = audit(&caller, &origin);
    let key = "k".parse().unwrap();
    let ask = async |name: &str, key: Option<&IdempotencyKey>| {
        let wanted = service(&table, "acme", name);
        let (store, system) = (&*table.table, &*table.system);
        let created =
            catalog::create(store, &NoSecrets, system, &audit, draft(&wanted), key, wanted.fingerprint);
        created.await
    };
    publish(&table, "example", json!({})).await;
    table.calls.take();
    let first = ask("shop", Some(&key)).await.unwrap();
    // The module, the project and jobs, the component.
    assert_eq!(table.calls.take(), ["GetItem", "BatchGetItem", "GetItem", "TransactWriteItems"]);
    let again = ask("shop", Some(&key)).await.unwrap();
    assert!(!first.replayed && again.replayed);
    assert_eq!(first.service, again.service);
    let reused = ask("other", Some(&key)).await;
    assert!(matches!(reused, Err(EditServiceError::KeyReused)), "{reused:?}");
    match ask("shop", None).await {
        Err(EditServiceError::NameTaken(by)) => assert_eq!(by, first.service.id),
        other => panic!("{other:?}"),
    }
    assert_eq!(list(&table, &everything(), 10).await, ["acme/shop"]);
}

/// Reads a service, lets something happen to it, and goes on with what was read.
struct Outdated<'a> {
    table: &'a TestTable,
    read: Registered,
}

#[async_trait]
impl FindService for Outdated<'_> {
    async fn find_service(&self, id: &ServiceId) -> Result<Option<Registered>, StoreError> {
        begun(self.table, &self.read.service, "dev").await;
        Ok((self.read.service.id == *id).then(|| self.read.clone()))
    }
}

#[async_trait]
impl FindForEdit for Outdated<'_> {
    async fn find_for_edit(
        &self,
        jobs: &BTreeSet<JobId>,
        projects: &BTreeSet<ProjectName>,
    ) -> Result<Existing, StoreError> {
        self.table.table.find_for_edit(jobs, projects).await
    }
}

#[async_trait]
impl FindEntity for Outdated<'_> {
    async fn find_entity(
        &self,
        tenant: &TenantId,
        reference: &EntityRef,
    ) -> Result<Option<Entity>, StoreError> {
        self.table.table.find_entity(tenant, reference).await
    }
}

#[async_trait]
impl FindModule for Outdated<'_> {
    async fn find_module(&self, name: &ModuleName) -> Result<Option<Module>, StoreError> {
        self.table.table.find_module(name).await
    }

    async fn list_modules(&self) -> Result<Vec<Module>, StoreError> {
        self.table.table.list_modules().await
    }
}

#[async_trait]
impl SaveService for Outdated<'_> {
    async fn create_service(
        &self,
        service: &Service,
        component: Option<&SeenComponent>,
        entry: &Entry,
    ) -> Result<CreateService, StoreError> {
        self.table.table.create_service(service, component, entry).await
    }

    async fn replace_service(
        &self,
        service: &Service,
        previous: &Revision,
        environments: &EnvironmentEdits,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        self.table.table.replace_service(service, previous, environments, entry).await
    }

    async fn delete_service(
        &self,
        service: &Service,
        states: &[EnvironmentState],
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        self.table.table.delete_service(service, states, entry).await
    }
}

#[tokio::test]
async fn an_edit_takes_no_environment_away_in_which_an_operation_began_after_it_was_read() {
    let table = with_project().await;
    let shop = saved(&table, "acme", "shop").await;
    let read = table.table.find_service(&shop.id).await.unwrap().unwrap();
    let outdated = Outdated { table: &table, read };
    let (caller, origin) = (admin("acme"), origin());
    let spec = ServiceSpec { environments: vec![environment("prod")], ..shop.spec.clone() };
    let draft = draft(&Service { spec, ..shop.clone() });
    let expected = Precondition::Revision(shop.revision.clone());
    let (system, audit) = (&*table.system, audit(&caller, &origin));
    let replaced = catalog::replace(&outdated, &NoSecrets, system, &audit, &shop.id, draft, &expected).await;
    assert!(matches!(replaced, Err(EditServiceError::Precondition(_))), "{replaced:?}");
    assert_eq!(find(&table, &shop).await, Some(shop));
}

/// Puts `count` services of a tenant into the table, as this one is.
async fn put_many(table: &TestTable, tenant: &str, count: usize) {
    let template = saved(table, tenant, "template").await;
    let key = |text: String| AttributeValue::S(text);
    let call = table.client.get_item().table_name(&table.name);
    let call = call.key("pk", key(format!("SERVICE#{}", template.id))).key("sk", key("SERVICE".into()));
    let item = call.send().await.unwrap().item.unwrap();
    let copies: Vec<_> = (0..count)
        .map(|n| {
            let mut item = item.clone();
            item.insert("pk".into(), key(format!("SERVICE#{}n{n}", template.id)));
            item.insert("gsi1sk".into(), key(format!("{tenant}#s{n:05}")));
            item.insert("name".into(), key(format!("s{n:05}")));
            let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
            WriteRequest::builder().put_request(put).build()
        })
        .collect();
    for batch in copies.chunks(25) {
        let call = table.client.batch_write_item().request_items(&table.name, batch.to_vec());
        let left = call.send().await.unwrap().unprocessed_items.unwrap_or_default();
        assert!(left.is_empty());
    }
}

#[tokio::test]
async fn a_page_of_services_costs_the_same_however_many_there_are() {
    let table = TestTable::new().await;
    let (metered, meter) = table.metered();
    let of = |tenants: &str| ServiceFilter { tenants: tenants.parse().unwrap(), ..everything() };
    let text = ServiceFilter { text: Some("nowhere".into()), ..of("acme") };
    let cost = async || {
        let mut costs = Vec::new();
        for filter in [of("*"), of("acme"), of("acme,zeta"), text.clone()] {
            let page = metered.list_services(&filter, &PageRequest::default()).await.unwrap();
            let next = PageRequest { cursor: page.next, ..PageRequest::default() };
            metered.list_services(&filter, &next).await.unwrap();
            costs.push(meter.take());
        }
        costs
    };
    put_many(&table, "acme", 150).await;
    // The first cursor makes their key.
    cost().await;
    table.calls.take();
    let few = cost().await;
    // Nothing holds the text: each of its two pages reads on, to the end of the tenant.
    assert_eq!(table.calls.take(), ["Query"; 10]);
    put_many(&table, "beta", 9_000).await;
    put_many(&table, "zeta", 850).await;
    table.calls.take();
    assert_eq!(cost().await, few, "with 10,000 services");
    assert_eq!(table.calls.take(), ["Query"; 10]);
    let (whole, searched) = few.split_at(3);
    assert!(whole.iter().flatten().all(|cost| cost.looked_at == 50), "{whole:?}");
    for cost in few.iter().flatten() {
        assert!(cost.looked_at <= 250, "{searched:?}");
        assert!(cost.units > 0.0 && cost.units <= 10.0, "{cost:?}");
    }
}
