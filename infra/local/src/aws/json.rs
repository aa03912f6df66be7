//! AWS JSON 1.0 and 1.1: every request is a POST to `/`, its operation is in the header `X-Amz-Target`, and an
//! error is a body with its name in `__type`.

use std::{io, net::SocketAddr, sync::Arc};

use async_trait::async_trait;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use gatehouse_domain::clock::IdSource;
use gatehouse_loopback::guarded;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::ids::uuid;

/// How a service speaks the protocol.
#[derive(Debug)]
pub struct Dialect {
    /// What `X-Amz-Target` holds before the operation, dot included.
    pub target: &'static str,
    pub content_type: &'static str,
    /// The member of an error's body that holds its text.
    pub message: &'static str,
}

/// A service that speaks it.
#[async_trait]
pub trait JsonService: Send + Sync + 'static {
    const DIALECT: Dialect;

    /// Does what the operation asks for, or fails as its API defines.
    async fn call(&self, operation: &str, body: &[u8]) -> Result<Value, Fault>;
}

/// An error as an API defines it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Fault {
    pub kind: &'static str,
    /// For people. Repeats nothing of the request that may be secret.
    pub message: String,
    status: StatusCode,
}

impl Fault {
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), status: StatusCode::BAD_REQUEST }
    }

    /// A defect of the service. Its cause is for the log, not for the caller.
    pub fn internal(kind: &'static str, message: &str) -> Self {
        Self { kind, message: message.to_owned(), status: StatusCode::INTERNAL_SERVER_ERROR }
    }

    pub fn validation(message: impl Into<String>) -> Self {
        Self::new("ValidationException", message)
    }

    pub fn unknown_operation(operation: &str) -> Self {
        Self::new("UnknownOperationException", format!("{operation} is not played locally."))
    }
}

/// A service that is being served.
#[derive(Debug)]
pub struct RunningService {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl RunningService {
    /// What the SDK is given as `endpoint_url`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns when the shutdown was asked for and every request has been answered.
    pub async fn finished(self) {
        // An error means that it panicked, which is in the log.
        let _ended = self.task.await;
    }
}

/// Serves on `address` (port 0 takes a free one) until `shutdown` resolves. Bodies of more than 2 MB, which
/// is axum's limit and more than either service takes, are refused with 413.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve<S: JsonService>(
    service: S,
    ids: Arc<dyn IdSource>,
    address: SocketAddr,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<RunningService> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let router = Router::new().route("/", post(handle::<S>)).with_state((Arc::new(service), ids));
    let server = axum::serve(listener, guarded(router)).with_graceful_shutdown(shutdown);
    let task = tokio::spawn(async { server.await.unwrap_or_default() });
    Ok(RunningService { address, task })
}

/// Reads a request. What is wrong with it is described without repeating it, because it may be secret.
pub fn request<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        let place = format!("at line {} column {}", error.line(), error.column());
        Fault::new("SerializationException", format!("the request is not what the operation takes, {place}"))
    })
}

pub fn answer(value: &impl Serialize) -> Result<Value, Fault> {
    serde_json::to_value(value)
        .map_err(|_| Fault::internal("InternalFailure", "The answer cannot be written."))
}

async fn handle<S: JsonService>(
    State((service, ids)): State<(Arc<S>, Arc<dyn IdSource>)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix(S::DIALECT.target).unwrap_or(target);
    let (status, value) = match service.call(operation, &body).await {
        Ok(value) => (StatusCode::OK, value),
        Err(Fault { kind, message, status }) => {
            (status, json!({ "__type": kind, S::DIALECT.message: message }))
        }
    };
    let headers = [("content-type", S::DIALECT.content_type.to_owned()), ("x-amzn-requestid", uuid(&*ids))];
    (status, headers, value.to_string()).into_response()
}
