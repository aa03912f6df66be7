//! Projects and tenants.

use std::{collections::BTreeSet, slice, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use gatehouse_domain::{
    audit::Entry,
    caller::Tenants,
    catalog::{EnvironmentEdits, SaveService, Service, ServiceSpec},
    clock::Clock,
    id::TokenId,
    jobs::DeleteJob,
    name::ProjectName,
    paging::ListError,
    project::{
        FindDefaultProject, FindProject, FindTenant, ListProjects, Project, SaveProject, TenantStanding,
    },
    revision::{EditOutcome, Revision},
    tenant::{ListTenants, SaveTenant, Tenant, Unsaid},
    tokens::{SaveToken, ServiceToken, TokenState},
};
use jiff::Timestamp;

use crate::{
    catalog::{edited, saved},
    support::{TestTable, behind, pages},
};

fn project(table: &TestTable, name: &str, tenant: &str) -> Project {
    let revision = Revision::new(&*table.system);
    Project::new(name.parse().unwrap(), tenant.parse().unwrap(), revision, table.system.now())
}

fn entry(table: &TestTable, project: &Project) -> Entry {
    table.entry("user:ada", &format!("project:{}", project.name), Some(project.tenant.as_str()))
}

async fn save(table: &TestTable, project: &Project, previous: Option<&Project>) -> EditOutcome {
    let previous = previous.map(|project| &project.revision);
    table.table.save_project(project, previous, &entry(table, project)).await.unwrap()
}

async fn delete(table: &TestTable, project: &Project) -> EditOutcome {
    table.table.delete_project(project, &entry(table, project)).await.unwrap()
}

async fn find(table: &TestTable, project: &Project) -> Option<Project> {
    table.table.find_project(&project.name).await.unwrap()
}

async fn list(table: &TestTable, tenants: &Tenants, limit: u8) -> Vec<String> {
    let pages = pages(limit, |page| {
        let (projects, tenants) = (table.table.clone(), tenants.clone());
        async move { projects.list_projects(&tenants, &page).await }
    });
    pages.await.concat().into_iter().map(|project| project.name.to_string()).collect()
}

#[tokio::test]
async fn a_project_comes_back_as_it_was_saved() {
    let table = TestTable::new().await;
    let plain = project(&table, "plain", "acme");
    let accepted = BTreeSet::from(["worker".parse().unwrap(), "mailer".parse().unwrap()]);
    let described = Project {
        description: Some("Takes money".into()),
        accepted_services: Some(accepted),
        ..project(&table, "payments", "acme")
    };
    let closed = Project { accepted_services: Some(BTreeSet::new()), ..project(&table, "closed", "acme") };
    for project in [plain, described, closed] {
        assert_eq!(save(&table, &project, None).await, EditOutcome::Done);
        assert_eq!(find(&table, &project).await, Some(project));
    }
}

#[tokio::test]
async fn a_project_is_replaced_and_deleted_only_as_it_was_seen() {
    let table = TestTable::new().await;
    let first = project(&table, "payments", "acme");
    let second = Project { revision: Revision::new(&*table.system), ..first.clone() };
    assert_eq!(save(&table, &first, None).await, EditOutcome::Done);
    assert_eq!(save(&table, &second, None).await, EditOutcome::Conflict);
    assert_eq!(save(&table, &second, Some(&first)).await, EditOutcome::Done);
    assert_eq!(save(&table, &second, Some(&first)).await, EditOutcome::Conflict);
    assert_eq!(delete(&table, &first).await, EditOutcome::Conflict);
    assert_eq!(delete(&table, &second).await, EditOutcome::Done);
    assert_eq!((find(&table, &second).await, delete(&table, &second).await), (None, EditOutcome::Conflict));
    assert_eq!(list(&table, &Tenants::All, 9).await, Vec::<String>::new());
}

#[tokio::test]
async fn of_a_hundred_who_take_a_name_one_gets_it() {
    let table = TestTable::new().await;
    let projects: Vec<_> = (0..100).map(|n| project(&table, "payments", &format!("tenant-{n}"))).collect();
    let outcomes = join_all(projects.iter().map(|project| save(&table, project, None))).await;
    let made: Vec<_> =
        projects.iter().zip(outcomes).filter(|(_, outcome)| *outcome == EditOutcome::Done).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(find(&table, &projects[0]).await.as_ref(), Some(made[0].0));
}

/// A project as it was written before projects could be edited.
async fn write_old(table: &TestTable, name: &str) -> Project {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = table.client.put_item().table_name(&table.name);
    let put = put.item("pk", text(&format!("PROJECT#{name}"))).item("sk", text("PROJECT"));
    put.item("project", text(name)).item("tenant", text("acme")).send().await.unwrap();
    table.table.find_project(&name.parse().unwrap()).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_project_that_was_written_before_they_could_be_edited_can_be() {
    let table = TestTable::new().await;
    let old = write_old(&table, "payments").await;
    assert_eq!((old.tenant.as_str(), old.created_at), ("acme", Timestamp::UNIX_EPOCH));
    assert!(old.accepts(&"anybody".parse().unwrap()));
    let new = Project { revision: Revision::new(&*table.system), ..old.clone() };
    assert_eq!(save(&table, &new, Some(&old)).await, EditOutcome::Done);
    assert_eq!(save(&table, &new, Some(&old)).await, EditOutcome::Conflict);
    assert_eq!(delete(&table, &old).await, EditOutcome::Conflict);
    assert_eq!(list(&table, &Tenants::All, 9).await, ["payments"]);
    let other = write_old(&table, "shop").await;
    assert_eq!(delete(&table, &other).await, EditOutcome::Done);
    assert_eq!(delete(&table, &other).await, EditOutcome::Conflict);
    assert_eq!(save(&table, &new, Some(&other)).await, EditOutcome::Conflict);
}

#[tokio::test]
async fn projects_are_listed_by_tenant_and_name_page_by_page() {
    let table = TestTable::new().await;
    for (name, tenant) in
        [("d", "acme"), ("a", "zeta"), ("c", "acme"), ("b", "beta"), ("e", "acme"), ("f", "acme-two")]
    {
        save(&table, &project(&table, name, tenant), None).await;
    }
    table.save_job_as(&crate::support::admin("beta"), "job", "made-for-a-job").await;
    for limit in [1, 2, 100] {
        let all = list(&table, &Tenants::All, limit).await;
        assert_eq!(all, ["c", "d", "e", "f", "b", "made-for-a-job", "a"].map(str::to_owned), "by {limit}");
    }
    for (tenants, wanted) in [
        ("acme", "c d e"),
        ("acme,zeta", "c d e a"),
        ("beta,nobody", "b made-for-a-job"),
        ("acme-two", "f"),
        ("", ""),
    ] {
        let found = list(&table, &tenants.parse().unwrap(), 2).await;
        assert_eq!(found.join(" "), wanted, "{tenants}");
    }
    let page = table.table.list_projects(&"acme".parse().unwrap(), &behind(None)).await.unwrap();
    let refused = table.table.list_projects(&"beta".parse().unwrap(), &behind(page.next)).await;
    assert!(matches!(refused, Err(ListError::Cursor(_))), "{refused:?}");
}

fn token(table: &TestTable, project: &Project, service: &str) -> ServiceToken {
    ServiceToken {
        jti: TokenId::generate(&*table.system),
        tenant: project.tenant.clone(),
        project: project.name.clone(),
        service: service.parse().unwrap(),
        description: None,
        created_at: table.system.now(),
        created_by: "user:ada".into(),
        expires_at: table.system.now() + Duration::from_hours(24),
        last_used_at: None,
        replaces: None,
        state: TokenState::Active,
    }
}

#[tokio::test]
async fn a_project_is_used_while_it_has_a_job_a_service_or_a_live_token() {
    let table = TestTable::new().await;
    let job = table.save_job_as(&crate::support::admin("acme"), "build", "payments").await;
    let payments = table.table.find_project(&job.spec.project).await.unwrap().unwrap();
    let pay = project(&table, "pay", "acme");
    save(&table, &pay, None).await;
    let is_used = async |project: &Project| table.table.is_used(project, table.system.now()).await.unwrap();
    assert!(is_used(&payments).await);
    assert!(!is_used(&pay).await, "a longer name's job counts");
    table.table.delete_job(&job, &table.entry("user:ada", "job:x", None)).await.unwrap();
    assert!(!is_used(&payments).await);
    let shop = saved(&table, "acme", "shop").await;
    assert!(is_used(&payments).await);
    assert!(!is_used(&pay).await, "a longer name's service counts");
    let moved = edited(&table, &shop);
    let spec = ServiceSpec { project: pay.name.clone(), ..moved.spec.clone() };
    let moved = Service { spec, ..moved };
    let none = EnvironmentEdits::default();
    table.table.replace_service(&moved, &shop.revision, &none, &entry(&table, &pay)).await.unwrap();
    assert!(is_used(&pay).await, "a service that moved here does not count");
    assert!(!is_used(&payments).await, "a service that moved away counts");
    table.table.delete_service(&moved, &[], &entry(&table, &pay)).await.unwrap();
    assert!(!is_used(&pay).await);
    for n in 0..3 {
        let token = token(&table, &payments, &format!("service-{n}"));
        table.table.save_new_token(&token, &entry(&table, &payments)).await.unwrap();
    }
    assert!(is_used(&payments).await);
    assert!(!is_used(&pay).await, "another project's token counts");
    let now = table.system.now();
    table.system.advance(Duration::from_hours(24));
    assert!(!is_used(&payments).await, "a token that has ended counts");
    assert!(table.table.is_used(&payments, now).await.unwrap());
}

#[tokio::test]
async fn what_the_trail_cannot_take_does_not_happen_to_a_project() {
    let table = TestTable::new().await;
    let (first, second) = (project(&table, "first", "acme"), project(&table, "second", "acme"));
    let used = entry(&table, &first);
    table.table.save_project(&first, None, &used).await.unwrap();
    table.table.save_project(&second, None, &used).await.expect_err("created without an entry");
    table.table.delete_project(&first, &used).await.expect_err("deleted without an entry");
    assert_eq!((find(&table, &first).await, find(&table, &second).await), (Some(first), None));
}

fn tenant(table: &TestTable, id: &str, display_name: &str) -> Tenant {
    Tenant {
        id: id.parse().unwrap(),
        display_name: display_name.into(),
        require_second_factor: false,
        default_project: None,
        created_at: table.system.now(),
        created_by: "user:ada".into(),
    }
}

#[tokio::test]
async fn a_tenant_keeps_when_it_was_created_when_it_gets_another_name() {
    let table = TestTable::new().await;
    let entry = || table.entry("user:ada", "tenant:acme", None);
    let first = tenant(&table, "acme", "Acme");
    table.table.save_tenant(&first, &entry()).await.unwrap();
    table.table.save_tenant(&tenant(&table, "a", "A"), &entry()).await.unwrap();
    table.system.advance(Duration::from_secs(1));
    let renamed = Tenant { created_by: "user:bob".into(), ..tenant(&table, "acme", "Acme Inc.") };
    table.table.save_tenant(&renamed, &entry()).await.unwrap();
    let found = table.table.list_tenants().await.unwrap();
    let wanted = Tenant { display_name: "Acme Inc.".into(), ..first };
    assert_eq!(found[1..], [wanted]);
    assert_eq!(found[0].id.as_str(), "a");
}

#[tokio::test]
async fn a_default_project_is_read_in_one_call_and_taken_away() {
    let table = TestTable::new().await;
    let entry = || table.entry("user:ada", "tenant:acme", None);
    let acme = tenant(&table, "acme", "Acme");
    let payments: ProjectName = "payments".parse().unwrap();
    let defaulted = Tenant { default_project: Some(payments.clone()), ..acme.clone() };
    for (saved, found) in [(&defaulted, Some(payments)), (&acme, None)] {
        table.table.save_tenant(saved, &entry()).await.unwrap();
        table.calls.take();
        assert_eq!(table.table.default_project(&acme.id).await.unwrap(), found);
        assert_eq!(table.calls.take(), ["GetItem"]);
        assert_eq!(table.table.list_tenants().await.unwrap(), slice::from_ref(saved));
    }
    assert_eq!(table.table.default_project(&"beta".parse().unwrap()).await.unwrap(), None);
}

/// The edit read the tenant before another one wrote it.
#[tokio::test]
async fn an_edit_leaves_what_it_says_nothing_of_as_it_stands() {
    let table = TestTable::new().await;
    let entry = || table.entry("user:ada", "tenant:acme", None);
    let seen = tenant(&table, "acme", "Acme");
    let all = Unsaid { require_second_factor: true, default_project: true };
    table.table.edit_tenant(&seen, all, &entry()).await.unwrap();
    assert_eq!(table.table.list_tenants().await.unwrap(), slice::from_ref(&seen), "created");
    let default_project = Some("payments".parse().unwrap());
    let edited = Tenant { require_second_factor: true, default_project, ..seen.clone() };
    table.table.save_tenant(&edited, &entry()).await.unwrap();
    let renamed = Tenant { display_name: "Acme Inc.".into(), ..seen };
    table.table.edit_tenant(&renamed, all, &entry()).await.unwrap();
    let kept = Tenant { display_name: "Acme Inc.".into(), ..edited };
    assert_eq!(table.table.list_tenants().await.unwrap(), slice::from_ref(&kept));
    let one = Unsaid { require_second_factor: true, default_project: false };
    table.table.edit_tenant(&renamed, one, &entry()).await.unwrap();
    let taken = Tenant { default_project: None, ..kept };
    assert_eq!(table.table.list_tenants().await.unwrap(), slice::from_ref(&taken));
    let other = Unsaid { require_second_factor: false, default_project: true };
    table.table.edit_tenant(&renamed, other, &entry()).await.unwrap();
    assert_eq!(table.table.list_tenants().await.unwrap(), [renamed]);
}

#[tokio::test]
async fn a_deleted_tenant_is_told_from_one_that_nobody_created() {
    let table = TestTable::new().await;
    let entry = || table.entry("user:ada", "tenant:acme", None);
    let acme = tenant(&table, "acme", "Acme");
    let standing = async || table.table.standing(&acme.id).await.unwrap();
    assert_eq!(standing().await, TenantStanding::Uncreated);
    table.table.save_tenant(&acme, &entry()).await.unwrap();
    table.calls.take();
    assert_eq!(standing().await, TenantStanding::Created);
    assert_eq!(table.calls.take(), ["GetItem"]);
    table.table.delete_tenant(&acme.id, &entry()).await.unwrap();
    assert_eq!(standing().await, TenantStanding::Deleted);
}

#[tokio::test]
async fn a_tenant_is_deleted_once_and_with_its_entry() {
    let table = TestTable::new().await;
    let acme = tenant(&table, "acme", "Acme");
    let used = table.entry("user:ada", "tenant:acme", None);
    table.table.save_tenant(&acme, &used).await.unwrap();
    let other = tenant(&table, "beta", "Beta");
    table.table.save_tenant(&other, &used).await.expect_err("created without an entry");
    table.table.delete_tenant(&acme.id, &used).await.expect_err("deleted without an entry");
    assert_eq!(table.table.list_tenants().await.unwrap(), std::slice::from_ref(&acme));
    let entry = || table.entry("user:ada", "tenant:acme", None);
    let outcomes = [
        table.table.delete_tenant(&acme.id, &entry()).await.unwrap(),
        table.table.delete_tenant(&acme.id, &entry()).await.unwrap(),
    ];
    assert_eq!(outcomes, [EditOutcome::Done, EditOutcome::Conflict]);
    assert_eq!(table.table.list_tenants().await.unwrap(), []);
}

#[tokio::test]
async fn a_tenant_has_projects_of_its_own_only() {
    let table = TestTable::new().await;
    save(&table, &project(&table, "payments", "acme-two"), None).await;
    assert!(!table.table.has_projects(&"acme".parse().unwrap()).await.unwrap());
    assert!(table.table.has_projects(&"acme-two".parse().unwrap()).await.unwrap());
}
