//! Functions that no route leads to.

use super::*;

const SWEEPER: &str = "/2015-03-31/functions/sweeper/invocations";

#[tokio::test]
async fn a_function_without_routes_is_called_directly_by_this_machine() {
    let stack = Stack::start().await;
    let answer = stack.send(Request::post(SWEEPER), r#"{"a":1}"#).await;
    assert_eq!((answer.status(), answer.json()), (200, serde_json::json!({ "swept": { "a": 1 } })));
    assert_eq!(answer.header("x-amz-function-error"), None);
    let empty = stack.send(Request::post(SWEEPER), "").await;
    assert_eq!(empty.json(), serde_json::json!({ "swept": {} }));
}

#[tokio::test]
async fn what_a_function_says_went_wrong_is_its_answer() {
    let stack = Stack::start().await;
    let answer = stack.send(Request::post(SWEEPER), r#""error""#).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("x-amz-function-error"), Some("Unhandled"));
    assert_eq!(answer.json()["errorMessage"], "as asked");
}

#[tokio::test]
async fn an_event_that_is_no_json_is_refused() {
    let stack = Stack::start().await;
    let answer = stack.send(Request::post(SWEEPER), "{").await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.header("x-amzn-errortype"), Some("InvalidRequestContentException"));
}

#[tokio::test]
async fn functions_behind_routes_and_the_authorizer_are_not_called_directly() {
    let stack = Stack::start().await;
    for name in ["web", "authorizer", "nobody", ""] {
        let path = format!("/2015-03-31/functions/{name}/invocations");
        assert_eq!(stack.send(Request::post(path), "{}").await.status(), 404, "{name}");
    }
    assert_eq!(stack.get(SWEEPER).await.status(), 404);
}

#[tokio::test]
async fn other_machines_call_nothing_directly() {
    let stack = Stack::start().await;
    let ask = async |ip: &str| {
        let request = Request::post(SWEEPER).header("host", "localhost").body(Full::new(Bytes::new()));
        stack.gateway.answer(request.unwrap(), ip.parse().unwrap()).await.status().as_u16()
    };
    for ip in ["192.0.2.1", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1"] {
        assert_eq!(ask(ip).await, 404, "{ip}");
    }
    for ip in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(ask(ip).await, 200, "{ip}");
    }
}
