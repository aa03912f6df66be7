//! Showing, cancelling and rerunning, at every version.

use gatehouse_domain::ci::{BuildId, CancelMode, CiErrorKind, CiProvider, ReasonCode, RunStatus, StartKind};
use gatehouse_testkit::concourse::{ConcourseTwin, JobBuilder, Role, Route, Script, Status, Version};
use serde_json::json;

use crate::support::{
    Begin, Bench, PASSWORD, QUICK, USER, concourse, deploy, instance, number, target, told, trigger, watch,
    within_patience,
};

/// What is told, without positions, pauses and waiting, which depend on the version and the moment.
fn gist(told: &str) -> Vec<&str> {
    let lines = told.lines().filter_map(|line| line.split_once(' '));
    let lines = lines.map(|(_, what)| what);
    lines.filter(|what| !what.contains("queued") && !what.contains("waiting for a worker")).collect()
}

#[tokio::test]
async fn every_version_triggers_and_watches() {
    for version in Version::ALL {
        let bench =
            Bench::new(concourse(Script::quick()).version(version).first_build_id(7_589_249_440)).await;
        let provider = bench.provider();
        let build = trigger(&provider, deploy()).await.unwrap();
        assert_eq!((build.status, build.id.0.as_str()), (RunStatus::Queued, "7589249440"), "{version}");
        assert_eq!(build.number.as_deref(), Some("1"));
        let page = format!("{}/teams/main/pipelines/app/jobs/deploy/builds/1", bench.twin.url());
        assert_eq!(build.web_url, Some(page));
        let events = watch(&provider, &build.id, None).await.unwrap();
        assert_eq!(gist(&told(&events)), gist(QUICK), "{version}");
        let build = provider.build(&deploy(), &build.id).await.unwrap();
        assert_eq!((build.status, build.provider_status.as_str()), (RunStatus::Succeeded, "succeeded"));
        assert!(build.started_at.is_some() && build.finished_at.is_some());
    }
}

#[tokio::test]
async fn every_version_cancels_a_running_build() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(Script::silent()).version(version)).await;
        let provider = bench.provider();
        let build = trigger(&provider, deploy()).await.unwrap().id;
        bench.twin.wait_for_build(number(&build), |status| status == Status::Started).await;
        provider.cancel(&deploy(), &build, CancelMode::Graceful).await.unwrap();
        let events = within_patience(watch(&provider, &build, None)).await.unwrap();
        let told = told(&events);
        let gist = gist(&told);
        assert!(gist.contains(&"error 64f0a0 interrupted"), "{version}: {told}");
        assert_eq!(gist[gist.len() - 2..], ["status cancelled (aborted)", "end"], "{version}");
        // A run that has ended is left alone.
        provider.cancel(&deploy(), &build, CancelMode::Graceful).await.unwrap();
        assert_eq!(provider.build(&deploy(), &build).await.unwrap().status, RunStatus::Cancelled);
    }
}

#[tokio::test]
async fn every_version_reruns_a_build() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(Script::quick()).version(version)).await;
        let provider = bench.provider();
        let first = trigger(&provider, deploy()).await.unwrap().id;
        bench.twin.wait_until_finished(number(&first)).await;
        let kind = StartKind::Rerun { build: first.clone() };
        let begin = Begin::prepare(&provider, deploy(), kind).await;
        let again = begin.start(&provider).await.unwrap();
        assert_eq!(again.number.as_deref(), Some("1.1"), "{version}");
        assert_eq!(bench.twin.build(number(&again.id)).unwrap().rerun_of, Some(number(&first)));
        assert_eq!(begin.look(&provider).await, [again.id.0]);
    }
}

#[tokio::test]
async fn only_versions_that_can_end_builds_by_force_are_asked_to() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(Script::silent()).version(version).abort_waits_for_release()).await;
        let provider = bench.provider();
        assert!(!provider.capabilities().force_cancel, "nothing is known of the version yet");
        let build = trigger(&provider, deploy()).await.unwrap().id;
        bench.twin.wait_for_build(number(&build), |status| status == Status::Started).await;
        assert_eq!(provider.capabilities().force_cancel, version >= Version::V8_3);
        let outcome = bench.provider().cancel(&deploy(), &build, CancelMode::Force).await;
        if version >= Version::V8_3 {
            outcome.unwrap();
            assert_eq!(bench.twin.build(number(&build)).unwrap().status, Status::Aborted);
        } else {
            let error = outcome.unwrap_err();
            assert_eq!(error.kind, CiErrorKind::Unsupported);
            assert!(error.advice.contains(version.as_str()), "{}", error.advice);
            assert_eq!(bench.twin.request_count(Route::Abort), 0);
        }
    }
}

