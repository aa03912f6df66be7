//! `audit`: the trail of who did what.

use clap::{Args, Subcommand};

use crate::{
    client::Client,
    context::{Context, List},
    exit::Exit,
    failure::Failure,
    output::Column,
};

/// What can be done with the audit trail.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List entries, the newest first.
    List(ListArgs),
}

/// Which entries are listed.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Those of this tenant.
    #[arg(long, conflicts_with = "actor")]
    tenant: Option<String>,
    /// Those of this actor.
    #[arg(long)]
    actor: Option<String>,
    /// Those up to this time, such as `2026-01-31T12:00:00Z`.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// How many at most.
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

const COLUMNS: &[Column] = &[
    ("AT", "/at"),
    ("ACTOR", "/actor"),
    ("ACTION", "/action"),
    ("TARGET", "/target"),
    ("TENANT", "/tenant"),
    ("OUTCOME", "/outcome"),
    ("FROM", "/source_ip"),
    ("DETAIL", "/detail"),
];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: AuditCommand,
) -> Result<Exit, Failure> {
    let AuditCommand::List(args) = command;
    let query = [("tenant", args.tenant), ("actor", args.actor), ("until", args.until)];
    let (path, limit) = (&["v1", "audit"], Some(args.limit));
    context.list(client, List { path, query: &query, member: "entries", columns: COLUMNS, limit }).await?;
    Ok(Exit::Done)
}
