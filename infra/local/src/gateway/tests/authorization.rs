//! Who gets through.

use std::sync::atomic::Ordering;

use serde_json::json;

use super::*;

const ALL: &str = "allow arn:aws:execute-api:eu-west-1:000000000000:local/dev/*";
const ONLY_A: &str = "allow *:local/dev/GET/secret/a";

fn calls(stack: &Stack) -> usize {
    stack.toys.authorizer_calls.load(Ordering::SeqCst)
}

#[tokio::test]
async fn without_a_credential_it_is_401_and_nobody_is_asked() {
    let stack = Stack::start().await;
    for request in [Request::get("/secret/a"), Request::get("/secret/a").header("authorization", "  ")] {
        let answer = stack.send(request, "").await;
        assert_eq!((answer.status(), answer.text()), (401, r#"{"status":401}"#));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(calls(&stack), 0);
}

#[tokio::test]
async fn an_allowed_caller_reaches_the_function_with_its_context_as_text() {
    let stack = Stack::start().await;
    let answer = stack.get_as(ALL, "/secret/a%20b").await;
    assert_eq!(answer.status(), 200);
    let seen = answer.json();
    assert_eq!(seen["path"], "/secret/a%20b");
    assert_eq!(seen["authorizer"]["role"], "admin");
    assert_eq!(seen["authorizer"]["count"], "3");
    assert_eq!(seen["authorizer"]["fresh"], "true");
    assert_eq!(seen["authorizer"]["principalId"], "somebody");
    assert_eq!(seen["function"], "web");
    assert_eq!(seen["arn"], "arn:aws:lambda:eu-west-1:000000000000:function:web");
    assert_eq!(seen["deadline"], 1_767_323_045_000_u64 + 60_000);
}

#[tokio::test]
async fn the_error_unauthorized_is_401_and_a_denial_403() {
    let stack = Stack::start().await;
    assert_eq!(stack.get_as("who?", "/secret/a").await.status(), 401);
    let denied = stack.get_as("deny", "/secret/a").await;
    assert_eq!(denied.status(), 403);
    assert!(denied.text().contains("explicit deny"));
    let not_allowed = stack.get_as("allow arn:nowhere", "/secret/a").await;
    assert_eq!((not_allowed.status(), not_allowed.text().contains("explicit")), (403, false));
}

#[tokio::test]
async fn the_cache_ignores_the_path_and_the_policy_does_not() {
    let stack = Stack::start().await;
    assert_eq!(stack.get_as(ONLY_A, "/secret/a").await.status(), 200);
    assert_eq!(stack.get_as(ONLY_A, "/secret/b").await.status(), 403);
    assert_eq!(stack.get_as(ONLY_A, "/secret/a").await.status(), 200);
    assert_eq!(calls(&stack), 1);
    assert_eq!(stack.get_as(ALL, "/secret/b").await.status(), 200);
    assert_eq!(calls(&stack), 2);
}

#[tokio::test]
async fn an_answer_is_kept_for_the_ttl_and_no_longer() {
    let stack = Stack::start().await;
    stack.get_as(ALL, "/secret/a").await;
    stack.clock.advance(59);
    stack.get_as(ALL, "/secret/a").await;
    assert_eq!(calls(&stack), 1);
    stack.clock.advance(1);
    stack.get_as(ALL, "/secret/a").await;
    assert_eq!(calls(&stack), 2);
}

#[tokio::test]
async fn flushing_forgets_every_answer() {
    let stack = Stack::start().await;
    stack.get_as(ALL, "/secret/a").await;
    stack.gateway.authorizer_caches().flush();
    stack.get_as(ALL, "/secret/a").await;
    assert_eq!(calls(&stack), 2);
}

#[tokio::test]
async fn failures_and_malformed_answers_are_500_and_are_not_kept() {
    let stack = Stack::start().await;
    for (answer, kind) in [
        (Err("unauthorized".to_owned()), "AUTHORIZER_FAILURE"),
        (Err("Unauthorized.".to_owned()), "AUTHORIZER_FAILURE"),
        (Ok(json!({"principalId": "x"})), "AUTHORIZER_CONFIGURATION_ERROR"),
        (Ok(Value::Null), "AUTHORIZER_CONFIGURATION_ERROR"),
    ] {
        *stack.toys.authorizer_answer.lock().unwrap() = Some(answer);
        let answer = stack.get_as(ALL, "/secret/a").await;
        assert_eq!((answer.status(), answer.json()["kind"].as_str()), (500, Some(kind)));
    }
    assert_eq!(calls(&stack), 4);
}

#[tokio::test]
async fn a_path_too_long_for_an_arn_is_414() {
    let stack = Stack::start().await;
    let answer = stack.get_as(ALL, &format!("/secret/{}", "x".repeat(10_000))).await;
    assert_eq!(answer.status(), 414);
    assert_eq!(calls(&stack), 0);
}
