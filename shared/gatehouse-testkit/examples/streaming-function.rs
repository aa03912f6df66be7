//! A function for the tests of the runtime stub: it does what its event says.

use std::time::Duration;

use lambda_runtime::streaming::{Body, Response, channel};
use lambda_runtime::{Error, FunctionResponse, LambdaEvent, service_fn};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Task {
    Echo(Value),
    Stream { chunks: Vec<String>, pause_ms: u64 },
    Fail(String),
    Sleep,
    Exit(i32),
}

async fn handle(event: LambdaEvent<Task>) -> Result<FunctionResponse<Value, Body>, Error> {
    println!("request {}", event.context.request_id);
    match event.payload {
        Task::Echo(value) => Ok(FunctionResponse::BufferedResponse(json!({
            "echo": value,
            "deadline": event.context.deadline,
            "function": event.context.env_config.function_name,
            "arn": event.context.invoked_function_arn,
        }))),
        Task::Stream { chunks, pause_ms } => {
            Ok(FunctionResponse::StreamingResponse(stream(chunks, pause_ms)))
        }
        Task::Fail(message) => Err(message.into()),
        Task::Sleep => std::future::pending().await,
        Task::Exit(code) => {
            eprintln!("going down with {code}");
            std::process::exit(code)
        }
    }
}

fn stream(chunks: Vec<String>, pause_ms: u64) -> Response<Body> {
    let (mut sender, body) = channel();
    tokio::spawn(async move {
        for chunk in chunks {
            tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            if sender.send_data(chunk.into()).await.is_err() {
                return;
            }
        }
    });
    let mut response = Response::from(body);
    response.metadata_prelude.status_code = http::StatusCode::CREATED;
    response.metadata_prelude.headers.insert("x-test", http::HeaderValue::from_static("yes"));
    response.metadata_prelude.cookies.push("a=b".to_owned());
    response
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    lambda_runtime::run(service_fn(handle)).await
}
