//! Where secrets are kept: outside the table.

use async_trait::async_trait;
use secrecy::SecretString;

/// The path of a secret below the installation's prefix: `provider/concourse/token`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretName(String);

impl SecretName {
    /// The secret in which a provider's credentials are kept.
    pub fn provider_credentials(provider: &crate::name::ProviderName) -> Self {
        Self(format!("provider/{provider}/credentials"))
    }

    /// The secret in which the access token of a provider is kept, shared by all functions.
    pub fn provider_token(provider: &crate::name::ProviderName) -> Self {
        Self(format!("provider/{provider}/token"))
    }

    /// The secret in which the private half of a signing key is kept.
    pub fn signing_key(kid: &crate::id::KeyId) -> Self {
        Self(format!("signing-key/{}", kid.as_str()))
    }

    /// The secret in which the key of callback tokens is kept.
    pub fn callback_key() -> Self {
        Self("callback-key".to_owned())
    }

    /// The secret in which the key is kept that seals the secrets of second factors.
    pub fn second_factor_key() -> Self {
        Self("second-factor-key".to_owned())
    }

    /// The secret in which the key is kept that seals secret inputs of modules.
    pub fn input_key() -> Self {
        Self("input-key".to_owned())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The secret store did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the secret store is unavailable")]
pub struct SecretError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Reads secrets. Needs `secretsmanager:GetSecretValue`.
#[async_trait]
pub trait ReadSecret: Send + Sync {
    /// The current value, `None` when there is no such secret. May be some seconds old.
    async fn read(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError>;

    /// The current value, from the store itself and from no cache.
    async fn read_fresh(&self, name: &SecretName) -> Result<Option<SecretString>, SecretError>;
}

/// Writes secrets. Needs `secretsmanager:PutSecretValue` and `secretsmanager:CreateSecret`.
#[async_trait]
pub trait WriteSecret: Send + Sync {
    /// Makes `value` the current value, and the secret where there is none.
    async fn write(&self, name: &SecretName, value: &SecretString) -> Result<(), SecretError>;
}

/// Deletes secrets. Needs `secretsmanager:DeleteSecret`.
#[async_trait]
pub trait DeleteSecret: Send + Sync {
    /// Deletes the secret at once; a missing one is fine.
    async fn delete(&self, name: &SecretName) -> Result<(), SecretError>;
}

/// Writes secrets and deletes them.
pub trait ChangeSecret: WriteSecret + DeleteSecret {}

impl<S: WriteSecret + DeleteSecret> ChangeSecret for S {}
