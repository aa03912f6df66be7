//! API keys: hashes only.

use async_trait::async_trait;
use gatehouse_domain::{
    api_key::{ApiKey, ApiKeyId, FindApiKey, KeyHash, SaveApiKey},
    store::StoreError,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    Table,
    error::unavailable,
    item::{Item, compose, corrupt, decompose},
    keys,
};

/// A key as it is stored.
#[derive(Serialize, Deserialize)]
struct StoredApiKey {
    key_id: String,
    hash: String,
    name: String,
    scopes: Vec<String>,
    tenants: String,
    created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ends_at: Option<Timestamp>,
}

/// A stored key whose hash is none.
#[derive(Debug, thiserror::Error)]
#[error("the stored hash is not 64 hexadecimal digits")]
struct UnreadableHash;

impl StoredApiKey {
    fn of(key: &ApiKey) -> Self {
        Self {
            key_id: key.id.as_str().to_owned(),
            hash: key.hash.to_hex(),
            name: key.name.clone(),
            scopes: key.scopes.iter().map(ToString::to_string).collect(),
            tenants: key.tenants.to_string(),
            created_at: key.created_at,
            ends_at: key.ends_at,
        }
    }

    fn read(item: Item) -> Result<ApiKey, StoreError> {
        let stored: Self = decompose(item)?;
        Ok(ApiKey {
            id: ApiKeyId::unverified(stored.key_id),
            hash: KeyHash::from_hex(&stored.hash).ok_or_else(|| corrupt(UnreadableHash))?,
            name: stored.name,
            scopes: stored
                .scopes
                .iter()
                .map(|scope| scope.parse())
                .collect::<Result<_, _>>()
                .map_err(corrupt)?,
            tenants: stored.tenants.parse().map_err(corrupt)?,
            created_at: stored.created_at,
            ends_at: stored.ends_at,
        })
    }
}

#[async_trait]
impl FindApiKey for Table {
    async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        self.find(keys::api_key(id)).await?.map(StoredApiKey::read).transpose()
    }
}

#[async_trait]
impl SaveApiKey for Table {
    async fn save_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        let item = compose(keys::api_key(&key.id), None, &StoredApiKey::of(key))?;
        // No condition: the key of the item is made from the key's hash, so only the same key is replaced.
        let call = self.client.put_item().table_name(&self.name).set_item(Some(item));
        call.send().await.map_err(unavailable)?;
        Ok(())
    }
}
