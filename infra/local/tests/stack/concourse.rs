//! Every Concourse that is supported, from its discovery to a rerun, and what is told when one does not
//! play along.

use std::time::Duration;

use gatehouse_testkit::concourse::{ConcourseTwin, Role, Script, Status, TwinBuilder, Version};
use serde_json::{Value, json};

use crate::support::{
    Answer, Call, Client, Key, Resume, TestStack,
    concourse::{self, FAILING, HELLO, SLOW},
    events,
};

async fn stack_with(twin: TwinBuilder) -> (TestStack, ConcourseTwin, Client) {
    let twin = twin.start().await;
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    concourse::register(&platform, &twin).await;
    (stack, twin, platform)
}

async fn check(client: &Client) -> Value {
    client.send(Call::post("/v1/providers/concourse/check")).await.expect(200).json()["check"].clone()
}

#[track_caller]
fn assert_says(text: &Value, phrases: &[&str]) {
    let text = text.as_str().unwrap_or_else(|| panic!("{text} is no text"));
    for phrase in phrases {
        assert!(text.contains(phrase), "{text:?} does not say {phrase:?}");
    }
}

fn detail(answer: &Answer, status: u16, slug: &str) -> Value {
    answer.problem(status, slug)["detail"].clone()
}

async fn everything_works(version: Version) {
    let (stack, twin, platform) = stack_with(ConcourseTwin::example().version(version)).await;
    let discovered = concourse::discover(&platform).await.expect(200);
    let report = concourse::import(&platform, &discovered).await;
    // Before 7.0 there are no instanced pipelines.
    let jobs = if version == Version::V6_5 { 4 } else { 6 };
    assert_eq!(report["summary"]["created"], jobs, "{report}");
    let again = concourse::import(&platform, &discovered).await;
    assert_eq!(again["summary"]["unchanged"], jobs, "{again}");

    let run = platform.trigger(HELLO).await;
    let events = platform.events(&run, Resume::Start).await.rest().await;
    assert_eq!(events::text(&events), "Hello, world!\r\nbuilding\r\ndone\r\n");
    let finished: Vec<_> = events
        .iter()
        .map(events::Event::json)
        .filter(|event| event["phase"] == "finished")
        .map(|event| (event["name"].clone(), event["exit_status"].clone()))
        .collect();
    assert_eq!(finished, [(json!("repo"), json!(0)), (json!("unit"), json!(0))]);
    assert_eq!(platform.log(&run).await, "Hello, world!\nbuilding\ndone\n");
    let shown = platform.ended(&run).await;
    assert_eq!((&shown["status"], &shown["provider"]["status"]), (&json!("succeeded"), &json!("succeeded")));
    assert!(shown["web_url"].as_str().unwrap().starts_with(twin.url()), "{shown}");

    let slow = platform.trigger(SLOW).await;
    platform.events(&slow, Resume::Start).await.take(3).await;
    let cancelled = platform.send(Call::post(format!("/v1/runs/{slow}/cancel"))).await.expect(202).json();
    assert_eq!(cancelled["run"]["status"], "cancelling");
    let rest = platform.events(&slow, Resume::Start).await.rest().await;
    assert_eq!(rest.last().unwrap().json()["status"], "cancelled");
    assert_eq!(platform.run(&slow).await["status"], "cancelled");
    let force = Call::post(format!("/v1/runs/{run}/cancel")).json(&json!({ "force": true }));
    platform.send(force).await.problem(409, "run-ended");

    let failed = platform.trigger(FAILING).await;
    assert_eq!(platform.ended(&failed).await["status"], "failed");
    let rerun = platform.send(Call::post(format!("/v1/runs/{failed}/rerun"))).await.expect(201).json();
    assert_eq!(rerun["run"]["rerun_of"], *failed);
    let builds = twin.builds();
    assert_eq!(builds[3].rerun_of, Some(builds[2].id));
    assert_eq!(platform.ended(rerun["run"]["run_id"].as_str().unwrap()).await["status"], "failed");

    let check = check(&platform).await;
    assert_eq!(check["version"].as_str().unwrap(), version.as_str());
    assert_eq!(check["identity"], "local:ci-gateway");
    assert_eq!(check["problems"], json!([]));
    let [main, ops] = &check["teams"].as_array().unwrap()[..] else { panic!("{check}") };
    assert_eq!(
        *main,
        json!({ "team": "main", "roles": ["pipeline-operator"], "list": true, "trigger": true,
            "watch": true, "cancel": true })
    );
    assert_eq!((&ops["list"], &ops["watch"]), (&json!(true), &json!(true)));
    assert_eq!(
        (&ops["trigger"], &ops["cancel"], &check["ok"]),
        (&json!(false), &json!(false), &json!(false))
    );
    stack.stop().await;
}

