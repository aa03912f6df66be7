//! Who sees what: builds that Gatehouse did not start, other tenants' things, and things that never were.

use gatehouse_testkit::concourse::ConcourseTwin;
use serde_json::json;

use crate::support::{Anonymous, Call, Client, Key, Resume, TestStack, concourse, events};

/// A stack with the twin, whose jobs belong to the tenant `example`, except that `other` has its own job for
/// the instanced pipeline.
async fn stack_with_two_tenants() -> (TestStack, ConcourseTwin) {
    let twin = ConcourseTwin::example().start().await;
    let stack = TestStack::start().await;
    concourse::set_up(&stack.client(&Key::PLATFORM), &twin).await;
    let theirs = json!({
        "project": "theirs",
        "provider": { "kind": "concourse",
            "ref": { "team": "main", "pipeline": "app", "job": "deploy", "vars": { "branch": "dev" } } },
    });
    stack.client(&Key::OTHER).send(Call::put("/v1/jobs/their-deploy").json(&theirs)).await.expect(201);
    (stack, twin)
}

#[tokio::test]
async fn a_build_that_gatehouse_did_not_start_is_a_run() {
    let (stack, twin) = stack_with_two_tenants().await;
    let build = twin.schedule("main", "example-pipeline", "hello-job");
    twin.wait_until_finished(build).await;
    let id = format!("main:example-pipeline:hello-job:{build}");
    let example = stack.client(&Key::EXAMPLE);
    let run = example.run(&id).await;
    assert_eq!((&run["run_id"], &run["job_id"]), (&json!(id), &json!(concourse::HELLO)));
    assert_eq!(run["status"], "succeeded");
    assert!(run["triggered_by"].is_null(), "{run}");
    let events = example.events(&id, Resume::Start).await.rest().await;
    assert_eq!(events::text(&events), "Hello, world!\r\nbuilding\r\ndone\r\n");
    assert_eq!(example.log(&id).await, "Hello, world!\nbuilding\ndone\n");
    example.send(Call::post(format!("/v1/runs/{id}/cancel"))).await.problem(409, "run-ended");
    let rerun = example.send(Call::post(format!("/v1/runs/{id}/rerun"))).await.expect(201).json();
    assert_eq!(rerun["run"]["rerun_of"], *id);
    // Its own list has what was started through Gatehouse.
    let listed = example.all(&format!("/v1/jobs/{}/runs", concourse::HELLO), "runs").await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["run_id"], rerun["run"]["run_id"]);
    stack.stop().await;
}

#[tokio::test]
async fn a_build_is_seen_only_through_a_job_of_ones_own() {
    let (stack, twin) = stack_with_two_tenants().await;
    let (example, other) = (stack.client(&Key::EXAMPLE), stack.client(&Key::OTHER));
    let hello = twin.schedule("main", "example-pipeline", "hello-job");
    let dev = twin.schedule("main", ("app", json!({ "branch": "dev" })), "deploy");
    let main = twin.schedule("main", ("app", json!({ "branch": "main" })), "deploy");
    let id = |job: &str, build: i64| format!("/v1/runs/main:{job}:{build}");
    for (client, path, status) in [
        (&example, id("example-pipeline:hello-job", hello), 200),
        (&other, id("example-pipeline:hello-job", hello), 404),
        (&example, id("app:deploy", dev), 200),
        (&other, id("app:deploy", dev), 200),
        (&example, id("app:deploy", main), 200),
        // Their job is for another instance.
        (&other, id("app:deploy", main), 404),
        // The build is one of another pipeline job than its id says.
        (&example, id("example-pipeline:slow-job", hello), 404),
        (&example, id("app:deploy", hello), 404),
        (&other, id("app:deploy", hello), 404),
        (&example, id("example-pipeline:hello-job", dev), 404),
        (&example, "/v1/runs/ops:maintenance:backup:1".replace('1', &hello.to_string()), 404),
        // No such build, job, pipeline, team or provider.
        (&example, id("example-pipeline:hello-job", 999_999), 404),
        (&example, id("example-pipeline:gone", hello), 404),
        (&example, id("gone:hello-job", hello), 404),
        (&example, format!("/v1/runs/gone:example-pipeline:hello-job:{hello}"), 404),
        (&example, format!("/v1/runs/gone@main:example-pipeline:hello-job:{hello}"), 404),
        // Other ways to write the same id are other ids.
        (&example, format!("/v1/runs/concourse@main:example-pipeline:hello-job:{hello}"), 404),
        (&example, format!("/v1/runs/main:example-pipeline:hello-job:0{hello}"), 404),
        (&example, format!("/v1/runs/main:example-pipeline:hello~2djob:{hello}"), 404),
    ] {
        for suffix in ["", "/events", "/log"] {
            let path = format!("{path}{suffix}");
            let answer = client.open(Call::get(&path)).await.unwrap();
            assert_eq!(answer.status(), status, "{path}");
        }
    }
    stack.stop().await;
}

