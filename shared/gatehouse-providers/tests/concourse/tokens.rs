//! One token for everybody.

use std::time::Duration;

use futures_util::future::join_all;
use gatehouse_domain::{
    ci::{Account, CiError, CiErrorKind, CiProvider},
    lease::Leases,
    providers::{Credentials, Provider},
    secret::SecretName,
};
use gatehouse_providers::concourse::ConcourseProvider;
use gatehouse_testkit::concourse::{ConcourseTwin, Fault, Role, Route, Script, TwinBuilder};

use crate::support::{Bench, PASSWORD, USER, concourse, deploy, trigger, within_patience};

async fn call(provider: &ConcourseProvider) -> Result<(), CiError> {
    provider.checkpoint(&deploy()).await.map(drop)
}

/// Calls `count` times at once, in turn with each of `providers`.
async fn call_at_once(providers: &[&ConcourseProvider], count: usize) {
    let calls = (0..count).map(|turn| call(providers[turn % providers.len()]));
    for outcome in within_patience(join_all(calls)).await {
        outcome.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_callers_in_two_processes_get_one_token_between_them() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let (one, other) = (bench.provider(), bench.provider());
    call_at_once(&[&one, &other], 50).await;
    assert_eq!(bench.twin.token_requests(), 1);

    bench.twin.expire_tokens();
    call_at_once(&[&one, &other], 50).await;
    assert_eq!(bench.twin.token_requests(), 2, "a token that was refused was not renewed exactly once");
}

#[tokio::test]
async fn another_process_takes_the_token_that_is_there() {
    let bench = Bench::new(concourse(Script::quick())).await;
    call(&bench.provider()).await.unwrap();
    call(&bench.provider()).await.unwrap();
    assert_eq!(bench.twin.token_requests(), 1);
}

#[tokio::test]
async fn the_token_in_memory_needs_no_secret_store() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let provider = bench.provider();
    call(&provider).await.unwrap();
    let reads = bench.secrets.reads();
    call(&provider).await.unwrap();
    assert_eq!(bench.secrets.reads(), reads);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let provider = bench.provider();
    call(&provider).await.unwrap();
    bench.clock.advance(Duration::from_hours(23));
    call(&provider).await.unwrap();
    assert_eq!(bench.twin.token_requests(), 1);
    bench.clock.advance(Duration::from_mins(56));
    call(&provider).await.unwrap();
    assert_eq!(bench.twin.token_requests(), 2);
}

#[tokio::test]
async fn an_old_token_is_used_to_its_end_when_there_is_no_other() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let provider = bench.provider();
    call(&provider).await.unwrap();
    bench.clock.advance(Duration::from_mins(24 * 60 - 4));
    bench.twin.fault(Fault::on(Route::Login).status(500).always());
    call(&provider).await.unwrap();
    assert_eq!(bench.twin.token_requests(), 1, "the twin answered a login");
    bench.clock.advance(Duration::from_mins(5));
    let error = call(&provider).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::Unavailable);
    insta::assert_snapshot!(error.advice.replace(bench.twin.url(), "URL"), @"the login of Concourse at URL answered 500 Internal Server Error");
}

#[tokio::test]
async fn a_start_goes_on_after_its_token_was_refused() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let provider = bench.provider();
    call(&provider).await.unwrap();
    bench.twin.expire_tokens();
    trigger(&provider, deploy()).await.unwrap();
    assert_eq!(bench.twin.trigger_count("main", "app", "deploy"), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_at_once_is_not_renewed_for_ever() {
    let bench = Bench::new(concourse(Script::quick())).await;
    bench.twin.fault(Fault::on(Route::Builds).unauthorized().always());
    let error = call(&bench.provider()).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::CredentialsRefused);
    assert_eq!(bench.twin.token_requests(), 2);
}

#[tokio::test]
async fn credentials_are_sent_only_where_they_were_given_for() {
    let bench = Bench::new(concourse(Script::quick())).await;
    let other = Provider { url: Some("https://ci.example.com".to_owned()), ..bench.settings.clone() };
    for (settings, is_sent) in [(&other, false), (&bench.settings, true)] {
        let credentials = Credentials {
            account: bench.settings.account.clone().unwrap(),
            secret: PASSWORD.to_owned().into(),
            given_for: Some(settings.place()),
        };
        bench.secrets.put(&SecretName::provider_credentials(&bench.settings.name), &credentials.to_secret());
        let outcome = call(&bench.provider()).await;
        assert_eq!(
            outcome.as_ref().err().map(|error| error.kind),
            (!is_sent).then_some(CiErrorKind::CredentialsRefused)
        );
        assert_eq!(bench.twin.token_requests(), usize::from(is_sent));
    }
}

