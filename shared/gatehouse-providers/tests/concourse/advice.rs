//! Advice that was tried with a real Concourse, and what a trigger would do.

use std::time::Duration;

use gatehouse_domain::ci::{
    CancelMode, CiErrorKind, CiProvider, ConcourseTarget, Outlook, Target, TargetUse,
};
use gatehouse_testkit::concourse::{
    ConcourseTwin, Fault, JobBuilder, Role, Route, Script, Status, TwinBuilder, Version,
};
use serde_json::json;

use crate::support::{
    Bench, PASSWORD, QUIET_AFTER_END, USER, WATCHDOG, concourse, deploy, instance, number, target, trigger,
    watch, within_patience,
};

fn neutral(bench: &Bench, text: &str) -> String {
    text.replace(bench.twin.url(), "https://ci.example.com")
}

/// Our user in no team, and a job in `payments`.
fn without_roles() -> TwinBuilder {
    ConcourseTwin::builder()
        .user(USER, PASSWORD)
        .team("payments", |team| team.role("somebody", Role::Owner))
        .pipeline("payments", "app", |pipeline| pipeline.job("deploy", |job| job))
}

fn in_payments() -> Target {
    let Target::Concourse(target) = deploy() else { panic!("it is one of Concourse") };
    Target::Concourse(ConcourseTarget { team: "payments".into(), ..target })
}

/// The list before a trigger is refused first, to whoever has no role.
#[tokio::test]
async fn the_role_that_a_trigger_needs_is_named_where_the_look_before_it_is_refused() {
    let bench = Bench::new(without_roles()).await;
    let provider = bench.provider();
    let error = provider.checkpoint(&in_payments()).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Forbidden);
    insta::assert_snapshot!(neutral(&bench, &error.advice), @r#"our account may not do this with job `deploy` in pipeline `app` of team `payments`: look in `fly -t TARGET teams` whether team `payments` is spelled so: roles go by the exact name, so if not, correct the jobs and leave the team as it is. If it is, give `local:ci-gateway` the role `pipeline-operator` in team `payments`: as an owner of the team, write its present roles (`fly -t TARGET get-team -n payments`) and `- {name: pipeline-operator, local: {users: ["ci-gateway"]}}` under `roles:` in team.yml, then `fly -t TARGET set-team -n payments --config team.yml`; or PUT https://ci.example.com/api/v1/teams/payments with {"auth":{"pipeline-operator":{"groups":[],"users":["local:ci-gateway"]},"…":"the present roles"}}. Both replace the team's roles"#);
    let refused = trigger(&provider, in_payments()).await.unwrap_err();
    assert_eq!(refused.kind, CiErrorKind::Forbidden);
    assert!(refused.advice.contains("the role `pipeline-operator`"), "{}", refused.advice);
}

/// `fly set-team -n MAIN` would replace the roles of `main`.
#[tokio::test]
async fn nobody_is_told_to_set_a_team_that_may_be_another() {
    let bench = Bench::new(without_roles()).await;
    let Target::Concourse(payments) = in_payments() else { panic!("it is one of Concourse") };
    let shouted = Target::Concourse(ConcourseTarget { team: "PAYMENTS".into(), ..payments });
    let report = bench.provider().check(&[shouted.into()]).await.unwrap();
    let remedy = report.scopes[0].remedy.as_deref().unwrap();
    let expected = "look in `fly -t TARGET teams` whether team `PAYMENTS` is spelled so";
    assert!(remedy.starts_with(expected), "{remedy}");
}

#[tokio::test]
async fn a_server_that_does_not_say_the_connector_is_advised_as_others_are() {
    let bench = Bench::new(without_roles().version(Version::V6_5)).await;
    let report = bench.provider().check(&[in_payments().into()]).await.unwrap();
    assert_eq!((report.identity.as_deref(), report.problems.len()), (Some("local:ci-gateway"), 0));
    let remedy = report.scopes[0].remedy.as_deref().unwrap();
    assert!(remedy.contains("{name: pipeline-operator, local: {users: [\"ci-gateway\"]}}"), "{remedy}");
}

