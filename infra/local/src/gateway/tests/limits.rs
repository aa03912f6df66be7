//! Sizes and times.

use std::{sync::atomic::Ordering, time::Instant};

use super::*;

fn small() -> Limits {
    Limits {
        request_body: 1_000,
        request_headers: 500,
        event: 5_000,
        answer: 4_000,
        integration: Duration::from_millis(100),
        ..Limits::default()
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_413() {
    let stack = Stack::with_limits(small()).await;
    assert_eq!(stack.send(Request::post("/echo"), vec![b'x'; 1_000]).await.status(), 200);
    let refused = stack.send(Request::post("/echo"), vec![b'x'; 1_001]).await;
    assert_eq!(refused.status(), 413);
    assert_eq!(refused.text(), r#"{"message":"HTTP content length exceeded 1000 bytes."}"#);
}

#[tokio::test]
async fn ten_megabytes_are_the_real_limit_of_a_body_and_six_of_an_event() {
    let stack = Stack::start().await;
    let answer = stack.send(Request::post("/echo"), vec![b'x'; 10 * 1024 * 1024 + 1]).await;
    assert_eq!(answer.status(), 413);
    assert!(answer.text().contains("10485760"));
    let answer = stack.send(Request::post("/echo"), vec![b'x'; 6 * 1024 * 1024]).await;
    assert_eq!((answer.status(), answer.text()), (413, r#"{"message":"Request Too Long"}"#));
}

#[tokio::test]
async fn header_values_over_the_limit_are_431() {
    let stack = Stack::with_limits(small()).await;
    let answer = stack.send(Request::post("/echo").header("x-long", "x".repeat(600)), "").await;
    assert_eq!(answer.status(), 431);
    assert_eq!(answer.text(), r#"{"message":"HTTP header is larger than 500 bytes."}"#);
}

#[tokio::test]
async fn a_buffered_answer_over_six_megabytes_is_502_and_a_streamed_one_is_not() {
    let stack = Stack::start().await;
    assert_eq!(stack.get("/whole/big").await.status(), 502);
    let streamed = stack.get("/stream/big").await;
    assert_eq!((streamed.status(), streamed.body.len()), (200, 7_000_000));
}

#[tokio::test]
async fn a_late_integration_is_504_but_the_function_runs_on() {
    let stack = Stack::with_limits(small()).await;
    let answer = stack.get("/whole/slow").await;
    assert_eq!(answer.status(), 504);
    assert_eq!(answer.json()["kind"], "INTEGRATION_TIMEOUT");
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(stack.toys.finished.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_function_over_its_own_timeout_is_502() {
    let stack = Stack::start().await;
    let started = Instant::now();
    assert_eq!(stack.get("/hasty").await.status(), 502);
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_caller_that_leaves_does_not_stop_a_buffered_function() {
    let stack = Stack::start().await;
    let gone = tokio::time::timeout(Duration::from_millis(100), stack.get("/whole/slow")).await;
    assert!(gone.is_err());
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(stack.toys.finished.load(Ordering::SeqCst), 1);
}
