//! One request, one run, whatever is repeated or lost.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use gatehouse_testkit::concourse::{ConcourseTwin, Fault, Route, Version};
use serde_json::{Value, json};

use crate::support::{Answer, Call, Client, Key, TestStack, concourse};

fn trigger(job: &str, key: &str) -> Call {
    Call::post(format!("/v1/jobs/{job}/runs")).header("idempotency-key", key)
}

/// Sends `call` a hundred times at once, and returns the run that all answers name.
async fn trigger_a_hundred_times(client: &Client, call: &Call) -> String {
    let answers = join_all((0..100).map(|_| client.send(call.clone()))).await;
    let bodies: BTreeSet<_> = answers.iter().map(Answer::text).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let first = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_none());
    assert_eq!(first.count(), 1, "one answer is the first");
    for answer in &answers {
        let location = answer.clone().expect(201).header("location").map(str::to_owned);
        assert_eq!(location.unwrap(), format!("../../runs/{}", answer.run_id()));
    }
    answers[0].run_id()
}

async fn runs_of(client: &Client, job: &str) -> Vec<Value> {
    client.all(&format!("/v1/jobs/{job}/runs"), "runs").await
}

#[tokio::test]
async fn a_hundred_equal_triggers_start_one_process() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let count = stack.data().join("count");
    platform.put_script("counting", &format!("echo started >> {}", count.display())).await;
    let run = trigger_a_hundred_times(&platform, &trigger("counting", "the-same")).await;
    platform.ended(&run).await;
    assert_eq!(runs_of(&platform, "counting").await.len(), 1);
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "started\n");
    stack.stop().await;
}

async fn stack_and_twin(version: Version) -> (TestStack, ConcourseTwin, Client) {
    let twin = ConcourseTwin::example().version(version).start().await;
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    concourse::set_up(&platform, &twin).await;
    (stack, twin, platform)
}

#[tokio::test]
async fn a_hundred_equal_triggers_start_one_build() {
    let (stack, twin, platform) = stack_and_twin(Version::V7_14).await;
    let run = trigger_a_hundred_times(&platform, &trigger(concourse::HELLO, "the-same")).await;
    assert_eq!(twin.builds().len(), 1);
    assert_eq!(run, format!("main:example-pipeline:hello-job:{}", twin.builds()[0].id));
    stack.stop().await;
}

/// The ways in which Concourse makes a build and the answer gets lost.
fn lost_answers() -> [Fault; 4] {
    let trigger = || Fault::on(Route::Trigger);
    [
        trigger().status(500).after_effect(),
        trigger().cut().after_effect(),
        trigger().html_page(502).after_effect(),
        trigger().cut_at_byte(20),
    ]
}

#[tokio::test]
async fn a_hundred_equal_triggers_whose_answer_is_lost_start_one_build() {
    let (stack, twin, platform) = stack_and_twin(Version::V8_1).await;
    for (number, fault) in lost_answers().into_iter().take(2).enumerate() {
        let what = format!("{fault:?}");
        twin.fault(fault);
        let run =
            trigger_a_hundred_times(&platform, &trigger(concourse::HELLO, &format!("key-{number}"))).await;
        assert_eq!(twin.builds().len(), number + 1, "{what}");
        let build = twin.builds()[number].id;
        assert_eq!(run, format!("main:example-pipeline:hello-job:{build}"), "{what}");
    }
    stack.stop().await;
}

#[tokio::test]
async fn a_trigger_without_a_key_whose_answer_is_lost_starts_one_build() {
    for version in [Version::V6_5, Version::V8_3] {
        let (stack, twin, platform) = stack_and_twin(version).await;
        for (number, fault) in lost_answers().into_iter().enumerate() {
            let what = format!("{version} {fault:?}");
            twin.fault(fault);
            let run = platform.trigger(concourse::HELLO).await;
            assert_eq!(twin.builds().len(), number + 1, "{what}");
            assert_eq!(
                run,
                format!("main:example-pipeline:hello-job:{}", twin.builds()[number].id),
                "{what}"
            );
        }
        stack.stop().await;
    }
}

