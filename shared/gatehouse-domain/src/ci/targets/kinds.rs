//! The CI systems that there are.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    ci::targets::{concourse::ConcourseTarget, process::ProcessTarget},
    validation::FieldError,
};

/// The CI systems that Gatehouse speaks with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// Concourse CI, 6.5 and later.
    Concourse,
    /// Commands on the machine of the local stack.
    Process,
}

impl ProviderKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Concourse, Self::Process];

    /// `concourse` or `process`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Concourse => "concourse",
            Self::Process => "process",
        }
    }
}

/// What a job points at in its CI system: `{ kind: …, ref: … }` in a jobs file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "ref", rename_all = "snake_case")]
pub enum Target {
    /// A job of a Concourse pipeline.
    Concourse(ConcourseTarget),
    /// A command.
    Process(ProcessTarget),
}

impl Target {
    /// The CI system it is for.
    pub fn kind(&self) -> ProviderKind {
        match self {
            Self::Concourse(_) => ProviderKind::Concourse,
            Self::Process(_) => ProviderKind::Process,
        }
    }

    /// What is wrong with it; nothing when all is well. Pointers start at the reference itself.
    pub fn check(&self) -> Vec<FieldError> {
        match self {
            Self::Concourse(target) => target.check(),
            Self::Process(target) => target.check(),
        }
    }

    /// Sets an instance variable; dots in `name` reach into nested ones. Only Concourse has them.
    pub fn set_instance_var(&mut self, name: &str, value: Value) {
        let Self::Concourse(target) = self else { return };
        let mut map = &mut target.vars;
        let mut path = name.split('.').peekable();
        while let Some(part) = path.next() {
            if path.peek().is_none() {
                map.insert(part.to_owned(), value);
                return;
            }
            let nested = map.entry(part).or_insert_with(|| Value::Object(Map::new()));
            if !nested.is_object() {
                *nested = Value::Object(Map::new());
            }
            let Value::Object(next) = nested else { return };
            map = next;
        }
    }
}
