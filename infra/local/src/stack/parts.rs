//! What the functions are wired to.

use std::{num::NonZeroU16, sync::Arc, time::Duration};

use anyhow::Context;
use gatehouse_runtime::clock::System;
use gatehouse_secrets::Secrets;
use gatehouse_store::Table;
use gatehouse_template::{Setting, Template};
use gatehouse_workflows::{Answers, Executions};

use super::{account::clients, bus::Bus, flush::GatewayMemory, services::Services, table, workflows};
use crate::process::ProcessProvider;

pub(super) struct Parts {
    pub table: Arc<Table>,
    pub secrets: Arc<Secrets>,
    pub processes: Arc<ProcessProvider>,
    pub system: Arc<System>,
    pub memory: GatewayMemory,
    pub bus: Bus,
    pub unused_days: NonZeroU16,
    pub executions: Arc<Executions>,
    pub answers: Arc<Answers>,
    /// Where the stack listens.
    pub base_url: String,
}

impl Parts {
    pub fn new(
        template: &Template,
        services: &Services,
        processes: Arc<ProcessProvider>,
        has_terraform: bool,
        base_url: String,
    ) -> anyhow::Result<Self> {
        let system = Arc::new(System);
        let secrets = clients(services.secrets.endpoint_url())?.secrets_manager();
        let step_functions = clients(services.step_functions.endpoint_url())?.step_functions();
        let machines = workflows::directory(&services.engine, has_terraform);
        Ok(Self {
            table: Arc::new(Table::new(services.dynamodb_client.clone(), table::TABLE, system.clone())),
            secrets: Arc::new(Secrets::new(secrets, "gatehouse/local", system.clone())),
            processes,
            system,
            memory: GatewayMemory::new(remembered_for(template)),
            bus: Bus::new(),
            unused_days: unused_days(template)?,
            executions: Arc::new(Executions::new(step_functions.clone(), machines)),
            answers: Arc::new(Answers::new(step_functions)),
            base_url,
        })
    }
}

/// For how long the gateway remembers an answer of its authorizer.
fn remembered_for(template: &Template) -> Duration {
    template.api.authorizers.values().map(|authorizer| authorizer.ttl).max().unwrap_or_default()
}

/// After how many days without use a token is announced, as the template says.
fn unused_days(template: &Template) -> anyhow::Result<NonZeroU16> {
    let janitor = template.function("janitor").context("template.yaml has no janitor")?;
    match janitor.environment.get("GATEHOUSE_UNUSED_DAYS") {
        Some(Setting::Text(days)) => days.parse().context("UnusedTokenDays of template.yaml"),
        _ => anyhow::bail!("the janitor of template.yaml has no GATEHOUSE_UNUSED_DAYS"),
    }
}
