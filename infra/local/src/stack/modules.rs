//! The modules that a local stack provisions with.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use gatehouse_domain::{
    audit::{Action, AuditTarget},
    error::Chain,
    modules::{FindModule, Module, SaveModule},
    name::ModuleName,
    revision::Revision,
};
use gatehouse_modules::Folder;

use super::{parts::Parts, seed::entry};

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

/// Publishes the modules in it, and withdraws those that are not there any more.
pub(super) async fn publish(directory: &Path, parts: &Parts) -> anyhow::Result<()> {
    let mut left: BTreeMap<_, _> =
        parts.table.list_modules().await?.into_iter().map(|module| (module.name.clone(), module)).collect();
    for Folder { name: folder, module } in gatehouse_modules::modules_in(directory)? {
        let (name, interface) = match module {
            Ok(module) => module,
            Err(error) => {
                tracing::warn!(folder, cause = %Chain(&error), "a module is not published");
                continue;
            }
        };
        let before = left.remove(&name);
        if before.is_some_and(|before| before.interface == interface) {
            continue;
        }
        let entry = entry(parts, Action::PutModule, audit_target(&name));
        let (published_at, published_by) = (entry.at, entry.actor.clone());
        let revision = Revision::new(&*parts.system);
        let module = Module { name, interface, revision, published_at, published_by };
        parts.table.save_module(&module, &entry).await?;
    }
    for name in left.keys() {
        parts.table.delete_module(name, &entry(parts, Action::DeleteModule, audit_target(name))).await?;
    }
    Ok(())
}

fn audit_target(name: &ModuleName) -> AuditTarget {
    AuditTarget { target: format!("module:{name}"), ..AuditTarget::default() }
}
