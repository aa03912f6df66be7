//! The operations over one file.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc};

use async_trait::async_trait;
use data_encoding::BASE32_NOPAD;
use gatehouse_domain::clock::{Clock, IdSource};
use serde_json::Value;
use tokio::{sync::Mutex, task::spawn_blocking};
use tracing::error;

use super::{
    file::SecretsFile,
    protocol::internal,
    store::{Moment, Secrets},
};
use crate::{
    aws::{
        Account,
        ids::uuid,
        json::{Dialect, Fault, JsonService, RunningService, answer, request, serve},
    },
    files::OpenError,
};

/// A Secrets Manager over one file. Clones share everything.
#[derive(Clone)]
pub struct SecretsManager(Arc<Parts>);

struct Parts {
    file: SecretsFile,
    secrets: Mutex<Secrets>,
    arn_prefix: String,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
}

impl SecretsManager {
    /// Opens the secrets in the file at `path`, which need not exist yet. Its directory must.
    ///
    /// # Errors
    /// When the file cannot be read, protected, or understood.
    pub fn open(
        path: PathBuf,
        account: &Account,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, OpenError> {
        let (file, secrets) = SecretsFile::open(path)?;
        let arn_prefix = account.arn("secretsmanager", "secret:");
        Ok(Self(Arc::new(Parts { file, secrets: Mutex::new(secrets), arn_prefix, clock, ids })))
    }

    /// As [`serve`].
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn serve(
        self,
        address: SocketAddr,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<RunningService> {
        let ids = self.0.ids.clone();
        serve(self, ids, address, shutdown).await
    }

    async fn write(&self, secrets: Secrets) -> Result<(), Fault> {
        let file = self.0.file.clone();
        let written = spawn_blocking(move || file.write(&secrets)).await.map_err(io::Error::other);
        written.flatten().map_err(|error| {
            error!(%error, "the secrets could not be written");
            internal()
        })
    }
}

impl Parts {
    fn moment(&self) -> Moment {
        let suffix = BASE32_NOPAD.encode(&self.ids.random());
        Moment {
            now: self.clock.now().as_duration().as_secs_f64(),
            token: uuid(&*self.ids),
            suffix: suffix[suffix.len() - 6..].to_owned(),
            arn_prefix: self.arn_prefix.clone(),
        }
    }
}

#[async_trait]
impl JsonService for SecretsManager {
    const DIALECT: Dialect =
        Dialect { target: "secretsmanager.", content_type: "application/x-amz-json-1.1", message: "Message" };

    async fn call(&self, operation: &str, body: &[u8]) -> Result<Value, Fault> {
        let moment = self.0.moment();
        let mut secrets = self.0.secrets.lock().await;
        // Changed as a copy, which takes effect only once it is in the file.
        let mut changed = secrets.clone();
        let value = run(operation, body, &mut changed, &moment)?;
        if writes(operation) {
            self.write(changed.clone()).await?;
        }
        *secrets = changed;
        Ok(value)
    }
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
        _ => Err(Fault::unknown_operation(operation)),
    }
}
