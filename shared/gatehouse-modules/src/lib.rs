//! What Terraform modules declare.

mod backends;
mod declared;
mod files;
mod interface;
mod told;
mod variables;

use std::path::Path;

pub use gatehouse_domain::modules::OWN;

pub use self::{
    backends::ForeignBackend,
    files::{UnreadableModule, is_configuration},
    interface::{Folder, FolderError, modules_in},
    told::tells,
    variables::{Variable, Variables},
};

/// A module that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModuleError {
    /// It cannot be understood.
    #[error(transparent)]
    Unreadable(#[from] UnreadableModule),
    /// It would keep its state by itself.
    #[error(transparent)]
    Backend(#[from] ForeignBackend),
}

/// The variables of the module in this directory. A module that would keep its state by itself is refused.
///
/// # Errors
///
/// When it cannot be read, or not be used.
pub fn variables(directory: &Path) -> Result<Variables, ModuleError> {
    let files = files::read(directory)?;
    backends::refuse(&files)?;
    Ok(variables::declared_in(&files))
}

/// Whether there is a module in this directory.
pub fn is_module(directory: &Path) -> bool {
    std::fs::read_dir(directory)
        .is_ok_and(|entries| entries.flatten().any(|entry| is_configuration(&entry.path())))
}
