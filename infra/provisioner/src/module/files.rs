//! Which files are part of a module.

use std::path::Path;

/// Whether Terraform would read this file.
pub(super) fn is_configuration(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix(".tf").or_else(|| name.strip_suffix(".tf.json"));
    stem.is_some() && !name.starts_with('.')
}
