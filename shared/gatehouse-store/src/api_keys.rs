//! API keys: hashes only.

use async_trait::async_trait;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use gatehouse_domain::{
    api_key::{ApiKey, ApiKeyId, FindApiKey, KeyHash, ListApiKeys, RecordKeyUse, Revocation, SaveApiKey},
    audit::Entry,
    paging::{ListError, Page, PageRequest},
    revision::EditOutcome,
    store::StoreError,
};
use jiff::{Timestamp, fmt::serde::timestamp::millisecond};
use serde::{Deserialize, Serialize};

use crate::{
    Table, cursor,
    error::conditional,
    item::{
        IF_ABSENT, INDEX_SK, Item, UNLESS_USED_LATER, compose, corrupt, decompose, key_attributes, number,
    },
    keys,
    lists::{ByTime, end_of},
    transaction::{Outcome, Transaction},
};

/// A key as it is stored. The domain's type has no serde, so that nothing but the table ever gets a hash.
#[derive(Serialize, Deserialize)]
struct StoredApiKey {
    key_id: String,
    hash: String,
    name: String,
    scopes: Vec<String>,
    tenants: String,
    created_at: Timestamp,
    #[serde(default = "gatehouse")]
    created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    minted_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "ends_at")]
    expires_at: Option<Timestamp>,
    /// In milliseconds, since it is compared.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "millisecond::optional")]
    last_used_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<Revocation>,
}

/// Who created the keys that were written before that was recorded.
fn gatehouse() -> String {
    "gatehouse".to_owned()
}

/// The stored hash of a key is not one.
#[derive(Debug, thiserror::Error)]
#[error("the stored hash is not 64 hexadecimal digits")]
struct UnreadableHash;

impl StoredApiKey {
    fn item(key: &ApiKey) -> Result<Item, StoreError> {
        let stored = Self {
            key_id: key.id.as_str().to_owned(),
            hash: key.hash.to_hex(),
            name: key.name.clone(),
            scopes: key.scopes.iter().map(ToString::to_string).collect(),
            tenants: key.tenants.to_string(),
            created_at: key.created_at,
            created_by: key.created_by.clone(),
            minted_by: key.minted_by.clone(),
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked: key.revoked.clone(),
        };
        compose(keys::api_key(&key.id), Some(keys::api_key_in_list(key)), &stored)
    }
}

/// The key that an item holds.
pub(crate) fn read(item: Item) -> Result<ApiKey, StoreError> {
    let stored: StoredApiKey = decompose(item)?;
    let scopes = stored.scopes.iter().map(|scope| scope.parse()).collect::<Result<_, _>>();
    Ok(ApiKey {
        id: ApiKeyId::unverified(stored.key_id),
        hash: KeyHash::from_hex(&stored.hash).ok_or_else(|| corrupt(UnreadableHash))?,
        name: stored.name,
        scopes: scopes.map_err(corrupt)?,
        tenants: stored.tenants.parse().map_err(corrupt)?,
        created_at: stored.created_at,
        // Of keys that were written before it was noted, those that people minted themselves say so here.
        minted_by: stored
            .minted_by
            .or_else(|| Some(&stored.created_by).filter(|by| by.starts_with("user:")).cloned()),
        created_by: stored.created_by,
        expires_at: stored.expires_at,
        last_used_at: stored.last_used_at,
        revoked: stored.revoked,
    })
}

#[async_trait]
impl FindApiKey for Table {
    async fn find_api_key(&self, id: &ApiKeyId) -> Result<Option<ApiKey>, StoreError> {
        self.find(keys::api_key(id)).await?.map(read).transpose()
    }
}

#[async_trait]
impl ListApiKeys for Table {
    async fn list_api_keys(&self, page: &PageRequest) -> Result<Page<ApiKey>, ListError> {
        self.list_stored_api_keys(page, read).await
    }
}

impl Table {
    /// A page of the items of API keys, the newest first, each read by `read`.
    pub(crate) async fn list_stored_api_keys<T>(
        &self,
        page: &PageRequest,
        read: impl Fn(Item) -> Result<T, StoreError>,
    ) -> Result<Page<T>, ListError> {
        let before = page.cursor.as_ref().map(|cursor| cursor::decode(keys::API_KEYS, cursor)).transpose()?;
        let list = ByTime { partition: keys::API_KEYS.to_owned(), in_index: true, before };
        let answer = self.newest_first(&list, page.limit).await?;
        let next = end_of(&answer, INDEX_SK).map(|end| cursor::encode(keys::API_KEYS, &end));
        let items = answer.items.unwrap_or_default().into_iter().map(read);
        Ok(Page { items: items.collect::<Result<_, _>>()?, next })
    }
}

#[async_trait]
impl RecordKeyUse for Table {
    async fn record_key_use(&self, id: &ApiKeyId, at: Timestamp) -> Result<(), StoreError> {
        let call = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_attributes(keys::api_key(id))))
            .update_expression("SET last_used_at = :at")
            .condition_expression(UNLESS_USED_LATER)
            .expression_attribute_values(":at", number(at.as_millisecond()));
        // Refused means that a later use is recorded, or that there is no such key.
        conditional(call.send().await, UpdateItemError::is_conditional_check_failed_exception).map(drop)
    }
}

#[async_trait]
impl SaveApiKey for Table {
    async fn save_api_key(&self, key: &ApiKey, entry: Option<&Entry>) -> Result<(), StoreError> {
        let put = self.transact_put(StoredApiKey::item(key)?).condition_expression(IF_ABSENT);
        let mut transaction = Transaction::default();
        transaction.put(put)?;
        let outcome = match entry {
            None => transaction.write(self).await?,
            Some(entry) => self.write_with_entry(transaction, entry).await?,
        };
        match (outcome, entry) {
            // Refused means that this key is there already, since its id is made from its hash.
            (Outcome::Written, _) | (Outcome::Refused { .. }, None) => Ok(()),
            (Outcome::Refused { .. }, Some(_)) => {
                Err(StoreError::Unavailable("there is this key already, without this entry".into()))
            }
        }
    }

    async fn save_key_revocation(&self, key: &ApiKey, entry: &Entry) -> Result<EditOutcome, StoreError> {
        let Some(revocation) = &key.revoked else { return Ok(EditOutcome::Conflict) };
        let revoked = serde_dynamo::to_attribute_value(revocation).map_err(corrupt)?;
        let update = self
            .transact_update(key_attributes(keys::api_key(&key.id)))
            .update_expression("SET revoked = :revoked")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(revoked)")
            .expression_attribute_values(":revoked", revoked);
        let mut transaction = Transaction::default();
        transaction.update(update)?;
        self.mark_flush_pending(&mut transaction, revocation.at)?;
        self.write_with_entry(transaction, entry).await.map(Outcome::of_edit)
    }
}
