//! `gatehouse key create`: the first key of a deployed stack.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::Context;
use clap::Args;
use gatehouse_domain::{
    access::Scope,
    api_key::{ApiKey, SaveApiKey},
    caller::Tenants,
    clock::Clock,
};
use gatehouse_runtime::{
    aws::Aws,
    clock::{System, SystemClock, SystemIds},
};
use gatehouse_store::Table;
use secrecy::ExposeSecret;

#[derive(Debug, Args)]
pub struct CreateKeyArgs {
    /// The DynamoDB table of the deployed stack (its output `TableName`).
    #[arg(long, value_name = "NAME")]
    table: String,
    /// What the key is for.
    #[arg(long, default_value = "made with `gatehouse key create`", value_name = "TEXT")]
    name: String,
    /// Tenants that the key is for, separated by commas, or `*` for all.
    #[arg(long, value_name = "TENANTS")]
    tenants: String,
    /// What the key may do, separated by commas: `*`, `jobs:read`, `runs:write` and so on.
    #[arg(long, value_delimiter = ',', value_name = "SCOPES")]
    scopes: Vec<String>,
    /// Print JSON: `{"key": …, "key_id": …}`.
    #[arg(long)]
    json: bool,
}

pub(super) async fn create(args: CreateKeyArgs) -> anyhow::Result<()> {
    let tenants: Tenants = args.tenants.parse().context("--tenants")?;
    let scopes = args.scopes.iter().map(|scope| scope.parse::<Scope>());
    let scopes = scopes.collect::<Result<BTreeSet<_>, _>>().context("--scopes")?;
    anyhow::ensure!(!scopes.is_empty(), "--scopes: name at least one, such as jobs:read");
    let (record, key) = ApiKey::generate(&SystemIds, args.name, scopes, tenants, SystemClock.now());
    let dynamodb = Aws::from_env().await?.dynamodb();
    let table = Table::new(dynamodb, args.table.clone(), Arc::new(System));
    table.save_api_key(&record, None).await.with_context(|| format!("table {}", args.table))?;
    let (key, key_id) = (key.expose_secret(), record.id.as_str());
    if args.json {
        println!("{}", serde_json::json!({ "key": key, "key_id": key_id }));
    } else {
        eprintln!("{key_id} was made. This is the key; it is shown only now:");
        println!("{key}");
    }
    Ok(())
}
