//! `modules`: what environments can be provisioned with.

use std::{io, path::PathBuf};

use clap::{Args, Subcommand};
use gatehouse_domain::{error::Chain, json::Json};
use gatehouse_modules::{Folder, modules_in};
use reqwest::Method;

use crate::{
    client::Client,
    context::Context,
    exit::Exit,
    failure::Failure,
    output::{Column, Output},
};

/// What can be done with modules.
#[derive(Debug, Subcommand)]
pub enum ModulesCommand {
    /// List the modules that are published.
    List,
    /// Show what a module takes and gives.
    Show(NameArgs),
    /// Publish what the modules in a directory take and give, each a folder of it. For platform admins.
    Publish(PublishArgs),
    /// Withdraw a module: no environment can be given it any more. For platform admins.
    Withdraw(NameArgs),
}

/// Which module.
#[derive(Debug, Args)]
pub struct NameArgs {
    /// Its name.
    module: String,
}

/// What is published.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// The directory: that of the worker's image.
    directory: PathBuf,
    /// Withdraw those that are published and not in the directory.
    #[arg(long)]
    withdraw_others: bool,
}

const COLUMNS: &[Column] = &[("NAME", "/name"), ("INPUTS", "/inputs"), ("PUBLISHED", "/published_at")];

const INPUTS: &[Column] = &[
    ("INPUT", "/name"),
    ("TYPE", "/type"),
    ("REQUIRED", "/required"),
    ("SENSITIVE", "/sensitive"),
    ("DEFAULT", "/default"),
    ("DESCRIPTION", "/description"),
];

const OUTPUTS: &[Column] =
    &[("OUTPUT", "/name"), ("SENSITIVE", "/sensitive"), ("DESCRIPTION", "/description")];

pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    client: &Client,
    command: ModulesCommand,
) -> Result<Exit, Failure> {
    match command {
        ModulesCommand::List => list(context, client).await?,
        ModulesCommand::Show(args) => {
            let answer = client.get(&["v1", "modules", &args.module]).await?;
            context.output.answer(&answer, |output, body| show(output, &body["module"]))?;
        }
        ModulesCommand::Publish(args) => publish(context, client, args).await?,
        ModulesCommand::Withdraw(args) => withdraw(context, client, &args.module).await?,
    }
    Ok(Exit::Done)
}

async fn list(context: &mut Context<'_, '_>, client: &Client) -> Result<(), Failure> {
    let answer = client.get(&["v1", "modules"]).await?;
    context.output.answer(&answer, |output, body| {
        let modules = body["modules"].as_array().into_iter().flatten();
        // Of the inputs their names: what else there is of them, `show` says.
        let rows: Vec<Json> = modules
            .map(|module| {
                let names = module["inputs"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
                let inputs = names.collect::<Vec<_>>().join(", ");
                let mut row = module.as_object().cloned().unwrap_or_default();
                row.insert("inputs".to_owned(), inputs.as_str().into());
                Json::Object(row)
            })
            .collect();
        output.table(COLUMNS, &rows)
    })
}

fn show(output: &mut Output<'_>, module: &Json) -> io::Result<()> {
    let mut head = module.as_object().cloned().unwrap_or_default();
    let (inputs, outputs) = (head.remove("inputs"), head.remove("outputs"));
    output.thing(&Json::Object(head))?;
    for (columns, things) in [(INPUTS, named(inputs)), (OUTPUTS, named(outputs))] {
        if !things.is_empty() {
            output.stdout.line("")?;
            output.table(columns, &things)?;
        }
    }
    Ok(())
}

/// The members of an object, each with its name in it.
fn named(members: Option<Json>) -> Vec<Json> {
    let Some(Json::Object(members)) = members else { return Vec::new() };
    let with_name = members.into_iter().filter_map(|(name, value)| {
        let Json::Object(mut value) = value else { return None };
        value.insert("name".to_owned(), Json::String(name));
        Some(Json::Object(value))
    });
    with_name.collect()
}

/// Everything is read before anything is published: a module that cannot be used leaves all as it was.
async fn publish(context: &mut Context<'_, '_>, client: &Client, args: PublishArgs) -> Result<(), Failure> {
    let directory = args.directory.display();
    let folders = modules_in(&args.directory)
        .map_err(|error| Failure::Usage(format!("the modules in {directory} cannot be read: {error}")))?;
    let mut modules = Vec::new();
    for Folder { name, module } in folders {
        modules.push(module.map_err(|error| {
            Failure::Usage(format!("the module in {directory}/{name} cannot be published: {}", Chain(&error)))
        })?);
    }
    if modules.is_empty() {
        return Err(Failure::Usage(format!("there is no module in {directory}")));
    }
    for (name, interface) in &modules {
        let call = client.call(Method::PUT, &["v1", "modules", name.as_str()])?;
        let answer = call.json(interface).answer().await?;
        context.output.answer(&answer, |output, _| output.note(&format!("{name} is published")))?;
    }
    if !args.withdraw_others {
        return Ok(());
    }
    let published = client.get(&["v1", "modules"]).await?.body;
    let published = published["modules"].as_array().into_iter().flatten();
    let names: Vec<_> = published.filter_map(|module| module["name"].as_str()).map(str::to_owned).collect();
    for name in names.iter().filter(|name| modules.iter().all(|(kept, _)| kept.as_str() != **name)) {
        withdraw(context, client, name).await?;
    }
    Ok(())
}

async fn withdraw(context: &mut Context<'_, '_>, client: &Client, name: &str) -> Result<(), Failure> {
    let answer = client.call(Method::DELETE, &["v1", "modules", name])?.answer().await?;
    context.output.answer(&answer, |output, _| output.note(&format!("{name} is withdrawn")))
}
