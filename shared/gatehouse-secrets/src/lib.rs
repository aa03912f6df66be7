//! Secrets Manager behind the domain's ports, with a short cache in memory.
//!
//! Warm functions read nothing: a value is kept for a minute. Who finds that a value does not work any
//! more asks for a fresh one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use aws_sdk_secretsmanager::{
    Client,
    error::SdkError,
    operation::{
        create_secret::CreateSecretError, delete_secret::DeleteSecretError,
        get_secret_value::GetSecretValueError, put_secret_value::PutSecretValueError,
    },
};
use gatehouse_domain::{
    clock::Clock,
    secret::{DeleteSecret, ReadSecret, SecretError, SecretName, WriteSecret},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

/// How long a value is taken from memory.
const CACHE_FOR: Duration = Duration::from_mins(1);

/// How long to wait until a secret is written again whose name is still being deleted, one after the other. Also a deletion
/// without recovery takes Secrets Manager a few seconds, in which it refuses the name.
const AFTER_DELETION: [Duration; 4] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(3)];

/// Why a secret was not written.
enum NotWritten {
    /// A secret of this name was deleted a moment ago.
    BeingDeleted(SecretError),
    Failed(SecretError),
}

/// Secrets Manager, below one prefix.
pub struct Secrets {
    client: Client,
    prefix: String,
    clock: Arc<dyn Clock>,
    cache: Mutex<HashMap<SecretName, (Timestamp, SecretString)>>,
}

impl Secrets {
    /// The secrets whose names begin with `prefix` and a slash, reached by `client`.
    pub fn new(client: Client, prefix: impl Into<String>, clock: Arc<dyn Clock>) -> Self {
        Self { client, prefix: prefix.into(), clock, cache: Mutex::default() }
    }

    fn path(&self, name: &SecretName) -> String {
        format!("{}/{}", self.prefix, name.as_str())
    }

    fn cached(&self, name: &SecretName) -> Option<SecretString> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let (read_at, value) = cache.get(name)?;
        (self.clock.now() < *read_at + CACHE_FOR).then(|| value.clone())
    }

    fn remember(&self, name: &SecretName, value: Option<&SecretString>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        match value {
            Some(value) => cache.insert(name.clone(), (self.clock.now(), value.clone())),
            None => cache.remove(name),
        };
    }

    /// Writes a new version, or the secret where there is none.
    async fn write_once(&self, name: &SecretName, value: &SecretString) -> Result<(), NotWritten> {
        if self.put(name, value).await? { Ok(()) } else { self.create(name, value).await }
    }

    async fn create(&self, name: &SecretName, value: &SecretString) -> Result<(), NotWritten> {
        let call =
            self.client.create_secret().name(self.path(name)).secret_string(value.expose_secret()).send();
        match call.await {
            Ok(_) => Ok(()),
            // Somebody created it at the same moment: then it can be written.
            Err(error) if is_service(&error, CreateSecretError::is_resource_exists_exception) => {
                self.put(name, value).await.map(drop)
            }
            Err(error) => Err(not_written(error, CreateSecretError::is_invalid_request_exception)),
        }
    }

    /// Writes a new version; `false` when there is no such secret.
    async fn put(&self, name: &SecretName, value: &SecretString) -> Result<bool, NotWritten> {
        let call = self
            .client
            .put_secret_value()
            .secret_id(self.path(name))
            .secret_string(value.expose_secret())
            .send();
        match call.await {
            Ok(_) => Ok(true),
            Err(error) if is_service(&error, PutSecretValueError::is_resource_not_found_exception) => {
                Ok(false)
            }
            Err(error) => Err(not_written(error, PutSecretValueError::is_invalid_request_exception)),
        }
    }
}

/// Nothing but a deletion makes a request of ours invalid at the time: its names and values are always well-formed.
fn not_written<E, R>(error: SdkError<E, R>, is_invalid: fn(&E) -> bool) -> NotWritten
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    if is_service(&error, is_invalid) {
        NotWritten::BeingDeleted(unavailable(error))
    } else {
        NotWritten::Failed(unavailable(error))
    }
}

fn is_service<E, R>(error: &SdkError<E, R>, is: fn(&E) -> bool) -> bool {
    error.as_service_error().is_some_and(is)
}

fn unavailable<E, R>(error: SdkError<E, R>) -> SecretError
where
    E: std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    SecretError(Box::new(error))
}

#[async_trait]
impl ReadSecret for Secrets {
    async fn read(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError> {
        match self.cached(name) {
            Some(value) => Ok(Some(value)),
            None => self.read_fresh(name).await,
        }
    }

    async fn read_fresh(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError> {
        let value = match self.client.get_secret_value().secret_id(self.path(name)).send().await {
            Ok(answer) => answer.secret_string.map(SecretString::from),
            Err(error) if is_service(&error, GetSecretValueError::is_resource_not_found_exception) => None,
            Err(error) => return Err(unavailable(error)),
        };
        self.remember(name, value.as_ref());
        Ok(value)
    }
}

#[async_trait]
impl WriteSecret for Secrets {
    async fn write(&self, name: &SecretName, value: &SecretString) -> Result<(), SecretError> {
        let mut pauses = AFTER_DELETION.into_iter();
        loop {
            match self.write_once(name, value).await {
                Ok(()) => break,
                Err(NotWritten::Failed(error)) => return Err(error),
                Err(NotWritten::BeingDeleted(error)) => {
                    let Some(pause) = pauses.next() else { return Err(error) };
                    self.clock.sleep(pause).await;
                }
            }
        }
        self.remember(name, Some(value));
        Ok(())
    }
}

#[async_trait]
impl DeleteSecret for Secrets {
    async fn delete(&self, name: &SecretName) -> Result<(), SecretError> {
        self.remember(name, None);
        // Without recovery: a name that waits for its deletion could not be created again for days.
        let call =
            self.client.delete_secret().secret_id(self.path(name)).force_delete_without_recovery(true).send();
        match call.await {
            Ok(_) => Ok(()),
            Err(error) if is_service(&error, DeleteSecretError::is_resource_not_found_exception) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }
}
