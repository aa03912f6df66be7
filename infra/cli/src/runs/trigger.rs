//! `runs trigger`.

use clap::Args;
use gatehouse_domain::json::Json;
use gatehouse_domain::{clock::random_id, json::Object};
use reqwest::Method;

use super::{parameters::Parameter, watch::Watch};
use crate::{
    client::{Answer, Client},
    context::Context,
    exit::Exit,
    failure::Failure,
    output::text_at,
};

/// What is started.
#[derive(Debug, Args)]
pub struct TriggerArgs {
    /// The job's id.
    job: String,
    /// A value for a parameter: `name=text`, or `name:=json` for a number or a boolean.
    #[arg(short, long = "parameter", value_name = "NAME=VALUE", value_parser = Parameter::parse)]
    parameters: Vec<Parameter>,
    /// Makes it safe to repeat the command: the same key starts one run. One is made up without it.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
    /// Watch the run until it ends.
    #[arg(long)]
    watch: bool,
}

pub(super) async fn trigger(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: TriggerArgs,
) -> Result<Exit, Failure> {
    let body = Object::from([("parameters".to_owned(), Parameter::to_json(args.parameters)?)]);
    let key = args.idempotency_key.unwrap_or_else(|| random_id(context.ids, "cli"));
    let call = client.call(Method::POST, &["v1", "jobs", &args.job, "runs"])?;
    let answer = match call.header("Idempotency-Key", &key).json(&body).answer().await {
        Err(failure) if failure.may_have_happened() => {
            context.output.warn(&format!(
                "a run may have been started; the same command with `--idempotency-key {key}` finds out, and \
                 never starts a second one"
            ))?;
            return Err(failure);
        }
        answered => answered?,
    };
    let run = text_at(&answer.body, "/run/run_id").to_owned();
    say(context, &answer, &run)?;
    warn_of_undelivered(context, &answer)?;
    if args.watch { Watch::new(context, client, &run).follow().await } else { Ok(Exit::Done) }
}

/// The id alone on standard output, so that scripts can take it.
fn say(context: &mut Context<'_, '_>, answer: &Answer, run: &str) -> Result<(), Failure> {
    context.output.answer(answer, |output, body| {
        output.stdout.line(run)?;
        let url = text_at(body, "/run/web_url");
        output.note(format!("{} {url}", text_at(body, "/run/status")).trim_end())
    })
}

/// Also beside JSON: whoever gave the parameters may take them for used.
fn warn_of_undelivered(context: &mut Context<'_, '_>, answer: &Answer) -> Result<(), Failure> {
    let names = answer.body.pointer("/run/undelivered").and_then(Json::as_array);
    let names: Vec<_> = names.into_iter().flatten().filter_map(Json::as_str).collect();
    if !names.is_empty() {
        let names = names.join(", ");
        let text = format!("kept with the run, and not delivered to the CI system: {names}");
        context.output.warn(&text)?;
    }
    Ok(())
}
