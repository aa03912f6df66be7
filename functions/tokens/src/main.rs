//! The `tokens` Lambda: wiring and nothing else.

use std::sync::Arc;

use gatehouse_jwt::Issuer;
use gatehouse_runtime::{
    api_gateway::ApiGateway,
    aws::{self, Aws},
    clock::System,
    env::{AuthorizerCacheConfig, IssuerConfig, SecretsConfig, TableConfig},
    tracing,
};
use gatehouse_secrets::Secrets;
use gatehouse_store::Table;
use lambda_http::Error;
use tokens::AppState;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let table = TableConfig::from_env()?.table;
    let prefix = SecretsConfig::from_env()?.prefix;
    let issuer = Issuer::new(IssuerConfig::from_env()?.issuer);
    let remembered_for = AuthorizerCacheConfig::from_env()?.remembered_for;
    let aws = Aws::from_env().await?;
    aws::warm_up(&aws.dynamodb(), &table).await;
    let system = Arc::new(System);
    let table = Arc::new(Table::new(aws.dynamodb(), table, system.clone()));
    let secrets = Arc::new(Secrets::new(aws.secrets_manager(), prefix, system.clone()));
    let flush = Arc::new(ApiGateway::new(&aws, remembered_for)?);
    let state = AppState::new(table, secrets, issuer, flush, system);
    lambda_http::run(tokens::router(state)).await
}
