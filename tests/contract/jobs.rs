//! Jobs, projects and providers.

use std::collections::BTreeSet;

use gatehouse_domain::{
    caller::Tenants,
    ci::{Account, ProviderKind, Sharing},
    jobs::{DeleteJob, FindForEdit, FindJob, FindJobsByTarget, Job, JobEdit, JobFilter, ListJobs, SaveJobs},
    paging::{Cursor, Limit, ListError, PageRequest},
    project::{FindProject, Project},
    providers::{DeleteProvider, FindProvider, ListProviders, Provider, SaveProvider},
    revision::{EditOutcome, Revision},
};
use jiff::Timestamp;

use crate::support::{TestTable, admin, target};

fn edited(job: &Job) -> Job {
    let mut edited = job.clone();
    edited.revision = Revision::unverified(format!("{}-next", job.revision.as_str()));
    edited.spec.display_name = "edited".into();
    edited
}

fn edit(previous: Option<Job>, job: Job) -> JobEdit {
    JobEdit { job, previous, new_project: None, entries: Vec::new() }
}

async fn list(table: &TestTable, filter: &JobFilter, limit: u8) -> Vec<Vec<String>> {
    let mut page = PageRequest { limit: Limit::new(limit).unwrap(), cursor: None, ..PageRequest::default() };
    let mut pages = Vec::new();
    loop {
        let found = table.table.list_jobs(filter, &page).await.unwrap();
        pages.push(found.items.iter().map(|job| job.id.to_string()).collect());
        match found.next {
            Some(cursor) => page.cursor = Some(cursor),
            None => return pages,
        }
    }
}

fn filter(tenants: Tenants) -> JobFilter {
    JobFilter { tenants, project: None, environment: None }
}

fn tenants(names: &[&str]) -> Tenants {
    Tenants::Only(names.iter().map(|name| name.parse().unwrap()).collect())
}

#[tokio::test]
async fn a_job_comes_back_as_it_was_saved() {
    let table = TestTable::new().await;
    let job = table.save_job("build").await;
    assert_eq!(table.table.find_job(&job.id).await.unwrap(), Some(job.clone()));
    let project = table.table.find_project(&job.spec.project).await.unwrap().unwrap();
    assert_eq!(project.tenant, job.tenant);
}

#[tokio::test]
async fn only_one_of_two_edits_of_the_same_revision_is_made() {
    let table = TestTable::new().await;
    let job = table.save_job("build").await;
    let first = table.table.save_jobs(&[edit(Some(job.clone()), edited(&job))]).await.unwrap();
    let second = table.table.save_jobs(&[edit(Some(job.clone()), edited(&job))]).await.unwrap();
    let deleted = table.table.delete_job(&job, &table.entry("user:ada", "job:x", None)).await.unwrap();
    assert_eq!((first, second, deleted), (EditOutcome::Done, EditOutcome::Conflict, EditOutcome::Conflict));
}

#[tokio::test]
async fn of_many_edits_all_or_none_are_made() {
    let table = TestTable::new().await;
    let old = table.save_job("old").await;
    let mut new = old.clone();
    new.id = "new".parse().unwrap();
    let stale = Job { revision: Revision::unverified("stale".into()), ..old.clone() };
    let edits = [edit(None, new.clone()), edit(Some(stale), edited(&old))];
    assert_eq!(table.table.save_jobs(&edits).await.unwrap(), EditOutcome::Conflict);
    assert_eq!(table.table.find_job(&new.id).await.unwrap(), None);
}

#[tokio::test]
async fn jobs_are_found_by_what_they_point_at_until_they_point_elsewhere() {
    let table = TestTable::new().await;
    let job = table.save_job("build").await;
    let provider = job.spec.provider.clone();
    let found = table.table.jobs_with_target(&provider, &target("build")).await.unwrap();
    assert_eq!(found, std::slice::from_ref(&job));
    let mut moved = edited(&job);
    moved.spec.target = target("other");
    table.table.save_jobs(&[edit(Some(job), moved.clone())]).await.unwrap();
    assert_eq!(table.table.jobs_with_target(&provider, &target("build")).await.unwrap(), []);
    assert_eq!(table.table.jobs_with_target(&provider, &target("other")).await.unwrap(), [moved.clone()]);
    table.table.delete_job(&moved, &table.entry("user:ada", "job:x", None)).await.unwrap();
    assert_eq!(table.table.jobs_with_target(&provider, &target("other")).await.unwrap(), []);
}

#[tokio::test]
async fn a_project_belongs_to_the_tenant_that_had_it_first() {
    let table = TestTable::new().await;
    let job = table.save_job("build").await;
    let mut project = table.table.find_project(&job.spec.project).await.unwrap().unwrap();
    let mut other = job.clone();
    other.id = "other".parse().unwrap();
    let described = Project { description: Some("late".into()), ..project.clone() };
    let same =
        JobEdit { job: other.clone(), previous: None, new_project: Some(described), entries: Vec::new() };
    assert_eq!(table.table.save_jobs(&[same]).await.unwrap(), EditOutcome::Done);
    let kept = table.table.find_project(&project.name).await.unwrap();
    assert_eq!(kept.as_ref(), Some(&project), "the job changed a project that was there");
    project.tenant = "thief".parse().unwrap();
    other.id = "third".parse().unwrap();
    let stolen = JobEdit { job: other, previous: None, new_project: Some(project), entries: Vec::new() };
    assert_eq!(table.table.save_jobs(&[stolen]).await.unwrap(), EditOutcome::Conflict);
}

