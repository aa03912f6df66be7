//! What comes back, whoever made it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[tokio::test]
async fn ping_is_answered_before_anything_else() {
    let stack = Stack::start().await;
    let answer = stack.get("/ping").await;
    assert_eq!((answer.status(), answer.text()), (200, "OK"));
}

#[tokio::test]
async fn a_route_that_the_template_lacks_does_not_exist() {
    let stack = Stack::start().await;
    for path in ["/", "/nothing", "/echo/", "/ECHO", "/%65cho", "//echo", "/secret/", "/secret/a/b"] {
        let answer = stack.get(path).await;
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["request_id"], answer.header("x-amzn-requestid").unwrap());
        assert_eq!(answer.header("x-amzn-errortype"), Some("MissingAuthenticationTokenException"));
    }
    for method in [Method::HEAD, Method::OPTIONS, Method::DELETE] {
        let answer = stack.send(Request::builder().method(method).uri("/echo"), "").await;
        assert_eq!(answer.status(), 404);
    }
}

#[tokio::test]
async fn every_answer_carries_the_ids_of_the_gateway() {
    let stack = Stack::start().await;
    let first = stack.send(Request::post("/echo"), "x").await;
    let second = stack.send(Request::post("/echo"), "x").await;
    assert_eq!((first.status(), first.text()), (200, "x"));
    assert!(first.header("x-amz-apigw-id").is_some() && first.header("x-amzn-trace-id").is_some());
    assert_ne!(first.header("x-amzn-requestid"), second.header("x-amzn-requestid"));
}

#[tokio::test]
async fn bytes_survive_both_ways_where_the_media_type_is_declared_binary() {
    let stack = Stack::start().await;
    let bytes = Bytes::from_static(b"\x89PNG\x00\xff");
    let png = || Request::post("/echo").header("content-type", "image/png");
    let accepted = stack.send(png().header("accept", "image/png"), bytes.clone()).await;
    assert_eq!(accepted.body, bytes);
    let not_accepted = stack.send(png(), bytes).await;
    assert_eq!(not_accepted.text(), "iVBORwD/");
}

#[tokio::test]
async fn repeated_response_headers_stay_repeated_and_some_are_remapped() {
    let stack = Stack::start().await;
    let answer = stack.get("/whole/cookies").await;
    let cookies: Vec<_> = answer.parts.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(answer.header("x-amzn-remapped-www-authenticate"), Some("Bearer"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_function_that_fails_is_a_502_in_the_templates_shape() {
    let stack = Stack::start().await;
    for path in ["/whole/panic", "/whole/broken", "/stream/panic"] {
        let answer = stack.get(path).await;
        assert_eq!((answer.status(), answer.text()), (502, r#"{"kind":"DEFAULT_5XX"}"#), "{path}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_proxy_response_is_a_502() {
    let stack = Stack::start().await;
    for odd in [json!("panic"), json!("error"), json!([]), json!({"status": 200}), json!({"body": {}})] {
        *stack.toys.odd_answer.lock().unwrap() = odd.clone();
        assert_eq!(stack.get("/odd").await.status(), 502, "{odd}");
    }
    assert_eq!(stack.get("/odd-stream").await.status(), 502, "it does not stream");
    *stack.toys.odd_answer.lock().unwrap() = json!({"statusCode": 204});
    assert_eq!(stack.get("/odd").await.status(), 204);
}

#[tokio::test]
async fn odd_request_targets_get_an_answer() {
    let stack = Stack::start().await;
    for target in ["/secret/%00", "/secret/%", "/secret/%zz", "/secret/..%2f..", "/a/../echo", "/secret/%ff"]
    {
        let answer = stack.get_as("allow *", target).await;
        assert!([200, 404].contains(&answer.status()), "{target}: {}", answer.status());
    }
}

#[tokio::test]
async fn a_host_cannot_change_the_path() {
    let stack = Stack::start().await;
    for host in ["", "x/secret?", "a b", "x@y", "[::1", "x:port", "x\\y"] {
        let answer = stack.send(Request::post("/echo").header("host", host), "").await;
        assert_eq!((answer.status(), answer.text()), (400, r#"{"message":"Bad Request"}"#), "{host}");
    }
    for host in ["localhost", "127.0.0.1:3000", "[::1]:3000", "api.example.com"] {
        let answer = stack.send(Request::post("/echo").header("host", host), "").await;
        assert_eq!(answer.status(), 200, "{host}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_request_goes_unanswered(
        target in r"/(echo|secret|whole|stream|odd|%[0-9a-f]{2}|[!-~]|/|\.\./){0,12}(\?[!-~]{0,20})?",
        header in "[ -~]{0,20}",
        body in proptest::collection::vec(any::<u8>(), 0..50),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let Ok(request) = Request::post(target).header("host", "x").header("x-any", header).body(Full::from(body))
        else {
            return Ok(());
        };
        let gateway = Gateway::new(&template(), &Toys::default().functions(), settings(Limits::default()).0);
        let response = runtime.block_on(gateway.unwrap().answer(request, [127, 0, 0, 1].into()));
        prop_assert!(response.status().as_u16() < 500, "{}", response.status());
    }
}

#[test]
fn template_and_code_must_name_the_same_functions() {
    let toys = Toys::default();
    let build = |functions: &BTreeMap<_, _>| {
        Gateway::new(&template(), functions, settings(Limits::default()).0).map(|_| ())
    };
    let mut missing = toys.functions();
    missing.remove("web");
    assert!(matches!(build(&missing), Err(GatewayError::MissingFunction(name)) if name == "web"));
    let mut unknown = toys.functions();
    unknown.insert("other".into(), unknown["web"].clone());
    assert!(matches!(build(&unknown), Err(GatewayError::UnknownFunction(name)) if name == "other"));
}