#[tokio::test]
async fn a_trigger_that_certainly_failed_starts_nothing_and_may_be_repeated() {
    let (stack, twin, platform) = stack_and_twin(Version::V8_3).await;
    twin.go_down();
    let call = trigger(concourse::HELLO, "patient");
    let answer = platform.send(call.clone()).await;
    let problem = answer.problem(503, "provider-unavailable");
    assert!(problem["detail"].as_str().unwrap().contains("cannot be reached"), "{problem}");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(twin.builds(), []);
    twin.come_up();
    platform.send(call).await.expect(201);
    assert_eq!(twin.builds().len(), 1);
    stack.stop().await;
}

#[tokio::test]
async fn two_triggers_whose_answers_are_both_lost_get_a_build_each() {
    let (stack, twin, platform) = stack_and_twin(Version::V7_14).await;
    twin.fault(Fault::on(Route::Trigger).cut().after_effect().times(2));
    let both = ["one", "two"].map(|key| platform.send(trigger(concourse::HELLO, key)));
    let runs: BTreeSet<_> =
        join_all(both).await.into_iter().map(|answer| answer.expect(201).run_id()).collect();
    let builds: BTreeSet<_> =
        twin.builds().iter().map(|build| format!("main:example-pipeline:hello-job:{}", build.id)).collect();
    assert_eq!(builds.len(), 2);
    assert_eq!(runs, builds);
    // Asking again gives each its own.
    for key in ["one", "two"] {
        let again = platform.send(trigger(concourse::HELLO, key)).await.expect(201);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert!(runs.contains(&again.run_id()));
    }
    assert_eq!(twin.builds().len(), 2);
    stack.stop().await;
}

#[tokio::test]
async fn a_key_is_for_one_request_of_one_caller() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    platform.put_script("other-job", "true").await;
    let ada = json!({ "parameters": { "who": "Ada-canary" } });
    let first = platform.send(trigger("hello", "one").json(&ada)).await.expect(201);
    let replay = platform.send(trigger("hello", "\"one\"").json(&ada)).await.expect(201);
    assert_eq!((replay.text(), replay.header("idempotency-replayed")), (first.text(), Some("true")));
    let bob = json!({ "parameters": { "who": "Bob-canary" } });
    for call in [trigger("hello", "one").json(&bob), trigger("hello", "one"), trigger("other-job", "one")] {
        let problem = platform.send(call).await.problem(422, "idempotency-key-reused");
        assert!(problem["detail"].as_str().unwrap().contains("Idempotency-Key"), "{problem}");
    }
    let ended = platform.ended(&first.run_id()).await;
    let rerun = Call::post(format!("/v1/runs/{}/rerun", ended["run_id"].as_str().unwrap()));
    platform.send(rerun.header("idempotency-key", "one")).await.problem(422, "idempotency-key-reused");
    // Another caller's key of the same name is another key.
    let example = stack.client(&Key::EXAMPLE);
    let theirs = example.send(trigger("hello", "one").json(&ada)).await.expect(201);
    assert_ne!(theirs.run_id(), first.run_id());
    assert_eq!(theirs.header("idempotency-replayed"), None);
    stack.stop().await;
}

#[tokio::test]
async fn a_repeated_rerun_is_one_rerun() {
    let (stack, twin, platform) = stack_and_twin(Version::V8_3).await;
    let run = platform.trigger(concourse::FAILING).await;
    platform.ended(&run).await;
    twin.fault(Fault::on(Route::Rerun).cut().after_effect());
    let rerun = Call::post(format!("/v1/runs/{run}/rerun")).header("idempotency-key", "again");
    let answers = join_all((0..10).map(|_| platform.send(rerun.clone()))).await;
    let bodies: BTreeSet<_> = answers.iter().map(|answer| answer.clone().expect(201).text()).collect();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    let builds = twin.builds();
    assert_eq!(builds.len(), 2);
    assert_eq!(builds[1].rerun_of, Some(builds[0].id));
    assert_eq!(answers[0].json()["run"]["rerun_of"], *run);
    stack.stop().await;
}
