//! What an edit of jobs and providers means to runs.

use serde_json::{Value, json};

use crate::support::{Call, Key, TestStack};

fn job(display_name: &str) -> Value {
    json!({
        "project": "example",
        "display_name": display_name,
        "provider": { "kind": "process", "ref": { "command": ["true"] } },
    })
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