#[tokio::test]
async fn force_does_not_touch_a_build_that_has_ended() {
    let bench = Bench::new(concourse(Script::quick()).version(Version::V8_3)).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.wait_until_finished(number(&build)).await;
    provider.cancel(&deploy(), &build, CancelMode::Force).await.unwrap();
    assert_eq!(bench.twin.request_count(Route::Abort), 0);
}

#[tokio::test]
async fn a_build_of_another_job_is_not_given_as_one_of_this() {
    let builder =
        concourse(Script::quick()).pipeline("main", "app2", |pipeline| pipeline.job("deploy", |job| job));
    let bench = Bench::new(builder).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    // Ours is given as what it is: its job may have another name by now.
    assert_eq!(provider.build(&target("app2", "deploy"), &build).await.unwrap().target, deploy());
    let others = BuildId(bench.twin.schedule("main", "app", "deploy").to_string());
    let error = provider.build(&target("app2", "deploy"), &others).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Refused);
    for id in ["999", "17.1", "../1", ""] {
        let error = provider.build(&deploy(), &BuildId(id.into())).await.unwrap_err();
        assert_eq!(error.kind, CiErrorKind::NotFound, "{id}");
    }
}

#[tokio::test]
async fn an_instance_is_chosen_by_its_vars_and_reported_with_them() {
    let vars = json!({"branch": "feature/x", "deep": {"n": 1}});
    let builder = concourse(Script::quick())
        .pipeline("main", "svc", |pipeline| pipeline.instance_vars(&vars).job("deploy", |job| job));
    let bench = Bench::new(builder).await;
    let provider = bench.provider();
    let chosen = instance("svc", "deploy", &vars);
    provider.checkpoint(&chosen).await.unwrap();
    let build = trigger(&provider, chosen.clone()).await.unwrap();
    assert_eq!(build.target, chosen);
    // Whoever does not know the instance learns it from the build.
    let shown = provider.build(&target("svc", "deploy"), &build.id).await.unwrap();
    assert_eq!(shown.target, chosen);
    assert!(shown.web_url.unwrap().ends_with("?vars.branch=%22feature%2Fx%22&vars.deep=%7B%22n%22%3A1%7D"));
    let wrong = instance("svc", "deploy", &json!({"branch": "none"}));
    assert_eq!(trigger(&provider, wrong).await.unwrap_err().kind, CiErrorKind::NotFound);
}

#[tokio::test]
async fn a_build_that_waits_says_why() {
    let bench = Bench::new(concourse(Script::quick().waits_for_input("repo"))).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap();
    let reason = build.reason.unwrap();
    assert_eq!(reason.code, ReasonCode::WaitingForInputs);
    assert_eq!(reason.detail, "it waits for its inputs: `repo` (latest version of resource not found)");

    bench.twin.pause_job("main", "app", "deploy");
    let reason = provider.build(&deploy(), &build.id).await.unwrap().reason.unwrap();
    insta::assert_snapshot!(reason.detail, @"job `deploy` is paused in Concourse; unpause it: fly -t TARGET unpause-job --team main -j app/deploy (before 8.2 Concourse cancels a waiting build only after that, too)");

    bench.twin.pause_pipeline("main", "app");
    let reason = provider.build(&deploy(), &build.id).await.unwrap().reason.unwrap();
    assert_eq!(reason.code, ReasonCode::Paused);
    insta::assert_snapshot!(reason.detail, @"pipeline `app` is paused in Concourse; unpause it: fly -t TARGET unpause-pipeline --team main -p app (before 8.2 Concourse cancels a waiting build only after that, too)");
}

#[tokio::test]
async fn a_run_of_a_paused_pipeline_says_so_from_the_start() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(Script::quick()).version(version)).await;
        let provider = bench.provider();
        bench.twin.pause_pipeline("main", "app");
        let build = trigger(&provider, deploy()).await.unwrap();
        assert_eq!(build.status, RunStatus::Queued);
        assert_eq!(build.reason.unwrap().code, ReasonCode::Paused, "{version}");
    }
}

