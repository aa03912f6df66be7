//! The HTTP side: `/next`, `/response`, `/error`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::error::FunctionError;

/// Chunks that may wait for a caller who is slower than the function.
const WAITING_CHUNKS: usize = 64;

/// An event on its way to the function.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) request_id: String,
    pub(super) deadline: SystemTime,
    pub(super) body: Bytes,
}

/// What the function says in answer to an event, as it comes.
#[derive(Debug)]
pub(super) enum Message {
    Head { streaming: bool, content_type: String },
    Chunk { at: Instant, bytes: Bytes },
    End,
}

/// A message, or why there will be no more.
pub(super) type Outcome = Result<Message, FunctionError>;

/// What the server has seen of the function.
#[derive(Debug)]
pub(super) struct Stub {
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<Event>>,
    in_flight: Mutex<HashMap<String, mpsc::Sender<Outcome>>>,
    /// How often the function asked for an event, and when it did so last.
    pub(super) polls: watch::Sender<(usize, Instant)>,
    /// What the function said when it could not start.
    pub(super) init_error: watch::Sender<Option<String>>,
    function_arn: String,
}

impl Stub {
    pub(super) fn new(events: mpsc::UnboundedReceiver<Event>, function_arn: String) -> Self {
        Self {
            events: tokio::sync::Mutex::new(events),
            in_flight: Mutex::default(),
            polls: watch::Sender::new((0, Instant::now())),
            init_error: watch::Sender::new(None),
            function_arn,
        }
    }

    /// Says where the answer to `request_id` goes.
    pub(super) fn expect(&self, request_id: &str) -> mpsc::Receiver<Outcome> {
        let (sender, receiver) = mpsc::channel(WAITING_CHUNKS);
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).insert(request_id.to_owned(), sender);
        receiver
    }

    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let stub = self.clone();
            // Without it a small chunk may wait for the next one.
            let _ = stream.set_nodelay(true);
            connections.spawn(async move {
                let service = service_fn(|request| stub.answer(request));
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        let parts: Vec<_> = path.split('/').collect();
        Ok(match (request.method(), parts.as_slice()) {
            (&Method::GET, ["", "2018-06-01", "runtime", "invocation", "next"]) => self.next().await,
            (&Method::POST, ["", "2018-06-01", "runtime", "invocation", id, "response"]) => {
                self.response(id, request).await
            }
            (&Method::POST, ["", "2018-06-01", "runtime", "invocation", id, "error"]) => {
                self.error(id, request).await
            }
            (&Method::POST, ["", "2018-06-01", "runtime", "init", "error"]) => {
                let body = text(request.into_body()).await;
                self.init_error.send_replace(Some(body));
                status(StatusCode::ACCEPTED)
            }
            _ => status(StatusCode::NOT_FOUND),
        })
    }

    async fn next(&self) -> Response<Full<Bytes>> {
        self.polls.send_modify(|(polls, at)| {
            *polls += 1;
            *at = Instant::now();
        });
        let Some(event) = self.events.lock().await.recv().await else {
            return std::future::pending().await;
        };
        let deadline = event.deadline.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        Response::builder()
            .header(CONTENT_TYPE, "application/json")
            .header("lambda-runtime-aws-request-id", &event.request_id)
            .header("lambda-runtime-deadline-ms", deadline.to_string())
            .header("lambda-runtime-invoked-function-arn", &self.function_arn)
            .header("lambda-runtime-trace-id", "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Sampled=0")
            .body(Full::new(event.body))
            .expect("the headers are valid")
    }

    async fn response(&self, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(caller) = self.take(id) else { return status(StatusCode::BAD_REQUEST) };
        let (head, mut body) = request.into_parts();
        let streaming = header(&head.headers, "lambda-runtime-function-response-mode") == "streaming";
        let content_type = header(&head.headers, CONTENT_TYPE.as_str()).to_owned();
        // A caller who is gone does not stop the function: Lambda takes the whole answer all the same.
        let _ = caller.send(Ok(Message::Head { streaming, content_type })).await;
        let mut end = Ok(Message::End);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                let _ = caller.send(Err(FunctionError::Truncated)).await;
                return status(StatusCode::BAD_REQUEST);
            };
            match frame.into_data() {
                Ok(bytes) => drop(caller.send(Ok(Message::Chunk { at: Instant::now(), bytes })).await),
                Err(frame) => {
                    if let Some(failed) = frame.into_trailers().ok().as_ref().and_then(failure) {
                        end = Err(failed);
                    }
                }
            }
        }
        let _ = caller.send(end).await;
        status(StatusCode::ACCEPTED)
    }

    async fn error(&self, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(caller) = self.take(id) else { return status(StatusCode::BAD_REQUEST) };
        let error_type = header(request.headers(), "lambda-runtime-function-error-type").to_owned();
        let body = text(request.into_body()).await;
        let _ = caller.send(Err(FunctionError::Reported { error_type, body })).await;
        status(StatusCode::ACCEPTED)
    }

    fn take(&self, id: &str) -> Option<mpsc::Sender<Outcome>> {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}

/// Reads the trailers with which a function says that it failed in the middle of its answer.
fn failure(trailers: &HeaderMap) -> Option<FunctionError> {
    let error_type = trailers.get("lambda-runtime-function-error-type")?;
    let error_type = String::from_utf8_lossy(error_type.as_bytes()).into_owned();
    let body = header(trailers, "lambda-runtime-function-error-body");
    let decoded =
        data_encoding::BASE64.decode(body.as_bytes()).ok().and_then(|it| String::from_utf8(it).ok());
    Some(FunctionError::Reported { error_type, body: decoded.unwrap_or_else(|| body.to_owned()) })
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn text(body: Incoming) -> String {
    let bytes = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let body = if status == StatusCode::ACCEPTED { r#"{"status":"OK"}"# } else { "{}" };
    let answer = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    answer.body(Full::new(Bytes::from_static(body.as_bytes()))).expect("the headers are valid")
}
