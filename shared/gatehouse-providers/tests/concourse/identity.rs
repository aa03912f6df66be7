//! A build is known by its id, whatever its job is called by now, and ends when Concourse no longer has it.

use futures_util::StreamExt;
use gatehouse_domain::ci::{
    BuildId, CancelMode, Checkpoint, CiErrorKind, CiProvider, ConcourseTarget, RunStatus, StartKind, Target,
};
use gatehouse_testkit::concourse::{Fault, Role, Route, Script, Status, Version};
use serde_json::json;

use crate::support::{
    Begin, Bench, USER, concourse, deploy, instance, number, target, told, trigger, watch, within_patience,
};

fn waits() -> Script {
    Script::new().task("unit", |task| task.log("one\n").wait_for_release().log("two\n"))
}

fn rename(bench: &Bench, what: &str) -> Target {
    match what {
        "team" => bench.twin.rename_team("main", "other"),
        "pipeline" => bench.twin.rename_pipeline("main", "app", "other"),
        _ => bench.twin.rename_job("main", "app", "deploy", "other"),
    }
    let Target::Concourse(mut renamed) = deploy() else { panic!("it is one of Concourse") };
    match what {
        "team" => renamed.team = "other".into(),
        "pipeline" => renamed.pipeline = "other".into(),
        _ => renamed.job = "other".into(),
    }
    Target::Concourse(renamed)
}

#[tokio::test]
async fn a_build_is_followed_through_renames_to_its_end() {
    for what in ["team", "pipeline", "job"] {
        for version in [Version::V7_4, Version::V7_14, Version::V8_3] {
            let bench = Bench::new(concourse(waits()).version(version)).await;
            let provider = bench.provider();
            let build = trigger(&provider, deploy()).await.unwrap().id;
            let renamed = rename(&bench, what);
            let found = provider.build(&deploy(), &build).await.unwrap();
            assert_eq!((found.status, found.target), (RunStatus::Running, renamed), "{version}, {what}");
            bench.twin.release(number(&build));
            bench.twin.wait_until_finished(number(&build)).await;
            let told = told(&watch(&provider, &build, None).await.unwrap());
            assert!(told.contains("two") && told.ends_with("end\n"), "{version}, {what}: {told}");
            assert_eq!(provider.build(&deploy(), &build).await.unwrap().status, RunStatus::Succeeded);
        }
    }
}

#[tokio::test]
async fn a_build_is_followed_to_its_end_when_its_job_is_taken_out_of_the_pipeline() {
    for version in Version::ALL {
        for ends in ["by itself", "cancelled"] {
            let bench = Bench::new(concourse(waits()).version(version)).await;
            let provider = bench.provider();
            let build = trigger(&provider, deploy()).await.unwrap().id;
            bench.twin.wait_for_build(number(&build), |status| status == Status::Started).await;
            bench.twin.remove_job("main", "app", "deploy");
            let found = provider.build(&deploy(), &build).await.unwrap();
            assert_eq!((found.status, found.target), (RunStatus::Running, deploy()), "{version}");
            let status = if ends == "cancelled" {
                provider.cancel(&deploy(), &build, CancelMode::Graceful).await.unwrap();
                RunStatus::Cancelled
            } else {
                bench.twin.release(number(&build));
                RunStatus::Succeeded
            };
            bench.twin.wait_until_finished(number(&build)).await;
            let told = told(&watch(&provider, &build, None).await.unwrap());
            let said = told.contains("two") == (status == RunStatus::Succeeded);
            assert!(said && told.ends_with("end\n"), "{version}, {ends}: {told}");
            assert_eq!(provider.build(&deploy(), &build).await.unwrap().status, status, "{version}");
            // What is gone is the job: nothing is begun of it, anew or again.
            assert_eq!(trigger(&provider, deploy()).await.unwrap_err().kind, CiErrorKind::NotFound);
            let kind = StartKind::Rerun { build };
            let begin = Begin { target: deploy(), kind, checkpoint: Checkpoint("0".into()) };
            assert_eq!(begin.start(&provider).await.unwrap_err().kind, CiErrorKind::NotFound, "{version}");
            assert_eq!(bench.twin.builds().len(), 1, "{version}, {ends}");
        }
    }
}

#[tokio::test]
async fn a_build_of_another_name_can_be_cancelled_and_is_not_run_again() {
    let bench = Bench::new(concourse(waits())).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    rename(&bench, "pipeline");
    provider.cancel(&deploy(), &build, CancelMode::Graceful).await.unwrap();
    bench.twin.wait_until_finished(number(&build)).await;
    let kind = StartKind::Rerun { build };
    let begin = Begin { target: deploy(), kind, checkpoint: Checkpoint("0".into()) };
    let error = begin.start(&provider).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Refused);
    insta::assert_snapshot!(error.advice, @"build 1 is one of job `deploy` in pipeline `other` of team `main` by now: correct the job, and trigger it");
}

