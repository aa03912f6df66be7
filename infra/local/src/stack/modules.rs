//! The modules that a local stack provisions with.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use gatehouse_domain::{catalog::Modules, name::ModuleName};

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

/// What is in it: each folder is a module.
pub(super) fn names(directory: &Path) -> io::Result<Modules> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().parse::<ModuleName>();
        if let (Ok(name), true) = (name, entry.path().is_dir()) {
            names.insert(name);
        }
    }
    Ok(Modules::Known(names))
}
