//! Starting runs when things go wrong: exactly what may have happened is said, and what happened is found.

use std::collections::BTreeMap;

use gatehouse_domain::ci::{
    BuildId, CancelMode, Checkpoint, CiErrorKind, CiProvider, StartKind, StartRequest, VersionFields,
};
use gatehouse_testkit::concourse::{ConcourseTwin, Fault, JobBuilder, Role, Route, Script, Status, Version};
use serde_json::json;

use crate::support::{
    Begin, Bench, PASSWORD, USER, concourse, deploy, number, target, trigger, within_patience,
};

async fn lost_trigger(bench: &Bench, fault: Fault) -> Begin {
    let provider = bench.provider();
    let begin = Begin::prepare(&provider, deploy(), StartKind::Trigger).await;
    bench.twin.fault(fault);
    let error = begin.start(&provider).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::OutcomeUnknown, "{error}");
    begin
}

fn newest(bench: &Bench) -> String {
    bench.twin.builds().last().unwrap().id.to_string()
}

#[tokio::test]
async fn a_build_whose_answer_was_lost_is_found() {
    for version in Version::ALL {
        for fault in [
            Fault::on(Route::Trigger).cut().after_effect(),
            Fault::on(Route::Trigger).status(500).after_effect(),
            Fault::on(Route::Trigger).html_page(502).after_effect(),
            Fault::on(Route::Trigger).html_page(503).after_effect(),
            Fault::on(Route::Trigger).html_page(504).after_effect(),
            Fault::on(Route::Trigger).cut_at_byte(40),
        ] {
            let bench = Bench::new(concourse(Script::quick()).version(version)).await;
            let provider = bench.provider();
            trigger(&provider, deploy()).await.unwrap();
            let begin = lost_trigger(&bench, fault).await;
            assert_eq!(begin.look(&provider).await, [newest(&bench)], "{version}");
            assert_eq!(bench.twin.trigger_count("main", "app", "deploy"), 2, "{version}");
        }
    }
}

#[tokio::test]
async fn a_start_that_never_arrived_leaves_nothing_to_find() {
    let bench = Bench::new(concourse(Script::quick())).await;
    trigger(&bench.provider(), deploy()).await.unwrap();
    let begin = lost_trigger(&bench, Fault::on(Route::Trigger).cut()).await;
    assert!(begin.look(&bench.provider()).await.is_empty());
    assert_eq!(bench.twin.request_count(Route::Trigger), 2, "a trigger was sent twice");
}

#[tokio::test]
async fn old_versions_fail_after_they_have_made_the_build() {
    for version in Version::ALL {
        let builder = ConcourseTwin::builder()
            .version(version)
            .user(USER, PASSWORD)
            .team("main", |team| team.role(USER, Role::PipelineOperator))
            .pipeline("main", "app", |pipeline| pipeline.job("deploy", JobBuilder::input_check_fails));
        let bench = Bench::new(builder).await;
        let provider = bench.provider();
        let begin = Begin::prepare(&provider, deploy(), StartKind::Trigger).await;
        let outcome = begin.start(&provider).await;
        assert_eq!(outcome.is_ok(), version >= Version::V8_3, "{version}");
        if let Err(error) = outcome {
            assert_eq!(error.kind, CiErrorKind::OutcomeUnknown);
        }
        assert_eq!(begin.look(&provider).await, [newest(&bench)], "{version}");
    }
}

#[tokio::test]
async fn builds_of_others_are_not_taken_for_ours() {
    for version in [Version::V7_4, Version::V8_3] {
        let builder = concourse(Script::quick())
            .version(version)
            .user("somebody", "else")
            .team("main", |team| team.role("somebody", Role::Member));
        let bench = Bench::new(builder).await;
        let begin = lost_trigger(&bench, Fault::on(Route::Trigger).cut()).await;
        bench.twin.schedule("main", "app", "deploy");
        let mut other =
            Bench { settings: bench.settings.clone(), ..Bench::new(ConcourseTwin::builder()).await };
        other.settings.name = "other".parse().unwrap();
        let account = gatehouse_domain::ci::Account::Password { username: "somebody".into() };
        let credentials = gatehouse_domain::providers::Credentials {
            account,
            secret: "else".to_owned().into(),
            given_for: None,
        };
        let name = gatehouse_domain::secret::SecretName::provider_credentials(&other.settings.name);
        other.secrets.put(&name, &credentials.to_secret());
        trigger(&other.provider(), deploy()).await.unwrap();
        assert_eq!(bench.twin.builds().len(), 2);
        assert!(begin.look(&bench.provider()).await.is_empty(), "{version}");
    }
}

