use std::convert::Infallible;

use bytes::Bytes;
use futures_util::StreamExt;
use http::Response;
use lambda_http::{Body, Request};
use lambda_runtime::{Context, LambdaEvent};
use serde_json::{Value, json};
use tower::service_fn;

use super::*;

fn invocation(path: &str, stage: &str, ignore_stage: bool) -> Invocation {
    let event = json!({
        "httpMethod": "GET",
        "path": path,
        "headers": {"Host": "localhost"},
        "multiValueHeaders": {},
        "queryStringParameters": {"q": "1"},
        "requestContext": {"stage": stage, "httpMethod": "GET"},
    });
    Invocation { payload: event.to_string().into(), context: Context::default(), ignore_stage }
}

/// Answers with the path and query that it sees.
fn mirror() -> LambdaFunction {
    LambdaFunction::http(service_fn(|request: Request| async move {
        let seen = request.uri().path_and_query().unwrap().to_string();
        Ok::<_, Infallible>(Response::new(Body::from(seen)))
    }))
}

async fn seen(path: &str, stage: &str, ignore_stage: bool) -> String {
    let payload = mirror().invoke(invocation(path, stage, ignore_stage)).await.unwrap();
    let answer: Value = serde_json::from_slice(&payload).unwrap();
    answer["body"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_function_sees_the_stage_unless_it_is_configured_not_to() {
    assert_eq!(seen("/v1/jobs", "dev", false).await, "/dev/v1/jobs?q=1");
    assert_eq!(seen("/v1/jobs", "dev", true).await, "/v1/jobs?q=1");
    assert_eq!(seen("/", "dev", true).await, "/?q=1");
}

#[tokio::test]
async fn a_path_that_starts_like_the_stage_is_left_alone() {
    assert_eq!(seen("/v1/jobs", "v1", false).await, "/v1/jobs?q=1");
    assert_eq!(seen("/v1/jobs", "v1", true).await, "/v1/jobs?q=1");
    assert_eq!(seen("/device/a", "dev", true).await, "/device/a?q=1");
}

#[tokio::test]
async fn one_function_serves_buffered_and_streamed_routes() {
    let answer = mirror().stream(invocation("/x", "dev", true)).await.unwrap();
    let prelude: Value = serde_json::from_slice(&answer.prelude).unwrap();
    assert_eq!(prelude["statusCode"], 200);
    let chunks: Vec<Bytes> = answer.body.map(Result::unwrap).collect().await;
    assert_eq!(chunks.concat(), b"/x?q=1");
}

#[tokio::test]
async fn a_json_function_keeps_the_text_of_its_error() {
    let function = LambdaFunction::json(|event: LambdaEvent<Value>| async move {
        let wanted = event.payload["error"].as_str().map(str::to_owned);
        wanted.map_or(Ok(event.payload), |text| Err(lambda_runtime::Error::from(text)))
    });
    let call = |payload: &'static str| {
        let context = Context::default();
        function.invoke(Invocation { payload: payload.into(), context, ignore_stage: false })
    };
    assert_eq!(call("{}").await.unwrap(), "{}");
    assert_eq!(call(r#"{"error":"Unauthorized"}"#).await.unwrap_err().error_message, "Unauthorized");
    assert!(call("no json").await.is_err());
}
