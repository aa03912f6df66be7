//! The table and its file.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use aws_sdk_dynamodb::Client;
use gatehouse_dynamodb::{DynamoDb, Storage, prepare_table, with_long_timeouts};
use gatehouse_template::TableSettings;

use super::account::clients;

/// What the table is called.
pub(super) const TABLE: &str = "gatehouse";

/// The table's file in the data directory.
const FILE: &str = "table.sqlite";

/// What `SQLite` keeps beside a file while it is open.
const BESIDE: [&str; 2] = ["-wal", "-shm"];

/// Opens the table in `data`. One that does not exist yet is made under another name, because making it
/// takes several steps: a crash between them leaves nothing that looks like a table.
pub(super) async fn open(data: &Path, settings: &TableSettings) -> anyhow::Result<(DynamoDb, Client)> {
    let file = data.join(FILE);
    if !file.exists() {
        let new = data.join(format!("{FILE}.new"));
        remove(&new).context("what an earlier start has left cannot be removed")?;
        let (dynamodb, _) = prepared(&new, settings).await?;
        dynamodb.stop().await;
        ensure!(!beside(&new).any(|file| file.exists()), "{} was not closed", new.display());
        fs::rename(&new, &file).context("the table's file cannot be renamed")?;
    }
    prepared(&file, settings).await
}

async fn prepared(file: &Path, settings: &TableSettings) -> anyhow::Result<(DynamoDb, Client)> {
    let dynamodb = DynamoDb::start(Storage::File(file.to_owned())).await?;
    let client = with_long_timeouts(&clients(dynamodb.endpoint_url())?.dynamodb());
    prepare_table(&client, TABLE, settings).await?;
    Ok((dynamodb, client))
}

fn remove(file: &Path) -> io::Result<()> {
    for file in beside(file).chain([file.to_owned()]) {
        match fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn beside(file: &Path) -> impl Iterator<Item = PathBuf> {
    BESIDE.into_iter().map(|ending| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        name.into()
    })
}
