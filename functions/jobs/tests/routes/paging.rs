//! Lists of jobs, page by page.

use gatehouse_domain::access::Scope;
use gatehouse_testkit::app::{Answer, Client, TestApp};
use serde_json::json;

use crate::start_with_ci;

/// Where the `Link` of an answer to `path` leads.
fn linked(answer: &Answer, path: &str) -> Option<String> {
    let link = Some(answer.header("link")).filter(|link| !link.is_empty())?;
    let query = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
    Some(format!("{}{query}", path.split('?').next().unwrap()))
}

/// Follows the `Link` headers from `path` on, and checks each page on the way.
async fn pages(client: &Client<'_>, path: &str, limit: usize) -> Vec<String> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let (mut all, mut next) = (Vec::new(), Some(format!("{path}{separator}limit={limit}")));
    while let Some(path) = next {
        let page = client.get(&path).await;
        let jobs = page.body["jobs"].as_array().unwrap();
        assert!(jobs.len() <= limit, "{path}: {page}");
        all.extend(jobs.iter().map(|job| job["job_id"].as_str().unwrap().to_owned()));
        next = linked(&page, &path);
        match (&next, page.body["next_cursor"].as_str()) {
            (Some(link), Some(cursor)) => {
                assert!(link.contains(&format!("limit={limit}")) && link.contains(cursor), "{link}");
            }
            (None, None) => {}
            (link, cursor) => panic!("{link:?} and {cursor:?} contradict each other"),
        }
    }
    all
}

/// The jobs `a` to `d` of tenant `example`, and `e` and `f` of tenant `other`.
async fn with_jobs() -> TestApp {
    let (app, _) = start_with_ci().await;
    let entry = |id: &str, project: &str, environment: Option<&str>| {
        json!({ "job_id": id, "project": project, "environment": environment,
            "provider": { "kind": "process", "ref": { "command": ["true"] } } })
    };
    for (tenant, jobs) in [
        (
            "example",
            vec![
                entry("a", "alpha", Some("dev")),
                entry("b", "alpha", Some("prod")),
                entry("c", "beta", Some("dev")),
                entry("d", "beta", None),
            ],
        ),
        ("other", vec![entry("e", "gamma", Some("dev")), entry("f", "gamma", Some("prod"))]),
    ] {
        app.table.create_tenant(tenant).await;
        let call = app.as_platform_admin().post(format!("/v1/jobs/import?atomic=true&tenant={tenant}"));
        assert_eq!(call.json(&json!({ "jobs": jobs })).await.status, 200);
    }
    app
}

#[tokio::test]
async fn jobs_come_page_by_page_to_the_last() {
    let app = with_jobs().await;
    let all = ["a", "b", "c", "d", "e", "f"];
    for (tenants, expected) in [("*", &all[..]), ("example", &all[..4]), ("other", &all[4..])] {
        let client = app.as_api_key(&[Scope::All], tenants);
        for limit in 1..=3 {
            assert_eq!(pages(&client, "/v1/jobs", limit).await, expected, "{limit} a page");
        }
        assert_eq!(pages(&client, "/v1/jobs", 100).await, expected);
    }
}

#[tokio::test]
async fn jobs_are_filtered_by_project_and_environment() {
    let app = with_jobs().await;
    for (tenants, query, expected) in [
        ("*", "project=alpha", &["a", "b"][..]),
        ("*", "environment=dev", &["a", "c", "e"]),
        ("*", "project=alpha&environment=prod", &["b"]),
        ("*", "project=beta&environment=prod", &[]),
        ("*", "project=absent", &[]),
        ("*", "environment=absent", &[]),
        ("example", "environment=dev", &["a", "c"]),
        ("example", "project=gamma", &[]),
        ("other", "environment=dev", &["e"]),
        ("other", "project=gamma", &["e", "f"]),
    ] {
        let client = app.as_api_key(&[Scope::All], tenants);
        for limit in [1, 2, 50] {
            let found = pages(&client, &format!("/v1/jobs?{query}"), limit).await;
            assert_eq!(found, expected, "{query}, {limit} a page");
        }
    }
}