#[tokio::test]
async fn reruns_are_no_triggers_and_triggers_no_reruns() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let provider = bench.provider();
    let first = trigger(&provider, deploy()).await.unwrap().id;
    let second = trigger(&provider, deploy()).await.unwrap().id;
    for build in [&first, &second] {
        bench.twin.wait_until_finished(number(build)).await;
    }
    let rerun = |build| StartKind::Rerun { build };
    // A rerun of the older build stands below the newer one in lists, and is the newest all the same.
    let early = Begin::prepare(&provider, deploy(), rerun(first.clone())).await;
    let early = early.start(&provider).await.unwrap().id;
    let of_first = Begin::prepare(&provider, deploy(), rerun(first.clone())).await;
    let of_second = Begin::prepare(&provider, deploy(), rerun(second)).await;
    let anew = Begin::prepare(&provider, deploy(), StartKind::Trigger).await;
    assert_eq!(of_first.checkpoint.0, early.0);

    let rerun_of_first = of_first.start(&provider).await.unwrap().id.0;
    let rerun_of_second = of_second.start(&provider).await.unwrap().id.0;
    let triggered = anew.start(&provider).await.unwrap().id.0;
    assert_eq!(of_first.look(&provider).await.join(","), rerun_of_first);
    assert_eq!(of_second.look(&provider).await, [rerun_of_second]);
    assert_eq!(anew.look(&provider).await, [triggered]);
    // A rerun of a rerun names the first of them as its original.
    let of_rerun = Begin { kind: rerun(early), ..of_first };
    assert_eq!(of_rerun.look(&provider).await, [rerun_of_first]);
}

#[tokio::test]
async fn a_rerun_whose_answer_was_lost_is_found() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(Script::quick()).version(version)).await;
        let provider = bench.provider();
        let build = trigger(&provider, deploy()).await.unwrap().id;
        bench.twin.wait_until_finished(number(&build)).await;
        let begin = Begin::prepare(&provider, deploy(), StartKind::Rerun { build }).await;
        bench.twin.fault(Fault::on(Route::Rerun).cut().after_effect());
        assert_eq!(begin.start(&provider).await.unwrap_err().kind, CiErrorKind::OutcomeUnknown);
        trigger(&provider, deploy()).await.unwrap();
        let rerun = bench.twin.builds().into_iter().find(|build| build.rerun_of.is_some()).unwrap();
        assert_eq!(begin.look(&provider).await, [rerun.id.to_string()], "{version}");
    }
}

/// What keeps builds of the job from beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Obstacle {
    /// Concourse does not say.
    Unknown,
    PausedJob,
    PausedPipeline,
    /// An input has no version yet.
    NoVersion,
}

impl Obstacle {
    const ALL: [Self; 4] = [Self::Unknown, Self::PausedJob, Self::PausedPipeline, Self::NoVersion];

    /// Each of them at each version.
    fn at_every_version() -> impl Iterator<Item = (Version, Self)> {
        Version::ALL.into_iter().flat_map(|version| Self::ALL.map(|obstacle| (version, obstacle)))
    }

    async fn bench(self, version: Version) -> Bench {
        let script = match self {
            Self::Unknown => Script::quick().stays_pending(),
            Self::PausedJob | Self::PausedPipeline | Self::NoVersion => Script::quick(),
        };
        let builder = ConcourseTwin::builder()
            .version(version)
            .user(USER, PASSWORD)
            .team("main", |team| team.role(USER, Role::PipelineOperator))
            .pipeline("main", "app", |pipeline| {
                let pipeline = pipeline.job("deploy", |job| job.script(script));
                if self == Self::NoVersion { pipeline.resource("repo", &[]) } else { pipeline }
            });
        let bench = Bench::new(builder).await;
        match self {
            Self::PausedJob => bench.twin.pause_job("main", "app", "deploy"),
            Self::PausedPipeline => bench.twin.pause_pipeline("main", "app"),
            Self::Unknown | Self::NoVersion => {}
        }
        bench
    }

