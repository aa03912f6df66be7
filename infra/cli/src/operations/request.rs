//! Asking for an operation.

use clap::Args;
use gatehouse_domain::clock::random_id;
use reqwest::Method;
use serde::Serialize;

use super::Watch;
use crate::{
    client::{Answer, Client},
    context::Context,
    exit::Exit,
    failure::Failure,
    output::text_at,
    runs::Parameter,
    services::find,
};

/// Where something is to be done, and how it is asked for.
#[derive(Debug, Args)]
pub struct PlaceArgs {
    /// The service's id, or its name.
    pub(super) service: String,
    /// The environment.
    pub(super) environment: String,
    /// Makes it safe to repeat the command: the same key begins one operation. One is made up without it.
    #[arg(long, value_name = "KEY")]
    pub(super) idempotency_key: Option<String>,
    /// Watch the operation until it ends; the exit code is its outcome.
    #[arg(long)]
    pub(super) watch: bool,
}

/// What is provisioned.
#[derive(Debug, Args)]
pub struct ProvisionArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// An input of the module, over that of the environment: `name=text`, or `name:=json`.
    #[arg(short, long = "input", value_name = "NAME=VALUE", value_parser = Parameter::parse)]
    pub(super) inputs: Vec<Parameter>,
}

/// Where something is done.
#[derive(Debug, Args)]
pub struct EnvironmentArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
}

/// What is deployed.
#[derive(Debug, Args)]
pub struct DeployArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// The version.
    pub(super) version: String,
}

pub(super) async fn request(
    context: &mut Context<'_, '_>,
    client: &Client,
    place: PlaceArgs,
    action: &str,
    body: &impl Serialize,
) -> Result<Exit, Failure> {
    let service = find(client, &place.service).await?;
    let key = place.idempotency_key.unwrap_or_else(|| random_id(context.ids, "cli"));
    let call = client.call(Method::POST, &["services", &service, "actions", action])?;
    let answered = call.header("Idempotency-Key", &key).json(body).answer().await;
    if answered.as_ref().is_err_and(Failure::may_have_happened) {
        context.output.warn(&format!(
            "an operation may have begun; the same command with `--idempotency-key {key}` finds out, and \
             never begins a second one"
        ))?;
    }
    let answer = answered?;
    let operation = text_at(&answer.body, "/operation/id").to_owned();
    say(context, &answer, &operation)?;
    if place.watch {
        Watch::new(context, client, &service, &operation).follow().await
    } else {
        Ok(Exit::Done)
    }
}

/// The id alone on standard output, so that scripts can take it.
fn say(context: &mut Context<'_, '_>, answer: &Answer, operation: &str) -> Result<(), Failure> {
    context.output.answer(answer, |output, body| {
        output.stdout.line(operation)?;
        output.note(text_at(body, "/operation/status"))
    })
}
