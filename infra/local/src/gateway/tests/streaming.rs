//! Answers that come in pieces.

use hyper::body::Incoming;
use tokio::sync::mpsc;

use super::*;

async fn next(response: &mut Response<Incoming>) -> Option<Result<Bytes, hyper::Error>> {
    let frame = tokio::time::timeout(Duration::from_secs(5), response.frame()).await.expect("in time");
    frame.map(|frame| frame.map(|frame| frame.into_data().unwrap()))
}

async fn held(stack: &Stack) -> (Response<Incoming>, mpsc::Sender<Bytes>) {
    let response = stack.open(Request::get("/stream/held"), "").await;
    let sender = stack.toys.stream.lock().unwrap().take().unwrap();
    (response, sender)
}

#[tokio::test]
async fn a_chunk_arrives_before_the_next_is_made() {
    let stack = Stack::start().await;
    let (mut response, sender) = held(&stack).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["set-cookie"], "a=1");
    assert!(response.headers().contains_key("x-amzn-requestid"));
    for line in ["one", "two", "three"] {
        sender.send(line.into()).await.unwrap();
        assert_eq!(next(&mut response).await.unwrap().unwrap(), line);
    }
    drop(sender);
    assert!(next(&mut response).await.is_none());
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_stream() {
    let stack = Stack::start().await;
    let (response, sender) = held(&stack).await;
    drop(response);
    tokio::time::timeout(Duration::from_secs(5), sender.closed()).await.unwrap();
}

#[tokio::test]
async fn a_stream_that_fails_breaks_off() {
    let stack = Stack::start().await;
    let mut response = stack.open(Request::get("/stream/broken"), "").await;
    assert_eq!(response.status(), 200);
    assert_eq!(next(&mut response).await.unwrap().unwrap(), "first");
    assert!(next(&mut response).await.unwrap().is_err());
}

#[tokio::test]
async fn a_stream_outlives_the_limit_of_buffered_answers_but_not_its_silence() {
    let limits = Limits {
        integration: Duration::from_millis(10),
        stream_silence: Duration::from_millis(200),
        ..Limits::default()
    };
    let stack = Stack::with_limits(limits).await;
    let (mut response, sender) = held(&stack).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        sender.send("x".into()).await.unwrap();
        next(&mut response).await.unwrap().unwrap();
    }
    assert!(next(&mut response).await.unwrap().is_err());
    tokio::time::timeout(Duration::from_secs(5), sender.closed()).await.unwrap();
}

#[tokio::test]
async fn shutting_down_refuses_new_callers_and_drops_streams_after_the_grace() {
    let limits = Limits { shutdown: Duration::from_millis(100), ..Limits::default() };
    let mut stack = Stack::with_limits(limits).await;
    let (_response, sender) = held(&stack).await;
    stack.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), stack.running.take().unwrap().finished()).await.unwrap();
    assert!(sender.is_closed());
    assert!(TcpStream::connect(stack.address).await.is_err());
}