fn outlooks() -> TwinBuilder {
    concourse(Script::quick())
        .version(Version::V8_3)
        .pipeline("main", "fixed", |it| {
            let it = it.job("no-manual", JobBuilder::disable_manual_trigger);
            it.job("paused", JobBuilder::paused)
        })
        .pipeline("main", "held", |it| it.paused().job("deploy", |job| job))
        .pipeline("main", "old", |it| it.archived().job("deploy", |job| job))
        .pipeline("main", "inst", |it| {
            it.instance_vars(&json!({"branch": "feature/x", "pr": "123"})).paused().job("deploy", |job| job)
        })
}

#[tokio::test]
async fn a_check_says_what_each_trigger_would_do() {
    let bench = Bench::new(outlooks()).await;
    let vars = json!({"branch": "feature/x", "pr": "123"});
    let with_parameter = TargetUse {
        variables: ["branch".to_owned()].into(),
        ..instance("inst", "deploy", &json!({"pr": "123"})).into()
    };
    let needs: [TargetUse; 11] = [
        deploy().into(),
        target("gone", "deploy").into(),
        target("app", "gone").into(),
        target("fixed", "no-manual").into(),
        target("fixed", "paused").into(),
        target("held", "deploy").into(),
        target("old", "deploy").into(),
        target("inst", "deploy").into(),
        instance("inst", "deploy", &json!({"branch": "main"})).into(),
        instance("inst", "deploy", &vars).into(),
        with_parameter,
    ];
    let report = bench.provider().check(&needs).await.unwrap();
    let told: Vec<_> = report.outlooks.iter().map(|outlook| format!("{outlook:?}")).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    Begins
    Fails("Concourse has no pipeline `gone` in team `main`")
    Fails("Concourse has no job `gone` in pipeline `app` of team `main`")
    Fails("job `no-manual` in pipeline `fixed` of team `main` has `disable_manual_trigger: true` in its pipeline")
    Waits("job `paused` is paused in Concourse; unpause it: fly -t TARGET unpause-job --team main -j fixed/paused")
    Waits("pipeline `held` is paused in Concourse; unpause it: fly -t TARGET unpause-pipeline --team main -p held")
    Fails("pipeline `old` of team `main` is archived: set it again before using it")
    Fails("pipeline `inst` of team `main` has instances, and the job does not say in `vars` which: `branch:\"feature/x\",pr:\"123\"`")
    Fails("pipeline `inst` of team `main` has no instance `branch:main` that the job's `vars` and parameters could choose; it has `branch:\"feature/x\",pr:\"123\"`")
    Waits("pipeline `inst` is paused in Concourse; unpause it: fly -t TARGET unpause-pipeline --team main -p 'inst/branch:\"feature/x\",pr:\"123\"'")
    Waits("pipeline `inst` is paused in Concourse; unpause it: fly -t TARGET unpause-pipeline --team main -p 'inst/branch:\"feature/x\",pr:\"123\"'")
    "#);
    // What is said is so.
    let provider = bench.provider();
    for (need, outlook) in needs.iter().zip(&report.outlooks).take(10) {
        let started = trigger(&provider, need.target.clone()).await;
        match outlook {
            Outlook::Fails(_) => assert!(started.is_err(), "{need:?}"),
            Outlook::Waits(_) => assert!(started.unwrap().reason.is_some(), "{need:?}"),
            Outlook::Begins | Outlook::Unknown(_) => assert!(started.is_ok(), "{need:?}"),
        }
    }
}

#[tokio::test]
async fn a_job_in_a_team_that_does_not_work_is_not_looked_at() {
    let bench = Bench::new(without_roles()).await;
    let report = bench.provider().check(&[in_payments().into()]).await.unwrap();
    let [Outlook::Unknown(why)] = &report.outlooks[..] else { panic!("{:?}", report.outlooks) };
    assert_eq!(why, "first comes what is said of team `payments`");
}