    async fn remove(self, bench: &Bench, build: &BuildId) {
        match self {
            Self::Unknown => bench.twin.release(number(build)),
            Self::PausedJob => bench.twin.unpause_job("main", "app", "deploy"),
            Self::PausedPipeline => bench.twin.unpause_pipeline("main", "app"),
            Self::NoVersion => {
                bench.twin.publish("main", "app", "repo", &json!({"ref": "one"}));
                let version = VersionFields::from([("ref".to_owned(), "one".to_owned())]);
                bench.provider().pins().unwrap().look_for(&deploy(), "repo", &version).await.unwrap();
            }
        }
    }

    /// Whether a build that waits for this is cancelled only when it does so no more.
    fn holds_cancels_back(self, version: Version) -> bool {
        matches!(self, Self::PausedJob | Self::PausedPipeline) && version < Version::V8_3
    }
}

#[tokio::test]
async fn a_build_that_never_began_is_not_run_again() {
    for (version, obstacle) in Obstacle::at_every_version() {
        let bench = obstacle.bench(version).await;
        let provider = bench.provider();
        let build = trigger(&provider, deploy()).await.unwrap().id;
        let refused = async || {
            let begin = Begin::prepare(&provider, deploy(), StartKind::Rerun { build: build.clone() }).await;
            let error = begin.start(&provider).await.unwrap_err();
            assert_eq!(error.kind, CiErrorKind::Refused, "{version}, {obstacle:?}");
            error.advice
        };
        let waits = "build 1 has not begun, so there is nothing to run again";
        assert_eq!(refused().await, waits, "{version}, {obstacle:?}");
        provider.cancel(&deploy(), &build, CancelMode::Graceful).await.unwrap();
        if obstacle.holds_cancels_back(version) {
            assert_eq!(refused().await, waits, "{version}, {obstacle:?}");
            obstacle.remove(&bench, &build).await;
        }
        within_patience(bench.twin.wait_until_finished(number(&build))).await;
        assert_eq!(
            refused().await,
            "build 1 was cancelled before it began, so it has no inputs to run with again: trigger the job instead",
            "{version}, {obstacle:?}"
        );
        let asked = bench.twin.request_count(Route::Rerun);
        assert_eq!(asked, 0, "{version}, {obstacle:?}: it is asked all the same");
    }
}

#[tokio::test]
async fn a_build_that_began_late_is_run_again() {
    for (version, obstacle) in Obstacle::at_every_version() {
        let bench = obstacle.bench(version).await;
        let provider = bench.provider();
        let build = trigger(&provider, deploy()).await.unwrap().id;
        assert_eq!(bench.twin.build(number(&build)).unwrap().status, Status::Pending);
        obstacle.remove(&bench, &build).await;
        within_patience(bench.twin.wait_until_finished(number(&build))).await;
        let begin = Begin::prepare(&provider, deploy(), StartKind::Rerun { build }).await;
        let again = begin.start(&provider).await.unwrap();
        assert_eq!(again.number.as_deref(), Some("1.1"), "{version}, {obstacle:?}");
    }
}

#[tokio::test]
async fn a_web_page_in_the_place_of_an_answer_is_named_and_starts_nothing() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let provider = bench.provider();
    bench.twin.fault(Fault::on(Route::Trigger).html_page(200));
    let error = trigger(&provider, deploy()).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Protocol);
    insta::assert_snapshot!(error.advice.replace(bench.twin.url(), "https://ci.example.com"), @"a web page came from https://ci.example.com instead of an answer of Concourse's API: what stands before Concourse wants people to sign in there and must let calls with Concourse's tokens pass, or the provider's URL is not Concourse's own");
    assert!(bench.twin.builds().is_empty());
}

/// More builds than a page of any list, so that it matters where the search begins.
#[tokio::test]
async fn a_lost_rerun_of_an_old_build_is_found_behind_many_newer_ones() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(Script::quick()).version(version)).await;
        let provider = bench.provider();
        // Before 6.6 `until=0` is as good as none.
        bench.twin.schedule("main", "app", "deploy");
        let build = trigger(&provider, deploy()).await.unwrap().id;
        bench.twin.wait_until_finished(number(&build)).await;
        for _ in 0..130 {
            bench.twin.schedule("main", "app", "deploy");
        }
        let begin = Begin::prepare(&provider, deploy(), StartKind::Rerun { build }).await;
        bench.twin.fault(Fault::on(Route::Rerun).cut().after_effect());
        assert_eq!(begin.start(&provider).await.unwrap_err().kind, CiErrorKind::OutcomeUnknown);
        assert_eq!(begin.look(&provider).await, [newest(&bench)], "{version}");
        // And the next start's checkpoint is above it, so that it is not taken for that one's.
        let next = Begin::prepare(&provider, deploy(), StartKind::Trigger).await;
        assert_eq!(next.checkpoint.0, newest(&bench), "{version}");
    }
}

