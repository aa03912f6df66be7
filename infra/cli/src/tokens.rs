//! `tokens`: service tokens.

use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Answer, Client},
    context::{Context, List},
    exit::Exit,
    failure::Failure,
    output::{Column, text_at},
};

/// What can be done with service tokens.
#[derive(Debug, Subcommand)]
pub enum TokensCommand {
    /// Mint a token. It is printed once, alone on standard output, and kept nowhere.
    Mint(MintArgs),
    /// List tokens; the active ones when no state is named.
    List(ListArgs),
    /// Show a token's record.
    Show(JtiArgs),
    /// End a token at once.
    Revoke(RevokeArgs),
    /// Mint a token in the place of another one, which ends when the new one is first used.
    Rotate(RotateArgs),
}

/// What token is minted.
#[derive(Debug, Args)]
pub struct MintArgs {
    /// The project that the token is for.
    #[arg(long)]
    project: String,
    /// The service that is going to call.
    #[arg(long)]
    service: String,
    /// What it is for.
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// After how many days it ends.
    #[arg(long, value_name = "N")]
    expires_in_days: Option<u32>,
}

/// Which tokens are listed.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Those of this project.
    #[arg(long)]
    project: Option<String>,
    /// Those of this service.
    #[arg(long)]
    service: Option<String>,
    /// Those in this state.
    #[arg(long)]
    state: Option<State>,
    /// Those that nobody has used for so many days.
    #[arg(long, value_name = "N")]
    unused_for_days: Option<u32>,
    /// Those that end within so many days.
    #[arg(long, value_name = "N")]
    expiring_within_days: Option<u32>,
}

/// How a token stands.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum State {
    /// It works.
    Active,
    /// Its time is up.
    Expired,
    /// Somebody ended it.
    Revoked,
    /// Any of these.
    All,
}

/// Which token.
#[derive(Debug, Args)]
pub struct JtiArgs {
    /// The token's id, such as `tok_…`.
    jti: String,
}

/// Which token is revoked, and why.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// The token's id, such as `tok_…`.
    jti: String,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

/// Which token is rotated, and how.
#[derive(Debug, Args)]
pub struct RotateArgs {
    /// The token's id, such as `tok_…`.
    jti: String,
    /// End the old token after so many seconds, whether the new one is used or not.
    #[arg(long, value_name = "N")]
    grace_seconds: Option<u64>,
    /// After how many days the new one ends.
    #[arg(long, value_name = "N")]
    expires_in_days: Option<u32>,
}

const COLUMNS: &[Column] = &[
    ("JTI", "/jti"),
    ("PROJECT", "/project"),
    ("SERVICE", "/service"),
    ("STATE", "/state"),
    ("EXPIRES", "/expires_at"),
    ("LAST USED", "/last_used_at"),
    ("DESCRIPTION", "/description"),
];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: TokensCommand,
) -> Result<Exit, Failure> {
    match command {
        TokensCommand::Mint(args) => mint(context, client, args).await?,
        TokensCommand::List(args) => list(context, client, args).await?,
        TokensCommand::Show(args) => {
            let answer = client.get(&["v1", "tokens", &args.jti]).await?;
            context.output.answer(&answer, |output, body| output.thing(&body["token"]))?;
        }
        TokensCommand::Revoke(args) => revoke(context, client, args).await?,
        TokensCommand::Rotate(args) => rotate(context, client, args).await?,
    }
    Ok(Exit::Done)
}

async fn mint(context: &mut Context<'_, '_>, client: &Client, args: MintArgs) -> Result<(), Failure> {
    let body = members([
        ("project", Some(json!(args.project))),
        ("service", Some(json!(args.service))),
        ("description", args.description.map(Value::from)),
        ("expires_in_days", args.expires_in_days.map(Value::from)),
    ]);
    let call = client.call(Method::POST, &["v1", "tokens"])?.json(&body);
    let answer = context.send(client, call).await?;
    show_once(context, &answer)
}

/// The token alone on standard output, so that scripts can take it; everything else beside it.
fn show_once(context: &mut Context<'_, '_>, answer: &Answer) -> Result<(), Failure> {
    context.output.answer(answer, |output, body| {
        let at = |pointer| text_at(body, pointer);
        let (jti, project, service) = (at("/jti"), at("/project"), at("/service"));
        output.note(&format!("{jti} for {service} of {project}, until {}", at("/expiresAt")))?;
        if !at("/replaces").is_empty() {
            output.note(&format!("it takes the place of {}", at("/replaces")))?;
        }
        output.note("This is the token; it is shown only now:")?;
        output.stdout.line(at("/token"))
    })
}

async fn list(context: &mut Context<'_, '_>, client: &Client, args: ListArgs) -> Result<(), Failure> {
    let state = args.state.and_then(|state| state.to_possible_value());
    let query = [
        ("project", args.project),
        ("service", args.service),
        ("state", state.map(|state| state.get_name().to_owned())),
        ("unused_for_days", args.unused_for_days.map(|days| days.to_string())),
        ("expiring_within_days", args.expiring_within_days.map(|days| days.to_string())),
    ];
    let path = &["v1", "tokens"];
    context.list(client, List { path, query: &query, member: "tokens", columns: COLUMNS, limit: None }).await
}

async fn revoke(context: &mut Context<'_, '_>, client: &Client, args: RevokeArgs) -> Result<(), Failure> {
    let body = members([("reason", args.reason.map(Value::from))]);
    let answer = client.post(&["v1", "tokens", &args.jti, "revoke"], &body).await?;
    context.output.answer(&answer, |output, body| {
        output.note(&format!("{} is revoked", args.jti))?;
        output.effect(body)
    })
}

async fn rotate(context: &mut Context<'_, '_>, client: &Client, args: RotateArgs) -> Result<(), Failure> {
    let body = members([
        ("grace_seconds", args.grace_seconds.map(Value::from)),
        ("expires_in_days", args.expires_in_days.map(Value::from)),
    ]);
    let call = client.call(Method::POST, &["v1", "tokens", &args.jti, "rotate"])?.json(&body);
    let answer = context.send(client, call).await?;
    show_once(context, &answer)
}

/// An object of the members that have a value.
pub(crate) fn members<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(given.collect())
}