/// What the real `fly` takes: `fly unpause-pipeline -p app/branch:feature/x,pr:123` finds nothing.
#[tokio::test]
async fn the_command_that_unpauses_an_instance_has_its_quotes() {
    let bench = Bench::new(outlooks()).await;
    let vars = json!({"branch": "feature/x", "pr": "123"});
    let build = trigger(&bench.provider(), instance("inst", "deploy", &vars)).await.unwrap();
    insta::assert_snapshot!(build.reason.unwrap().detail, @r#"pipeline `inst` is paused in Concourse; unpause it: fly -t TARGET unpause-pipeline --team main -p 'inst/branch:"feature/x",pr:"123"'"#);
}

#[tokio::test]
async fn a_cancelled_run_that_waits_behind_another_says_so() {
    let bench = Bench::new(concourse(Script::quick()).version(Version::V8_3)).await;
    bench.twin.pause_job("main", "app", "deploy");
    let provider = bench.provider();
    let first = trigger(&provider, deploy()).await.unwrap();
    let second = trigger(&provider, deploy()).await.unwrap();
    assert!(!first.reason.unwrap().detail.contains("cancelled"), "none waits before it");
    provider.cancel(&deploy(), &second.id, CancelMode::Graceful).await.unwrap();
    let waits = provider.build(&deploy(), &second.id).await.unwrap();
    assert_eq!(bench.twin.build(number(&second.id)).unwrap().status, Status::Pending);
    insta::assert_snapshot!(waits.reason.unwrap().detail, @"job `deploy` is paused in Concourse; unpause it: fly -t TARGET unpause-job --team main -j app/deploy (if this run is cancelled, Concourse ends it only after build 1 of the job, which waits before it, or at once by force)");
    provider.cancel(&deploy(), &first.id, CancelMode::Graceful).await.unwrap();
    for build in [&first.id, &second.id] {
        assert_eq!(bench.twin.wait_until_finished(number(build)).await.status, Status::Aborted);
    }
    let (third, fourth) =
        (trigger(&provider, deploy()).await.unwrap(), trigger(&provider, deploy()).await.unwrap());
    provider.cancel(&deploy(), &fourth.id, CancelMode::Force).await.unwrap();
    assert_eq!(bench.twin.wait_until_finished(number(&fourth.id)).await.status, Status::Aborted);
    assert_eq!(bench.twin.build(number(&third.id)).unwrap().status, Status::Pending);
}

/// `/preparation` says of both that the latest version is not found.
#[tokio::test]
async fn an_input_whose_resource_cannot_be_checked_is_told_from_one_without_versions() {
    let get = |script: Script| script.get("repo", &json!({"ref": "abc"}));
    for (script, expected) in [
        (
            get(Script::new()).waits_for_input("repo"),
            "it waits for its inputs: `repo` (latest version of resource not found)",
        ),
        (
            get(Script::new()).waits_for_broken_input("repo"),
            "it waits for its inputs: `repo` (latest version of resource not found: the last check of resource \
             `repo` failed)",
        ),
    ] {
        let bench = Bench::new(concourse(script)).await;
        let build = trigger(&bench.provider(), deploy()).await.unwrap();
        assert_eq!(build.reason.unwrap().detail, expected);
    }
}

/// By force a build is `aborted` at once, and what its hooks have to say comes after that, in their own time.
#[tokio::test]
async fn a_build_that_may_have_been_ended_by_force_is_watched_on() {
    let status = |word: &str, id: u32| {
        format!(
            r#"{{"data":{{"status":"{word}","time":1}},"event":"status","version":"1.0","event_id":"{id}"}}"#
        )
    };
    let script = Script::recorded(None, &[status("started", 0), status("aborted", 1)]);
    for (version, pause) in [(Version::V8_1, QUIET_AFTER_END), (Version::V8_3, WATCHDOG)] {
        let bench = Bench::new(concourse(script.clone()).version(version)).await;
        let provider = bench.provider();
        let build = trigger(&provider, deploy()).await.unwrap().id;
        bench.twin.wait_until_finished(number(&build)).await;
        bench.twin.fault(Fault::on(Route::Events).cut_after_events(2));
        bench.twin.fault(Fault::on(Route::Events).slow(Duration::MAX));
        let watching = tokio::spawn(async move { watch(&provider, &build, None).await.unwrap() });
        while bench.twin.request_count(Route::Events) < 2 {
            tokio::task::yield_now().await;
        }
        bench.clock.end(pause).await;
        assert_eq!(within_patience(watching).await.unwrap().len(), 3, "{version}");
    }
}
