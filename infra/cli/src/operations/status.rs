//! `status`: how a service's environments stand.

use std::io;

use clap::Args;
use serde_json::Value;

use super::watch::LOOK_INTERVAL;
use crate::{
    client::{Answer, Client},
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Column, Look, Output, printable, text_at},
    retry::{Retries, Retry},
    services::find,
};

/// Whose status is shown.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// The service's id, or its name.
    service: String,
    /// Wait until nothing goes on any more, and say what happens meanwhile.
    #[arg(long)]
    watch: bool,
}

const COLUMNS: &[Column] = &[
    ("ENVIRONMENT", "/name"),
    ("CATEGORY", "/category"),
    ("INFRASTRUCTURE", "/infrastructure/state"),
    ("VERSION", "/deployed/version"),
    ("DRIFT", "/drift/state"),
    ("NEXT CHECK", "/next_drift_check"),
    ("RUNNING", "/running/kind"),
    ("STATUS", "/running/status"),
    ("OPERATION", "/running/id"),
];

pub(crate) async fn status(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: StatusArgs,
) -> Result<Exit, Failure> {
    let service = find(client, &args.service).await?;
    let path = &["services", service.as_str(), "actions", "status"];
    let mut answer = client.get(path).await?;
    if args.watch {
        answer = wait(context, client, path, answer).await?;
    }
    context.output.answer(&answer, |output, body| output.table(COLUMNS, environments(body)))?;
    Ok(Exit::Done)
}

/// The first status in which nothing goes on. What happens before is told beside it.
async fn wait(
    context: &mut Context<'_, '_>,
    client: &Client,
    path: &[&str],
    mut answer: Answer,
) -> Result<Answer, Failure> {
    let (mut retries, mut before) = (Retries::new(), Value::Null);
    while environments(&answer.body).iter().any(|environment| environment["running"].is_object()) {
        if answer.body != before {
            tell(context.output, &answer, &before)?;
            before = answer.body.clone();
        }
        context.clock.sleep(LOOK_INTERVAL).await;
        answer = loop {
            match client.get(path).await {
                Ok(answer) => break answer,
                Err(failure) => {
                    let Retry { wait, news } = retries.retry(failure)?;
                    news.map_or(Ok(()), |news| aside(context.output, &news))?;
                    context.clock.sleep(wait).await;
                }
            }
        };
        retries.reset();
    }
    Ok(answer)
}

fn environments(body: &Value) -> &[Value] {
    body["environments"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What is otherwise than before.
fn tell(output: &mut Output<'_>, answer: &Answer, before: &Value) -> io::Result<()> {
    if output.json {
        return output.raw(&answer.text);
    }
    for (place, environment) in environments(&answer.body).iter().enumerate() {
        let line = line(environment);
        let known = environments(before).get(place).and_then(self::line);
        if let Some(line) = line.filter(|line| known.as_ref() != Some(line)) {
            aside(output, &line)?;
        }
    }
    Ok(())
}

/// What goes on in an environment, if anything does.
fn line(environment: &Value) -> Option<String> {
    let running = environment.get("running").filter(|running| running.is_object())?;
    let (name, kind) = (text_at(environment, "/name"), text_at(running, "/kind"));
    Some(format!("{name}: {kind} {} is {}", text_at(running, "/id"), text_at(running, "/status")))
}

fn aside(output: &mut Output<'_>, text: &str) -> io::Result<()> {
    output.stderr.styled(Look::Dimmed, &printable(&format!("-- {text}")))
}
