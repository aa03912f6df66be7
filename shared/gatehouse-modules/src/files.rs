//! The files of a module that Terraform reads.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hcl::Body;
use serde_json::Value;

/// A module that cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableModule {
    /// A file cannot be read.
    #[error("`{}` of the module cannot be read", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("`{}` of the module cannot be understood: {problem}", path.display())]
    Syntax { path: PathBuf, problem: String },
}

/// One file.
pub(super) struct ConfigurationFile {
    pub(super) name: String,
    pub(super) content: Content,
}

/// What it says, in either of the two syntaxes.
pub(super) enum Content {
    Hcl(Body),
    Json(Value),
}

/// Whether Terraform would read this file.
pub fn is_configuration(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(".tf").or_else(|| name.strip_suffix(".tf.json"));
    stem.is_some() && !name.starts_with('.')
}

/// Reads every file of the module that Terraform would read. As Terraform does it, what overrides comes last.
pub(super) fn read(directory: &Path) -> Result<Vec<ConfigurationFile>, UnreadableModule> {
    let unreadable = |source| UnreadableModule::Read { path: directory.to_owned(), source };
    let entries: Vec<_> = fs::read_dir(directory).and_then(Iterator::collect).map_err(unreadable)?;
    let mut paths: Vec<PathBuf> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| is_configuration(path));
    paths.sort_by_key(|path| (is_override(path), path.clone()));
    paths.iter().map(|path| read_one(path)).collect()
}

fn read_one(path: &Path) -> Result<ConfigurationFile, UnreadableModule> {
    let name = path.file_name().unwrap_or_default();
    let short = PathBuf::from(name);
    let text =
        fs::read_to_string(path).map_err(|source| UnreadableModule::Read { path: short.clone(), source })?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let content = if is_json {
        serde_json::from_str(&text).map(Content::Json).map_err(|error| error.to_string())
    } else {
        hcl::parse(&text).map(Content::Hcl).map_err(|error| error.to_string())
    };
    let content = content.map_err(|problem| UnreadableModule::Syntax { path: short, problem })?;
    Ok(ConfigurationFile { name: name.to_string_lossy().into_owned(), content })
}

fn is_override(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.trim_end_matches(".json").trim_end_matches(".tf");
    stem == "override" || stem.ends_with("_override")
}

/// The blocks of a kind at the top of a JSON file: what Terraform takes one of, it takes a list of as well.
pub(super) fn json_blocks<'a>(file: &'a Value, kind: &str) -> impl Iterator<Item = &'a Value> {
    let (list, one) = match &file[kind] {
        Value::Array(blocks) => (blocks.as_slice(), None),
        block => (&[][..], Some(block)),
    };
    list.iter().chain(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_terraform_is_named() {
        for (name, text) in [("broken.tf", "variable \"x\" {"), ("broken.tf.json", "{")] {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join(name), text).unwrap();
            let error = read(directory.path()).err().unwrap().to_string();
            assert!(error.starts_with(&format!("`{name}` of the module cannot be understood: ")), "{error}");
        }
    }
}
