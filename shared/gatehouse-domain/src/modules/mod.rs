//! Modules: what an environment can be provisioned with, as whoever publishes them describes them.
//!
//! The worker has the modules themselves. What they take is described here, so that a service is judged when it is
//! registered, and secrets among its inputs are known for what they are before a worker has seen them.

mod check;
mod edit;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::check::OWN;
pub(crate) use self::check::{check_given, check_missing};
pub use self::edit::{EditModuleError, MAX_MODULES, Published, publish, withdraw};
use crate::{
    audit::Entry,
    json::Json,
    json_text,
    name::ModuleName,
    revision::{EditOutcome, Revision},
    store::StoreError,
};

/// A module as it was published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Module {
    /// Unique in the installation.
    #[serde(rename = "module")]
    pub name: ModuleName,
    /// What it takes and gives.
    #[serde(with = "json_text")]
    pub interface: Interface,
    /// Changes with every publication.
    pub revision: Revision,
    pub published_at: Timestamp,
    pub published_by: String,
}

/// What a module takes and gives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interface {
    /// Its variables by name, but for `gatehouse`, which Gatehouse fills by itself.
    #[serde(default)]
    pub inputs: BTreeMap<String, Input>,
    #[serde(default)]
    pub outputs: BTreeMap<String, Output>,
}

/// A variable that whoever provisions may set.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Its type as Terraform writes it, such as `map(string)`; anything without one.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether nothing can be provisioned without it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// Whether its values are secrets.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// What it is where nobody sets it, where that can be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Json>,
}

/// What comes out of a module.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether it is a secret, which is never shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
}

/// Looks modules up. Needs `dynamodb:GetItem` and `Query`.
#[async_trait]
pub trait FindModule: Send + Sync {
    /// The module, if it is published.
    async fn find_module(&self, name: &ModuleName) -> Result<Option<Module>, StoreError>;

    /// Every published module, by name: there are [`MAX_MODULES`] at most.
    async fn list_modules(&self) -> Result<Vec<Module>, StoreError>;
}

/// Writes modules. Needs `dynamodb:PutItem` and `DeleteItem`.
#[async_trait]
pub trait SaveModule: Send + Sync {
    /// Writes the module, whether there is one or not: of two publications the last one counts.
    async fn save_module(&self, module: &Module, entry: &Entry) -> Result<(), StoreError>;

    /// Deletes it; `Conflict` when it is not there.
    async fn delete_module(&self, name: &ModuleName, entry: &Entry) -> Result<EditOutcome, StoreError>;
}

/// What is known of modules that somebody named.
#[derive(Debug, Default)]
pub(crate) struct KnownModules {
    found: BTreeMap<ModuleName, Module>,
    /// All that there are, where one of the named is not among them.
    all: Vec<ModuleName>,
}

impl KnownModules {
    pub(crate) async fn find<S: FindModule>(
        store: &S,
        names: BTreeSet<&ModuleName>,
    ) -> Result<Self, StoreError> {
        let mut known = Self::default();
        for name in names {
            match store.find_module(name).await? {
                Some(module) => {
                    known.found.insert(name.clone(), module);
                }
                None if known.all.is_empty() => {
                    known.all = store.list_modules().await?.into_iter().map(|module| module.name).collect();
                }
                None => {}
            }
        }
        Ok(known)
    }

    /// What this module takes and gives, where it is published.
    pub(crate) fn interface(&self, name: &ModuleName) -> Option<&Interface> {
        self.found.get(name).map(|module| &module.interface)
    }

    /// Why an environment cannot have this module, if so. Where nobody publishes modules, which there are is not known,
    /// and the worker says so.
    pub(crate) fn refuse(&self, name: &ModuleName) -> Option<String> {
        if self.found.contains_key(name) || self.all.is_empty() {
            return None;
        }
        let all: Vec<_> = self.all.iter().map(ModuleName::as_str).collect();
        Some(format!("no such module; there are: {}", all.join(", ")))
    }
}
