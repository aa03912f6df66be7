//! Functions to put behind the gateway.

use std::collections::BTreeMap;

use axum::{
    Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, State},
    response::{AppendHeaders, IntoResponse, Response},
    routing::{get, post},
};
use futures_util::StreamExt;
use lambda_http::{RequestExt, request::RequestContext};
use lambda_runtime::LambdaEvent;
use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use crate::gateway::LambdaFunction;

/// The toy functions, and what they leave to see from outside.
#[derive(Clone, Default)]
pub struct Toys {
    pub authorizer_calls: Arc<AtomicUsize>,
    /// What the authorizer answers; by default it reads the credential.
    pub authorizer_answer: Arc<Mutex<Option<Result<Value, String>>>>,
    /// What the odd function answers.
    pub odd_answer: Arc<Mutex<Value>>,
    /// The other end of the `/stream/held` body.
    pub stream: Arc<Mutex<Option<mpsc::Sender<Bytes>>>>,
    pub finished: Arc<AtomicUsize>,
}

impl Toys {
    pub fn functions(&self) -> BTreeMap<String, LambdaFunction> {
        BTreeMap::from([
            ("authorizer".to_owned(), self.authorizer()),
            ("web".to_owned(), LambdaFunction::http(self.web())),
            ("hasty".to_owned(), LambdaFunction::http(Router::new().fallback(never))),
            ("mirror".to_owned(), LambdaFunction::json(mirrored)),
            ("odd".to_owned(), self.odd()),
            ("sweeper".to_owned(), LambdaFunction::json(swept)),
        ])
    }

    fn web(&self) -> Router {
        Router::new()
            .route("/echo", post(echo))
            .route("/secret/{name}", get(caller))
            .route("/whole/{what}", get(whole))
            .route("/stream/{what}", get(streamed))
            .layer(DefaultBodyLimit::disable())
            .with_state(self.clone())
    }

    /// Credentials are `allow <resource pattern>`, `deny`, or anything else for 401.
    fn authorizer(&self) -> LambdaFunction {
        let toys = self.clone();
        LambdaFunction::json(move |event: LambdaEvent<Value>| {
            toys.authorizer_calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let fixed = toys.authorizer_answer.lock().unwrap().clone();
            async move { fixed.unwrap_or_else(|| judge(&event.payload)) }
        })
    }

    fn odd(&self) -> LambdaFunction {
        let answer = Arc::clone(&self.odd_answer);
        LambdaFunction::json(move |_: LambdaEvent<Value>| {
            let answer = answer.lock().unwrap().clone();
            async move {
                assert_ne!(answer, "panic", "as asked");
                if answer == "error" { Err("as asked") } else { Ok(answer) }
            }
        })
    }
}

fn judge(event: &Value) -> Result<Value, String> {
    assert_eq!(event["type"], "REQUEST");
    let credential = event["headers"]["Authorization"].as_str().unwrap();
    let (effect, resource) = match credential.split_once(' ') {
        Some(("allow", pattern)) => ("Allow", pattern),
        _ if credential == "deny" => ("Deny", "*"),
        _ => return Err("Unauthorized".into()),
    };
    let statement = json!({"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource});
    Ok(json!({
        "principalId": "somebody",
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": {"role": "admin", "count": 3, "fresh": true},
    }))
}

async fn swept(event: LambdaEvent<Value>) -> Result<Value, String> {
    if event.payload == "error" { Err("as asked".into()) } else { Ok(json!({ "swept": event.payload })) }
}

/// Answers with the event itself.
async fn mirrored(event: LambdaEvent<Value>) -> Result<Value, String> {
    Ok(json!({ "statusCode": 200, "body": event.payload.to_string() }))
}

async fn never() -> &'static str {
    tokio::time::sleep(Duration::from_mins(10)).await;
    "late"
}

async fn echo(request: axum::extract::Request) -> Response {
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get("content-type").cloned();
    let size = parts.headers.get("x-size").cloned();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let mut response = Body::from(bytes).into_response();
    response.headers_mut().extend(kind.map(|kind| (http::header::CONTENT_TYPE, kind)));
    response.headers_mut().extend(size.map(|size| (http::HeaderName::from_static("x-size"), size)));
    response
}

async fn caller(request: axum::extract::Request) -> axum::Json<Value> {
    let Some(RequestContext::ApiGatewayV1(context)) = request.extensions().request_context_ref().cloned()
    else {
        panic!("no context")
    };
    let lambda = request.extensions().lambda_context();
    axum::Json(json!({
        "path": request.uri().path(),
        "authorizer": context.authorizer.fields,
        "function": lambda.env_config.function_name,
        "arn": lambda.invoked_function_arn,
        "deadline": lambda.deadline,
    }))
}

async fn whole(State(toys): State<Toys>, Path(what): Path<String>) -> Response {
    match what.as_str() {
        "png" => ([("content-type", "image/png")], Bytes::from_static(b"\x89PNG\x00")).into_response(),
        "cookies" => {
            AppendHeaders([("set-cookie", "a=1"), ("set-cookie", "b=2"), ("www-authenticate", "Bearer")])
                .into_response()
        }
        "big" => "x".repeat(7_000_000).into_response(),
        "panic" => panic!("as asked"),
        "broken" => Body::from_stream(broken()).into_response(),
        _ => {
            tokio::time::sleep(Duration::from_millis(300)).await;
            toys.finished.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            "slow".into_response()
        }
    }
}

async fn streamed(State(toys): State<Toys>, Path(what): Path<String>) -> Response {
    match what.as_str() {
        "held" => {
            let (sender, receiver) = mpsc::channel(1);
            *toys.stream.lock().unwrap() = Some(sender);
            let chunks = futures_util::stream::unfold(receiver, |mut receiver| async {
                Some((receiver.recv().await?, receiver))
            });
            let body = Body::from_stream(chunks.map(Ok::<_, std::convert::Infallible>));
            ([("content-type", "text/event-stream"), ("set-cookie", "a=1")], body).into_response()
        }
        "broken" => Body::from_stream(broken()).into_response(),
        "big" => "x".repeat(7_000_000).into_response(),
        "panic" => panic!("as asked"),
        _ => never().await.into_response(),
    }
}

fn broken() -> impl futures_core::Stream<Item = Result<Bytes, std::io::Error>> {
    let parts = [Ok(Bytes::from_static(b"first")), Err(std::io::Error::other("as asked"))];
    futures_util::stream::iter(parts)
}
