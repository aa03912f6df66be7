//! A stack in a directory of its own.

use std::{net::SocketAddr, path::Path};

use gatehouse_local::stack::{Stack, StackSettings, find_terraform};
use gatehouse_testkit::log::{self, MARKER};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    client::{Caller, Client, Key},
    people::Person,
};

/// The program that supervises commands.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_gatehouse");

/// A stack in this process.
pub struct TestStack {
    stack: Stack,
    directory: TempDir,
}

impl TestStack {
    /// A stack with the keys of [`Key`], the tenants `example` and `other`, and no job but `hello`.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory can be made");
        Self::start_in(directory).await
    }

    /// The same with the users of [`Person`].
    pub async fn start_with_people() -> Self {
        Self::start_with(|settings| settings).await
    }

    /// The same with other settings.
    pub async fn start_with(change: impl FnOnce(StackSettings) -> StackSettings) -> Self {
        log::watch();
        let directory = tempfile::tempdir().expect("a directory can be made");
        let people: Vec<_> = Person::ALL.iter().map(Person::seed).collect();
        let seed = write_seed(directory.path(), &people);
        let settings = StackSettings { seed: Some(seed), ..settings(&directory.path().join("data")) };
        let stack = Stack::start(change(settings)).await.expect("the stack starts");
        Self { stack, directory }
    }

    /// A stack as a newcomer gets it.
    pub async fn start_example() -> Self {
        log::watch();
        let directory = tempfile::tempdir().expect("a directory can be made");
        let stack = Stack::start(settings(&directory.path().join("data"))).await.expect("the stack starts");
        Self { stack, directory }
    }

    /// The same, listening there.
    pub async fn start_example_on(address: SocketAddr, directory: TempDir) -> Self {
        let settings = StackSettings { address, ..settings(&directory.path().join("data")) };
        let stack = Stack::start(settings).await.expect("the stack starts");
        Self { stack, directory }
    }

    pub async fn start_in(directory: TempDir) -> Self {
        log::watch();
        let seed = write_seed(directory.path(), &[]);
        let settings = StackSettings { seed: Some(seed), ..settings(&directory.path().join("data")) };
        let stack = Stack::start(settings).await.expect("the stack starts");
        Self { stack, directory }
    }

    /// Ends everything in order, and leaves the directory.
    pub async fn stop(self) -> TempDir {
        self.stack.stop().await;
        self.directory
    }

    /// Stops the stack and starts it again.
    pub async fn restart(self) -> Self {
        Self::start_in(self.stop().await).await
    }

    pub fn data(&self) -> std::path::PathBuf {
        self.directory.path().join("data")
    }

    pub fn stack(&self) -> &Stack {
        &self.stack
    }

    pub fn client(&self, caller: &impl Caller) -> Client {
        Client::new(self.stack.address(), caller)
    }
}

pub fn settings(data: &Path) -> StackSettings {
    StackSettings {
        address: SocketAddr::from(([127, 0, 0, 1], 0)),
        hosts: Vec::new(),
        data_dir: data.to_owned(),
        seed: None,
        program: PROGRAM.into(),
        modules: None,
        terraform: find_terraform(),
        worker_silence: None,
    }
}

/// Writes what test stacks are filled with. YAML takes JSON.
pub fn write_seed(directory: &Path, users: &[Value]) -> std::path::PathBuf {
    let keys = Key::ALL.map(
        |key| json!({ "key": key.text, "name": key.text.replace(MARKER, "test"), "tenants": key.tenants, "scopes": key.scopes }),
    );
    let hello = json!({
        "job_id": "hello",
        "project": "example",
        "provider": { "kind": "process", "ref": { "command": ["sh", "-c", "echo \"Hello, $WHO!\""] } },
        "parameters": [
            { "name": "who", "type": "string", "default": "world", "deliver": { "as": "env", "name": "WHO" } }
        ],
    });
    let seed = json!({ "api_keys": keys, "users": users, "tenant": "example", "jobs": [hello] });
    let file = directory.join("seed.yaml");
    std::fs::write(&file, seed.to_string()).expect("a file can be written");
    file
}
