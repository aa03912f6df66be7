//! Edits of jobs and providers: nothing is replaced or deleted unknowingly.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Call, Client, Key, TestStack};

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
async fn assert_edited_knowingly(client: &Client, path: &str, first: &Value, second: &Value) {
    client.send(Call::delete(path).header("if-match", "\"rev_0\"")).await.problem(404, "not-found");
    let put = |body: &Value| Call::put(path).json(body);
    client.send(put(first).header("if-match", "\"rev_0\"")).await.problem(412, "precondition-failed");
    let created = client.send(put(first).header("if-none-match", "*")).await.expect(201);
    let first_tag = created.header("etag").unwrap().to_owned();
    assert!(first_tag.starts_with('"') && first_tag.ends_with('"'), "{first_tag}");
    let shown = client.get(path).await.expect(200);
    assert_eq!((shown.header("etag"), shown.json()), (Some(first_tag.as_str()), created.json()));

    let blind = client.send(put(second)).await.problem(428, "precondition-required");
    assert!(blind["detail"].as_str().unwrap().contains("If-Match"), "{blind}");
    client.send(put(second).header("if-none-match", "*")).await.problem(412, "precondition-failed");
    client.send(put(second).header("if-match", "\"rev_0\"")).await.problem(412, "precondition-failed");
    assert_eq!(client.get(path).await.expect(200).json(), shown.json());

    let changed = client.send(put(second).header("if-match", &first_tag)).await.expect(200);
    let second_tag = changed.header("etag").unwrap().to_owned();
    assert_ne!(second_tag, first_tag);
    client.send(put(first).header("if-match", &first_tag)).await.problem(412, "precondition-failed");
    client.send(Call::delete(path)).await.problem(428, "precondition-required");
    client.send(Call::delete(path).header("if-match", &first_tag)).await.problem(412, "precondition-failed");
    assert_eq!(client.get(path).await.expect(200).json(), changed.json());

    client.send(Call::delete(path).header("if-match", &second_tag)).await.expect(204);
    client.get(path).await.problem(404, "not-found");
    client.send(Call::delete(path).header("if-match", &second_tag)).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_job_is_replaced_and_deleted_only_as_it_was_read() {
    let stack = TestStack::start().await;
    let example = stack.client(&Key::EXAMPLE);
    assert_edited_knowingly(&example, "/v1/jobs/edited", &job("first"), &job("second")).await;
    stack.stop().await;
}

#[tokio::test]
async fn a_provider_is_replaced_and_deleted_only_as_it_was_read() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let (first, second) = (provider("https://one.example.com"), provider("https://two.example.com/"));
    assert_edited_knowingly(&platform, "/v1/providers/ci", &first, &second).await;
    stack.stop().await;
}

#[tokio::test]
async fn of_many_edits_at_once_one_wins() {
    let stack = TestStack::start().await;
    let example = stack.client(&Key::EXAMPLE);
    let create = |number| Call::put("/v1/jobs/raced").json(&job(&format!("created {number}")));
    let answers = join_all((0..10).map(|number| example.send(create(number)))).await;
    let created = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(created, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| [201, 412, 428].contains(&answer.status.as_u16())), "{answers:?}");
    let shown = example.get("/v1/jobs/raced").await.expect(200);
    let tag = shown.header("etag").unwrap();
    let change =
        |number| Call::put("/v1/jobs/raced").header("if-match", tag).json(&job(&format!("changed {number}")));
    let answers = join_all((0..10).map(|number| example.send(change(number)))).await;
    let winners: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    let [winner] = winners[..] else { panic!("{answers:?}") };
    assert!(answers.iter().all(|answer| [200, 412].contains(&answer.status.as_u16())), "{answers:?}");
    assert_eq!(example.get("/v1/jobs/raced").await.expect(200).json(), winner.json());
    stack.stop().await;
}

#[tokio::test]
async fn a_deleted_jobs_runs_stay_and_its_id_is_free_again() {
    let stack = TestStack::start().await;
    let example = stack.client(&Key::EXAMPLE);
    let run = example.trigger("hello").await;
    let ended = example.ended(&run).await;
    let tag = example.get("/v1/jobs/hello").await.header("etag").unwrap().to_owned();
    example.send(Call::delete("/v1/jobs/hello").header("if-match", tag)).await.expect(204);
    assert_eq!(example.run(&run).await, ended);
    assert_eq!(example.log(&run).await, "Hello, world!\n");
    example.get("/v1/jobs/hello/runs").await.problem(404, "not-found");
    example.send(Call::post("/v1/jobs/hello/runs")).await.problem(404, "not-found");
    example.send(Call::post(format!("/v1/runs/{run}/rerun"))).await.problem(404, "not-found");
    example.send(Call::put("/v1/jobs/hello").json(&job("anew"))).await.expect(201);
    stack.stop().await;
}

#[tokio::test]
async fn a_job_that_moves_to_another_project_is_listed_there_only() {
    let stack = TestStack::start().await;
    let example = stack.client(&Key::EXAMPLE);
    let tag = example.get("/v1/jobs/hello").await.header("etag").unwrap().to_owned();
    let moved =
        json!({ "project": "moved", "provider": { "kind": "process", "ref": { "command": ["true"] } } });
    example.send(Call::put("/v1/jobs/hello").header("if-match", tag).json(&moved)).await.expect(200);
    assert_eq!(example.all("/v1/jobs?project=example", "jobs").await.len(), 0);
    assert_eq!(example.all("/v1/jobs?project=moved", "jobs").await.len(), 1);
    assert_eq!(example.all("/v1/jobs", "jobs").await.len(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn a_provider_that_is_gone_is_named_where_it_is_missed() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let body = json!({ "project": "example", "provider": { "kind": "concourse", "name": "gone",
        "ref": { "team": "main", "pipeline": "app", "job": "deploy" } } });
    platform.send(Call::put("/v1/jobs/orphan").json(&body)).await.expect(201);
    let problem = platform.send(Call::post("/v1/jobs/orphan/runs")).await;
    let problem = problem.problem(409, "provider-not-configured");
    assert!(problem["detail"].as_str().unwrap().contains("PUT /v1/providers/gone"), "{problem}");
    platform.send(Call::post("/v1/providers/gone/check")).await.problem(404, "not-found");
    stack.stop().await;
}

#[tokio::test]
async fn a_secret_may_be_left_out_while_the_account_stays() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let put = || Call::put("/v1/providers/ci");
    let tag = platform.send(put().json(&provider("https://one.example.com"))).await.expect(201);
    let tag = tag.header("etag").unwrap().to_owned();
    let mut kept = provider("https://two.example.com");
    kept["auth"].as_object_mut().unwrap().remove("password");
    let answer = platform.send(put().header("if-match", &tag).json(&kept)).await.expect(200);
    let tag = answer.header("etag").unwrap().to_owned();
    kept["auth"]["username"] = json!("somebody-else");
    let problem = platform.send(put().header("if-match", &tag).json(&kept)).await;
    assert_eq!(problem.problem(422, "validation-failed")["errors"][0]["pointer"], "/auth");
    let shown: BTreeSet<_> = answer.json()["provider"].as_object().unwrap().keys().cloned().collect();
    assert!(!answer.text().contains("secret") && shown.contains("auth"), "{shown:?}");
    stack.stop().await;
}
