//! Edits of jobs and providers: nothing is replaced or deleted unknowingly.

use futures_util::future::join_all;
use gatehouse_testkit::app::{Answer, Client};
use serde_json::{Value, json};

use crate::start_with_ci;

fn job(display_name: &str) -> Value {
    json!({
        "project": "example",
        "display_name": display_name,
        "provider": { "kind": "process", "ref": { "command": ["true"] } },
    })
}

fn provider(url: &str) -> Value {
    json!({ "kind": "concourse", "url": url,
        "auth": { "grant": "password", "username": "ci", "password": "secret" } })
}

/// Goes through the life of the thing at `path`, which `first` creates and `second` changes.
async fn assert_edited_knowingly(client: &Client<'_>, path: &str, first: &Value, second: &Value) {
    let refused = |answer: Answer, status: u16, slug: &str| {
        assert_eq!((answer.status.as_u16(), answer.problem()), (status, slug), "{answer}");
    };
    let put = |body: &Value| client.put(path).json(body);
    let delete = || client.delete(path);
    refused(delete().if_match("\"rev_0\"").await, 404, "not-found");
    refused(put(first).if_match("\"rev_0\"").await, 412, "precondition-failed");
    let created = put(first).header("if-none-match", "*").await;
    assert_eq!(created.status, 201, "{created}");
    let first_tag = created.etag();
    assert!(first_tag.starts_with('"') && first_tag.ends_with('"'), "{first_tag}");
    let shown = client.get(path).await;
    assert_eq!((shown.status.as_u16(), shown.etag(), &shown.body), (200, first_tag, &created.body));

    let blind = put(second).await;
    assert!(blind.body["detail"].as_str().unwrap().contains("If-Match"), "{blind}");
    refused(blind, 428, "precondition-required");
    refused(put(second).header("if-none-match", "*").await, 412, "precondition-failed");
    refused(put(second).if_match("\"rev_0\"").await, 412, "precondition-failed");
    assert_eq!(client.get(path).await.body, shown.body);

    let changed = put(second).if_match(first_tag).await;
    assert_eq!(changed.status, 200, "{changed}");
    let second_tag = changed.etag();
    assert_ne!(second_tag, first_tag);
    refused(put(first).if_match(first_tag).await, 412, "precondition-failed");
    refused(delete().await, 428, "precondition-required");
    refused(delete().if_match(first_tag).await, 412, "precondition-failed");
    assert_eq!(client.get(path).await.body, changed.body);

    assert_eq!(delete().if_match(second_tag).await.status, 204);
    refused(client.get(path).await, 404, "not-found");
    refused(delete().if_match(second_tag).await, 404, "not-found");
}

#[tokio::test]
async fn a_job_is_replaced_and_deleted_only_as_it_was_read() {
    let (app, _) = start_with_ci().await;
    let example = app.as_admin("example");
    assert_edited_knowingly(&example, "/v1/jobs/edited", &job("first"), &job("second")).await;
}

#[tokio::test]
async fn a_provider_is_replaced_and_deleted_only_as_it_was_read() {
    let (app, _) = start_with_ci().await;
    let (first, second) = (provider("https://one.example.com"), provider("https://two.example.com/"));
    assert_edited_knowingly(&app.as_platform_admin(), "/v1/providers/new", &first, &second).await;
}

#[tokio::test]
async fn of_many_edits_at_once_one_wins() {
    let (app, _) = start_with_ci().await;
    let example = app.as_admin("example");
    let put =
        |name: &str, number: usize| example.put("/v1/jobs/raced").json(&job(&format!("{name} {number}")));
    let answers = join_all((0..10).map(async |number| put("created", number).await)).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| [201, 412, 428].contains(&answer.status.as_u16())), "{answers:?}");
    let shown = example.get("/v1/jobs/raced").await;
    let tag = shown.etag();
    let answers = join_all((0..10).map(async |number| put("changed", number).if_match(tag).await)).await;
    let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    let [winner] = winners[..] else { panic!("{answers:?}") };
    assert!(answers.iter().all(|answer| [200, 412].contains(&answer.status.as_u16())), "{answers:?}");
    assert_eq!(example.get("/v1/jobs/raced").await.body, winner.body);
}

#[tokio::test]
async fn a_job_that_moves_to_another_project_is_listed_there_only() {
    let (app, _) = start_with_ci().await;
    let example = app.as_admin("example");
    let saved = example.put("/v1/jobs/hello").json(&job("hello")).await;
    let moved =
        json!({ "project": "moved", "provider": { "kind": "process", "ref": { "command": ["true"] } } });
    assert_eq!(example.put("/v1/jobs/hello").if_match(saved.etag()).json(&moved).await.status, 200);
    for (query, jobs) in [("?project=example", 0), ("?project=moved", 1), ("", 1)] {
        let listed = example.get(format!("/v1/jobs{query}")).await;
        assert_eq!(listed.body["jobs"].as_array().unwrap().len(), jobs, "{query}");
    }
}
