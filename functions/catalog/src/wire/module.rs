//! Modules as JSON.

use std::collections::BTreeMap;

use gatehouse_domain::{
    json,
    modules::{Input, Interface, Module, Output},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a module takes and gives, as it is published.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModuleBody {
    /// Its inputs by name.
    #[serde(default)]
    inputs: BTreeMap<String, InputView>,
    /// Its outputs by name.
    #[serde(default)]
    outputs: BTreeMap<String, ModuleOutputView>,
}

impl ModuleBody {
    pub(crate) fn into_interface(self) -> Interface {
        Interface {
            inputs: self.inputs.into_iter().map(|(name, input)| (name, input.into())).collect(),
            outputs: self.outputs.into_iter().map(|(name, output)| (name, output.into())).collect(),
        }
    }
}

/// What a module can be given.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InputView {
    /// Its type as Terraform writes it; anything without one.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(example = "list(string)")]
    kind: Option<String>,
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Whether nothing can be provisioned without it.
    #[serde(default)]
    required: bool,
    /// Whether its values are secrets: they are kept sealed, and never shown.
    #[serde(default)]
    sensitive: bool,
    /// What it is where nobody sets it. A sensitive one shows none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    default: Option<json::Json>,
}

impl From<InputView> for Input {
    fn from(view: InputView) -> Self {
        let InputView { kind, description, required, sensitive, default } = view;
        Self { kind, description, required, sensitive, default }
    }
}

impl From<Input> for InputView {
    fn from(input: Input) -> Self {
        let Input { kind, description, required, sensitive, default } = input;
        Self { kind, description, required, sensitive, default }
    }
}

/// What comes out of a module.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ModuleOutput)]
pub(crate) struct ModuleOutputView {
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// Whether it is a secret, which is never shown.
    #[serde(default)]
    sensitive: bool,
}

impl From<ModuleOutputView> for Output {
    fn from(view: ModuleOutputView) -> Self {
        let ModuleOutputView { description, sensitive } = view;
        Self { description, sensitive }
    }
}

impl From<Output> for ModuleOutputView {
    fn from(output: Output) -> Self {
        let Output { description, sensitive } = output;
        Self { description, sensitive }
    }
}

/// A module.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModuleView {
    /// Unique in the installation.
    #[schema(example = "example")]
    name: String,
    /// Its inputs by name, but for what Gatehouse fills by itself.
    inputs: BTreeMap<String, InputView>,
    /// Its outputs by name.
    outputs: BTreeMap<String, ModuleOutputView>,
    #[schema(value_type = String, format = DateTime)]
    published_at: Timestamp,
    published_by: String,
}

impl From<Module> for ModuleView {
    fn from(module: Module) -> Self {
        let Module { name, interface: Interface { inputs, outputs }, published_at, published_by, .. } =
            module;
        Self {
            name: name.to_string(),
            inputs: inputs.into_iter().map(|(name, input)| (name, input.into())).collect(),
            outputs: outputs.into_iter().map(|(name, output)| (name, output.into())).collect(),
            published_at,
            published_by,
        }
    }
}

/// One module.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModuleAnswer {
    module: ModuleView,
}

impl From<Module> for ModuleAnswer {
    fn from(module: Module) -> Self {
        Self { module: module.into() }
    }
}

/// Every module that is published.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModulesAnswer {
    modules: Vec<ModuleView>,
}

impl From<Vec<Module>> for ModulesAnswer {
    fn from(modules: Vec<Module>) -> Self {
        Self { modules: modules.into_iter().map(Into::into).collect() }
    }
}
