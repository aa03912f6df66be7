//! Signing tokens.

use async_trait::async_trait;
use secrecy::SecretString;

use crate::{claims::ServiceClaims, secret::SecretError, signing::RotateKeyError};

/// Why no token was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// There is no key to sign with.
    #[error("there is no signing key")]
    Key(#[from] RotateKeyError),
    /// The private key cannot be read.
    #[error("the private key cannot be read")]
    Secret(#[from] SecretError),
    /// The private key is not there, or none.
    #[error("the private key is missing or unreadable")]
    Unusable,
}

/// Signs tokens with the key that signs now. Needs `secretsmanager:GetSecretValue`.
#[async_trait]
pub trait SignToken: Send + Sync {
    /// Signs a service token.
    async fn sign_service_token(&self, claims: &ServiceClaims) -> Result<SecretString, SignError>;

    async fn sign_session(&self, claims: &crate::claims::SessionClaims) -> Result<SecretString, SignError>;
}
