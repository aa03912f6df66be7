//! The `deployer` Lambda: wiring and nothing else.

use std::sync::Arc;

use deployer::Deployer;
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::{Dependencies, webhook::WebhookClient};
use gatehouse_runtime::{
    aws::{self, Aws},
    clock::System,
    env::{CallbackConfig, LoopbackProviders, SecretsConfig, TableConfig},
    tracing,
};
use gatehouse_secrets::Secrets;
use gatehouse_store::Table;
use lambda_runtime::{Error, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init();
    let table = TableConfig::from_env()?.table;
    let prefix = SecretsConfig::from_env()?.prefix;
    let callbacks = CallbackConfig::from_env()?.base_url;
    let aws = Aws::from_env().await?;
    aws::warm_up(&aws.dynamodb(), &table).await;
    let system = Arc::new(System);
    let table = Arc::new(Table::new(aws.dynamodb(), table, system.clone()));
    let secrets = Arc::new(Secrets::new(aws.secrets_manager(), prefix, system.clone()));
    // Platform admins say where CI systems are, developers where webhooks are.
    let (ci, webhooks) = match LoopbackProviders::from_env() {
        LoopbackProviders::Allowed => {
            (OutboundHttp::new().allow_loopback(), OutboundHttp::new().allow_loopback())
        }
        LoopbackProviders::Refused => (OutboundHttp::new(), OutboundHttp::new().public_only()),
    };
    let providers = gatehouse_providers::directory(
        table.clone(),
        Dependencies {
            read_secrets: secrets.clone(),
            write_secrets: secrets.clone(),
            leases: table.clone(),
            clock: system.clone(),
            ids: system.clone(),
            http: ci,
        },
    );
    let webhook = Arc::new(WebhookClient::new(webhooks.client(None)?, &callbacks));
    let deployer = Deployer { table, providers: Arc::new(providers), webhook, secrets, system };
    lambda_runtime::run(service_fn(|event| deployer.handle(event))).await
}
