//! Greedy paths and `ANY`, as the functions behind them see it.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_greedy_parameter_is_handed_over_as_it_stands_in_the_url() {
    let stack = Stack::start().await;
    for (rest, proxy) in [
        ("a", "a"),
        ("a/b/c", "a/b/c"),
        ("a%2Fb/c%20d%25/%C3%A4", "a%2Fb/c%20d%25/%C3%A4"),
        ("x//y/../z", "x//y/../z"),
        ("a/b?c=/d%2Fe", "a/b"),
    ] {
        let event = stack.get(&format!("/mirror/the%20name/{rest}")).await.json();
        assert_eq!(event["pathParameters"], json!({ "name": "the%20name", "proxy": proxy }), "{rest}");
        assert_eq!(event["resource"], "/mirror/{name}/{proxy+}");
        assert_eq!(event["requestContext"]["resourcePath"], event["resource"]);
        assert_eq!(event["path"], format!("/mirror/the%20name/{proxy}"));
    }
}

#[tokio::test]
async fn a_greedy_resource_needs_something_behind_it() {
    let stack = Stack::start().await;
    for path in ["/mirror", "/mirror/name", "/mirror/name/"] {
        assert_eq!(stack.get(path).await.status(), 404, "{path}");
    }
}

#[tokio::test]
async fn any_takes_every_verb_that_has_no_method_of_its_own() {
    let stack = Stack::start().await;
    *stack.toys.odd_answer.lock().unwrap() = json!({ "statusCode": 418, "body": "the method of its own" });
    for method in ["DELETE", "GET", "OPTIONS", "PATCH", "POST"] {
        let answer = stack.send(Request::builder().method(method).uri("/mirror/n/a"), "").await;
        assert_eq!((answer.status(), &answer.json()["httpMethod"]), (200, &json!(method)));
    }
    let head = stack.send(Request::head("/mirror/n/a"), "").await;
    assert_eq!(head.status(), 200);
    let put = stack.send(Request::put("/mirror/n/a"), "").await;
    assert_eq!((put.status(), put.text()), (418, "the method of its own"));
    // API Gateway has seven verbs, and `ANY` is no eighth.
    for method in ["PROPFIND", "ANY"] {
        let answer = stack.send(Request::builder().method(method).uri("/mirror/n/a"), "").await;
        assert_eq!(answer.status(), 404, "{method}");
    }
    let trace = stack.send(Request::builder().method("TRACE").uri("/mirror/n/a"), "").await;
    assert_eq!((trace.status(), trace.header("allow")), (405, Some("GET, POST, PUT, PATCH, DELETE")));
}

#[tokio::test]
async fn the_authorizer_decides_on_the_verb_and_the_path_behind_a_greedy_any() {
    let stack = Stack::start().await;
    let only_get = "allow arn:aws:execute-api:eu-west-1:000000000000:local/dev/GET/mirrored-secret/a%2Fb/*";
    let answer = stack.get_as(only_get, "/mirrored-secret/a%2Fb/c").await;
    assert_eq!((answer.status(), &answer.json()["httpMethod"]), (200, &json!("GET")));
    let post = Request::post("/mirrored-secret/a%2Fb/c").header("authorization", only_get);
    assert_eq!(stack.send(post, "").await.status(), 403);
    assert_eq!(stack.get_as(only_get, "/mirrored-secret/a/b/c").await.status(), 403);
}
