//! `approve`, `reject` and `cancel`.

use clap::Args;
use serde_json::{Value, json};

use crate::{
    client::Client, context::Context, exit::Exit, failure::Failure, output::text_at, services::find,
    tokens::members,
};

/// What is said to which operation.
#[derive(Debug, Args)]
pub struct VerdictArgs {
    #[command(flatten)]
    which: WhichArgs,
    /// For those who read the operation later.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

/// Which operation is asked to stop.
#[derive(Debug, Args)]
pub struct CancelArgs {
    #[command(flatten)]
    which: WhichArgs,
}

/// Which operation.
#[derive(Debug, Args)]
pub struct WhichArgs {
    /// The operation's id.
    operation: String,
    /// The service's id, or its name. It need not be said: an operation is found by its id.
    #[arg(long)]
    service: Option<String>,
}

pub(crate) async fn approve(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: VerdictArgs,
) -> Result<Exit, Failure> {
    let body = members([("comment", args.comment.map(Value::from))]);
    say(context, client, &args.which, "approve", &body).await
}

pub(crate) async fn reject(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: VerdictArgs,
) -> Result<Exit, Failure> {
    let body = members([("comment", args.comment.map(Value::from))]);
    say(context, client, &args.which, "reject", &body).await
}

pub(crate) async fn cancel(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: CancelArgs,
) -> Result<Exit, Failure> {
    say(context, client, &args.which, "cancel", &json!({})).await
}

async fn say(
    context: &mut Context<'_, '_>,
    client: &Client,
    which: &WhichArgs,
    word: &str,
    body: &Value,
) -> Result<Exit, Failure> {
    let operation = &which.operation;
    let service = match &which.service {
        Some(service) => find(client, service).await?,
        None => service_of(client, operation).await?,
    };
    let answer = client.post(&["services", &service, "operations", operation, word], body).await?;
    context.output.answer(&answer, |output, body| {
        output.note(&format!("{operation} is {}", text_at(body, "/operation/status")))
    })?;
    Ok(Exit::Done)
}

/// The service that an operation is of.
async fn service_of(client: &Client, operation: &str) -> Result<String, Failure> {
    match client.get(&["v1", "operations", operation]).await {
        Ok(answer) => Ok(text_at(&answer.body, "/operation/service_id").to_owned()),
        Err(Failure::Problem(problem)) if problem.status == 404 => {
            Err(Failure::Missing(format!("operation `{operation}`")))
        }
        Err(failure) => Err(failure),
    }
}
