//! Builds that wait by themselves, and go on by themselves.

use gatehouse_testkit::concourse::{ConcourseTwin, Role, Script, Status, TaskScript, TwinBuilder, Version};
use http::Method;
use serde_json::{Value, json};

use crate::client::{Client, JOB, envelopes, one_job};

fn concourse() -> TwinBuilder {
    let team = ConcourseTwin::builder().user("ci-gateway", "s3cret");
    team.team("main", |team| team.role("ci-gateway", Role::PipelineOperator))
}

fn job(name: &str) -> String {
    format!("/api/v1/teams/main/pipelines/p/jobs/{name}")
}

async fn preparation(client: &Client, build: i64) -> Value {
    client.get(&format!("/api/v1/builds/{build}/preparation")).await.json()
}

async fn is_started(twin: &ConcourseTwin, build: i64) {
    twin.wait_for_build(build, |status| status == Status::Started).await;
}

/// On a real server it is pending for ten seconds and more; a script says where that matters.
#[tokio::test]
async fn a_build_that_nothing_holds_up_begins_at_once() {
    for version in Version::ALL {
        let twin = one_job(Script::quick()).version(version).start().await;
        let client = Client::login(&twin).await;
        assert_eq!(twin.wait_until_finished(client.trigger(JOB).await).await.status, Status::Succeeded);

        twin.set_script("main", "p", "j", Script::quick().stays_pending());
        let build = client.trigger(JOB).await;
        assert!(!preparation(&client, build).await.to_string().contains("\"blocking\""), "{version}");
        assert_eq!(twin.build(build).unwrap().status, Status::Pending, "{version}");
        twin.release(build);
        assert_eq!(twin.wait_until_finished(build).await.status, Status::Succeeded, "{version}");
    }
}

#[tokio::test]
async fn a_build_waits_for_the_first_version_of_a_resource() {
    let script = Script::new()
        .get("lib", &json!({}))
        .get("repo", &json!({"ref": "script"}))
        .task("unit", TaskScript::wait_for_release);
    let twin =
        concourse().pipeline("main", "p", |it| it.job("j", |job| job.script(script)).resource("repo", &[]));
    let twin = twin.start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let waits = preparation(&client, build).await;
    assert_eq!(waits["inputs"], json!({"lib": "not_blocking", "repo": "blocking"}));
    assert_eq!(waits["missing_input_reasons"], json!({"repo": "latest version of resource not found"}));
    assert_eq!(twin.build(build).unwrap().status, Status::Pending);

    twin.publish("main", "p", "repo", &json!({"ref": "one"}));
    let check = "/api/v1/teams/main/pipelines/p/resources/repo/check";
    assert_eq!(client.call(Method::POST, check, "{}").await.status, 201);
    is_started(&twin, build).await;
    assert_eq!(twin.taken(build), json!({"repo": {"ref": "one"}}));
    assert_eq!(preparation(&client, build).await["inputs"], json!({}), "nothing is said once it has begun");
}

#[tokio::test]
async fn a_build_waits_for_a_version_that_has_passed_another_job() {
    let twin = concourse().pipeline("main", "p", |it| {
        let it = it.job("test", |job| job.script(Script::quick()));
        it.job("j", |job| {
            job.script(Script::quick().task("last", TaskScript::wait_for_release)).passed("repo", "test")
        })
    });
    let twin = twin.start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let waits = preparation(&client, build).await;
    let why = "no satisfiable builds from passed jobs found for set of inputs";
    assert_eq!(
        (&waits["inputs_satisfied"], &waits["missing_input_reasons"]),
        (&json!("blocking"), &json!({"repo": why}))
    );
    let jobs = client.get("/api/v1/teams/main/pipelines/p/jobs").await.json();
    assert_eq!((jobs[0].get("has_new_inputs"), jobs[1].get("has_new_inputs")), (Some(&json!(true)), None));

    let test = client.trigger(&job("test")).await;
    twin.wait_until_finished(test).await;
    is_started(&twin, build).await;
}

#[tokio::test]
async fn a_rerun_waits_for_no_input() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    twin.wait_until_finished(client.trigger(JOB).await).await;
    twin.set_script("main", "p", "j", Script::quick().get("repo", &json!({})));
    let rerun = client.post(&format!("{JOB}/builds/1")).await.json()["id"].as_i64().unwrap();
    assert_eq!(twin.wait_until_finished(rerun).await.status, Status::Succeeded);
}

#[tokio::test]
async fn of_a_serial_group_one_build_runs_at_a_time() {
    let twin = concourse().pipeline("main", "p", |it| {
        let in_group = |it: gatehouse_testkit::concourse::PipelineBuilder, name: &str, group: &str| {
            it.job(name, |job| job.script(Script::silent()).serial_group(group))
        };
        in_group(in_group(in_group(it, "a", "g"), "b", "g"), "c", "other")
    });
    let twin = twin.start().await;
    let client = Client::login(&twin).await;
    let a = client.trigger(&job("a")).await;
    is_started(&twin, a).await;
    let (b, c) = (client.trigger(&job("b")).await, client.trigger(&job("c")).await);
    is_started(&twin, c).await;
    assert_eq!(preparation(&client, b).await["max_running_builds"], "blocking");
    assert_eq!(twin.build(b).unwrap().status, Status::Pending);
    twin.release(a);
    is_started(&twin, b).await;
}

#[tokio::test]
async fn a_build_without_workers_has_started_and_waits_in_its_step() {
    for version in Version::ALL {
        let script = Script::new().without_workers().task("unit", |task| task.log("at last\n"));
        let twin = one_job(script).version(version).start().await;
        let client = Client::login(&twin).await;
        let build = client.trigger(JOB).await;
        is_started(&twin, build).await;
        let mut stream = client.events(build, &[]).await;
        let last = if version >= Version::V7_4 { "waiting-for-worker" } else { "initialize-task" };
        stream.record_with(last).await;
        let satisfied = preparation(&client, build).await;
        assert_eq!(satisfied["max_running_builds"], "not_blocking", "{version}");
        twin.release(build);
        let told = stream.until_end().await;
        let kinds: Vec<_> =
            envelopes(&told).iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
        let place = |kind: &str| kinds.iter().position(|it| it == kind);
        assert!(
            place(last) < place("selected-worker") && place("selected-worker") < place("log"),
            "{kinds:?}"
        );
    }
}
