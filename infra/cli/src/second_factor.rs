//! `second-factor`: one's own.

use std::io;

use clap::{Args, Subcommand};
use gatehouse_domain::json::Json;
use reqwest::Method;
use serde_json::json;

use crate::{
    client::Client,
    context::{Context, interrupted},
    exit::Exit,
    failure::Failure,
    output::{Output, text_at},
};

/// What can be done with one's own second factor.
#[derive(Debug, Subcommand)]
pub enum SecondFactorCommand {
    /// Make a secret for a device, and confirm it with a code. Prints the secret's URI, and ten recovery codes.
    Enrol,
    /// Confirm a secret that was made before with a code of the device. Prints ten recovery codes.
    Confirm(ConfirmArgs),
    /// Make ten new recovery codes, and print them. Those before are good no more.
    RecoveryCodes,
    /// Ask for no code any more.
    Remove,
}

/// The code of a device.
#[derive(Debug, Args)]
pub struct ConfirmArgs {
    /// The six digits that the device shows.
    code: String,
}

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: SecondFactorCommand,
) -> Result<Exit, Failure> {
    match command {
        SecondFactorCommand::Enrol => enrol(context, client).await?,
        SecondFactorCommand::Confirm(args) => confirm(context, client, &args.code).await?,
        SecondFactorCommand::RecoveryCodes => {
            let call = client.call(Method::POST, &["auth", "second-factor", "recovery-codes"])?;
            let answer = context.send(client, call).await?;
            let note = "These take the place of those before, each for one login without the device:";
            context.output.answer(&answer, |output, body| recovery_codes(output, body, note))?;
        }
        SecondFactorCommand::Remove => {
            let call = client.call(Method::DELETE, &["auth", "second-factor"])?;
            let answer = context.send(client, call).await?;
            context.output.answer(&answer, |output, body| {
                output.note("no code is wanted any more")?;
                output.effect(body)
            })?;
        }
    }
    Ok(Exit::Done)
}

async fn enrol(context: &mut Context<'_, '_>, client: &Client) -> Result<(), Failure> {
    let call = client.call(Method::POST, &["auth", "second-factor"])?;
    let answer = context.send(client, call).await?;
    context.output.answer(&answer, |output, body| {
        output.note(&format!(
            "Tell your device this secret, which is shown only now: {}",
            text_at(body, "/secret")
        ))?;
        output.stdout.line(text_at(body, "/uri"))
    })?;
    let code = context.ask.text("The code that it shows: ").map_err(interrupted)?;
    let Some(code) = code else {
        let note = "confirm it with `gatehouse second-factor confirm CODE`; until then it does not count";
        return Ok(context.output.note(note)?);
    };
    confirm(context, client, &code).await
}

async fn confirm(context: &mut Context<'_, '_>, client: &Client, code: &str) -> Result<(), Failure> {
    let answer = client.post(&["auth", "second-factor", "confirm"], &json!({ "code": code })).await?;
    let note = "A code is wanted from now on. These are for when you lose the device, each for one login:";
    context.output.answer(&answer, |output, body| recovery_codes(output, body, note))
}

/// The recovery codes alone on standard output, so that they can be kept.
fn recovery_codes(output: &mut Output<'_>, body: &Json, note: &str) -> io::Result<()> {
    output.note(note)?;
    for code in body["recovery_codes"].as_array().into_iter().flatten().filter_map(Json::as_str) {
        output.stdout.line(code)?;
    }
    output.effect(body)
}
