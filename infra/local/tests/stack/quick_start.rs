//! What a newcomer does first.

use serde_json::Value;

use crate::support::{Call, Client, Event, Key, Resume, TestStack, client::Caller, events};

/// The key that the example comes with.
struct DevKey;

impl Caller for DevKey {
    fn credential(&self) -> Option<String> {
        Some("dev-key-12345".to_owned())
    }
}

async fn job_ids(client: &Client) -> Vec<String> {
    let jobs = client.all("/v1/jobs", "jobs").await;
    jobs.iter().map(|job| job["job_id"].as_str().unwrap().to_owned()).collect()
}

fn statuses(events: &[Event]) -> Vec<Value> {
    let statuses = events.iter().filter(|event| event.kind == "status");
    statuses.map(|event| event.json()["status"].clone()).collect()
}

#[tokio::test]
async fn the_example_says_which_key_opens_it() {
    let stack = TestStack::start_example().await;
    assert_eq!(stack.stack().example_key(), Some("dev-key-12345"));
    let dev = stack.client(&DevKey);
    assert_eq!(job_ids(&dev).await, ["deploy", "failing", "hello", "slow"]);
    let providers = dev.get("/v1/providers").await.expect(200).json();
    assert_eq!(providers["providers"][0]["name"], "process");
    stack.stop().await;
}

#[tokio::test]
async fn a_quick_job_is_triggered_and_its_log_read() {
    let stack = TestStack::start_example().await;
    let dev = stack.client(&DevKey);
    let run = dev.trigger("hello").await;
    let events = dev.events(&run, Resume::Start).await.rest().await;
    assert_eq!(events::text(&events), "Hello, world!\n");
    assert_eq!(statuses(&events), ["running", "succeeded"]);
    let end = events.last().unwrap();
    assert_eq!(
        (end.id.as_deref(), end.kind.as_str(), end.data.as_str()),
        (Some("end"), "end", r#"{"status":"succeeded"}"#)
    );
    assert_eq!(dev.log(&run).await, "Hello, world!\n");
    assert_eq!(dev.run(&run).await["status"], "succeeded");
    let ada = serde_json::json!({ "parameters": { "who": "Ada-canary" } });
    let run = dev.send(Call::post("/v1/jobs/hello/runs").json(&ada)).await.expect(201).run_id();
    dev.ended(&run).await;
    assert_eq!(dev.log(&run).await, "Hello, Ada-canary!\n");
    stack.stop().await;
}

#[tokio::test]
async fn a_slow_run_is_watched_while_it_goes_on_and_cancelled() {
    let stack = TestStack::start_example().await;
    let dev = stack.client(&DevKey);
    let run = dev.trigger("slow").await;
    let mut reader = dev.events(&run, Resume::Start).await;
    let mut seen = reader.take(2).await;
    while events::text(&seen) != "line 1 of 60\nline 2 of 60\n" {
        seen.push(reader.next().await.unwrap());
    }
    assert_eq!(dev.run(&run).await["status"], "running");
    let answer = dev.send(Call::post(format!("/v1/runs/{run}/cancel"))).await.expect(202).json();
    assert_eq!(answer["run"]["status"], "cancelling");
    seen.extend(reader.rest().await);
    assert_eq!(statuses(&seen), ["running", "cancelling", "cancelled"]);
    let shown = dev.run(&run).await;
    assert_eq!(shown["status"], "cancelled");
    assert!(shown["cancel_requested_at"].is_string());
    // Cancelling again is fine; running it again makes another run.
    dev.send(Call::post(format!("/v1/runs/{run}/cancel"))).await.expect(202);
    let again = dev.send(Call::post(format!("/v1/runs/{run}/rerun"))).await.expect(201).json();
    assert_eq!(again["run"]["rerun_of"], *run);
    assert_ne!(again["run"]["run_id"], *run);
    stack.stop().await;
}

#[tokio::test]
async fn a_run_that_ends_badly_says_so() {
    let stack = TestStack::start_example().await;
    let dev = stack.client(&DevKey);
    let run = dev.trigger("failing").await;
    let shown = dev.ended(&run).await;
    assert_eq!(shown["status"], "failed");
    let events = dev.events(&run, Resume::Start).await.rest().await;
    let log = events.iter().find(|event| event.kind == "log").unwrap().json();
    assert_eq!((&log["stream"], &log["text"]), (&"stderr".into(), &"about to fail\n".into()));
    let finished = events.iter().map(Event::json).find(|event| event["phase"] == "finished").unwrap();
    assert_eq!((&finished["exit_status"], &finished["succeeded"]), (&3.into(), &false.into()));
    let cancel = dev.send(Call::post(format!("/v1/runs/{run}/cancel"))).await;
    let problem = cancel.problem(409, "run-ended");
    assert_eq!(problem["detail"], "The run has ended already: it failed.");
    stack.stop().await;
}

#[tokio::test]
async fn a_restart_loses_no_job_no_run_and_no_key() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    platform.put_script("long", "echo begun; sleep 1000").await;
    let finished = platform.trigger("hello").await;
    platform.ended(&finished).await;
    let cut = platform.trigger("long").await;
    platform.events(&cut, Resume::Start).await.take(3).await;
    let jobs = platform.all("/v1/jobs", "jobs").await;
    let shown = platform.run(&finished).await;
    let events = platform.events(&finished, Resume::Start).await.rest().await;

    let stack = stack.restart().await;
    let platform = stack.client(&Key::PLATFORM);
    assert_eq!(platform.all("/v1/jobs", "jobs").await, jobs);
    assert_eq!(platform.run(&finished).await, shown);
    assert_eq!(platform.events(&finished, Resume::Start).await.rest().await, events);
    let cut = platform.run(&cut).await;
    assert_eq!(cut["status"], "errored");
    assert_eq!(cut["reason"]["code"], "interrupted");
    assert_eq!(cut["reason"]["detail"], "the local stack stopped while the run was going");
    for key in Key::ALL {
        stack.client(&key).get("/auth/me").await.expect(200);
    }
    let listed = platform.all("/v1/jobs/hello/runs", "runs").await;
    assert_eq!(listed, [shown]);
    stack.stop().await;
}
