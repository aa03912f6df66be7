//! Points 6 to 8 of what a fake server must get right, as far as jobs and pipelines go.

use gatehouse_testkit::concourse::{ConcourseTwin, JobBuilder, Role, Script, Status, Version};
use serde_json::{Value, json};

use crate::client::{Client, JOB, one_job};

#[tokio::test]
async fn a_trigger_makes_a_pending_build_each_time_and_reads_no_body() {
    let twin = one_job(Script::new().stays_pending()).first_build_id(758_924_944).start().await;
    let client = Client::login(&twin).await;
    let first = client.call(http::Method::POST, &format!("{JOB}/builds"), "not json").await;
    assert_eq!(first.status, 200);
    assert_eq!(
        first.json(),
        json!({
            "id": 758_924_944, "team_name": "main", "name": "1", "status": "pending",
            "api_url": "/api/v1/builds/758924944", "job_name": "j", "pipeline_id": 1, "pipeline_name": "p",
            "created_by": "ci-gateway",
        })
    );
    let second = client.post(&format!("{JOB}/builds")).await.json();
    assert_eq!((&second["id"], &second["name"]), (&json!(758_924_945), &json!("2")));
    assert_eq!(twin.trigger_count("main", "p", "j"), 2);
}

#[tokio::test]
async fn created_by_came_with_7() {
    for version in Version::ALL {
        let twin = one_job(Script::quick()).version(version).start().await;
        let build = Client::login(&twin).await.post(&format!("{JOB}/builds")).await.json();
        assert_eq!(build.get("created_by").is_some(), version > Version::V6_5, "{version}");
    }
}

#[tokio::test]
async fn pauses_are_no_error_and_preparation_tells_them() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    twin.pause_pipeline("main", "p");
    twin.pause_job("main", "p", "j");
    let build = client.trigger(JOB).await;
    let preparation = client.get(&format!("/api/v1/builds/{build}/preparation")).await.json();
    assert_eq!(
        preparation,
        json!({
            "build_id": build, "paused_pipeline": "blocking", "paused_job": "blocking",
            "max_running_builds": "not_blocking", "inputs": {"repo": "blocking"}, "inputs_satisfied": "blocking",
            "missing_input_reasons": {"repo": "input is not included in resolved candidates"},
        })
    );
    assert_eq!(client.get(&format!("/api/v1/builds/{build}/plan")).await.status, 404);
    assert_eq!(client.put(&format!("{JOB}/unpause"), "").await.status, 200);
    assert_eq!(twin.build(build).unwrap().status, Status::Pending);
    assert_eq!(client.put("/api/v1/teams/main/pipelines/p/unpause", "").await.status, 200);
    assert_eq!(twin.wait_until_finished(build).await.status, Status::Succeeded);
    let preparation = client.get(&format!("/api/v1/builds/{build}/preparation")).await.json();
    assert_eq!(preparation["paused_job"], "not_blocking");
}

#[tokio::test]
async fn a_missing_version_and_a_full_job_hold_builds_back() {
    let twin = one_job(Script::quick().waits_for_input("repo"))
        .pipeline("main", "serial", |it| it.job("j", |job| job.max_in_flight(1).script(Script::silent())))
        .start()
        .await;
    let client = Client::login(&twin).await;
    let waiting = client.trigger(JOB).await;
    let preparation = client.get(&format!("/api/v1/builds/{waiting}/preparation")).await.json();
    assert_eq!(preparation["inputs"], json!({"repo": "blocking"}));
    assert_eq!(preparation["missing_input_reasons"], json!({"repo": "latest version of resource not found"}));
    twin.release(waiting);
    twin.wait_until_finished(waiting).await;

    let serial = "/api/v1/teams/main/pipelines/serial/jobs/j";
    let (first, second) = (client.trigger(serial).await, client.trigger(serial).await);
    twin.wait_for_build(first, |status| status == Status::Started).await;
    let preparation = client.get(&format!("/api/v1/builds/{second}/preparation")).await.json();
    assert_eq!(preparation["max_running_builds"], "blocking");
    twin.release(first);
    twin.wait_for_build(second, |status| status == Status::Started).await;
}