/// Ids are unique in all of Concourse: without a name that fits, or our name, a build is nobody's of ours.
#[tokio::test]
async fn a_build_of_others_is_not_followed() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(Script::quick()).version(version)).await;
        let scheduled = BuildId(bench.twin.schedule("main", "app", "deploy").to_string());
        let provider = bench.provider();
        assert!(provider.build(&deploy(), &scheduled).await.is_ok(), "{version}");
        let error = provider.build(&target("app", "other"), &scheduled).await.unwrap_err();
        assert_eq!(error.kind, CiErrorKind::Refused, "{version}");
    }
}

#[tokio::test]
async fn a_build_of_a_destroyed_pipeline_is_gone() {
    let bench = Bench::new(concourse(waits())).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    let mut events = provider.clone().events(deploy(), build.clone(), None);
    while within_patience(events.next()).await.unwrap().unwrap().position.is_none_or(|it| it.0 != "5") {}
    bench.twin.destroy_pipeline("main", "app");
    let error = loop {
        if let Err(error) = within_patience(events.next()).await.expect("it ends with an error") {
            break error;
        }
    };
    assert_eq!(error.kind, CiErrorKind::NotFound);
    assert_eq!(provider.build(&deploy(), &build).await.unwrap_err().kind, CiErrorKind::NotFound);
    let kind = StartKind::Rerun { build };
    let begin = Begin { target: deploy(), kind, checkpoint: Checkpoint("0".into()) };
    let error = begin.start(&provider).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Refused);
    insta::assert_snapshot!(error.advice, @"Concourse has no build 1 of job `deploy` in pipeline `app` of team `main`: what is gone cannot be run again; trigger the job instead");
}

#[tokio::test]
async fn a_pipeline_that_is_set_again_brings_no_build_of_before_back() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(waits()).version(version)).await;
        let provider = bench.provider();
        let gone = trigger(&provider, deploy()).await.unwrap().id;
        bench.twin.destroy_pipeline("main", "app");
        bench.twin.set_pipeline("main", "app", |pipeline| pipeline.job("deploy", |job| job));
        // Its builds count from 1 again, and their ids go on.
        let first = trigger(&provider, deploy()).await.unwrap();
        assert_eq!((first.number.as_deref(), first.id != gone), (Some("1"), true), "{version}");
        assert_eq!(provider.build(&deploy(), &gone).await.unwrap_err().kind, CiErrorKind::NotFound);
        assert_eq!(watch(&provider, &gone, None).await.unwrap_err().kind, CiErrorKind::NotFound);
        let kind = StartKind::Rerun { build: gone };
        let begin = Begin { target: deploy(), kind, checkpoint: Checkpoint("0".into()) };
        assert_eq!(begin.start(&provider).await.unwrap_err().kind, CiErrorKind::Refused, "{version}");
        assert_eq!(bench.twin.builds().len(), 1, "{version}");
        bench.twin.wait_until_finished(number(&first.id)).await;
        let found = provider.build(&deploy(), &first.id).await.unwrap();
        assert_eq!(found.status, RunStatus::Succeeded, "{version}");
    }
}

#[tokio::test]
async fn only_concourse_says_that_a_build_is_gone() {
    let bench = Bench::new(concourse(waits())).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.fault(Fault::on(Route::Build).html_page(404));
    assert_eq!(provider.build(&deploy(), &build).await.unwrap_err().kind, CiErrorKind::Protocol);
    bench.twin.release(number(&build));
}

#[tokio::test]
async fn a_team_in_another_case_is_the_one_that_concourse_finds() {
    // Roles go by exact names, so only an admin gets that far.
    let builder = concourse(Script::quick()).team("main", |team| team.role(USER, Role::Owner));
    let bench = Bench::new(builder).await;
    let provider = bench.provider();
    let Target::Concourse(mut shouted) = instance("app", "deploy", &json!({})) else { panic!() };
    shouted.team = "MAIN".into();
    let shouted = Target::Concourse(shouted);
    let build = trigger(&provider, shouted.clone()).await.unwrap();
    let Target::Concourse(ConcourseTarget { team, .. }) = &build.target else { panic!() };
    assert_eq!(team, "main");
    bench.twin.wait_until_finished(number(&build.id)).await;
    assert_eq!(provider.build(&shouted, &build.id).await.unwrap().status, RunStatus::Succeeded);
}
