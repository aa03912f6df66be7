//! What jobs a Concourse has.

use std::collections::BTreeSet;

use gatehouse_domain::ci::{CiErrorKind, CiProvider, DiscoveredJob};
use gatehouse_testkit::concourse::{Fault, JobBuilder, Role, Route, Script, TwinBuilder, Version};
use serde_json::json;

use crate::support::{Bench, USER, concourse, deploy, instance};

fn rich() -> TwinBuilder {
    concourse(Script::quick())
        .team("ops", |team| team.role(USER, Role::Viewer))
        .team("closed", |team| team.role("somebody", Role::Owner))
        .pipeline("ops", "app", |pipeline| pipeline.paused().job("deploy", |job| job))
        .pipeline("ops", "backup", |pipeline| pipeline.job("daily", JobBuilder::paused))
        .pipeline("ops", "old", |pipeline| pipeline.archived().job("gone", |job| job))
        .pipeline("closed", "secret", |pipeline| pipeline.job("job", |job| job))
}

async fn discover(bench: &Bench, teams: &[&str]) -> Vec<DiscoveredJob> {
    let teams = teams.iter().map(|team| (*team).to_owned()).collect();
    bench.provider().discover(&teams).await.unwrap()
}

fn ids(jobs: &[DiscoveredJob]) -> Vec<&str> {
    jobs.iter().map(|job| job.job_id.as_str()).collect()
}

#[tokio::test]
async fn every_version_shows_its_jobs() {
    for version in Version::ALL {
        let bench = Bench::new(rich().version(version)).await;
        let jobs = discover(&bench, &[]).await;
        assert_eq!(ids(&jobs), ["main-app-deploy", "ops-app-deploy", "backup-daily"], "{version}");
        assert_eq!((&jobs[0].target, jobs[0].display_name.as_str()), (&deploy(), "app / deploy"));
        let notes: Vec<_> = jobs.iter().map(|job| job.note.as_deref()).collect();
        let paused = |what| format!("the {what} is paused: runs wait until somebody unpauses it");
        assert_eq!(notes, [None, Some(&*paused("pipeline")), Some(&*paused("job"))]);
    }
}

#[tokio::test]
async fn instances_are_jobs_of_their_own() {
    let vars = [json!({"branch": "main"}), json!({"branch": "dev"})];
    let mut builder = concourse(Script::quick());
    for vars in &vars {
        builder =
            builder.pipeline("main", "svc", |pipeline| pipeline.instance_vars(vars).job("deploy", |job| job));
    }
    let bench = Bench::new(builder).await;
    let jobs = discover(&bench, &["main"]).await;
    assert_eq!(ids(&jobs), ["app-deploy", "svc-branch-main-deploy", "svc-branch-dev-deploy"]);
    assert_eq!(jobs[2].target, instance("svc", "deploy", &vars[1]));
}

#[tokio::test]
async fn one_team_can_be_asked_for() {
    let bench = Bench::new(rich()).await;
    assert_eq!(ids(&discover(&bench, &["ops"]).await), ["app-deploy", "backup-daily"]);
}

#[tokio::test]
async fn an_empty_list_is_not_taken_for_an_empty_team() {
    let bench = Bench::new(rich().team("empty", |team| team.role(USER, Role::Viewer))).await;
    assert!(discover(&bench, &["empty"]).await.is_empty());
    let provider = bench.provider();
    let refused = async |team: &str| {
        let error = provider.discover(&BTreeSet::from([team.to_owned()])).await.unwrap_err();
        (error.kind, error.advice)
    };
    let (kind, advice) = refused("closed").await;
    assert_eq!(kind, CiErrorKind::Forbidden);
    assert!(
        advice.starts_with("Concourse shows us nothing of team `closed`: look in `fly -t TARGET teams`")
            && advice.contains("give `local:ci-gateway` the role `viewer`"),
        "{advice}"
    );
    assert_eq!(refused("nope").await, (CiErrorKind::NotFound, "Concourse has no team `nope`".to_owned()));
}

#[tokio::test]
async fn a_pipeline_that_goes_while_it_is_listed_is_left_out() {
    let bench = Bench::new(rich()).await;
    bench.twin.fault(Fault::on(Route::Jobs).missing().skip(1));
    assert_eq!(discover(&bench, &[]).await.len(), 2);
    bench.twin.fault(Fault::on(Route::Jobs).status(500).skip(1));
    let error = bench.provider().discover(&BTreeSet::new()).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Unavailable);
}