async fn problems(
    client: &Client,
    method: &http::Method,
    path: &str,
    headers: &[(&'static str, &str)],
) -> String {
    let mut call = Call::new(method.clone(), path);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    if *method == http::Method::POST {
        call = call.json(&json!({}));
    }
    client.send(call).await.anonymous_problem(404, "not-found").to_string()
}

#[tokio::test]
async fn what_is_somebody_elses_cannot_be_told_from_what_never_was() {
    let (stack, twin) = stack_with_two_tenants().await;
    let example = stack.client(&Key::EXAMPLE);
    let hello = example.trigger("hello").await;
    let started = example.trigger(concourse::HELLO).await;
    let scheduled =
        format!("main:example-pipeline:hello-job:{}", twin.schedule("main", "example-pipeline", "hello-job"));
    let other = stack.client(&Key::OTHER);
    let (get, post, delete) = (http::Method::GET, http::Method::POST, http::Method::DELETE);
    let if_match = [("if-match", "\"rev_0\"")];
    for (method, suffix, headers) in
        [(&get, "", &[][..]), (&get, "/runs", &[]), (&post, "/runs", &[]), (&delete, "", &if_match)]
    {
        let absent = problems(&other, method, &format!("/v1/jobs/absent{suffix}"), headers).await;
        let foreign = problems(&other, method, &format!("/v1/jobs/hello{suffix}"), headers).await;
        assert_eq!(foreign, absent, "{method} job{suffix}");
    }
    for (method, suffix) in
        [(&get, ""), (&get, "/events"), (&get, "/log"), (&post, "/cancel"), (&post, "/rerun")]
    {
        let absent = problems(&other, method, &format!("/v1/runs/run_absent{suffix}"), &[]).await;
        for run in [&hello, &started, &scheduled] {
            let foreign = problems(&other, method, &format!("/v1/runs/{run}{suffix}"), &[]).await;
            assert_eq!(foreign, absent, "{method} {run}{suffix}");
        }
        let gone = problems(&other, method, &format!("/v1/runs/main:app:gone:1{suffix}"), &[]).await;
        assert_eq!(gone, absent);
    }
    stack.stop().await;
}

#[tokio::test]
async fn another_tenants_key_sees_nothing() {
    let (stack, _twin) = stack_with_two_tenants().await;
    let other = stack.client(&Key::OTHER);
    let jobs = other.all("/v1/jobs", "jobs").await;
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    assert_eq!(jobs[0]["job_id"], "their-deploy");
    assert_eq!(other.all("/v1/jobs?project=example", "jobs").await, [json!(null); 0]);
    assert_eq!(other.all("/v1/jobs?project=absent", "jobs").await, [json!(null); 0]);
    // Neither the name of a job nor of a project can be taken over.
    let process = json!({ "kind": "process", "ref": { "command": ["true"] } });
    let body = |project: &str| json!({ "project": project, "provider": process });
    let taken = other.send(Call::put("/v1/jobs/hello").json(&body("theirs"))).await;
    taken.problem(409, "conflict");
    let taken = other.send(Call::put("/v1/jobs/new").json(&body("example"))).await;
    taken.problem(409, "conflict");
    let elsewhere = other.send(Call::put("/v1/jobs/new?tenant=example").json(&body("new"))).await;
    elsewhere.problem(403, "forbidden");
    other.get("/v1/jobs/new").await.problem(404, "not-found");
    stack.stop().await;
}

#[tokio::test]
async fn without_a_key_nothing_but_health_and_the_description_is_answered() {
    let stack = TestStack::start().await;
    let anonymous = stack.client(&Anonymous);
    for path in ["/health", "/openapi.json", "/ping"] {
        anonymous.get(path).await.expect(200);
    }
    for path in ["/v1/jobs", "/v1/jobs/hello", "/v1/providers", "/v1/runs/run_x", "/v1/runs/run_x/events"] {
        let answer = anonymous.get(path).await;
        answer.problem(401, "unauthorized");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{path}");
    }
    for credential in [
        "Bearer wrong-key-12345",
        "Bearer",
        "Basic dGVzdC1rZXktcGxhdGZvcm0=",
        "canary-key-platform",
        "Bearer canary-key-platform x",
        "Bearer gh_00000000000000000000000000000000000000",
    ] {
        let call = Call::get("/v1/jobs").header("authorization", credential);
        anonymous.send(call).await.problem(401, "unauthorized");
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_key_does_what_its_scopes_say_and_nothing_else() {
    let stack = TestStack::start().await;
    let run = stack.client(&Key::PLATFORM).trigger("hello").await;
    let jobs_reader = stack.client(&Key::JOBS_READER);
    jobs_reader.get("/v1/jobs").await.expect(200);
    jobs_reader.get("/v1/jobs/hello").await.expect(200);
    let reader = stack.client(&Key::READER);
    for path in ["/v1/jobs", "/v1/jobs/hello/runs", "/v1/providers", "/v1/providers/process"] {
        reader.get(path).await.expect(200);
    }
    reader.get(format!("/v1/runs/{run}")).await.expect(200);
    let empty = json!({});
    let forbidden_to_readers = [
        Call::post("/v1/jobs/hello/runs"),
        Call::post(format!("/v1/runs/{run}/cancel")),
        Call::post(format!("/v1/runs/{run}/rerun")),
        Call::put("/v1/jobs/new").json(&empty),
        Call::delete("/v1/jobs/hello"),
        Call::post("/v1/jobs/import").json(&empty),
        Call::post("/v1/jobs/discover").json(&empty),
        Call::put("/v1/providers/new").json(&empty),
        Call::delete("/v1/providers/process"),
        Call::post("/v1/providers/process/check"),
    ];
    for call in &forbidden_to_readers {
        for client in [&reader, &jobs_reader] {
            client.send(call.clone()).await.problem(403, "forbidden");
        }
    }
    for path in [
        "/v1/jobs/hello/runs",
        "/v1/providers",
        &format!("/v1/runs/{run}"),
        &format!("/v1/runs/{run}/events"),
        &format!("/v1/runs/{run}/log"),
    ] {
        jobs_reader.get(path).await.problem(403, "forbidden");
    }
    // What touches the whole installation needs a key for all tenants, whatever its scopes.
    let example = stack.client(&Key::EXAMPLE);
    example.get("/v1/providers").await.expect(200);
    for call in &forbidden_to_readers[6..] {
        example.send(call.clone()).await.problem(403, "forbidden");
    }
    assert_eq!(stack.client(&Key::PLATFORM).all("/v1/jobs/hello/runs", "runs").await.len(), 1);
    stack.stop().await;
}
