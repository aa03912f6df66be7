//! `AWS::DynamoDB::Table`: what is needed to create it.

use serde::Deserialize;
use serde_json::Value;

use super::{
    error::TemplateError,
    shape::{Resource, Resources},
};

#[derive(Clone, Debug)]
pub struct TableSettings {
    /// The logical id in the template.
    pub logical_id: String,
    /// `TableName`, when the template gives one that is known before deploying.
    pub name: Option<String>,
    /// The attributes that keys are made of.
    pub attributes: Vec<Attribute>,
    pub key: Vec<KeyPart>,
    /// The global secondary indexes.
    pub indexes: Vec<IndexSettings>,
    /// The attribute that holds an item's time of expiry.
    pub ttl_attribute: Option<String>,
}

/// An attribute that a key is made of.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Attribute {
    #[serde(rename = "AttributeName")]
    pub name: String,
    /// `S`, `N` or `B`.
    #[serde(rename = "AttributeType")]
    pub kind: String,
}

/// One part of a key.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct KeyPart {
    #[serde(rename = "AttributeName")]
    pub attribute: String,
    /// `HASH` or `RANGE`.
    #[serde(rename = "KeyType")]
    pub role: String,
}

/// A global secondary index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSettings {
    pub name: String,
    pub key: Vec<KeyPart>,
    /// `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub projection: String,
    /// The attributes of an `INCLUDE` projection.
    pub included: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    #[serde(default)]
    table_name: Value,
    attribute_definitions: Vec<Attribute>,
    key_schema: Vec<KeyPart>,
    #[serde(default)]
    global_secondary_indexes: Vec<Index>,
    #[serde(default)]
    local_secondary_indexes: Vec<Value>,
    time_to_live_specification: Option<TimeToLive>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Index {
    #[serde(rename = "IndexName")]
    name: String,
    key_schema: Vec<KeyPart>,
    projection: Projection,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Projection {
    projection_type: String,
    #[serde(default)]
    non_key_attributes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct TimeToLive {
    attribute_name: String,
    enabled: Value,
}

/// Reads every table of the template.
pub fn all(resources: &Resources<'_>) -> Result<Vec<TableSettings>, TemplateError> {
    resources.of_type("AWS::DynamoDB::Table")?.iter().map(read).collect()
}

fn read(resource: &Resource) -> Result<TableSettings, TemplateError> {
    let properties: Properties = resource.shaped()?;
    if !properties.local_secondary_indexes.is_empty() {
        return Err(TemplateError::resource(&resource.id, "local secondary indexes are not played"));
    }
    Ok(TableSettings {
        logical_id: resource.id.clone(),
        name: properties.table_name.as_str().map(str::to_owned),
        attributes: properties.attribute_definitions,
        key: properties.key_schema,
        indexes: properties.global_secondary_indexes.into_iter().map(index).collect(),
        ttl_attribute: properties.time_to_live_specification.and_then(ttl_attribute),
    })
}

fn index(index: Index) -> IndexSettings {
    IndexSettings {
        name: index.name,
        key: index.key_schema,
        projection: index.projection.projection_type,
        included: index.projection.non_key_attributes,
    }
}

fn ttl_attribute(ttl: TimeToLive) -> Option<String> {
    (ttl.enabled == true || ttl.enabled == "true").then_some(ttl.attribute_name)
}