#[tokio::test]
async fn conflicts_say_little() {
    let twin = one_job(Script::quick())
        .version(Version::V8_1)
        .pipeline("main", "fixed", |it| it.job("j", |job| job.disable_manual_trigger().disable_reruns()))
        .pipeline("main", "archive", |it| it.archived().job("j", |job| job))
        .start()
        .await;
    let client = Client::login(&twin).await;
    let fixed = "/api/v1/teams/main/pipelines/fixed/jobs/j";
    let reply = client.post(&format!("{fixed}/builds")).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (409, ""));
    twin.wait_until_finished(twin.schedule("main", "fixed", "j")).await;
    let reply = client.post(&format!("{fixed}/builds/1")).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (409, ""));
    // An archived pipeline refuses before it asks who calls.
    let reply = Client::anonymous(&twin).post("/api/v1/teams/main/pipelines/archive/jobs/j/builds").await;
    assert_eq!(reply.status, 409);
    assert_eq!(reply.body, "action not allowed for an archived pipeline\n");
    let job = client.get(fixed).await.json();
    assert_eq!((&job["disable_manual_trigger"], &job["disable_reruns"]), (&json!(true), &json!(true)));
}

#[tokio::test]
async fn old_versions_allow_reruns_that_new_ones_refuse() {
    for version in Version::ALL {
        let twin = one_job(Script::quick())
            .version(version)
            .pipeline("main", "fixed", |it| it.job("j", JobBuilder::disable_reruns))
            .start()
            .await;
        twin.wait_until_finished(twin.schedule("main", "fixed", "j")).await;
        let reply =
            Client::login(&twin).await.post("/api/v1/teams/main/pipelines/fixed/jobs/j/builds/1").await;
        assert_eq!(reply.status.as_u16(), if version >= Version::V8_1 { 409 } else { 200 });
    }
}

#[tokio::test]
async fn reruns_have_a_number_and_an_original() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    let original = client.trigger(JOB).await;
    assert_eq!(twin.wait_until_finished(original).await.status, Status::Succeeded);
    let rerun = client.post(&format!("{JOB}/builds/1")).await;
    assert_eq!(rerun.status, 200);
    let rerun = rerun.json();
    assert_eq!((&rerun["name"], &rerun["rerun_number"]), (&json!("1.1"), &json!(1)));
    assert_eq!(rerun["rerun_of"], json!({"id": original, "name": "1"}));
    twin.wait_until_finished(rerun["id"].as_i64().unwrap()).await;
    // A rerun of a rerun belongs to the same original.
    assert_eq!(client.post(&format!("{JOB}/builds/1.1")).await.json()["name"], "1.2");
    assert_eq!(client.post(&format!("{JOB}/builds/9")).await.status, 404);
}

#[tokio::test]
async fn a_build_that_never_had_inputs_cannot_be_rerun() {
    let twin = one_job(Script::new().stays_pending()).start().await;
    let client = Client::login(&twin).await;
    client.trigger(JOB).await;
    let reply = client.post(&format!("{JOB}/builds/1")).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (500, ""));
}

#[tokio::test]
async fn a_500_comes_after_the_build_was_made_up_to_8_1() {
    for version in Version::ALL {
        let twin = one_job(Script::quick())
            .version(version)
            .pipeline("main", "broken", |it| it.job("j", JobBuilder::input_check_fails))
            .start()
            .await;
        let reply =
            Client::login(&twin).await.post("/api/v1/teams/main/pipelines/broken/jobs/j/builds").await;
        assert_eq!(reply.status.as_u16(), if version <= Version::V8_1 { 500 } else { 200 }, "{version}");
        assert_eq!(twin.builds().len(), 1);
    }
}

#[tokio::test]
async fn a_job_in_a_list_differs_from_a_job_by_itself() {
    let twin = one_job(Script::silent()).start().await;
    let client = Client::login(&twin).await;
    let alone = client.get(JOB).await.json();
    assert_eq!(
        (alone.get("next_build"), alone.get("finished_build")),
        (Some(&Value::Null), Some(&Value::Null))
    );
    let listed = client.get("/api/v1/teams/main/pipelines/p/jobs").await.json();
    assert_eq!(
        listed,
        json!([{"id": 1, "name": "j", "team_name": "main", "pipeline_id": 1, "pipeline_name": "p"}])
    );

    let build = client.trigger(JOB).await;
    twin.wait_for_build(build, |status| status == Status::Started).await;
    let listed = client.get("/api/v1/jobs").await.json();
    assert_eq!(listed[0]["next_build"]["status"], "started");
    assert_eq!(listed[0]["next_build"].get("api_url"), None);
    // Go's zero time stands for what has not come.
    assert_eq!(listed[0]["next_build"]["end_time"], -62_135_596_800_i64);
    assert_eq!(listed[0].get("finished_build"), None);
    let alone = client.get(JOB).await.json();
    assert_eq!(alone["next_build"]["api_url"], format!("/api/v1/builds/{build}"));
}