#[tokio::test]
async fn environment_variables_are_refused_not_dropped() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let environment = BTreeMap::from([("KEY".to_owned(), "value".to_owned())]);
    let (target, checkpoint) = (deploy(), Checkpoint::default());
    let request = StartRequest {
        id: "sta_1",
        target: &target,
        kind: &StartKind::Trigger,
        environment: &environment,
        checkpoint: &checkpoint,
    };
    assert_eq!(bench.provider().start(&request).await.unwrap_err().kind, CiErrorKind::Refused);
    assert!(bench.twin.builds().is_empty());
}

#[tokio::test]
async fn what_was_never_sent_is_unavailable() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let provider = bench.provider();
    let begin = Begin::prepare(&provider, deploy(), StartKind::Trigger).await;
    bench.twin.go_down();
    let error = loop {
        let error = begin.start(&provider).await.unwrap_err();
        // Connections from before may still be open for a moment.
        if error.kind != CiErrorKind::OutcomeUnknown {
            break error;
        }
    };
    assert_eq!(error.kind, CiErrorKind::Unavailable);
    assert_eq!(
        error.advice,
        format!(
            "Concourse at {} cannot be reached: the connection was refused or broke off",
            bench.twin.url()
        )
    );
}

#[tokio::test]
async fn a_limiter_is_waited_for_and_a_job_that_says_no_is_not() {
    let bench = Bench::new(
        concourse(Script::quick())
            .pipeline("main", "closed", |pipeline| pipeline.job("deploy", JobBuilder::disable_manual_trigger))
            .pipeline("main", "old", |pipeline| pipeline.archived().job("deploy", |job| job)),
    )
    .await;
    let provider = bench.provider();
    let refused = async |pipeline, job| trigger(&provider, target(pipeline, job)).await.unwrap_err();
    let closed = refused("closed", "deploy").await;
    assert_eq!(closed.kind, CiErrorKind::Refused);
    insta::assert_snapshot!(closed.advice, @"job `deploy` in pipeline `closed` of team `main` has `disable_manual_trigger: true` in its pipeline");
    let archived = refused("old", "deploy").await;
    assert_eq!(archived.kind, CiErrorKind::Refused);
    insta::assert_snapshot!(archived.advice, @"the pipeline is archived: set it again before using job `deploy` in pipeline `old` of team `main`");
    let unknown = refused("app", "nope").await;
    assert_eq!(unknown.kind, CiErrorKind::NotFound);
    insta::assert_snapshot!(unknown.advice, @"Concourse has no job `nope` in pipeline `app` of team `main`");
}

#[tokio::test]
async fn reruns_that_a_job_refuses_are_refused() {
    let builder = ConcourseTwin::builder()
        .version(Version::V8_3)
        .user(USER, PASSWORD)
        .team("main", |team| team.role(USER, Role::PipelineOperator))
        .pipeline("main", "app", |pipeline| pipeline.job("deploy", JobBuilder::disable_reruns));
    let bench = Bench::new(builder).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.wait_until_finished(number(&build)).await;
    let begin = Begin::prepare(&provider, deploy(), StartKind::Rerun { build }).await;
    let error = begin.start(&provider).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Refused);
    insta::assert_snapshot!(error.advice, @"job `deploy` in pipeline `app` of team `main` has `disable_reruns: true` in its pipeline");
}

#[tokio::test]
async fn reading_survives_a_connection_that_breaks_once() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let provider = bench.provider();
    let build = trigger(&provider, deploy()).await.unwrap().id;
    bench.twin.fault(Fault::on(Route::Build).cut());
    provider.build(&deploy(), &build).await.unwrap();
    bench.twin.fault(Fault::on(Route::Build).cut().times(2));
    assert_eq!(provider.build(&deploy(), &build).await.unwrap_err().kind, CiErrorKind::Unavailable);
}
