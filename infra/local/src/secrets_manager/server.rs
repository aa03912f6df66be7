//! The HTTP side: one address, one path, the operation in a header.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
    routing::post,
};
use data_encoding::BASE32_NOPAD;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::Value;
use tokio::{
    net::TcpListener,
    sync::Mutex,
    task::{JoinHandle, spawn_blocking},
};
use tracing::error;

use super::{
    OpenError,
    file::SecretsFile,
    protocol::{Fault, TARGET, answer, request},
    store::{Moment, Secrets},
};
use crate::gateway::{ApiIdentity, Sources};

/// A Secrets Manager over one file. Clones share everything.
#[derive(Clone, Debug)]
pub struct SecretsManager(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    file: SecretsFile,
    secrets: Mutex<Secrets>,
    arn_prefix: String,
    sources: Sources,
}

/// A Secrets Manager that is being served.
#[derive(Debug)]
pub struct RunningSecretsManager {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl RunningSecretsManager {
    /// What the SDK is given as `endpoint_url`.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns when the shutdown was asked for and every request has been answered.
    pub async fn finished(self) {
        self.task.await.ok();
    }
}

impl SecretsManager {
    /// Opens the secrets in the file at `path`, which need not exist yet. Its directory must.
    ///
    /// # Errors
    /// When the file cannot be read, protected, or understood.
    pub fn open(path: PathBuf, api: &ApiIdentity, sources: Sources) -> Result<Self, OpenError> {
        let (file, secrets) = SecretsFile::open(path)?;
        let arn_prefix = format!("arn:aws:secretsmanager:{}:{}:secret:", api.region, api.account_id);
        Ok(Self(Arc::new(Parts { file, secrets: Mutex::new(secrets), arn_prefix, sources })))
    }

    /// Serves on `address` (port 0 takes a free one) until `shutdown` resolves.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(
        self,
        address: SocketAddr,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<RunningSecretsManager> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/", post(handle)).with_state(self);
        let server = axum::serve(listener, router).with_graceful_shutdown(shutdown);
        let task = tokio::spawn(async { server.await.unwrap_or_default() });
        Ok(RunningSecretsManager { address, task })
    }

    async fn call(&self, operation: &str, body: &[u8]) -> Result<Value, Fault> {
        let moment = self.0.moment();
        let mut secrets = self.0.secrets.lock().await;
        let mut changed = secrets.clone();
        let value = run(operation, body, &mut changed, &moment)?;
        if writes(operation) {
            self.write(changed.clone()).await?;
        }
        *secrets = changed;
        Ok(value)
    }

    async fn write(&self, secrets: Secrets) -> Result<(), Fault> {
        let file = self.0.file.clone();
        let written = spawn_blocking(move || file.write(&secrets)).await.map_err(io::Error::other);
        written.flatten().map_err(|error| {
            error!(%error, "the secrets could not be written");
            Fault::internal()
        })
    }
}

impl Parts {
    fn moment(&self) -> Moment {
        let suffix = BASE32_NOPAD.encode(&(self.sources.random)());
        Moment {
            now: seconds(self.sources.now()),
            token: self.sources.uuid(),
            suffix: suffix[suffix.len() - 6..].to_owned(),
            arn_prefix: self.arn_prefix.clone(),
        }
    }
}

fn seconds(time: Timestamp) -> f64 {
    time.as_duration().as_secs_f64()
}

fn writes(operation: &str) -> bool {
    !matches!(operation, "GetSecretValue" | "DescribeSecret")
}

fn run(operation: &str, body: &[u8], secrets: &mut Secrets, moment: &Moment) -> Result<Value, Fault> {
    match operation {
        "CreateSecret" => answer(&secrets.create(request(body)?, moment)?),
        "PutSecretValue" => answer(&secrets.put(request(body)?, moment)?),
        "GetSecretValue" => answer(&secrets.get(&request(body)?, moment)?),
        "DeleteSecret" => answer(&secrets.delete(&request(body)?, moment)?),
        "DescribeSecret" => answer(&secrets.describe(&request(body)?, moment)?),
        _ => Err(Fault::new("UnknownOperationException", format!("{operation} is not played locally."))),
    }
}

async fn handle(State(manager): State<SecretsManager>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let operation = target.strip_prefix(TARGET).unwrap_or(target);
    let (status, value) = match manager.call(operation, &body).await {
        Ok(value) => (StatusCode::OK, value),
        Err(fault) => (status(&fault), answer(&fault).unwrap_or_default()),
    };
    let request_id = manager.0.sources.uuid();
    let headers =
        [("content-type", "application/x-amz-json-1.1".to_owned()), ("x-amzn-requestid", request_id)];
    (status, headers, value.to_string()).into_response()
}

fn status(fault: &Fault) -> StatusCode {
    if fault.kind == Fault::internal().kind {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::BAD_REQUEST
    }
}