#[tokio::test]
async fn cancelling_a_paused_run_waits_for_the_pause_to_end_before_8_2() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(Script::quick()).version(version)).await;
        let provider = bench.provider();
        bench.twin.pause_job("main", "app", "deploy");
        let build = trigger(&provider, deploy()).await.unwrap().id;
        provider.cancel(&deploy(), &build, CancelMode::Graceful).await.unwrap();
        if version < Version::V8_3 {
            let shown = provider.build(&deploy(), &build).await.unwrap();
            assert_eq!(shown.status, RunStatus::Queued);
            assert!(shown.reason.unwrap().detail.contains("cancels a waiting build only after that"));
            bench.twin.unpause_job("main", "app", "deploy");
        }
        let ended = within_patience(bench.twin.wait_until_finished(number(&build))).await;
        assert_eq!(ended.status, Status::Aborted, "{version}");
    }
}

#[tokio::test]
async fn a_build_beyond_the_limit_waits_for_a_slot() {
    let builder = ConcourseTwin::builder()
        .user(USER, PASSWORD)
        .team("main", |team| team.role(USER, Role::PipelineOperator))
        .pipeline("main", "app", |pipeline| {
            pipeline.job("deploy", |job| job.script(Script::silent()).max_in_flight(1))
        });
    let bench = Bench::new(builder).await;
    let provider = bench.provider();
    let first = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.wait_for_build(number(&first), |status| status == Status::Started).await;
    let second = trigger(&provider, deploy()).await.unwrap();
    assert_eq!(second.reason.unwrap().code, ReasonCode::WaitingForSlot);
}

#[tokio::test]
async fn a_build_of_a_group_waits_for_a_slot_that_another_job_has() {
    let builder = ConcourseTwin::builder()
        .user(USER, PASSWORD)
        .team("main", |team| team.role(USER, Role::PipelineOperator))
        .pipeline("main", "app", |pipeline| {
            let silent = |job: JobBuilder| job.script(Script::silent()).serial_group("production");
            pipeline.job("deploy", silent).job("migrate", silent)
        });
    let bench = Bench::new(builder).await;
    let provider = bench.provider();
    let first = trigger(&provider, target("app", "migrate")).await.unwrap().id;
    bench.twin.wait_for_build(number(&first), |status| status == Status::Started).await;
    let second = trigger(&provider, deploy()).await.unwrap();
    assert_eq!(second.reason.unwrap().code, ReasonCode::WaitingForSlot);
    bench.twin.release(number(&first));
    bench.twin.wait_for_build(number(&second.id), |status| status == Status::Started).await;
    let shown = provider.build(&deploy(), &second.id).await.unwrap();
    assert_eq!((shown.status, shown.reason), (RunStatus::Running, None));
}

#[tokio::test]
async fn a_build_whose_input_passed_no_job_yet_says_so_and_goes_on_when_it_has() {
    let builder = ConcourseTwin::builder()
        .user(USER, PASSWORD)
        .team("main", |team| team.role(USER, Role::PipelineOperator))
        .pipeline("main", "app", |pipeline| {
            let pipeline = pipeline.job("test", |job| job);
            pipeline.job("deploy", |job| job.passed("repo", "test"))
        });
    let bench = Bench::new(builder).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap();
    let reason = build.reason.unwrap();
    assert_eq!(reason.code, ReasonCode::WaitingForInputs);
    let why =
        "it waits for its inputs: `repo` (no satisfiable builds from passed jobs found for set of inputs)";
    assert_eq!(reason.detail, why);
    trigger(&provider, target("app", "test")).await.unwrap();
    within_patience(bench.twin.wait_until_finished(number(&build.id))).await;
    let shown = provider.build(&deploy(), &build.id).await.unwrap();
    assert_eq!((shown.status, shown.reason), (RunStatus::Succeeded, None));
}

/// Up to 8.1 the checks of its inputs stand behind each build of a job in the sequence of ids, and in lists of builds.
#[tokio::test]
async fn checks_are_never_taken_for_builds_of_the_job() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(Script::quick()).version(version)).await;
        let provider = bench.provider();
        let first = trigger(&provider, deploy()).await.unwrap().id;
        let begin = Begin::prepare(&provider, deploy(), StartKind::Trigger).await;
        assert_eq!(begin.checkpoint.0, first.0, "{version}");
        let second = begin.start(&provider).await.unwrap().id;
        assert_eq!(begin.look(&provider).await, *std::slice::from_ref(&second.0), "{version}");
        let checks = bench.twin.checks();
        assert_eq!(checks.len(), if version < Version::V7_4 { 0 } else { 2 }, "{version}");
        for check in checks {
            let id = BuildId(check.id.to_string());
            let refused = provider.build(&deploy(), &id).await.unwrap_err();
            assert_eq!(refused.kind, CiErrorKind::Refused, "{version}");
        }
    }
}
