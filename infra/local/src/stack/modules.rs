//! The modules that a local stack provisions with.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use gatehouse_domain::{
    audit::{Action, AuditTarget, Entry, Origin, Outcome},
    error::Chain,
    modules::{FindModule, Interface, Module, SaveModule},
    name::ModuleName,
    revision::Revision,
    store::StoreError,
};
use gatehouse_runtime::clock::System;
use gatehouse_store::Table;
use tokio::sync::watch;

use super::seed::SEEDER;

/// The built-in example, which needs no cloud and no download.
const EXAMPLE: [(&str, &str); 3] = [
    ("main.tf", include_str!("../../../provisioner/modules/example/main.tf")),
    ("outputs.tf", include_str!("../../../provisioner/modules/example/outputs.tf")),
    ("variables.tf", include_str!("../../../provisioner/modules/example/variables.tf")),
];

/// The directory of modules: the one that was given, or one in `data` with the example.
pub(super) fn directory(given: Option<&Path>, data: &Path) -> io::Result<PathBuf> {
    if let Some(given) = given {
        return given.canonicalize();
    }
    let directory = data.join("modules");
    let example = directory.join("example");
    std::fs::create_dir_all(&example)?;
    for (name, text) in EXAMPLE {
        std::fs::write(example.join(name), text)?;
    }
    Ok(directory)
}

/// How often the directory is looked at: whoever tries a module may be writing it.
const EVERY: Duration = Duration::from_secs(1);

/// Publishes the modules in a directory.
pub(super) struct Publisher {
    directory: PathBuf,
    table: Arc<Table>,
    system: Arc<System>,
    /// What was published last.
    last: Option<BTreeMap<ModuleName, Interface>>,
    /// What was said last of those that could not be.
    problems: Vec<String>,
}

impl Publisher {
    pub(super) fn new(directory: PathBuf, table: Arc<Table>, system: Arc<System>) -> Self {
        Self { directory, table, system, last: None, problems: Vec::new() }
    }

    /// Publishes them again whenever they change, until the stack stops.
    pub(super) async fn keep_publishing(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
            if let Err(error) = self.publish().await {
                tracing::warn!(cause = %format!("{error:#}"), "the modules could not be published");
            }
        }
    }

    /// Publishes what was not published just so, and withdraws what is not there any more.
    pub(super) async fn publish(&mut self) -> anyhow::Result<()> {
        let found = self.read()?;
        if self.last.as_ref() == Some(&found) {
            return Ok(());
        }
        let before = self.table.list_modules().await?;
        for module in before.iter().filter(|module| !found.contains_key(&module.name)) {
            let entry = self.entry(Action::DeleteModule, &module.name);
            self.table.delete_module(&module.name, &entry).await?;
        }
        let is_published = |name: &ModuleName, interface: &Interface| {
            before.iter().any(|module| module.name == *name && module.interface == *interface)
        };
        for (name, interface) in found.iter().filter(|(name, interface)| !is_published(name, interface)) {
            self.save(name.clone(), interface.clone()).await?;
        }
        self.last = Some(found);
        Ok(())
    }

    /// The modules that can be used. Of others it is said once why not.
    fn read(&mut self) -> io::Result<BTreeMap<ModuleName, Interface>> {
        let (mut found, mut problems) = (BTreeMap::new(), Vec::new());
        for folder in gatehouse_modules::modules_in(&self.directory)? {
            match folder.module {
                Ok((name, interface)) => {
                    found.insert(name, interface);
                }
                Err(error) => problems.push(format!("{}: {}", folder.name, Chain(&error))),
            }
        }
        for problem in problems.iter().filter(|problem| !self.problems.contains(problem)) {
            tracing::warn!("a module is not published: {problem}");
        }
        self.problems = problems;
        Ok(found)
    }

    async fn save(&self, name: ModuleName, interface: Interface) -> Result<(), StoreError> {
        let entry = self.entry(Action::PutModule, &name);
        let (published_at, published_by) = (entry.at, entry.actor.clone());
        let revision = Revision::new(&*self.system);
        let module = Module { name, interface, revision, published_at, published_by };
        self.table.save_module(&module, &entry).await
    }

    fn entry(&self, action: Action, name: &ModuleName) -> Entry {
        let target = AuditTarget { target: format!("module:{name}"), ..AuditTarget::default() };
        Entry::new(&*self.system, SEEDER.to_owned(), &Origin::default(), action, Outcome::Done, target)
    }
}
