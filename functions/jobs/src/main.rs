//! The `jobs` Lambda: wiring and nothing else.

use std::{collections::BTreeSet, sync::Arc};

use gatehouse_domain::ci::ProviderKind;
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::{Dependencies, Directory};
use gatehouse_runtime::{
    aws::{self, Aws},
    clock::{SystemClock, SystemIds},
    env::{LoopbackProviders, SecretsConfig, TableConfig},
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
    let clock = Arc::new(SystemClock);
    let ids = Arc::new(SystemIds);
    let table = Arc::new(Table::new(aws.dynamodb(), table, clock.clone()));
    let secrets = Arc::new(Secrets::new(aws.secrets_manager(), prefix, clock.clone()));
    let http = match LoopbackProviders::from_env() {
        LoopbackProviders::Allowed => OutboundHttp::new().allow_loopback(),
        LoopbackProviders::Refused => OutboundHttp::new(),
    };
    let providers = Directory::new(
        table.clone(),
        Dependencies {
            read_secrets: secrets.clone(),
            write_secrets: secrets.clone(),
            leases: table.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
            http,
        },
    );
    let state = AppState {
        find_job: table.clone(),
        find_for_edit: table.clone(),
        list_jobs: table.clone(),
        save_jobs: table.clone(),
        delete_job: table.clone(),
        find_project: table.clone(),
        find_provider: table.clone(),
        list_providers: table.clone(),
        save_provider: table.clone(),
        delete_provider: table,
        write_secret: secrets.clone(),
        delete_secret: secrets,
        providers: Arc::new(providers),
        clock,
        ids,
        kinds: BTreeSet::from([ProviderKind::Concourse]),
    };
    lambda_http::run(jobs::router(state)).await
}
