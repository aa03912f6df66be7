//! The functions, wired as their own `main` wires them, to what this process plays.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context;
use authorizer::{Authorizer, Request};
use callbacks::Callbacks;
use deployer::Deployer;
use gatehouse_domain::ci::ProviderKind;
use gatehouse_inputs::InputSealer;
use gatehouse_jwt::Issuer;
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::{Directory, webhook::WebhookClient};
use gatehouse_runtime::env;
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use super::{janitor, parts::Parts};
use crate::gateway::LambdaFunction;

/// Who signs the tokens of a local stack.
const ISSUER: &str = "urn:gatehouse:local";

/// Every function, by the name it has in the template.
pub(super) fn all(parts: &Parts) -> anyhow::Result<BTreeMap<String, LambdaFunction>> {
    let directory = Arc::new(directory(parts));
    let functions = [
        ("authorizer", authorizer(parts)),
        ("callbacks", callbacks(parts)),
        ("catalog", LambdaFunction::http(catalog::router(catalog_state(parts)))),
        ("meta", LambdaFunction::http(meta::router())),
        ("deployer", deployer(parts, directory.clone())?),
        ("identity", LambdaFunction::http(identity::router(identity_state(parts)))),
        ("janitor", janitor::function(janitor::janitor(parts, directory.clone()))),
        ("jobs", LambdaFunction::http(jobs::router(jobs_state(parts, directory.clone())))),
        ("runs", LambdaFunction::http(runs::router(runs_state(parts, directory.clone())))),
        ("streams", LambdaFunction::http(streams::router(streams_state(parts, directory)))),
        ("tokens", LambdaFunction::http(tokens::router(tokens_state(parts)))),
    ];
    Ok(functions.map(|(name, function)| (name.to_owned(), function)).into())
}

/// The name under which commands on this machine are a provider.
pub(super) fn process_provider() -> gatehouse_domain::name::ProviderName {
    ProviderKind::Process.as_str().parse().expect("the name of a kind is a name")
}

/// The CI systems: those that are registered, which may be on this machine, and this machine itself.
pub(super) fn directory(parts: &Parts) -> Directory {
    let http = OutboundHttp::new().allow_loopback();
    let (table, secrets) = (parts.table.clone(), parts.secrets.clone());
    gatehouse_providers::directory(table, secrets, parts.system.clone(), http).with_builtin(
        process_provider(),
        ProviderKind::Process,
        parts.processes.clone(),
    )
}

fn authorizer(parts: &Parts) -> LambdaFunction {
    let authorizer =
        Arc::new(Authorizer::new(parts.table.clone(), parts.system.clone(), Issuer::new(ISSUER)));
    LambdaFunction::json(move |event: LambdaEvent<Request>| {
        let authorizer = authorizer.clone();
        async move { authorizer.authorize(event.payload).await }
    })
}

fn jobs_state(parts: &Parts, providers: Arc<Directory>) -> jobs::AppState {
    jobs::AppState {
        table: parts.table.clone(),
        secrets: parts.secrets.clone(),
        providers,
        plain_http: env::plain_http(),
        system: parts.system.clone(),
    }
}

fn runs_state(parts: &Parts, providers: Arc<Directory>) -> runs::AppState {
    runs::AppState { table: parts.table.clone(), providers, system: parts.system.clone() }
}

fn streams_state(parts: &Parts, providers: Arc<Directory>) -> streams::AppState {
    streams::AppState { table: parts.table.clone(), providers, system: parts.system.clone() }
}

fn catalog_state(parts: &Parts) -> catalog::AppState {
    catalog::AppState {
        table: parts.table.clone(),
        start: parts.executions.clone(),
        answer: parts.answers.clone(),
        oversee: parts.executions.clone(),
        seal: Arc::new(InputSealer::new(parts.secrets.clone(), parts.system.clone())),
        plain_http: env::plain_http(),
        system: parts.system.clone(),
    }
}

fn callbacks(parts: &Parts) -> LambdaFunction {
    let callbacks = Callbacks::new(callbacks::AppState {
        table: parts.table.clone(),
        answer: parts.answers.clone(),
        secrets: parts.secrets.clone(),
        open: Arc::new(InputSealer::new(parts.secrets.clone(), parts.system.clone())),
        clock: parts.system.clone(),
    });
    LambdaFunction::json(move |event: LambdaEvent<Value>| {
        let callbacks = callbacks.clone();
        async move { callbacks.handle(event).await }
    })
}

fn deployer(parts: &Parts, providers: Arc<Directory>) -> anyhow::Result<LambdaFunction> {
    let http = OutboundHttp::new().allow_loopback().client(None).context("the client of webhooks")?;
    let deployer = Deployer {
        table: parts.table.clone(),
        providers,
        webhook: Arc::new(WebhookClient::new(http, &parts.base_url)),
        secrets: parts.secrets.clone(),
        system: parts.system.clone(),
    };
    Ok(LambdaFunction::json(move |event: LambdaEvent<Value>| {
        let deployer = deployer.clone();
        async move { deployer.handle(event).await }
    }))
}

fn identity_state(parts: &Parts) -> identity::AppState {
    let flush = Arc::new(parts.memory.clone());
    let (table, secrets) = (parts.table.clone(), parts.secrets.clone());
    identity::AppState::new(table, secrets, Issuer::new(ISSUER), flush, parts.system.clone())
}

fn tokens_state(parts: &Parts) -> tokens::AppState {
    let flush = Arc::new(parts.memory.clone());
    let (table, secrets) = (parts.table.clone(), parts.secrets.clone());
    tokens::AppState::new(table, secrets, Issuer::new(ISSUER), flush, parts.system.clone())
}
