//! Pinning versions of resources, at every version of Concourse.

use std::collections::{BTreeMap, BTreeSet};

use gatehouse_domain::ci::{BuildId, CiErrorKind, CiProvider, Pinned, Taken, VersionFields};
use gatehouse_testkit::concourse::{ConcourseTwin, Fault, Role, Route, Script, Status, TwinBuilder, Version};
use serde_json::json;

use crate::support::{Bench, PASSWORD, USER, deploy, trigger};

fn twin(role: Role) -> TwinBuilder {
    ConcourseTwin::builder().user(USER, PASSWORD).team("main", |team| team.role(USER, role)).pipeline(
        "main",
        "app",
        |pipeline| {
            pipeline
                .job("deploy", |job| job.script(Script::quick()))
                .resource("repo", &[json!({ "ref": "one" }), json!({ "ref": "two" })])
                .upstream(&[json!({ "ref": "three" })])
                .resource("fixed", &[json!({ "ref": "one" })])
                .pinned_in_config()
        },
    )
}

fn fields(reference: &str) -> VersionFields {
    VersionFields::from([("ref".to_owned(), reference.to_owned())])
}

#[tokio::test]
async fn a_version_is_found_pinned_taken_and_unpinned() {
    for version in Version::ALL {
        let bench = Bench::new(twin(Role::PipelineOperator).version(version)).await;
        let provider = bench.provider();
        let (pins, target) = (provider.pins().unwrap(), deploy());
        assert_eq!(pins.inputs_of(&target, "repo").await.unwrap(), BTreeSet::from(["repo".to_owned()]));
        assert_eq!(pins.inputs_of(&target, "other").await.unwrap(), BTreeSet::new());

        assert_eq!(pins.find_version(&target, "repo", &fields("three")).await.unwrap(), None, "{version}");
        pins.look_for(&target, "repo", &fields("three")).await.unwrap();
        let found = pins.find_version(&target, "repo", &fields("three")).await.unwrap().unwrap();
        assert_eq!((found.id.as_str(), &found.fields), ("3", &fields("three")));
        let old = pins.find_version(&target, "repo", &fields("one")).await.unwrap().unwrap();

        assert_eq!(pins.pinned(&target, "repo").await.unwrap(), Pinned::Nothing);
        assert_eq!(pins.pinned(&target, "fixed").await.unwrap(), Pinned::InConfiguration);
        pins.pin(&target, "repo", &old).await.unwrap();
        pins.comment(&target, "repo", "for a run").await.unwrap();
        let pinned = Pinned::To { fields: fields("one"), comment: "for a run".to_owned() };
        assert_eq!(pins.pinned(&target, "repo").await.unwrap(), pinned);

        bench.twin.pause_job("main", "app", "deploy");
        let build = trigger(&provider, target.clone()).await.unwrap();
        assert_eq!(pins.taken(&target, &build.id).await.unwrap(), Taken::NotYet);
        bench.twin.unpause_job("main", "app", "deploy");
        let id = build.id.0.parse().unwrap();
        bench.twin.wait_until_finished(id).await;
        let taken = Taken::Versions(BTreeMap::from([("repo".to_owned(), fields("one"))]));
        assert_eq!(pins.taken(&target, &build.id).await.unwrap(), taken, "{version}");

        pins.unpin(&target, "repo").await.unwrap();
        assert_eq!(bench.twin.pinned("main", "app", "repo"), None);
        let missing = pins.taken(&target, &BuildId("99".into())).await.unwrap_err();
        assert_eq!(missing.kind, CiErrorKind::NotFound);
    }
}

#[tokio::test]
async fn a_build_that_was_cancelled_before_it_began_took_nothing() {
    let bench = Bench::new(twin(Role::PipelineOperator)).await;
    let provider = bench.provider();
    let build = {
        bench.twin.set_script("main", "app", "deploy", Script::quick().stays_pending());
        trigger(&provider, deploy()).await.unwrap()
    };
    provider.cancel(&deploy(), &build.id, gatehouse_domain::ci::CancelMode::Graceful).await.unwrap();
    bench.twin.wait_for_build(build.id.0.parse().unwrap(), |status| status == Status::Aborted).await;
    assert_eq!(provider.pins().unwrap().taken(&deploy(), &build.id).await.unwrap(), Taken::Nothing);
}

#[tokio::test]
async fn pinning_takes_no_more_than_triggering_does() {
    let bench = Bench::new(twin(Role::Viewer)).await;
    let provider = bench.provider();
    let pins = provider.pins().unwrap();
    let version = pins.find_version(&deploy(), "repo", &fields("one")).await.unwrap().unwrap();
    let refused = pins.pin(&deploy(), "repo", &version).await.unwrap_err();
    assert_eq!(refused.kind, CiErrorKind::Forbidden);
    for said in ["resource `repo` in pipeline `app` of team `main`", "role `pipeline-operator`"] {
        assert!(refused.advice.contains(said), "{}", refused.advice);
    }
}

#[tokio::test]
async fn a_pin_whose_answer_is_lost_is_no_start() {
    let bench = Bench::new(twin(Role::PipelineOperator)).await;
    let provider = bench.provider();
    let pins = provider.pins().unwrap();
    let version = pins.find_version(&deploy(), "repo", &fields("one")).await.unwrap().unwrap();
    bench.twin.fault(Fault::on(Route::Pin).status(500).after_effect());
    let lost = pins.pin(&deploy(), "repo", &version).await.unwrap_err();
    assert_eq!(lost.kind, CiErrorKind::Unavailable, "{lost}");
    let pinned = Pinned::To { fields: fields("one"), comment: String::new() };
    assert_eq!(pins.pinned(&deploy(), "repo").await.unwrap(), pinned, "without the comment");
}
