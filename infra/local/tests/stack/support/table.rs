//! The table as it is on disk, for tests of what was not written.

use std::{collections::BTreeMap, path::Path};

use aws_sdk_dynamodb::{
    config::{Credentials, Region, SharedCredentialsProvider},
    types::AttributeValue,
};
use gatehouse_dynamodb::{DynamoDb, Storage};
use gatehouse_runtime::aws::Aws;

/// What a stopped stack has kept: every item, every secret, every run's directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    pub items: Vec<BTreeMap<String, String>>,
    pub secrets: Option<String>,
    pub runs: Vec<String>,
}

impl Kept {
    /// Reads the data directory of a stack that does not run.
    pub async fn read(data: &Path) -> Self {
        let runs = std::fs::read_dir(data.join("runs")).expect("there are runs").flatten();
        let mut runs: Vec<_> = runs.map(|run| run.file_name().to_string_lossy().into_owned()).collect();
        runs.sort();
        let secrets = std::fs::read_to_string(data.join("secrets.json")).ok();
        Self { items: items(data).await, secrets, runs }
    }
}

/// A value as text, with its members in their order.
fn stable(value: &AttributeValue) -> String {
    match value {
        AttributeValue::M(members) => {
            let members: BTreeMap<_, _> = members.iter().map(|(name, value)| (name, stable(value))).collect();
            format!("{members:?}")
        }
        AttributeValue::L(values) => format!("{:?}", values.iter().map(stable).collect::<Vec<_>>()),
        other => format!("{other:?}"),
    }
}

async fn items(data: &Path) -> Vec<BTreeMap<String, String>> {
    let dynamodb = DynamoDb::start(Storage::File(data.join("table.sqlite"))).await.expect("a table opens");
    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let region = Some(Region::from_static("us-east-1"));
    let client = Aws::new(region, credentials, Some(dynamodb.endpoint_url())).expect("a client").dynamodb();
    let mut pages = client.scan().table_name("gatehouse").into_paginator().items().send();
    let mut items = Vec::new();
    while let Some(item) = pages.try_next().await.expect("a table can be read") {
        items.push(item.into_iter().map(|(name, value)| (name, stable(&value))).collect());
    }
    items.sort();
    dynamodb.stop().await;
    items
}
