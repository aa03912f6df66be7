//! Names of attributes, and the parts of an item that every entity has.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use gatehouse_domain::store::StoreError;
use serde::{Serialize, de::DeserializeOwned};

use crate::keys::Key;

/// An item as the SDK has it.
pub type Item = HashMap<String, AttributeValue>;

pub const PK: &str = "pk";
pub const SK: &str = "sk";
/// The index: sparse, for lists.
pub const INDEX: &str = "gsi1";
/// Partition key of the index.
pub const INDEX_PK: &str = "gsi1pk";
/// Sort key of the index.
pub const INDEX_SK: &str = "gsi1sk";
/// When `DynamoDB` may delete the item: whole seconds since 1970. Never read as truth.
pub const EXPIRES_AT: &str = "expires_at";
/// Which edit of the thing this is.
pub const REVISION: &str = "revision";

/// The condition under which something is created.
pub const IF_ABSENT: &str = "attribute_not_exists(pk)";
/// The condition under which an edit replaces what the editor saw. Needs `:revision`.
pub const IF_REVISION: &str = "revision = :revision";

/// The condition under which a use is written down. Needs `:at`.
pub const UNLESS_USED_LATER: &str =
    "attribute_exists(pk) AND (attribute_not_exists(last_used_at) OR last_used_at < :at)";

pub fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The key attributes of an item.
pub fn key_attributes(key: Key) -> Item {
    HashMap::from([(PK.to_owned(), text(key.pk)), (SK.to_owned(), text(key.sk))])
}

/// An item made of a key, its place in the index, and the stored form of an entity.
///
/// # Errors
///
/// When the entity has a form that a table cannot hold.
pub(crate) fn compose<T: Serialize>(key: Key, in_list: Option<Key>, stored: &T) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(stored).map_err(corrupt)?;
    item.extend(key_attributes(key));
    if let Some(place) = in_list {
        item.insert(INDEX_PK.to_owned(), text(place.pk));
        item.insert(INDEX_SK.to_owned(), text(place.sk));
    }
    Ok(item)
}

/// The stored form of an entity, from its item.
///
/// # Errors
///
/// When the item is not what was written.
pub(crate) fn decompose<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(corrupt)
}

/// A stored form that cannot be read or written.
pub(crate) fn corrupt(error: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Corrupt(Box::new(error))
}

/// How large an item is, in bytes, about as the table counts them.
pub(crate) fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of_value(value)).sum()
}

fn size_of_value(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) | AttributeValue::Ns(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::L(values) => values.iter().map(size_of_value).sum(),
        AttributeValue::M(values) => size(values),
        _ => 1,
    }
}
