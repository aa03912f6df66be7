//! The list of the kinds of CI systems.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{concourse::ConcourseTarget, process::ProcessTarget, rules::Rules};
use crate::{
    ci::{connection::Connection, delivery::Delivery},
    name::ProviderName,
    validation::FieldError,
};

/// A build as the id of a run names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBuild {
    pub provider: ProviderName,
    pub target: Target,
    /// The build's id in its CI system.
    pub build: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident($target:ident),)*) => {
        /// The CI systems that Gatehouse speaks with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ProviderKind {
            $($(#[$doc])* $kind,)*
        }

        /// What a job points at in its CI system: `{ kind: …, ref: … }` in a jobs file.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "kind", content = "ref", rename_all = "snake_case")]
        pub enum Target {
            $($(#[$doc])* $kind($target),)*
        }

        impl ProviderKind {
            pub const ALL: [Self; [$($target::NAME),*].len()] = [$(Self::$kind),*];

            /// `concourse`, `process`, …
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $target::NAME,)*
                }
            }

            /// Reads the `ref` of a target of this kind.
            pub fn read_reference<'de, D: Deserializer<'de>>(self, reference: D) -> Result<Target, D::Error> {
                match self {
                    $(Self::$kind => $target::deserialize(reference).map(Target::$kind),)*
                }
            }

            /// Why a parameter cannot be delivered so, if so.
            pub fn refuse_delivery(self, delivery: &Delivery) -> Option<String> {
                delivery.refuse().or_else(|| match self {
                    $(Self::$kind => $target::refuse_delivery(delivery),)*
                })
            }

            /// What is wrong with the settings of a provider; nothing when all is well.
            pub fn check_connection(self, connection: &Connection<'_>) -> Vec<FieldError> {
                match self {
                    $(Self::$kind => $target::check_connection(connection),)*
                }
            }
        }

        impl Target {
            /// The CI system it is for.
            pub fn kind(&self) -> ProviderKind {
                match self {
                    $(Self::$kind(_) => ProviderKind::$kind,)*
                }
            }

            /// What [`ProviderKind::read_reference`] reads.
            pub fn reference(&self) -> Map<String, Value> {
                let reference = match self {
                    $(Self::$kind(target) => serde_json::to_value(target),)*
                };
                match reference {
                    Ok(Value::Object(reference)) => reference,
                    // A target is a struct of plain values, which is always an object.
                    _ => Map::new(),
                }
            }

            /// What is wrong with it; nothing when all is well. Pointers start at the reference itself.
            pub fn check(&self) -> Vec<FieldError> {
                match self {
                    $(Self::$kind(target) => target.check(),)*
                }
            }

            /// The scope that it is in: whatever its CI system grants roles in, such as a team of Concourse.
            /// `None` where that has no such thing.
            pub fn scope(&self) -> Option<&str> {
                match self {
                    $(Self::$kind(target) => target.scope(),)*
                }
            }

            /// Sets an instance variable; dots in `name` reach into nested ones. Nothing where the CI system
            /// has none.
            pub fn set_instance_var(&mut self, name: &str, value: Value) {
                match self {
                    $(Self::$kind(target) => target.set_instance_var(name, value),)*
                }
            }

            /// Whether a build of `actual` is a run of a job that points at this target: the same target,
            /// with at least the declared instance variables.
            pub fn covers(&self, actual: &Self) -> bool {
                match (self, actual) {
                    $((Self::$kind(declared), Self::$kind(actual)) => declared.covers(actual),)*
                    _ => false,
                }
            }

            /// What shares its pins: whatever has resources that can be pinned, such as a pipeline of Concourse.
            /// `None` where there are no such things.
            pub fn pin_scope(&self) -> Option<String> {
                match self {
                    $(Self::$kind(target) => target.pin_scope(),)*
                }
            }

            /// Under which name jobs are found that point at this target, whatever its instance variables;
            /// `None` for targets that nobody looks up. It holds no `#`.
            pub fn lookup_name(&self) -> Option<String> {
                match self {
                    $(Self::$kind(target) => target.lookup_name(),)*
                }
            }

            /// The id of the run that `build` at `provider` is.
            pub(crate) fn run_id(&self, provider: &ProviderName, build: &str) -> String {
                match self {
                    $(Self::$kind(target) => target.run_id(provider, build),)*
                }
            }
        }

        impl NamedBuild {
            /// The build that the id of a run names, where it names one.
            pub(crate) fn of_run_id(id: &str) -> Option<Self> {
                $(if let Some((provider, target, build)) = $target::of_run_id(id) {
                    return Some(Self { provider, target: Target::$kind(target), build });
                })*
                None
            }
        }
    };
}

kinds! {
    /// Concourse CI, 6.5 and later: a job of a pipeline.
    Concourse(ConcourseTarget),
    /// A command on the machine of the local stack.
    Process(ProcessTarget),
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn kinds_are_stored_under_their_names() {
        assert_eq!(ProviderKind::ALL.map(ProviderKind::as_str), ["concourse", "process"]);
        for kind in ProviderKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), json!(kind.as_str()));
        }
    }

    #[test]
    fn targets_are_stored_as_kind_and_reference() {
        let concourse =
            json!({ "kind": "concourse", "ref": { "team": "main", "pipeline": "app", "job": "b" } });
        let process = json!({ "kind": "process", "ref": { "command": ["true"] } });
        for stored in [concourse, process] {
            let target: Target = serde_json::from_value(stored.clone()).unwrap();
            assert_eq!(serde_json::to_value(&target).unwrap(), stored);
            assert_eq!(Value::Object(target.reference()), stored["ref"]);
            assert_eq!(target.kind().read_reference(&stored["ref"]).unwrap(), target);
        }
    }
}
