//! The stub of the Runtime API with real functions.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use gatehouse_testkit::runtime_api::{FunctionError, FunctionProcess};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(20);

/// Examples of this crate are built with its tests, beside them.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(
        path.exists(),
        "run `cargo build -p gatehouse-testkit --examples` first: there is no {}",
        path.display()
    );
    path
}

async fn function() -> FunctionProcess {
    FunctionProcess::spawn(example("streaming-function"), &[("RUST_BACKTRACE", "0")]).await.unwrap()
}

#[tokio::test]
async fn doing_nothing_is_measured() {
    let mut function = FunctionProcess::spawn(example("do-nothing"), &[]).await.unwrap();
    assert!(function.startup().wall > Duration::ZERO);
    assert!(function.startup().cpu > Duration::ZERO);
    let answer = function.invoke("{}", DEADLINE).await.unwrap();
    assert_eq!((answer.body.as_ref(), answer.streamed), (&b"null"[..], false));
    assert!(answer.cpu > Duration::ZERO);
    assert!(function.cpu_time().unwrap() >= function.startup().cpu + answer.cpu);
    assert!(function.peak_memory().unwrap() > 100_000);
}

#[tokio::test]
async fn events_and_answers_go_through_unchanged() {
    let mut function = function().await;
    for text in ["one", "zwei \u{1f680}", ""] {
        let answer = function.invoke(json!({"echo": text}).to_string(), DEADLINE).await.unwrap();
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["echo"], text);
        assert_eq!(body["function"], "streaming-function");
        assert_eq!(body["arn"], "arn:aws:lambda:eu-central-1:123456789012:function:streaming-function");
        assert!(body["deadline"].as_u64().unwrap() > 1_700_000_000_000);
        assert!(function.log_lines().contains(&format!("request {}", answer.request_id)));
    }
}

#[tokio::test]
async fn chunks_arrive_while_the_function_goes_on() {
    let mut function = function().await;
    let event = json!({"stream": {"chunks": ["a", "b", "c"], "pause_ms": 30}}).to_string();
    let mut answer = function.invoke_streaming(event, DEADLINE).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.headers["x-test"].as_bytes()), (201, &b"yes"[..]));
    assert_eq!(answer.cookies, ["a=b"]);
    let mut chunks = Vec::new();
    while let Some(chunk) = answer.chunks.next().await {
        chunks.push(chunk.unwrap());
    }
    let texts: Vec<_> = chunks.iter().map(|chunk| chunk.bytes.as_ref()).collect();
    assert_eq!(texts, [b"a", b"b", b"c"]);
    assert!(chunks.is_sorted_by_key(|chunk| chunk.at) && chunks[0].at < chunks[2].at);
    // And it takes the next event.
    assert!(!function.invoke(r#"{"echo":1}"#, DEADLINE).await.unwrap().streamed);
}

#[tokio::test]
async fn a_streamed_answer_may_be_read_whole_or_not_at_all() {
    let mut function = function().await;
    let event = json!({"stream": {"chunks": ["a", "b"], "pause_ms": 0}}).to_string();
    drop(function.invoke_streaming(event.clone(), DEADLINE).await.unwrap());
    let answer = function.invoke_streaming(event.clone(), DEADLINE).await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "ab");
    let answer = function.invoke(event, DEADLINE).await.unwrap();
    assert!(answer.streamed && answer.body.ends_with(b"\0\0\0\0\0\0\0\0ab"));
}

#[tokio::test]
async fn errors_of_the_function_come_back() {
    let mut function = function().await;
    for _ in 0..2 {
        let error = function.invoke(r#"{"fail":"no luck"}"#, DEADLINE).await.unwrap_err();
        let FunctionError::Reported { body, .. } = error else { panic!("{error}") };
        assert!(body.contains("no luck"), "{body}");
    }
    let error = function.invoke_streaming(r#"{"fail":"no luck"}"#, DEADLINE).await.unwrap_err();
    assert!(matches!(error, FunctionError::Reported { .. }));
}

#[tokio::test]
async fn streamed_answers_break_with_trailers_and_without() {
    let mut function = FunctionProcess::spawn(example("failing-stream"), &[]).await.unwrap();
    let mut answer = function.invoke_streaming("{}", DEADLINE).await.unwrap();
    assert_eq!(answer.chunks.next().await.unwrap().unwrap().bytes.as_ref(), b"half");
    let error = answer.chunks.next().await.unwrap().unwrap_err();
    let FunctionError::Reported { error_type, body } = error else { panic!("{error}") };
    assert_eq!((error_type.as_str(), body.as_str()), ("Runtime.Broken", r#"{"a":1}"#));
    assert!(answer.chunks.next().await.is_none());

    let answer = function.invoke_streaming("{}", DEADLINE).await.unwrap();
    let error = answer.text().await.unwrap_err();
    assert!(matches!(error, FunctionError::Truncated | FunctionError::Exited { .. }), "{error}");
}

#[tokio::test]
async fn a_function_that_dies_says_its_last_words() {
    let mut function = function().await;
    let error = function.invoke(r#"{"exit":3}"#, DEADLINE).await.unwrap_err();
    let FunctionError::Exited { status, last_lines } = error else { panic!("{error}") };
    assert!(status.contains('3') && last_lines.contains("going down with 3"), "{status}: {last_lines}");
}

#[tokio::test]
async fn a_function_that_takes_too_long_is_killed() {
    let mut function = function().await;
    let error = function.invoke(r#""sleep""#, Duration::from_millis(50)).await.unwrap_err();
    assert!(matches!(error, FunctionError::TimedOut));
    let error = function.invoke(r#"{"echo":1}"#, DEADLINE).await.unwrap_err();
    assert!(matches!(error, FunctionError::Exited { .. }));
}

#[tokio::test]
async fn what_is_no_function_fails_to_start() {
    let error = FunctionProcess::spawn("/bin/false", &[]).await.unwrap_err();
    assert!(matches!(error, FunctionError::Exited { .. }), "{error}");
    let error = FunctionProcess::spawn("/nothing/here", &[]).await.unwrap_err();
    assert!(matches!(error, FunctionError::Io(_)), "{error}");
}
