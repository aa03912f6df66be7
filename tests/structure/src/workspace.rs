//! The crates of this workspace.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::krate::{Krate, Unreadable};

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The folders of the workspace's packages, relative to its root.
pub fn packages() -> Vec<PathBuf> {
    let mut packages = Vec::new();
    for folder in ["functions", "infra", "shared", "tests"] {
        collect_packages(Path::new(folder), &mut packages);
    }
    packages.sort();
    packages
}

fn collect_packages(folder: &Path, packages: &mut Vec<PathBuf>) {
    let here = root().join(folder);
    if here.join("Cargo.toml").is_file() && here.join("src").is_dir() {
        packages.push(folder.to_owned());
    }
    for entry in fs::read_dir(&here).into_iter().flatten().flatten() {
        if entry.path().is_dir() && entry.file_name() != "target" {
            collect_packages(&folder.join(entry.file_name()), packages);
        }
    }
}

/// Every Rust file of the workspace's packages, relative to its root, with its text.
pub fn sources() -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    for folder in ["functions", "infra", "shared", "tests"] {
        collect_sources(Path::new(folder), &mut sources);
    }
    sources
}

fn collect_sources(folder: &Path, sources: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(root().join(folder)).into_iter().flatten().flatten() {
        let path = folder.join(entry.file_name());
        if entry.path().is_dir() {
            if entry.file_name() != "target" {
                collect_sources(&path, sources);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && let Ok(text) = fs::read_to_string(entry.path())
        {
            sources.push((path, text));
        }
    }
}

/// The library and the binary of each package, named as the package is.
///
/// # Errors
///
/// Some source file is not Rust, or is missing.
pub fn crates() -> Result<Vec<Krate>, Unreadable> {
    let read = |path: &Path| fs::read_to_string(root().join(path)).ok();
    let mut crates = Vec::new();
    for package in packages() {
        for target in ["src/lib.rs", "src/main.rs"] {
            let file = package.join(target);
            if root().join(&file).is_file() {
                crates.push(Krate::read(&package_name(&package), &file, &read)?);
            }
        }
    }
    Ok(crates)
}

fn package_name(package: &Path) -> String {
    let manifest = fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap_or_default();
    let name = manifest.lines().find_map(|line| line.strip_prefix("name = "));
    name.unwrap_or_default().trim_matches('"').to_owned()
}
