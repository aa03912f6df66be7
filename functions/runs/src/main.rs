//! The `runs` Lambda: wiring and nothing else.

use std::sync::Arc;

use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::Dependencies;
use gatehouse_runtime::{
    aws::{self, Aws},
    clock::System,
    env::{LoopbackProviders, ResponseMode, SecretsConfig, TableConfig},
    tracing,
};
use gatehouse_secrets::Secrets;
use gatehouse_store::Table;
use lambda_http::Error;
use runs::AppState;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let mode = ResponseMode::from_env()?;
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
            write_secrets: secrets,
            leases: table.clone(),
            clock: system.clone(),
            ids: system.clone(),
            http,
        },
    );
    let state = AppState { table, providers: Arc::new(providers), system };
    match mode {
        ResponseMode::Stream => lambda_http::run_with_streaming_response(runs::router(state)).await,
        ResponseMode::Buffered => lambda_http::run(runs::router(state)).await,
    }
}