#[tokio::test]
async fn everything_works_with_concourse_6_5() {
    everything_works(Version::V6_5).await;
}

#[tokio::test]
async fn everything_works_with_concourse_7_4() {
    everything_works(Version::V7_4).await;
}

#[tokio::test]
async fn everything_works_with_concourse_7_14() {
    everything_works(Version::V7_14).await;
}

#[tokio::test]
async fn everything_works_with_concourse_8_1() {
    everything_works(Version::V8_1).await;
}

#[tokio::test]
async fn everything_works_with_concourse_8_3() {
    everything_works(Version::V8_3).await;
}

#[tokio::test]
async fn an_instanced_pipeline_is_chosen_by_its_variables() {
    let (stack, twin, platform) = stack_with(ConcourseTwin::example()).await;
    let discovered = concourse::discover(&platform).await.expect(200);
    concourse::import(&platform, &discovered).await;
    platform.trigger("app-branch-dev-deploy").await;
    let vars = twin.builds()[0].instance_vars.clone().unwrap();
    assert_eq!(Value::from(vars), json!({ "branch": "dev" }));
    // The same by a parameter.
    let body = json!({
        "project": "example",
        "provider": { "kind": "concourse", "ref": { "team": "main", "pipeline": "app", "job": "deploy" } },
        "parameters": [{ "name": "branch", "type": "choice", "options": ["main", "dev", "gone"],
            "required": true, "deliver": { "as": "instance_var", "name": "branch" } }],
    });
    platform.send(Call::put("/v1/jobs/deploy").json(&body)).await.expect(201);
    let with = |branch: &str| {
        Call::post("/v1/jobs/deploy/runs").json(&json!({ "parameters": { "branch": branch } }))
    };
    platform.send(with("main")).await.expect(201);
    assert_eq!(Value::from(twin.builds()[1].instance_vars.clone().unwrap()), json!({ "branch": "main" }));
    let missing = platform.send(Call::post("/v1/jobs/deploy/runs")).await.problem(422, "validation-failed");
    assert_eq!(missing["errors"][0]["pointer"], "/parameters/branch");
    let unknown = platform.send(with("other")).await.problem(422, "validation-failed");
    assert_eq!(unknown["errors"][0]["pointer"], "/parameters/branch");
    let gone = platform.send(with("gone")).await;
    assert_says(&detail(&gone, 502, "provider-not-found"), &["has no job `deploy`", r#"{"branch":"gone"}"#]);
    assert_eq!(twin.builds().len(), 2);
    stack.stop().await;
}

/// A twin with a resource whose third version only a check finds, and a job of it that takes the version as `ref`.
async fn with_versions() -> (TestStack, ConcourseTwin, Client) {
    let twin = ConcourseTwin::builder()
        .user("ci-gateway", "s3cret")
        .team("main", |team| team.role("ci-gateway", Role::PipelineOperator))
        .pipeline("main", "app", |pipeline| {
            pipeline
                .job("deploy", |job| job.script(Script::quick()))
                .resource("repo", &[json!({ "ref": "one" }), json!({ "ref": "two" })])
                .upstream(&[json!({ "ref": "three" })])
        });
    let (stack, twin, platform) = stack_with(twin).await;
    let body = json!({
        "project": "example",
        "provider": { "kind": "concourse", "ref": { "team": "main", "pipeline": "app", "job": "deploy" } },
        "parameters": [{ "name": "version", "type": "string", "deliver": { "resource": "repo", "field": "ref" } }],
        "undeclared": "keep",
    });
    let put = Call::put("/v1/jobs/deploy?tenant=example").json(&body);
    let saved = platform.send(put).await.expect(201).json();
    let deliver = &saved["job"]["parameters"][0]["deliver"];
    assert_eq!(*deliver, json!({ "as": "resource_version", "resource": "repo", "field": "ref" }));
    (stack, twin, platform)
}

async fn start_version(client: &Client, version: &str) -> Answer {
    let body = json!({ "parameters": { "version": version, "note": "x" } });
    client.send(Call::post("/v1/jobs/deploy/runs").json(&body)).await
}

#[tokio::test]
async fn a_parameter_is_delivered_as_the_version_of_a_resource() {
    let (stack, twin, platform) = with_versions().await;
    for (place, version) in ["one", "three", "two"].into_iter().enumerate() {
        let started = start_version(&platform, version).await.expect(201).json();
        let run = &started["run"];
        assert_eq!(run["parameters"], json!({ "note": "x", "version": version }));
        assert_eq!(run["undelivered"], json!(["note"]), "{run}");
        assert_eq!(twin.taken(twin.builds()[place].id), json!({ "repo": { "ref": version } }));
        assert_eq!(twin.pinned("main", "app", "repo"), None);
    }
    let missing = start_version(&platform, "four").await;
    let told = ["Resource `repo` has no version with `ref: four`", "try again"];
    assert_says(&detail(&missing, 409, "provider-refused"), &told);
    assert_eq!(twin.builds().len(), 3);
    stack.stop().await;
}

#[tokio::test]
async fn what_somebody_has_pinned_stays_pinned() {
    let (stack, twin, platform) = with_versions().await;
    twin.pin("main", "app", "repo", &json!({ "ref": "two" }));
    let refused = start_version(&platform, "one").await;
    let told = ["Resource `repo` is pinned to `ref: two` (\"by hand\")", "unpin it"];
    assert_says(&detail(&refused, 409, "provider-refused"), &told);
    assert_eq!(twin.pinned("main", "app", "repo"), Some(json!({ "ref": "two" })));
    assert_eq!(twin.builds().len(), 0);
    stack.stop().await;
}

#[tokio::test]
async fn a_run_that_waits_says_that_it_has_not_got_its_version_until_it_has() {
    let (stack, twin, platform) = with_versions().await;
    twin.pause_job("main", "app", "deploy");
    let started = start_version(&platform, "one").await.expect(201).json();
    let run = started["run"]["run_id"].as_str().unwrap().to_owned();
    assert_eq!(started["run"]["undelivered"], json!(["note", "version"]));
    assert_eq!(twin.pinned("main", "app", "repo"), Some(json!({ "ref": "one" })));
    twin.unpause_job("main", "app", "deploy");
    twin.wait_until_finished(twin.builds()[0].id).await;
    assert_eq!(platform.run(&run).await["undelivered"], json!(["note"]));
    assert_eq!(twin.pinned("main", "app", "repo"), None, "whoever looks at the run unpins");
    stack.stop().await;
}

#[tokio::test]
async fn a_token_that_says_nothing_of_us_is_explained() {
    for version in [Version::V6_5, Version::V8_3] {
        let twin = ConcourseTwin::example().version(version).grants_only_openid();
        let (stack, _twin, platform) = stack_with(twin).await;
        let told = [
            "does not say who we are",
            "`openid profile email federated:id groups`",
            "Let `federated:id` pass",
        ];
        let check = check(&platform).await;
        assert_eq!((&check["ok"], &check["version"]), (&json!(false), &json!(version.as_str())));
        assert_says(&check["problems"][0], &told);
        let discovered = concourse::discover(&platform).await;
        let slug = discovered.json()["type"].clone();
        assert!(discovered.status.is_server_error(), "{slug}");
        assert_says(&discovered.json()["detail"], &told);
        stack.stop().await;
    }
}

async fn put_concourse_job(client: &Client, id: &str, team: &str, pipeline: &str, job: &str) {
    let body = json!({
        "project": "example",
        "provider": { "kind": "concourse", "ref": { "team": team, "pipeline": pipeline, "job": job } },
    });
    client.send(Call::put(format!("/v1/jobs/{id}")).json(&body)).await.expect(201);
}

#[tokio::test]
async fn a_role_that_may_only_look_is_explained() {
    let (stack, twin, platform) = stack_with(ConcourseTwin::example()).await;
    put_concourse_job(&platform, "backup", "ops", "maintenance", "backup").await;
    let check = check(&platform).await;
    let ops = &check["teams"][0];
    assert_eq!((&ops["list"], &ops["trigger"]), (&json!(true), &json!(false)));
    assert_says(
        &ops["remedy"],
        &[
            "give `local:ci-gateway` the role `pipeline-operator` in team `ops`",
            "fly -t TARGET set-team -n ops",
            "/api/v1/teams/ops with",
        ],
    );
    let refused = platform.send(Call::post("/v1/jobs/backup/runs")).await;
    assert_says(
        &detail(&refused, 502, "provider-forbidden"),
        &["`pipeline-operator`", "team `ops`", "fly -t TARGET set-team"],
    );
    assert_eq!(twin.builds(), []);
    // Once somebody has done so, it works at once.
    stack.stop().await;
}

#[tokio::test]
async fn a_team_that_is_missing_or_closed_to_us_is_explained() {
    let twin = ConcourseTwin::example().team("closed", |team| team.role("somebody", Role::Owner)).pipeline(
        "closed",
        "secret",
        |pipeline| pipeline.job("deploy", |job| job),
    );
    let (stack, _twin, platform) = stack_with(twin).await;
    put_concourse_job(&platform, "in-closed", "closed", "secret", "deploy").await;
    put_concourse_job(&platform, "in-missing", "missing", "app", "deploy").await;
    let check = check(&platform).await;
    let [closed, missing] = &check["teams"].as_array().unwrap()[..] else { panic!("{check}") };
    assert_eq!((&closed["list"], &closed["watch"]), (&json!(false), &json!(false)));
    assert_says(&closed["remedy"], &["`local:ci-gateway`", "team `closed`"]);
    assert_says(
        &missing["remedy"],
        &["Concourse has no team `missing`", "fly -t TARGET set-team -n missing"],
    );
    let refused = platform.send(Call::post("/v1/jobs/in-missing/runs")).await;
    assert_says(&refused.json()["detail"], &["`missing`"]);
    assert!(!refused.status.is_success());
    stack.stop().await;
}

#[tokio::test]
async fn a_paused_pipeline_is_explained_and_its_run_can_be_cancelled() {
    for (version, late) in [(Version::V7_14, true), (Version::V8_3, false)] {
        let (stack, twin, platform) = stack_with(ConcourseTwin::example().version(version)).await;
        put_concourse_job(&platform, "paused", "main", "example-pipeline", "hello-job").await;
        twin.pause_pipeline("main", "example-pipeline");
        let run = platform.send(Call::post("/v1/jobs/paused/runs")).await.expect(201).json()["run"].clone();
        assert_eq!((&run["status"], &run["reason"]["code"]), (&json!("queued"), &json!("paused")));
        let told = [
            "pipeline `example-pipeline` is paused in Concourse",
            "fly -t TARGET unpause-pipeline --team main -p example-pipeline",
        ];
        assert_says(&run["reason"]["detail"], &told);
        let tells_of_late = run["reason"]["detail"].as_str().unwrap().contains("before 8.2");
        assert_eq!(tells_of_late, late, "{version}");
        let run = run["run_id"].as_str().unwrap();
        let mut reader = platform.events(run, Resume::Start).await;
        let first = reader.next().await.unwrap();
        assert_says(&first.json()["reason"]["detail"], &told);
        assert_eq!(platform.log(run).await, "");
        platform.send(Call::post(format!("/v1/runs/{run}/cancel"))).await.expect(202);
        if late {
            assert_eq!(platform.run(run).await["status"], "cancelling");
            twin.unpause_pipeline("main", "example-pipeline");
        }
        assert_eq!(reader.rest().await.last().unwrap().json()["status"], "cancelled");
        stack.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_explained_until_it_is_mended() {
    let (stack, twin, platform) = stack_with(ConcourseTwin::example()).await;
    put_concourse_job(&platform, "any", "main", "example-pipeline", "hello-job").await;
    twin.set_password("ci-gateway", "changed");
    let told = [
        "refuses the password of user `ci-gateway`",
        "CONCOURSE_ADD_LOCAL_USER",
        "register provider `concourse` again",
    ];
    let checked = check(&platform).await;
    assert_eq!(checked["ok"], false);
    assert_says(&checked["problems"][0], &told);
    let refused = platform.send(Call::post("/v1/jobs/any/runs")).await;
    assert_says(&detail(&refused, 502, "provider-credentials"), &told);
    assert!(!refused.text().contains("s3cret") && !checked.to_string().contains("s3cret"));
    let provider = platform.get("/v1/providers/concourse").await.expect(200);
    assert!(!provider.text().contains("s3cret"), "a secret is shown");
    let etag = provider.header("etag").unwrap().to_owned();
    let mut settings = concourse::settings(&twin);
    settings["auth"]["password"] = json!("changed");
    platform
        .send(Call::put("/v1/providers/concourse").header("if-match", etag).json(&settings))
        .await
        .expect(200);
    assert_eq!(check(&platform).await["ok"], true);
    let run = platform.trigger("any").await;
    assert_eq!(platform.ended(&run).await["status"], "succeeded");
    stack.stop().await;
}

#[tokio::test]
async fn what_answers_at_a_wrong_address_is_explained() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let nobody = {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        listener.local_addr().unwrap()
    };
    let elsewhere = stack.stack().url();
    for (url, told) in [(format!("http://{nobody}"), "cannot be reached"), (elsewhere, "provider's URL")] {
        let settings = json!({ "kind": "concourse", "url": url,
            "auth": { "grant": "client_credentials", "client_id": "gatehouse", "client_secret": "s" } });
        let name = if told.contains("URL") { "elsewhere" } else { "nobody" };
        platform.send(Call::put(format!("/v1/providers/{name}")).json(&settings)).await.expect(201);
        let answer =
            platform.send(Call::post(format!("/v1/providers/{name}/check"))).await.expect(200).json();
        assert_eq!(answer["check"]["ok"], false);
        assert_says(&answer["check"]["problems"][0], &[told]);
    }
    stack.stop().await;
}

#[tokio::test]
async fn an_expired_token_is_renewed_without_anybody_noticing() {
    let (stack, twin, platform) = stack_with(ConcourseTwin::example()).await;
    put_concourse_job(&platform, "any", "main", "example-pipeline", "hello-job").await;
    platform.trigger("any").await;
    assert_eq!(twin.token_requests(), 1);
    twin.expire_tokens();
    let answers = futures_util::future::join_all((0..20).map(|_| platform.trigger("any"))).await;
    assert_eq!(answers.len(), 20);
    assert_eq!(twin.builds().len(), 21);
    assert_eq!(twin.token_requests(), 2, "many that renew at once ask for one token");
    stack.stop().await;
}

#[tokio::test]
async fn a_run_whose_log_concourse_deleted_still_has_an_end() {
    let (stack, twin, platform) = stack_with(ConcourseTwin::example()).await;
    put_concourse_job(&platform, "any", "main", "example-pipeline", "hello-job").await;
    let run = platform.trigger("any").await;
    platform.ended(&run).await;
    let build = twin.builds()[0].id;
    twin.reap(build);
    let events = platform.events(&run, Resume::Start).await.rest().await;
    assert_eq!(events.last().unwrap().json()["status"], "succeeded");
    assert!(platform.log(&run).await.contains("no longer has the log"));
    stack.stop().await;
}

#[tokio::test]
async fn force_is_refused_where_concourse_has_none() {
    let script = Script::new().task("unit", |task| task.log("begun\r\n").wait_for_release());
    for (version, status) in [(Version::V8_1, 422), (Version::V8_3, 202)] {
        let (stack, twin, platform) =
            stack_with(ConcourseTwin::example().version(version).abort_delay(Duration::ZERO)).await;
        put_concourse_job(&platform, "any", "main", "example-pipeline", "hello-job").await;
        twin.set_script("main", "example-pipeline", "hello-job", script.clone());
        let run = platform.trigger("any").await;
        let build = twin.builds()[0].id;
        twin.wait_for_build(build, |status| status == Status::Started).await;
        let force = Call::post(format!("/v1/runs/{run}/cancel")).json(&json!({ "force": true }));
        let answer = platform.send(force).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 422 {
            assert_says(
                &detail(&answer, 422, "not-supported"),
                &["cannot force a run to end", "without force"],
            );
            platform.send(Call::post(format!("/v1/runs/{run}/cancel"))).await.expect(202);
        }
        assert_eq!(platform.ended(&run).await["status"], "cancelled");
        stack.stop().await;
    }
}

#[tokio::test]
async fn an_edited_provider_is_used_at_once() {
    let twin = ConcourseTwin::example().start().await;
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let mut settings = concourse::settings(&twin);
    settings["url"] = json!("http://127.0.0.1:1");
    let put = Call::put("/v1/providers/concourse");
    let wrong = platform.send(put.clone().json(&settings)).await.expect(201);
    put_concourse_job(&platform, "any", "main", "example-pipeline", "hello-job").await;
    assert_eq!(check(&platform).await["ok"], false);
    platform.send(Call::post("/v1/jobs/any/runs")).await.problem(503, "provider-unavailable");
    let put = put.header("if-match", wrong.header("etag").unwrap()).json(&concourse::settings(&twin));
    platform.send(put).await.expect(200);
    assert_eq!(check(&platform).await["ok"], true);
    platform.trigger("any").await;
    stack.stop().await;
}
