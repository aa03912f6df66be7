//! The `jobs` Lambda: wiring and nothing else.

use std::sync::Arc;

use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::Dependencies;
use gatehouse_runtime::{
    aws::{self, Aws},
    clock::System,
    env::{self, LoopbackProviders, SecretsConfig, TableConfig},
    tracing,
};
use gatehouse_secrets::Secrets;
use gatehouse_store::Table;
use jobs::AppState;
use lambda_http::Error;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let table = TableConfig::from_env()?.table;
    let prefix = SecretsConfig::from_env()?.prefix;
    let aws = Aws::from_env().await?;
    aws::warm_up(&aws.dynamodb(), &table).await;
    let system = Arc::new(System);
    let table = Arc::new(Table::new(aws.dynamodb(), table, system.clone()));
    let secrets = Arc::new(Secrets::new(aws.secrets_manager(), prefix, system.clone()));
    let http = match LoopbackProviders::from_env() {
        LoopbackProviders::Allowed => OutboundHttp::new().allow_loopback(),
        LoopbackProviders::Refused => OutboundHttp::new(),
    };
    let providers = gatehouse_providers::directory(
        table.clone(),
        Dependencies {
            read_secrets: secrets.clone(),
            write_secrets: secrets.clone(),
            leases: table.clone(),
            clock: system.clone(),
            ids: system.clone(),
            http,
        },
    );
    let state = AppState {
        table,
        write_secrets: secrets.clone(),
        delete_secrets: secrets,
        providers: Arc::new(providers),
        plain_http: env::plain_http(),
        system,
    };
    lambda_http::run(jobs::router(state)).await
}
