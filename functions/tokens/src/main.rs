//! The `tokens` Lambda: wiring and nothing else.

use std::sync::Arc;

use gatehouse_jwt::Issuer;
use gatehouse_runtime::{
    api_gateway::ApiGateway,
    aws::{self, Aws},
    clock::{SystemClock, SystemIds},
    env::{AuthorizerCacheConfig, IssuerConfig, SecretsConfig, TableConfig},
    tracing,
};
use gatehouse_secrets::Secrets;
use gatehouse_store::Table;
use lambda_http::Error;
use tokens::{
    AppState,
    password::Argon2id,
    signer::{Memory, SecretKeyPairs, Signer},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let table = TableConfig::from_env()?.table;
    let prefix = SecretsConfig::from_env()?.prefix;
    let issuer = Issuer::new(IssuerConfig::from_env()?.issuer);
    let remembered_for = AuthorizerCacheConfig::from_env()?.remembered_for;
    let aws = Aws::from_env().await?;
    aws::warm_up(&aws.dynamodb(), &table).await;
    let clock = Arc::new(SystemClock);
    let ids = Arc::new(SystemIds);
    let table = Arc::new(Table::new(aws.dynamodb(), table, clock.clone()));
    let secrets = Arc::new(Secrets::new(aws.secrets_manager(), prefix, clock.clone()));
    let pairs = Arc::new(SecretKeyPairs { write: secrets.clone() });
    let signer = Signer {
        issuer,
        secrets,
        find: table.clone(),
        save: table.clone(),
        pairs: pairs.clone(),
        clock: clock.clone(),
        ids: ids.clone(),
        memory: Memory::default(),
    };
    let state = AppState {
        find_user: table.clone(),
        save_user: table.clone(),
        save_session: table.clone(),
        throttle: table.clone(),
        passwords: Arc::new(Argon2id::new(ids.clone())),
        find_api_key: table.clone(),
        list_api_keys: table.clone(),
        save_api_key: table.clone(),
        find_token: table.clone(),
        list_tokens: table.clone(),
        save_token: table.clone(),
        sign: Arc::new(signer),
        find_key_ring: table.clone(),
        save_key_ring: table.clone(),
        make_key_pair: pairs,
        flush: Arc::new(ApiGateway::new(&aws, remembered_for)?),
        owed_flush: table.clone(),
        find_project: table.clone(),
        list_projects: table.clone(),
        save_project: table.clone(),
        list_tenants: table.clone(),
        save_tenant: table.clone(),
        append_audit: table.clone(),
        list_audit: table,
        clock,
        ids,
    };
    lambda_http::run(tokens::router(state)).await
}
