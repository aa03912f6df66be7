//! `export`: reads everything, and writes it as one file.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::Args;
use gatehouse_domain::json::{Json, Object};

use super::{
    document::Document,
    kind::{Kind, members},
};
use crate::{client::Client, context::Context, exit::Exit, failure::Failure, output::text_at, private_file};

/// What is exported, and where to.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Write it to this file; without it, or with `-`, to standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only these, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "KIND")]
    only: Vec<Kind>,
}

/// Everything is read before anything is written: an export that fails leaves no half of a file.
pub(crate) async fn export(
    context: &mut Context<'_, '_>,
    client: &Client,
    args: ExportArgs,
) -> Result<Exit, Failure> {
    let mut document = Document::default();
    for kind in Kind::chosen(&args.only) {
        let mut entries = Vec::new();
        let read = kind.read(client).await;
        if read.is_err() {
            let kind = kind.member().replace('_', " ");
            context.output.warn(&format!("{kind} could not be read; `--only` takes what else there is"))?;
        }
        for shown in read? {
            let mut entry = members(&kind.kept(&shown));
            if kind == Kind::Services {
                let provisioned = provisioned(client, &shown).await?;
                if !provisioned.is_empty() {
                    entry.insert("infrastructure".to_owned(), Json::Object(provisioned));
                }
            }
            entries.push(Json::Object(entry));
        }
        context.output.note(&format!("{}: {}", kind.member().replace('_', " "), entries.len()))?;
        document.insert(kind, entries);
    }
    let text = document.text().map_err(|error| Failure::Nonsense(error.to_string()))?;
    match args.output {
        Some(path) if path.as_os_str() != "-" => write(&path, &text)
            .map_err(|error| Failure::Usage(format!("{} cannot be written: {error}", path.display())))?,
        _ => context.output.raw(&text)?,
    }
    Ok(Exit::Done)
}

/// Puts a new file, which others cannot read, in the place of the one before, which stays where this fails. What is no
/// file, such as a pipe, is written into.
fn write(path: &Path, text: &str) -> io::Result<()> {
    // Through a link, the file that it leads to.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if path.exists() && !path.is_file() {
        return fs::write(path, text);
    }
    private_file::replace(&path, |file| file.write_all(text.as_bytes()))
}

/// The environments of a service in which something is provisioned, each with what is known of that. It is not imported:
/// Terraform's state has it, and knows where it is.
pub(super) async fn provisioned(client: &Client, service: &Json) -> Result<Object, Failure> {
    if service["environments"].as_array().unwrap_or_default().is_empty() {
        return Ok(Object::new());
    }
    let status = match client.get(&["services", text_at(service, "/id"), "actions", "status"]).await {
        // It was deleted since it was listed.
        Err(Failure::Problem(problem)) if problem.status == 404 => return Ok(Object::new()),
        status => status?.body,
    };
    let environments = status["environments"].as_array().unwrap_or_default();
    let present = environments
        .iter()
        .map(|environment| (text_at(environment, "/name"), text_at(environment, "/infrastructure/state")))
        .filter(|(_, state)| !matches!(*state, "" | "absent"));
    Ok(present.map(|(name, state)| (name.to_owned(), state.into())).collect())
}