#[tokio::test]
async fn instances_are_named_by_json_in_the_query() {
    let twin = ConcourseTwin::example().start().await;
    let client = Client::login(&twin).await;
    let app = "/api/v1/teams/main/pipelines/app";
    assert_eq!(client.get(&format!("{app}/jobs")).await.status, 404);
    assert_eq!(client.get(&format!("{app}/jobs?vars.branch=main")).await.status, 400);
    assert_eq!(client.get(&format!("{app}/jobs?vars=[1]")).await.status, 404);
    for query in ["vars.branch=%22dev%22", "vars=%7B%22branch%22%3A%22dev%22%7D"] {
        let jobs = client.get(&format!("{app}/jobs?{query}")).await.json();
        assert_eq!(jobs[0]["pipeline_instance_vars"], json!({"branch": "dev"}));
    }
    let build = client.post(&format!("{app}/jobs/deploy/builds?vars.branch=%22dev%22")).await.json();
    assert_eq!(build["pipeline_instance_vars"], json!({"branch": "dev"}));
    assert_eq!(twin.trigger_count("main", ("app", json!({"branch": "dev"})), "deploy"), 1);
    assert_eq!(twin.trigger_count("main", ("app", json!({"branch": "main"})), "deploy"), 0);
    let pipelines = client.get("/api/v1/teams/main/pipelines").await.json();
    let vars: Vec<_> = pipelines.as_array().unwrap().iter().map(|it| it["instance_vars"].clone()).collect();
    assert_eq!(vars, [Value::Null, json!({"branch": "main"}), json!({"branch": "dev"})]);
}

#[tokio::test]
async fn nested_instance_vars_are_put_together() {
    let vars = json!({"a": {"b": 1, "c": "x"}, "d": true});
    let twin = one_job(Script::quick())
        .pipeline("main", "deep", |it| it.instance_vars(&vars).job("j", |job| job))
        .start()
        .await;
    let client = Client::login(&twin).await;
    let query = "vars.a.b=1&vars.a.c=%22x%22&vars.d=true";
    assert_eq!(client.get(&format!("/api/v1/teams/main/pipelines/deep?{query}")).await.status, 200);
}

#[tokio::test]
async fn versions_before_7_have_no_instances() {
    let twin = ConcourseTwin::example().version(Version::V6_5).start().await;
    let pipelines = Client::login(&twin).await.get("/api/v1/pipelines").await.json();
    let names: Vec<_> = pipelines.as_array().unwrap().iter().map(|it| it["name"].clone()).collect();
    assert_eq!(names, ["example-pipeline", "maintenance"]);
}

#[tokio::test]
async fn the_example_lets_its_user_work_in_main_and_look_at_ops() {
    let twin = ConcourseTwin::example().start().await;
    let client = Client::login(&twin).await;
    let hello = client.trigger("/api/v1/teams/main/pipelines/example-pipeline/jobs/hello-job").await;
    let failing = client.trigger("/api/v1/teams/main/pipelines/example-pipeline/jobs/failing-job").await;
    assert_eq!(twin.wait_until_finished(hello).await.status, Status::Succeeded);
    assert_eq!(twin.wait_until_finished(failing).await.status, Status::Failed);
    let backup = "/api/v1/teams/ops/pipelines/maintenance/jobs/backup";
    assert_eq!(client.get(backup).await.status, 200);
    assert_eq!(client.post(&format!("{backup}/builds")).await.status, 403);
}

#[tokio::test]
async fn names_with_slashes_and_umlauts_are_found() {
    let twin = ConcourseTwin::builder()
        .user("ci-gateway", "s3cret")
        .team("a/b", |team| team.role("ci-gateway", Role::PipelineOperator))
        .pipeline("a/b", "grüße", |it| it.job("x y", |job| job))
        .start()
        .await;
    let client = Client::login(&twin).await;
    client.trigger("/api/v1/teams/a%2Fb/pipelines/gr%C3%BC%C3%9Fe/jobs/x%20y").await;
    assert_eq!(twin.trigger_count("a/b", "grüße", "x y"), 1);
}
