//! Point 10 of what a fake server must get right, and everything else that goes wrong on demand.

use std::time::Duration;

use gatehouse_testkit::concourse::{Fault, Route, Script, Version};
use http::Method;
use serde_json::json;

use crate::client::{Client, JOB, SCOPES, one_job};

#[tokio::test]
async fn a_failure_before_the_effect_makes_no_build() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    for status in [500, 501, 503] {
        twin.fault(Fault::on(Route::Trigger).status(status));
        let reply = client.post(&format!("{JOB}/builds")).await;
        assert_eq!((reply.status.as_u16(), reply.body.as_str()), (status, ""));
    }
    assert_eq!(twin.builds().len(), 0);
    assert_eq!(client.post(&format!("{JOB}/builds")).await.status, 200);
}

#[tokio::test]
async fn an_answer_may_be_lost_after_the_effect() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    twin.fault(Fault::on(Route::Trigger).cut().after_effect());
    client.try_call(Method::POST, &format!("{JOB}/builds"), "").await.unwrap_err();
    assert_eq!(twin.trigger_count("main", "p", "j"), 1);
    twin.fault(Fault::on(Route::Trigger).status(504).after_effect());
    assert_eq!(client.post(&format!("{JOB}/builds")).await.status, 504);
    assert_eq!(twin.trigger_count("main", "p", "j"), 2);
    twin.fault(Fault::on(Route::Trigger).cut());
    client.try_call(Method::POST, &format!("{JOB}/builds"), "").await.unwrap_err();
    assert_eq!(twin.trigger_count("main", "p", "j"), 2);
}

#[tokio::test]
async fn a_body_may_be_cut_half_way() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    twin.fault(Fault::on(Route::Info).cut_at_byte(10));
    client.try_call(Method::GET, "/api/v1/info", "").await.unwrap_err();
    assert_eq!(client.get("/api/v1/info").await.status, 200);
}

#[tokio::test]
async fn a_401_comes_once() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    twin.fault(Fault::on(Route::Jobs).unauthorized());
    let reply = client.get("/api/v1/jobs").await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (401, "not authorized"));
    assert_eq!(client.get("/api/v1/jobs").await.status, 200);
}

#[tokio::test]
async fn a_proxy_answers_in_html() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    twin.fault(Fault::on(Route::Any).html_page(502).times(2).skip(1));
    assert_eq!(client.get("/api/v1/info").await.status, 200);
    for path in ["/api/v1/info", "/api/v1/user"] {
        let reply = client.get(path).await;
        assert_eq!((reply.status.as_u16(), reply.header("content-type")), (502, "text/html"));
        assert_eq!(reply.header("x-concourse-version"), "");
    }
    assert_eq!(client.get("/api/v1/info").await.status, 200);
}

#[tokio::test]
async fn logins_fail_and_dawdle() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::anonymous(&twin);
    let body = json!({"error": "invalid_request", "error_description": "Could not login user"});
    twin.fault(Fault::on(Route::Login).json(400, &body));
    let reply = client.password("ci-gateway", "s3cret", SCOPES).await;
    assert_eq!((reply.status.as_u16(), reply.json()), (400, body));
    twin.fault(Fault::on(Route::Login).slow(Duration::MAX));
    let slow = client.password("ci-gateway", "s3cret", SCOPES);
    tokio::time::timeout(Duration::from_millis(50), slow).await.map(drop).unwrap_err();
    assert_eq!(client.password("ci-gateway", "s3cret", SCOPES).await.status, 200);
}

#[tokio::test]
async fn faults_are_cleared() {
    let twin = one_job(Script::quick()).start().await;
    let client = Client::login(&twin).await;
    twin.fault(Fault::on(Route::Any).status(503).always());
    for _ in 0..3 {
        assert_eq!(client.get("/api/v1/info").await.status, 503);
    }
    twin.clear_faults();
    assert_eq!(client.get("/api/v1/info").await.status, 200);
}

#[tokio::test]
async fn a_server_that_is_down_refuses_connections_and_comes_back() {
    let twin = one_job(Script::silent()).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let stream = client.events(build, &[]).await;
    twin.go_down();
    stream.until_cut().await;
    while client.try_call(Method::GET, "/api/v1/info", "").await.is_ok() {}
    twin.come_up();
    while client.try_call(Method::GET, "/api/v1/info", "").await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.get(&format!("/api/v1/builds/{build}")).await.json()["status"], "started");
}

#[tokio::test]
async fn calls_are_counted_by_route() {
    let twin = one_job(Script::quick()).version(Version::V8_3).start().await;
    let client = Client::login(&twin).await;
    let build = client.trigger(JOB).await;
    let instance = "/api/v1/teams/main/pipelines/p";
    for (method, path, route) in [
        (Method::GET, "/api/v1/info".to_owned(), Route::Info),
        (Method::GET, "/api/v1/user".to_owned(), Route::User),
        (Method::GET, "/api/v1/teams".to_owned(), Route::Teams),
        (Method::PUT, "/api/v1/teams/main".to_owned(), Route::SetTeam),
        (Method::GET, instance.to_owned(), Route::Pipelines),
        (Method::GET, format!("{instance}/jobs"), Route::Jobs),
        (Method::GET, JOB.to_owned(), Route::Job),
        (Method::POST, format!("{JOB}/builds/1"), Route::Rerun),
        (Method::GET, format!("{JOB}/builds"), Route::Builds),
        (Method::GET, format!("{JOB}/builds/1"), Route::Build),
        (Method::PUT, format!("{JOB}/pause"), Route::Pause),
        (Method::GET, format!("/api/v1/builds/{build}/plan"), Route::Plan),
        (Method::GET, format!("/api/v1/builds/{build}/preparation"), Route::Preparation),
        (Method::GET, format!("/api/v1/builds/{build}/resources"), Route::Resources),
        (Method::PUT, format!("/api/v1/builds/{build}/comment"), Route::Comment),
        (Method::PUT, format!("/api/v1/builds/{build}/abort"), Route::Abort),
        (Method::GET, "/api/v1/health".to_owned(), Route::Health),
        (Method::GET, "/".to_owned(), Route::Other),
    ] {
        twin.forget_requests();
        client.call(method, &path, "").await;
        assert_eq!((twin.request_count(route), twin.requests().len()), (1, 1), "{path}");
        assert_eq!(twin.requests()[0].target, path);
    }
}
