//! What is watched, how far, what was announced of it, and where announcements go.

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    announcement::Announcement,
    api_key::{ApiKey, ApiKeyId},
    catalog::EnvironmentState,
    id::{KeyId, ServiceId, TokenId},
    name::EnvironmentName,
    paging::{Cursor, ListError, Page, PageRequest},
    revision::EditOutcome,
    signing::KeyRing,
    store::StoreError,
    tokens::ServiceToken,
};

/// What was announced of a thing already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    /// The threshold of its end that was announced last, in days, or in hours of an environment; 0 when that was
    /// the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<u16>,
    /// Until when it had not been used, when that was announced last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unused: Option<Timestamp>,
    /// The key of the ring whose rotation was announced last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<KeyId>,
    /// Which end of an environment that threshold was of: it may get another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// A thing, with what was announced of it already.
#[derive(Debug, Clone)]
pub struct Watched<T> {
    pub thing: T,
    /// What was announced of it.
    pub marks: Marks,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Token(TokenId),
    ApiKey(ApiKeyId),
    /// The newest key of the ring.
    KeyRing,
    /// An environment of a service.
    Environment(ServiceId, EnvironmentName),
}

/// Reads what is watched, with what was announced. Needs `dynamodb:Query` and `dynamodb:GetItem`.
#[async_trait]
pub trait Watch: Send + Sync {
    /// A page of all service tokens, in any state.
    async fn watched_tokens(&self, page: &PageRequest) -> Result<Page<Watched<ServiceToken>>, ListError>;

    /// A page of all API keys, in any state.
    async fn watched_api_keys(&self, page: &PageRequest) -> Result<Page<Watched<ApiKey>>, ListError>;

    /// A page of the environments that are to be deprovisioned up to `until`, those first that end first.
    async fn watched_environments(
        &self,
        until: Timestamp,
        page: &PageRequest,
    ) -> Result<Page<Watched<EnvironmentState>>, ListError>;

    /// The ring of signing keys, once there is one.
    async fn watched_key_ring(&self) -> Result<Option<Watched<KeyRing>>, StoreError>;
}

/// How far the round through all API keys and service tokens has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Round {
    /// Where the next sweep goes on; at the first key without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_keys: Option<Cursor>,
    /// The same of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<Cursor>,
}

/// Remembers it from one sweep to the next. Needs `dynamodb:GetItem` and `dynamodb:PutItem`.
#[async_trait]
pub trait RememberRound: Send + Sync {
    /// The beginning, where nothing was noted.
    async fn round(&self) -> Result<Round, StoreError>;

    async fn note_round(&self, round: &Round) -> Result<(), StoreError>;
}

/// Decides that something is announced. Needs `dynamodb:UpdateItem` and `dynamodb:PutItem`.
#[async_trait]
pub trait Announce: Send + Sync {
    /// Writes in one transaction what was announced of `subject`, where `previous` still stands and the
    /// subject does, and what is to be published.
    async fn announce(
        &self,
        subject: &Subject,
        previous: &Marks,
        marks: &Marks,
        announcements: &[Announcement],
    ) -> Result<EditOutcome, StoreError>;
}

/// What is to be published. Needs `dynamodb:Query` and `dynamodb:DeleteItem`.
#[async_trait]
pub trait Outbox: Send + Sync {
    /// A page of what is to be published, the oldest first. Strongly consistent.
    async fn to_publish(&self, page: &PageRequest) -> Result<Page<Announcement>, ListError>;

    /// Forgets what was published; forgetting it again changes nothing.
    async fn published(&self, announcement: &Announcement) -> Result<(), StoreError>;
}

/// An announcement was not published.
#[derive(Debug, thiserror::Error)]
#[error("announcements could not be published")]
pub struct PublishError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// Publishes announcements. Needs `events:PutEvents`.
#[async_trait]
pub trait Publish: Send + Sync {
    /// Publishes all of them, and answers for each in turn.
    async fn publish(&self, announcements: &[Announcement]) -> Vec<Result<(), PublishError>>;
}
