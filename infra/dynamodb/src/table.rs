//! The template's table, made when it is missing.

use aws_sdk_dynamodb::{
    Client,
    error::{DisplayErrorContext, SdkError},
    types::{
        AttributeDefinition, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType, TableDescription, TimeToLiveSpecification, TimeToLiveStatus,
    },
};
use gatehouse_template::{Attribute, IndexSettings, KeyPart, TableSettings};

/// Why the table is not what the template says.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("DynamoDB refused to {action}: {reason}")]
    Refused { action: &'static str, reason: String },
    #[error("the template's table is malformed: {0}")]
    Malformed(String),
    #[error("the table {0} exists with another key than the template gives it; use another data directory")]
    OtherKey(String),
}

/// Creates the table `name` when it is missing, and what the template has added since: indexes and the
/// attribute of expiry. Items are never touched.
///
/// # Errors
/// When the template's table is malformed, has another key, or DynamoDB refuses.
pub async fn prepare_table(client: &Client, name: &str, table: &TableSettings) -> Result<(), TableError> {
    match describe(client, name).await? {
        None => create(client, name, table).await?,
        Some(existing) => add_missing_indexes(client, name, table, &existing).await?,
    }
    match &table.ttl_attribute {
        Some(attribute) => expire_by(client, name, attribute).await,
        None => Ok(()),
    }
}

async fn describe(client: &Client, name: &str) -> Result<Option<TableDescription>, TableError> {
    match client.describe_table().table_name(name).send().await {
        Ok(answer) => Ok(answer.table),
        Err(SdkError::ServiceError(error)) if error.err().is_resource_not_found_exception() => Ok(None),
        Err(error) => Err(refused("describe the table", &error)),
    }
}

async fn create(client: &Client, name: &str, table: &TableSettings) -> Result<(), TableError> {
    let indexes = table.indexes.iter().map(index).collect::<Result<Vec<_>, _>>()?;
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(attributes(&table.attributes)?))
        .set_key_schema(Some(key(&table.key)?))
        .set_global_secondary_indexes((!indexes.is_empty()).then_some(indexes))
        .send()
        .await
        .map_err(|error| refused("create the table", &error))?;
    Ok(())
}

async fn add_missing_indexes(
    client: &Client,
    name: &str,
    table: &TableSettings,
    existing: &TableDescription,
) -> Result<(), TableError> {
    if existing.key_schema() != key(&table.key)? {
        return Err(TableError::OtherKey(name.to_owned()));
    }
    let known = |index: &&IndexSettings| {
        existing.global_secondary_indexes().iter().any(|known| known.index_name() == Some(&index.name))
    };
    // DynamoDB adds one index at a time.
    for missing in table.indexes.iter().filter(|index| !known(index)) {
        let added = index(missing)?;
        let action = CreateGlobalSecondaryIndexAction::builder()
            .index_name(&missing.name)
            .set_key_schema(Some(added.key_schema().to_vec()))
            .set_projection(added.projection().cloned())
            .build()
            .map_err(|error| malformed(&error))?;
        client
            .update_table()
            .table_name(name)
            .set_attribute_definitions(Some(attributes(&table.attributes)?))
            .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(action).build())
            .send()
            .await
            .map_err(|error| refused("add an index", &error))?;
    }
    Ok(())
}

async fn expire_by(client: &Client, name: &str, attribute: &str) -> Result<(), TableError> {
    let described = client.describe_time_to_live().table_name(name).send().await;
    let described = described.map_err(|error| refused("describe the expiry", &error))?;
    let status = described.time_to_live_description().and_then(|expiry| expiry.time_to_live_status());
    if status == Some(&TimeToLiveStatus::Enabled) {
        return Ok(());
    }
    let expiry = TimeToLiveSpecification::builder().enabled(true).attribute_name(attribute).build();
    client
        .update_time_to_live()
        .table_name(name)
        .time_to_live_specification(expiry.map_err(|error| malformed(&error))?)
        .send()
        .await
        .map_err(|error| refused("set the expiry", &error))?;
    Ok(())
}

fn index(index: &IndexSettings) -> Result<GlobalSecondaryIndex, TableError> {
    let included = (!index.included.is_empty()).then(|| index.included.clone());
    let projection = Projection::builder()
        .projection_type(ProjectionType::from(index.projection.as_str()))
        .set_non_key_attributes(included)
        .build();
    GlobalSecondaryIndex::builder()
        .index_name(&index.name)
        .set_key_schema(Some(key(&index.key)?))
        .projection(projection)
        .build()
        .map_err(|error| malformed(&error))
}

fn attributes(attributes: &[Attribute]) -> Result<Vec<AttributeDefinition>, TableError> {
    let definition = |attribute: &Attribute| {
        AttributeDefinition::builder()
            .attribute_name(&attribute.name)
            .attribute_type(ScalarAttributeType::from(attribute.kind.as_str()))
            .build()
            .map_err(|error| malformed(&error))
    };
    attributes.iter().map(definition).collect()
}

fn key(parts: &[KeyPart]) -> Result<Vec<KeySchemaElement>, TableError> {
    let element = |part: &KeyPart| {
        KeySchemaElement::builder()
            .attribute_name(&part.attribute)
            .key_type(KeyType::from(part.role.as_str()))
            .build()
            .map_err(|error| malformed(&error))
    };
    parts.iter().map(element).collect()
}

fn malformed(error: &impl std::error::Error) -> TableError {
    TableError::Malformed(error.to_string())
}

fn refused(action: &'static str, error: &impl std::error::Error) -> TableError {
    TableError::Refused { action, reason: DisplayErrorContext(error).to_string() }
}
