//! Lists, page by page.

use serde_json::{Value, json};

use crate::support::{Answer, Call, Client, Key, TestStack};

fn ids(page: &Value, list: &str, id: &str) -> Vec<String> {
    page[list].as_array().unwrap().iter().map(|item| item[id].as_str().unwrap().to_owned()).collect()
}

/// Where the `Link` of an answer to `path` leads.
fn linked(answer: &Answer, path: &str) -> Option<String> {
    let link = answer.header("link")?;
    let query = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
    Some(format!("{}{query}", path.split('?').next().unwrap()))
}

/// Follows the `Link` headers from `path` on, and checks each page on the way.
async fn pages(client: &Client, path: &str, list: &str, id: &str, limit: usize) -> Vec<String> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let (mut all, mut next) = (Vec::new(), Some(format!("{path}{separator}limit={limit}")));
    while let Some(path) = next {
        let answer = client.get(&path).await.expect(200);
        let page = answer.json();
        let items = ids(&page, list, id);
        assert!(items.len() <= limit, "{path}: {page}");
        all.extend(items);
        next = linked(&answer, &path);
        match (&next, page["next_cursor"].as_str()) {
            (Some(link), Some(cursor)) => {
                assert!(link.contains(&format!("limit={limit}")) && link.contains(cursor), "{link}");
            }
            (None, None) => {}
            (link, cursor) => panic!("{link:?} and {cursor:?} contradict each other"),
        }
    }
    all
}

async fn stack_with_jobs() -> (TestStack, Vec<String>) {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
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
        let file = json!({ "jobs": jobs });
        let call = Call::post(format!("/v1/jobs/import?atomic=true&tenant={tenant}")).json(&file);
        platform.send(call).await.expect(200);
    }
    (stack, ["a", "b", "c", "d", "hello", "e", "f"].map(str::to_owned).into())
}

#[tokio::test]
async fn jobs_come_page_by_page_to_the_last() {
    let (stack, all) = stack_with_jobs().await;
    for (key, expected) in [(Key::PLATFORM, &all[..]), (Key::EXAMPLE, &all[..5]), (Key::OTHER, &all[5..])] {
        let client = stack.client(&key);
        for limit in 1..=3 {
            assert_eq!(pages(&client, "/v1/jobs", "jobs", "job_id", limit).await, expected, "{limit} a page");
        }
        assert_eq!(pages(&client, "/v1/jobs", "jobs", "job_id", 100).await, expected);
    }
    stack.stop().await;
}

#[tokio::test]
async fn jobs_are_filtered_by_project_and_environment() {
    let (stack, _) = stack_with_jobs().await;
    for (key, query, expected) in [
        (Key::PLATFORM, "project=alpha", &["a", "b"][..]),
        (Key::PLATFORM, "environment=dev", &["a", "c", "e"]),
        (Key::PLATFORM, "project=alpha&environment=prod", &["b"]),
        (Key::PLATFORM, "project=beta&environment=prod", &[]),
        (Key::PLATFORM, "project=absent", &[]),
        (Key::PLATFORM, "environment=absent", &[]),
        (Key::EXAMPLE, "environment=dev", &["a", "c"]),
        (Key::EXAMPLE, "project=gamma", &[]),
        (Key::OTHER, "environment=dev", &["e"]),
        (Key::OTHER, "project=gamma", &["e", "f"]),
    ] {
        let client = stack.client(&key);
        for limit in [1, 2, 50] {
            let found = pages(&client, &format!("/v1/jobs?{query}"), "jobs", "job_id", limit).await;
            assert_eq!(found, expected, "{query}, {limit} a page");
        }
    }
    stack.stop().await;
}

#[tokio::test]
async fn runs_come_page_by_page_with_the_newest_first() {
    let stack = TestStack::start().await;
    let example = stack.client(&Key::EXAMPLE);
    let mut runs = Vec::new();
    for _ in 0..7 {
        let run = example.trigger("hello").await;
        example.ended(&run).await;
        runs.insert(0, run);
    }
    for limit in 1..=3 {
        assert_eq!(pages(&example, "/v1/jobs/hello/runs", "runs", "run_id", limit).await, runs);
    }
    // A run that comes while somebody pages shifts nothing.
    let first = example.get("/v1/jobs/hello/runs?limit=3").await.expect(200);
    let newest = example.trigger("hello").await;
    let second = example.get(linked(&first, "/v1/jobs/hello/runs").unwrap()).await.expect(200);
    assert_eq!(ids(&first.json(), "runs", "run_id"), runs[..3]);
    assert_eq!(ids(&second.json(), "runs", "run_id"), runs[3..6]);
    runs.insert(0, newest);
    assert_eq!(pages(&example, "/v1/jobs/hello/runs", "runs", "run_id", 100).await, runs);
    stack.stop().await;
}

#[tokio::test]
async fn a_cursor_opens_no_other_list() {
    let (stack, _) = stack_with_jobs().await;
    let (platform, other) = (stack.client(&Key::PLATFORM), stack.client(&Key::OTHER));
    for _ in 0..2 {
        let run = platform.trigger("hello").await;
        platform.ended(&run).await;
    }
    let cursor = |answer: Answer| answer.expect(200).json()["next_cursor"].as_str().unwrap().to_owned();
    let of_jobs = cursor(platform.get("/v1/jobs?limit=1").await);
    let of_runs = cursor(platform.get("/v1/jobs/hello/runs?limit=1").await);
    for path in [
        format!("/v1/jobs?cursor={of_runs}"),
        format!("/v1/jobs/hello/runs?cursor={of_jobs}"),
        format!("/v1/jobs/a/runs?cursor={of_runs}"),
    ] {
        let problem = platform.get(path).await.problem(400, "invalid-query");
        assert_eq!(problem["detail"], "cursor: the cursor does not belong to this list");
    }
    // Somebody else's cursor, or one that was made by hand, shows nothing of others.
    let forged =
        ["JOBS\nexample#alpha#a", "JOBS\n", "JOBS\nexample#", "JOBS\n\u{10ffff}", "JOBS\nother#gamma#"]
            .map(|text| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes()));
    for cursor in forged.iter().chain([&of_jobs]) {
        let answer = other.get(format!("/v1/jobs?cursor={cursor}")).await;
        if answer.status == 200 {
            let seen = ids(&answer.json(), "jobs", "job_id");
            assert!(seen.iter().all(|id| id == "e" || id == "f"), "{seen:?}");
        } else {
            answer.problem(400, "invalid-query");
        }
    }
    stack.stop().await;
}