#[tokio::test]
async fn tokens_of_older_credentials_are_not_used() {
    let mut bench = Bench::new(concourse(Script::quick())).await;
    call(&bench.provider()).await.unwrap();
    bench.settings.credentials_version = "cred_2".into();
    call(&bench.provider()).await.unwrap();
    assert_eq!(bench.twin.token_requests(), 2);
}

#[tokio::test]
async fn a_token_that_cannot_be_shared_is_good_all_the_same() {
    let bench = Bench::new(concourse(Script::quick())).await;
    bench.secrets.refuse_writes(true);
    let provider = bench.provider();
    call(&provider).await.unwrap();
    call(&provider).await.unwrap();
    assert_eq!(bench.twin.token_requests(), 1);
    assert_eq!(bench.secrets.get(&bench.token_secret()), None);
}

#[tokio::test]
async fn a_login_that_died_with_its_lease_holds_nobody_up_for_ever() {
    let bench = Bench::new(concourse(Script::quick())).await;
    bench.leases.acquire("provider/concourse/token", "dead", Duration::ZERO).await.unwrap();
    let provider = bench.provider();
    let waiting = tokio::spawn(async move { call(&provider).await });
    // The clock stands still, so it waits until it is moved.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    bench.clock.advance(Duration::from_secs(9));
    within_patience(waiting).await.unwrap().unwrap();
    assert_eq!(bench.twin.token_requests(), 1);
}

#[tokio::test]
async fn garbage_in_the_secret_store_is_replaced() {
    let bench = Bench::new(concourse(Script::quick())).await;
    bench.secrets.put(&bench.token_secret(), &"not JSON".to_owned().into());
    call(&bench.provider()).await.unwrap();
    assert!(bench.secrets.get(&bench.token_secret()).unwrap().contains("access_token"));
}

fn clients() -> TwinBuilder {
    ConcourseTwin::builder()
        .client("gate house", "s3cr:t&+/%")
        .team("main", |team| team.role("client:gate house", Role::PipelineOperator))
        .pipeline("main", "app", |pipeline| pipeline.job("deploy", |job| job))
}

#[tokio::test]
async fn an_oauth_client_of_our_own_logs_in_whatever_its_secret_holds() {
    let account = Account::ClientCredentials { client_id: "gate house".into() };
    let bench = Bench::with_account(clients(), account, "s3cr:t&+/%").await;
    trigger(&bench.provider(), deploy()).await.unwrap();
}

async fn refused(bench: &Bench) -> String {
    let error = call(&bench.provider()).await.unwrap_err();
    assert_eq!(error.kind, CiErrorKind::CredentialsRefused, "{error}");
    assert!(!format!("{error:?}").contains("s3cr"), "the secret shows");
    error.advice
}

#[tokio::test]
async fn refused_credentials_say_what_to_do() {
    let password = Account::Password { username: USER.into() };
    let wrong = Bench::with_account(concourse(Script::quick()), password.clone(), "s3cret?").await;
    insta::assert_snapshot!(refused(&wrong).await, @"Concourse refuses the password of user `ci-gateway`: it must be that of a local user (CONCOURSE_ADD_LOCAL_USER on the web nodes, read when they start) or of its password connector; then register provider `concourse` again");

    let account = Account::ClientCredentials { client_id: "gate house".into() };
    let wrong = Bench::with_account(clients(), account, "s3cret?").await;
    insta::assert_snapshot!(refused(&wrong).await, @"Concourse refuses client `gate house` or its secret: both must be in CONCOURSE_ADD_CLIENT on the web nodes, which is read when they start; then register provider `concourse` again");

    let no_users = Bench::with_account(clients(), password, PASSWORD).await;
    insta::assert_snapshot!(refused(&no_users).await, @"Concourse has no local users: add one with CONCOURSE_ADD_LOCAL_USER on the web nodes, or use client credentials (CONCOURSE_ADD_CLIENT); then register provider `concourse` again");

    let mut missing = Bench::new(concourse(Script::quick())).await;
    missing.settings.name = "ci2".parse().unwrap();
    insta::assert_snapshot!(refused(&missing).await, @"there are no credentials for Concourse; register provider `ci2` again with them");
}

#[tokio::test]
async fn refused_credentials_are_not_tried_again_by_everybody() {
    let password = Account::Password { username: USER.into() };
    let bench = Bench::with_account(concourse(Script::quick()), password, "wrong").await;
    let provider = bench.provider();
    let outcomes = within_patience(join_all((0..50).map(|_| call(&provider)))).await;
    assert!(outcomes.iter().all(Result::is_err));
    assert_eq!(bench.twin.token_requests(), 1);
    // Somebody sets the password right; soon after it is tried again.
    bench.twin.set_password(USER, "wrong");
    bench.clock.advance(Duration::from_secs(6));
    call(&provider).await.unwrap();
}