#[tokio::test]
async fn lists_show_the_callers_tenants_page_by_page() {
    let table = TestTable::new().await;
    for (tenant, project, jobs) in [
        ("acme", "a1", ["a", "b"]),
        ("acme", "a2", ["c", "d"]),
        ("beta", "b1", ["e", "f"]),
        ("zeta", "z1", ["g", "h"]),
    ] {
        for job in jobs {
            table.save_job_as(&admin(tenant), job, project).await;
        }
    }
    let everything = list(&table, &filter(Tenants::All), 3).await;
    assert_eq!(everything.concat(), ["a", "b", "c", "d", "e", "f", "g", "h"]);
    assert!(everything.iter().all(|page| page.len() <= 3));
    let two = list(&table, &filter(tenants(&["acme", "zeta"])), 3).await;
    assert_eq!(two.concat(), ["a", "b", "c", "d", "g", "h"]);
    assert_eq!(list(&table, &filter(tenants(&["nobody"])), 3).await.concat(), Vec::<String>::new());
    assert_eq!(list(&table, &filter(tenants(&[])), 3).await.concat(), Vec::<String>::new());
    let project = table.table.find_project(&"a2".parse().unwrap()).await.unwrap();
    let of_project = JobFilter { project, ..filter(Tenants::All) };
    assert_eq!(list(&table, &of_project, 1).await.concat(), ["c", "d"]);
}

#[tokio::test]
async fn a_cursor_does_not_lead_into_another_tenants_jobs() {
    let table = TestTable::new().await;
    for (tenant, job) in [("acme", "a"), ("acme", "b"), ("beta", "c"), ("beta", "d")] {
        table.save_job_as(&admin(tenant), job, tenant).await;
    }
    let one = PageRequest { limit: Limit::new(1).unwrap(), cursor: None, ..PageRequest::default() };
    let page = table.table.list_jobs(&filter(tenants(&["beta"])), &one).await.unwrap();
    let stolen = PageRequest { cursor: page.next, ..one };
    let refused = table.table.list_jobs(&filter(tenants(&["acme"])), &stolen).await;
    assert!(matches!(refused, Err(ListError::Cursor(_))), "{refused:?}");
    let garbage = PageRequest { cursor: Some(Cursor::encode(b"JOBS\nbeta#")), ..stolen };
    let refused = table.table.list_jobs(&filter(tenants(&["acme"])), &garbage).await;
    assert!(matches!(refused, Err(ListError::Cursor(_))), "{refused:?}");
}

#[tokio::test]
async fn an_edit_finds_a_hundred_and_more_jobs_at_once() {
    let table = TestTable::new().await;
    table.save_job("job-7").await;
    let wanted: BTreeSet<_> = (0..150).map(|n| format!("job-{n}").parse().unwrap()).collect();
    let existing = table.table.find_for_edit(&wanted, &BTreeSet::from(["example".parse().unwrap()])).await;
    let existing = existing.unwrap();
    assert_eq!(existing.jobs.keys().map(ToString::to_string).collect::<Vec<_>>(), ["job-7"]);
    assert_eq!(existing.projects.len(), 1);
}

fn provider(name: &str, revision: &str) -> Provider {
    Provider {
        name: name.parse().unwrap(),
        kind: ProviderKind::Concourse,
        url: Some("https://ci.example.test".into()),
        account: Some(Account::Password { username: "ci-gateway".into() }),
        ca_certificate: None,
        sharing: Sharing::OpenToAll,
        revision: Revision::unverified(revision.into()),
        credentials_version: "cred_1".into(),
        updated_at: Timestamp::UNIX_EPOCH,
        updated_by: "api_key:key_test".into(),
    }
}

#[tokio::test]
async fn providers_are_replaced_and_deleted_only_as_they_were_seen() {
    let table = TestTable::new().await;
    let first = provider("concourse", "r1");
    let r1 = &first.revision;
    assert_eq!(table.table.save_provider(&first, None, None).await.unwrap(), EditOutcome::Done);
    assert_eq!(table.table.save_provider(&first, None, None).await.unwrap(), EditOutcome::Conflict);
    let second = provider("concourse", "r2");
    assert_eq!(table.table.save_provider(&second, Some(r1), None).await.unwrap(), EditOutcome::Done);
    assert_eq!(table.table.save_provider(&first, Some(r1), None).await.unwrap(), EditOutcome::Conflict);
    assert_eq!(table.table.find_provider(&first.name).await.unwrap(), Some(second.clone()));
    table.table.save_provider(&provider("another", "r1"), None, None).await.unwrap();
    let names: Vec<_> =
        table.table.list_providers().await.unwrap().into_iter().map(|p| p.name.to_string()).collect();
    assert_eq!(names, ["another", "concourse"]);
    let stale = table
        .table
        .delete_provider(&first.name, r1, &table.entry("user:ada", "provider:x", None))
        .await
        .unwrap();
    let done = table
        .table
        .delete_provider(&first.name, &second.revision, &table.entry("user:ada", "provider:x", None))
        .await
        .unwrap();
    assert_eq!((stale, done), (EditOutcome::Conflict, EditOutcome::Done));
    assert_eq!(table.table.find_provider(&first.name).await.unwrap(), None);
}
