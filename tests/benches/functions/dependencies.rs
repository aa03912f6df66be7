//! What the functions need around them: a table with one API key, and nothing else in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::Context;
use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};
use gatehouse_domain::access::Scope;
use gatehouse_domain::api_key::{ApiKey, SaveApiKey};
use gatehouse_domain::caller::Tenants;
use gatehouse_domain::clock::Clock;
use gatehouse_dynamodb::{DynamoDb, Storage, prepare_table};
use gatehouse_runtime::aws::Aws;
use gatehouse_runtime::clock::System;
use gatehouse_store::Table;
use gatehouse_template::Template;

const TABLE: &str = "gatehouse-bench";

/// The key that the sample events present.
const API_KEY: &str = "dev-key-12345";

pub struct Dependencies {
    dynamodb: DynamoDb,
    endpoint: String,
}

impl Dependencies {
    pub async fn start() -> anyhow::Result<Self> {
        let dynamodb = DynamoDb::start(Storage::Memory).await?;
        let endpoint = dynamodb.endpoint_url();
        let credentials =
            SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
        let aws = Aws::new(Some(Region::from_static("eu-central-1")), credentials, Some(endpoint.clone()))?;
        let client = aws.dynamodb();
        let template = Template::parse(include_str!("../../../template.yaml"), &BTreeMap::new())?;
        let table = template.tables.first().context("template.yaml has no table")?;
        prepare_table(&client, TABLE, table).await?;
        let system = Arc::new(System);
        let scopes = BTreeSet::from([Scope::All]);
        let key = ApiKey::of_text(API_KEY, "benchmark".to_owned(), scopes, Tenants::All, system.now());
        Table::new(client, TABLE, system).save_api_key(&key, None).await?;
        Ok(Self { dynamodb, endpoint })
    }

    /// The variables that template.yaml would give.
    pub fn variables(&self) -> [(&str, &str); 14] {
        [
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("GATEHOUSE_TABLE", TABLE),
            ("GATEHOUSE_SECRET_PREFIX", "gatehouse/bench"),
            ("GATEHOUSE_RESPONSE_MODE", "buffered"),
            ("GATEHOUSE_ISSUER", "urn:gatehouse:bench"),
            ("GATEHOUSE_AUTHORIZER_CACHE_SECONDS", "300"),
            ("GATEHOUSE_API_ID", "bench"),
            ("GATEHOUSE_STAGE", "bench"),
            ("GATEHOUSE_EVENT_BUS", "bench"),
            ("GATEHOUSE_UNUSED_DAYS", "90"),
            ("GATEHOUSE_CALLBACK_URL", "https://bench.example.test"),
            ("STEP_FUNCTION_ARN", "arn:aws:states:eu-central-1:000000000000:stateMachine:bench-provision"),
            (
                "DEPLOY_STEP_FUNCTION_ARN",
                "arn:aws:states:eu-central-1:000000000000:stateMachine:bench-deploy",
            ),
            ("AWS_REGION", "eu-central-1"),
        ]
    }

    pub async fn stop(self) {
        self.dynamodb.stop().await;
    }
}
