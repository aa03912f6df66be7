//! `sessions`: one's own.

use clap::{Args, Subcommand};
use gatehouse_domain::json::Json;

use crate::{
    client::Client,
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Column, Output},
};

/// What can be done with one's own sessions.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// List your sessions, the newest first.
    List,
    /// End one of your sessions, or all but this one.
    End(EndArgs),
}

/// Which sessions are ended.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct EndArgs {
    /// The session's id, such as `ses_…`.
    id: Option<String>,
    /// All but the one that this is done in.
    #[arg(long)]
    others: bool,
}

const COLUMNS: &[Column] = &[
    ("ID", "/session_id"),
    ("THIS ONE", "/current"),
    ("STARTED", "/started_at"),
    ("LAST SEEN", "/last_seen_at"),
    ("EXPIRES", "/expires_at"),
    ("ADDRESS", "/source_ip"),
    ("PROGRAM", "/user_agent"),
];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: SessionsCommand,
) -> Result<Exit, Failure> {
    match command {
        SessionsCommand::List => {
            let answer = client.get(&["auth", "sessions"]).await?;
            context.output.answer(&answer, |output, body| {
                let sessions = body["sessions"].as_array().unwrap_or_default();
                output.table(COLUMNS, sessions)
            })?;
        }
        SessionsCommand::End(args) => {
            let path = ["auth", "sessions"].into_iter().chain(args.id.as_deref());
            let answer = client.delete(&path.collect::<Vec<_>>()).await?;
            context.output.answer(&answer, ended)?;
        }
    }
    Ok(Exit::Done)
}

/// Says how many sessions were ended.
pub(crate) fn ended(output: &mut Output<'_>, body: &Json) -> std::io::Result<()> {
    let note = match body["ended"].as_u64() {
        Some(1) => "1 session has ended".to_owned(),
        count => format!("{} sessions have ended", count.unwrap_or_default()),
    };
    output.note(&note)?;
    output.effect(body)
}
