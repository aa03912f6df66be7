//! Checks of resources, which are builds among the others.

use gatehouse_testkit::concourse::{BuildSnapshot, ConcourseTwin, Script, Status, Version};
use serde_json::{Value, json};

use crate::client::{Client, JOB, envelopes, one_job};

const PIPELINE: &str = "/api/v1/teams/main/pipelines/p";

const LISTS: [&str; 3] =
    ["/api/v1/builds", "/api/v1/teams/main/builds", "/api/v1/teams/main/pipelines/p/builds"];

/// A trigger of a job that gets `repo`, and the check that came with it.
async fn triggered(version: Version) -> (ConcourseTwin, Client, i64, Option<BuildSnapshot>) {
    let twin = one_job(Script::quick()).version(version).fixed_time(1_790_000_000).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    twin.wait_until_finished(build).await;
    let check = twin.checks().into_iter().next();
    (twin, client, build, check)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|build| build["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_trigger_checks_what_the_job_gets() {
    for version in Version::ALL {
        let (twin, client, build, check) = triggered(version).await;
        let is_build = version >= Version::V7_4;
        assert_eq!(check.as_ref().map(|check| check.id), is_build.then_some(build + 1), "{version}");
        assert_eq!(names(&client.get(&format!("{JOB}/builds")).await.json()), ["1"]);
        // Since 8.2 it is in the memory of a web node.
        let listed: &[&str] = if is_build && version < Version::V8_3 { &["check", "1"] } else { &["1"] };
        for list in LISTS {
            assert_eq!(names(&client.get(list).await.json()), listed, "{version} {list}");
        }
        // A rerun takes what its original took.
        client.post(&format!("{JOB}/builds/1")).await;
        assert_eq!(twin.checks().len(), usize::from(is_build), "{version}");
    }
}

#[tokio::test]
async fn a_check_is_shown_like_a_build() {
    for version in [Version::V7_4, Version::V7_14, Version::V8_1, Version::V8_3] {
        let (_twin, client, _, check) = triggered(version).await;
        let path = format!("/api/v1/builds/{}", check.unwrap().id);
        let shown = client.get(&path).await.json();
        assert_eq!(
            shown,
            json!({
                "id": 2, "team_name": "main", "name": "check", "status": "succeeded", "api_url": "/api/v1/builds/2",
                "resource_name": "repo", "pipeline_id": 1, "pipeline_name": "p",
                "start_time": 1_790_000_000, "end_time": 1_790_000_000,
            })
        );
        let plan = client.get(&format!("{path}/plan")).await.json();
        assert_eq!(plan["plan"]["check"], json!({"name": "repo", "type": "mock"}));
        let stream = client.events(2, &[]).await.until_end().await;
        let told = envelopes(&stream);
        let kinds: Vec<_> = told.iter().map(|event| event["event"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["status", "initialize-check", "selected-worker", "start", "finish", "status"]);
        let begin = json!({"origin": {"id": plan["plan"]["id"]}, "time": 1_790_000_000, "name": "repo"});
        assert_eq!((&told[1]["data"], &told[5]["data"]["status"]), (&begin, &json!("succeeded")));
    }
}

#[tokio::test]
async fn little_can_be_asked_of_a_check_in_memory() {
    for version in [Version::V8_1, Version::V8_3] {
        let (_twin, client, ..) = triggered(version).await;
        let expected = if version < Version::V8_3 { 200 } else { 500 };
        for part in ["preparation", "resources", "artifacts"] {
            assert_eq!(
                client.get(&format!("/api/v1/builds/2/{part}")).await.status,
                expected,
                "{version} {part}"
            );
        }
        let aborted = client.put("/api/v1/builds/2/abort", "").await.status;
        assert_eq!(aborted, if version < Version::V8_3 { 204 } else { 500 }, "{version}");
    }
}

#[tokio::test]
async fn whoever_asks_for_a_check_gets_a_build_that_is_kept() {
    for version in Version::ALL {
        let twin = one_job(Script::quick()).version(version).fixed_time(1_790_000_000).start().await;
        let client = Client::login(&twin).await;
        let check = |resource: &str| {
            let (client, path) = (client.clone(), format!("{PIPELINE}/resources/{resource}/check"));
            async move { client.call(http::Method::POST, &path, r#"{"from":null}"#).await }
        };
        let begun = check("repo").await;
        assert_eq!(begun.status, 201);
        let begun = begun.json();
        if version < Version::V7_4 {
            assert_eq!(begun, json!({"id": 1, "status": "started", "create_time": 1_790_000_000}));
            assert_eq!(client.get("/api/v1/builds/1").await.status, 404);
        } else {
            assert_eq!((&begun["status"], &begun["resource_name"]), (&json!("started"), &json!("repo")));
            assert_eq!((begun.get("start_time"), begun.get("end_time")), (Some(&json!(1_790_000_000)), None));
            for list in LISTS {
                assert_eq!(names(&client.get(list).await.json()), ["check"], "{version} {list}");
            }
        }
        assert_eq!(check("nope").await.status, 404);
    }
}

#[tokio::test]
async fn a_check_that_fails_is_told_of_the_resource() {
    for version in [Version::V6_5, Version::V7_14, Version::V8_3] {
        let twin = one_job(Script::quick().waits_for_broken_input("repo")).version(version).start().await;
        let client = Client::login(&twin).await;
        client.trigger(JOB).await;
        let resources = client.get(&format!("{PIPELINE}/resources")).await.json();
        if version < Version::V7_4 {
            assert_eq!(resources[0]["failing_to_check"], true);
            continue;
        }
        assert_eq!(twin.checks()[0].status, Status::Failed);
        assert_eq!(resources[0]["build"]["status"], "failed", "{version}");
        assert_eq!(
            (&resources[0]["build"]["id"], &resources[0]["build"]["name"]),
            (&json!(2), &json!("check"))
        );
        assert!(client.events(2, &[]).await.until_end().await.contains("check failed"));
    }
}

#[tokio::test]
async fn a_destroyed_pipeline_takes_its_checks_along() {
    let (twin, client, ..) = triggered(Version::V7_14).await;
    twin.destroy_pipeline("main", "p");
    assert_eq!(client.get("/api/v1/builds/2").await.status, 404);
    assert_eq!(client.get("/api/v1/builds").await.json(), json!([]));
}

#[tokio::test]
async fn jobs_say_whether_there_are_versions_that_no_build_took() {
    let twin = one_job(Script::quick())
        .pipeline("main", "two", |it| {
            it.job("one", |job| job).job("other", |job| job).job("none", |job| job.script(Script::silent()))
        })
        .start()
        .await;
    let client = Client::login(&twin).await;
    let new = || async {
        let jobs = client.get("/api/v1/teams/main/pipelines/two/jobs").await.json();
        jobs.as_array()
            .unwrap()
            .iter()
            .map(|job| job.get("has_new_inputs") == Some(&json!(true)))
            .collect::<Vec<_>>()
    };
    assert_eq!(new().await, [false, false, false], "nothing was checked");
    let one = "/api/v1/teams/main/pipelines/two/jobs/one";
    twin.wait_until_finished(client.trigger(one).await).await;
    // The scheduler looked before the build began, and has had no cause to look again.
    assert_eq!(new().await, [true, true, false]);
    assert_eq!(client.get(one).await.json()["has_new_inputs"], true);
    twin.wait_until_finished(client.trigger(one).await).await;
    assert_eq!(new().await, [false, true, false]);
}
