//! Points 7 to 9 of what a fake server must get right, as far as builds go: lists, pages, aborts.

use std::time::Duration;

use gatehouse_testkit::concourse::{ConcourseTwin, Role, Script, Status, Version};
use serde_json::{Value, json};

use crate::client::{Client, JOB, Reply, one_job};

/// Of a job that gets nothing, whose ids follow each other: no check comes between.
async fn five_builds() -> (ConcourseTwin, Client) {
    let twin = one_job(Script::new()).start().await;
    let client = Client::login(&twin).await;
    for _ in 0..5 {
        twin.wait_until_finished(client.trigger(JOB).await).await;
    }
    (twin, client)
}

fn ids(reply: &Reply) -> Vec<i64> {
    reply.json().as_array().unwrap().iter().map(|build| build["id"].as_i64().unwrap()).collect()
}

fn links(reply: &Reply) -> Vec<String> {
    reply.headers.get_all("link").iter().map(|link| link.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_follow_from_to_and_limit() {
    let (_twin, client) = five_builds().await;
    for (query, expected) in [
        ("", vec![5, 4, 3, 2, 1]),
        ("?limit=2", vec![5, 4]),
        ("?to=3&limit=2", vec![3, 2]),
        ("?from=2&limit=2", vec![3, 2]),
        ("?from=2&to=4", vec![2, 3, 4]),
        ("?from=2&to=4&limit=2", vec![2, 3]),
        ("?limit=x&to=x", vec![]),
    ] {
        assert_eq!(ids(&client.get(&format!("{JOB}/builds{query}")).await), expected, "{query}");
    }
    assert_eq!(client.get(&format!("{JOB}/builds?from=4&to=2")).await.status, 404);
}

#[tokio::test]
async fn links_lead_to_the_neighbour_pages() {
    let (twin, client) = five_builds().await;
    let base = format!("{}{JOB}/builds", twin.url());
    let page = client.get(&format!("{JOB}/builds?to=3&limit=2")).await;
    assert_eq!(
        links(&page),
        [
            format!(r#"<{base}?to=1&limit=2>; rel="next""#),
            format!(r#"<{base}?from=4&limit=2>; rel="previous""#)
        ]
    );
    assert_eq!(links(&client.get(&format!("{JOB}/builds")).await), Vec::<String>::new());
}

#[tokio::test]
async fn links_keep_instance_vars() {
    let twin = ConcourseTwin::example().start().await;
    let client = Client::login(&twin).await;
    let path = "/api/v1/teams/main/pipelines/app/jobs/deploy/builds";
    for _ in 0..2 {
        client.post(&format!("{path}?vars.branch=%22dev%22")).await;
    }
    let page = client.get(&format!("{path}?vars.branch=%22dev%22&limit=1")).await;
    assert_eq!(
        links(&page),
        [format!(r#"<{}{path}?to=1&limit=1&vars.branch=%22dev%22>; rel="next""#, twin.url())]
    );
}

#[tokio::test]
async fn a_rerun_stands_beside_its_original() {
    let (twin, client) = five_builds().await;
    let rerun = client.post(&format!("{JOB}/builds/2")).await.json()["id"].as_i64().unwrap();
    twin.wait_until_finished(rerun).await;
    for path in [format!("{JOB}/builds"), "/api/v1/builds".to_owned(), "/api/v1/teams/main/builds".to_owned()]
    {
        assert_eq!(ids(&client.get(&path).await), [5, 4, 3, rerun, 2, 1], "{path}");
    }
}

#[tokio::test]
async fn a_build_is_found_by_id_name_and_latest() {
    let (_twin, client) = five_builds().await;
    for (path, name) in [
        ("/api/v1/builds/3".to_owned(), "3"),
        (format!("{JOB}/builds/3"), "3"),
        (format!("{JOB}/builds/latest"), "5"),
    ] {
        let build = client.get(&path).await.json();
        assert_eq!((&build["name"], &build["status"]), (&json!(name), &json!("succeeded")));
        assert!(build["start_time"].is_i64() && build["end_time"].is_i64());
        assert_eq!(build.get("reap_time"), None);
    }
    assert_eq!(client.get(&format!("{JOB}/builds/17")).await.status, 404);
}

#[tokio::test]
async fn plan_and_resources_show_the_steps() {
    let script = Script::new()
        .get("repo", &json!({"ref": "abc"}))
        .task("unit", |task| task)
        .put("image", &json!({"digest": "sha256:1"}));
    let twin = one_job(script).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    twin.wait_until_finished(build).await;
    let plan = client.get(&format!("/api/v1/builds/{build}/plan")).await.json();
    assert_eq!(plan["schema"], "exec.v2");
    let steps: Vec<_> =
        plan["plan"]["do"].as_array().unwrap().iter().map(|step| step["id"].clone()).collect();
    assert_eq!(steps, ["64f0a0", "64f0a1", "64f0a2"]);
    let resources = client.get(&format!("/api/v1/builds/{build}/resources")).await.json();
    assert_eq!(resources["inputs"][0]["version"], json!({"ref": "abc"}));
    assert_eq!(resources["outputs"], json!([{"name": "image", "version": {"digest": "sha256:1"}}]));
}

#[tokio::test]
async fn comments_show_with_team_access_and_came_with_7_4() {
    for version in Version::ALL {
        let twin = one_job(Script::quick()).version(version).start().await;
        let client = Client::login(&twin).await;
        let build = client.trigger(JOB).await;
        let reply = client.put(&format!("/api/v1/builds/{build}/comment"), r#"{"comment":"r1"}"#).await;
        let knows = version >= Version::V7_4;
        assert_eq!(reply.status.as_u16(), if knows { 200 } else { 404 });
        let shown = client.get(&format!("/api/v1/builds/{build}")).await.json();
        assert_eq!(shown.get("comment"), knows.then_some(&json!("r1")));
        assert_eq!(client.get("/api/v1/builds").await.json()[0].get("comment"), None);
    }
}

#[tokio::test]
async fn an_abort_takes_effect_after_its_answer() {
    let twin = one_job(Script::silent()).abort_waits_for_release().start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    twin.wait_for_build(build, |status| status == Status::Started).await;
    let reply = client.put(&format!("/api/v1/builds/{build}/abort"), "").await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (204, ""));
    let still = client.get(&format!("/api/v1/builds/{build}")).await.json();
    assert_eq!(still["status"], "started");
    assert!(twin.build(build).unwrap().abort_requested);
    twin.release(build);
    assert_eq!(twin.wait_until_finished(build).await.status, Status::Aborted);
    let mut stream = client.events(build, &[]).await;
    let stream = crate::client::envelopes(&stream.until_end().await);
    let [.., error, status] = stream.as_slice() else { panic!("{stream:?}") };
    assert_eq!((&error["event"], &error["data"]["message"]), (&json!("error"), &json!("interrupted")));
    assert_eq!((&status["event"], &status["data"]["status"]), (&json!("status"), &json!("aborted")));
}

#[tokio::test]
async fn aborting_what_is_over_changes_nothing() {
    let (twin, client) = five_builds().await;
    assert_eq!(client.put("/api/v1/builds/1/abort", "").await.status, 204);
    assert_eq!(twin.build(1).unwrap().status, Status::Succeeded);
}

#[tokio::test]
async fn an_aborted_pending_build_only_has_its_status() {
    let twin = one_job(Script::new().stays_pending()).fixed_time(7).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    client.put(&format!("/api/v1/builds/{build}/abort"), "").await;
    twin.wait_until_finished(build).await;
    assert_eq!(
        client.events(build, &[]).await.until_end().await,
        "id: 0\nevent: event\ndata: {\"data\":{\"status\":\"aborted\",\"time\":7},\"event\":\"status\",\
         \"version\":\"1.0\",\"event_id\":\"0\"}\n\nid: 1\nevent: end\ndata\n\n"
    );
    let shown = client.get(&format!("/api/v1/builds/{build}")).await.json();
    assert_eq!((shown.get("start_time"), &shown["end_time"]), (None, &json!(7)));
}

#[tokio::test]
async fn a_pending_build_of_a_paused_pipeline_is_aborted_late_before_8_2() {
    for version in Version::ALL {
        let twin = one_job(Script::quick()).version(version).start().await;
        twin.pause_pipeline("main", "p");
        let client = Client::login(&twin).await;
        let build = client.trigger(JOB).await;
        client.put(&format!("/api/v1/builds/{build}/abort"), "").await;
        if version < Version::V8_3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(twin.build(build).unwrap().status, Status::Pending);
            twin.unpause_pipeline("main", "p");
        }
        assert_eq!(twin.wait_until_finished(build).await.status, Status::Aborted);
    }
}

#[tokio::test]
async fn force_is_for_8_3_and_leaves_events_behind_the_end() {
    for version in Version::ALL {
        let twin = one_job(Script::silent()).version(version).abort_waits_for_release().start().await;
        let client = Client::login(&twin).await;
        let build = client.trigger(JOB).await;
        client.events(build, &[]).await.record_with("start-task").await;
        client.put(&format!("/api/v1/builds/{build}/abort?force"), "").await;
        let at_once = twin.build(build).unwrap().status;
        assert_eq!(at_once, if version >= Version::V8_3 { Status::Aborted } else { Status::Started });
        twin.release(build);
        twin.wait_until_finished(build).await;
        if version >= Version::V8_3 {
            let mut after = client.events(build, &[("last-event-id", "5")]).await;
            assert!(after.record().await.unwrap().contains("interrupted"));
            assert!(after.record().await.unwrap().contains("aborted"));
        }
    }
}

#[tokio::test]
async fn a_build_from_a_plan_has_no_job() {
    let twin =
        one_job(Script::quick()).team("main", |team| team.role("ci-gateway", Role::Member)).start().await;
    let client = Client::login(&twin).await;
    let reply = client.call(http::Method::POST, "/api/v1/teams/main/builds", r#"{"task":{}}"#).await;
    assert_eq!(reply.status, 201);
    let build = reply.json();
    assert_ne!(build["status"], "pending");
    assert_eq!((build.get("job_name"), &build["name"]), (None, &json!("1")));
}

#[tokio::test]
async fn a_reaped_build_says_when() {
    let (twin, client) = five_builds().await;
    twin.reap(2);
    let build: Value = client.get("/api/v1/builds/2").await.json();
    assert!(build["reap_time"].is_i64());
    assert_eq!(client.events(2, &[]).await.until_end().await, "id: 0\nevent: end\ndata\n\n");
}
