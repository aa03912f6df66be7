//! `runs`: starting, watching and ending them.

mod log;
mod parameters;
mod trigger;
mod watch;

pub use self::trigger::TriggerArgs;
use clap::{Args, Subcommand};
use serde_json::json;

pub(crate) use self::parameters::Parameter;
use self::watch::Watch;
use crate::{
    client::Client,
    context::{Context, List},
    exit::{EXIT_CODES, Exit},
    failure::Failure,
    output::{Column, text_at},
};

/// What can be done with runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Start a run of a job, and print its id.
    #[command(after_help = EXIT_CODES)]
    Trigger(TriggerArgs),
    /// Show a run's log as it is written, until the run ends; the exit code is the run's outcome.
    #[command(after_help = EXIT_CODES)]
    Watch(RunArgs),
    /// Ask a run to stop.
    Cancel(CancelArgs),
    /// List the runs of a job, the newest first.
    List(ListArgs),
    /// Show a run.
    Show(RunArgs),
}

/// Which run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// The run's id.
    run: String,
}

/// Which run is asked to stop, and how.
#[derive(Debug, Args)]
pub struct CancelArgs {
    /// The run's id.
    run: String,
    /// End the run whether it reacts or not, where the CI system can.
    #[arg(long)]
    force: bool,
}

/// Which runs are listed.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The job's id.
    job: String,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

const COLUMNS: &[Column] = &[
    ("RUN", "/run_id"),
    ("STATUS", "/status"),
    ("CREATED", "/created_at"),
    ("FINISHED", "/finished_at"),
    ("BY", "/triggered_by"),
];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: RunsCommand,
) -> Result<Exit, Failure> {
    match command {
        RunsCommand::Trigger(args) => return trigger::trigger(context, client, args).await,
        RunsCommand::Watch(args) => return Watch::new(context, client, &args.run).follow().await,
        RunsCommand::Cancel(args) => cancel(context, client, args).await?,
        RunsCommand::List(args) => {
            let (path, limit) = (&["v1", "jobs", &args.job, "runs"], Some(args.limit));
            let list = List { path, query: &[], member: "runs", columns: COLUMNS, limit };
            context.list(client, list).await?;
        }
        RunsCommand::Show(args) => {
            let answer = client.get(&["v1", "runs", &args.run]).await?;
            context.output.answer(&answer, |output, body| output.thing(&body["run"]))?;
        }
    }
    Ok(Exit::Done)
}

async fn cancel(context: &mut Context<'_, '_>, client: &Client, args: CancelArgs) -> Result<(), Failure> {
    let body = if args.force { json!({ "force": true }) } else { json!({}) };
    let answer = client.post(&["v1", "runs", &args.run, "cancel"], &body).await?;
    context.output.answer(&answer, |output, body| {
        output.note(&format!("{} is {}", args.run, text_at(body, "/run/status")))
    })
}
