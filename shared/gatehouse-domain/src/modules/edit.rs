//! Publishing modules, and withdrawing them.

use super::{FindModule, Input, Interface, Module, SaveModule};
use crate::{
    audit::{Action, AuditContext, AuditTarget, Outcome},
    clock::System,
    name::ModuleName,
    revision::{EditOutcome, Revision},
    store::StoreError,
    validation::{FieldError, pointer_token},
};

/// The most modules of an installation: they are listed without pages.
pub const MAX_MODULES: usize = 200;

/// How much the description of a module may measure as JSON, in bytes.
const MAX_INTERFACE: usize = 16 * 1024;

/// The longest name of an input or output, in bytes.
const MAX_NAME: usize = 200;

/// Why a module cannot be published or withdrawn.
#[derive(Debug, thiserror::Error)]
pub enum EditModuleError {
    #[error("the module is not valid")]
    Invalid(Vec<FieldError>),
    #[error("there are {MAX_MODULES} modules already; withdraw one first")]
    TooMany,
    #[error("there is no such module")]
    NotFound,
    #[error("could not change the module")]
    Store(#[from] StoreError),
}

/// A module was published.
#[derive(Debug)]
pub struct Published {
    pub module: Module,
    /// Whether it was published just so before. Nothing was written then.
    pub unchanged: bool,
}

/// Publishes what a module takes and gives, over what was published of it before.
///
/// # Errors
///
/// Why it is refused, or that the store failed.
pub async fn publish<S: FindModule + SaveModule>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    name: ModuleName,
    interface: Interface,
) -> Result<Published, EditModuleError> {
    let errors = check(&interface);
    if !errors.is_empty() {
        return Err(EditModuleError::Invalid(errors));
    }
    let before = store.find_module(&name).await?;
    // Two at the same moment may pass the limit by one, which does no harm.
    if before.is_none() && store.list_modules().await?.len() >= MAX_MODULES {
        return Err(EditModuleError::TooMany);
    }
    if let Some(module) = before.filter(|module| module.interface == interface) {
        return Ok(Published { module, unchanged: true });
    }
    let entry = audit.entry(system, Action::PutModule, Outcome::Done, audit_target(&name));
    let module = Module {
        name,
        interface,
        revision: Revision::new(system),
        published_at: entry.at,
        published_by: audit.caller.actor(),
    };
    store.save_module(&module, &entry).await?;
    Ok(Published { module, unchanged: false })
}

/// Withdraws a module. Environments that have it keep it, and what was applied with it can be compared and taken away.
///
/// # Errors
///
/// When it is not published, or the store failed.
pub async fn withdraw<S: SaveModule>(
    store: &S,
    system: &dyn System,
    audit: &AuditContext<'_>,
    name: &ModuleName,
) -> Result<(), EditModuleError> {
    let entry = audit.entry(system, Action::DeleteModule, Outcome::Done, audit_target(name));
    match store.delete_module(name, &entry).await? {
        EditOutcome::Done => Ok(()),
        EditOutcome::Conflict => Err(EditModuleError::NotFound),
    }
}

fn audit_target(name: &ModuleName) -> AuditTarget {
    AuditTarget { target: format!("module:{name}"), tenant: None, detail: None }
}

fn check(interface: &Interface) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let size = serde_json::to_string(interface).map_or(usize::MAX, |text| text.len());
    if size > MAX_INTERFACE {
        errors.push(FieldError::new("", "must be at most 16 KiB as JSON; leave out long defaults"));
    }
    let inputs = interface.inputs.keys().map(|name| ("/inputs", name));
    let outputs = interface.outputs.keys().map(|name| ("/outputs", name));
    for (at, name) in inputs.chain(outputs) {
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            let at = format!("{at}/{}", pointer_token(name));
            errors.push(FieldError::new(at, "must have a name of 1 to 200 bytes on one line"));
        }
    }
    let shown = |input: &Input| input.sensitive && input.default.is_some();
    for (name, _) in interface.inputs.iter().filter(|(_, input)| shown(input)) {
        let at = format!("/inputs/{}/default", pointer_token(name));
        errors.push(FieldError::new(at, "the default of a sensitive input is not published"));
    }
    errors
}
