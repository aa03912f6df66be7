//! How the value of a parameter reaches a CI system.

use serde::{Deserialize, Serialize};

/// The longest name of a variable, resource or field that a value is delivered as, in bytes.
const MAX_NAME: usize = 255;

/// How a value reaches the CI system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Delivery {
    /// As an environment variable of the command (`process`).
    Env {
        /// Name of the variable.
        name: String,
    },
    /// As an instance variable of the pipeline (`concourse` 7.0 and later): it selects the instance.
    InstanceVar {
        /// Name of the variable; dots reach into nested ones.
        name: String,
    },
    /// As the version of a resource (`concourse`), which is pinned for the run.
    ResourceVersion {
        /// Name of the resource in its pipeline.
        resource: String,
        /// Which field of the version it is, such as `ref`.
        field: String,
    },
}

/// A delivery as it is written in a jobs file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    way: Option<Way>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    field: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Way {
    Env,
    InstanceVar,
    ResourceVersion,
}

/// A delivery whose parts do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be `as: env` or `as: instance_var` with a `name`, or `as: resource_version` with a `resource` and a `field`"
)]
pub struct MismatchedDelivery;

impl TryFrom<Written> for Delivery {
    type Error = MismatchedDelivery;

    fn try_from(written: Written) -> Result<Self, MismatchedDelivery> {
        match (written.way, written.name, written.resource, written.field) {
            (Some(Way::Env), Some(name), None, None) => Ok(Self::Env { name }),
            (Some(Way::InstanceVar), Some(name), None, None) => Ok(Self::InstanceVar { name }),
            // What has a resource can be nothing else.
            (None | Some(Way::ResourceVersion), None, Some(resource), Some(field)) => {
                Ok(Self::ResourceVersion { resource, field })
            }
            _ => Err(MismatchedDelivery),
        }
    }
}

impl From<Delivery> for Written {
    fn from(delivery: Delivery) -> Self {
        let none = Self { way: None, name: None, resource: None, field: None };
        match delivery {
            Delivery::Env { name } => Self { way: Some(Way::Env), name: Some(name), ..none },
            Delivery::InstanceVar { name } => Self { way: Some(Way::InstanceVar), name: Some(name), ..none },
            Delivery::ResourceVersion { resource, field } => {
                Self { way: Some(Way::ResourceVersion), resource: Some(resource), field: Some(field), ..none }
            }
        }
    }
}

impl Delivery {
    /// Why no kind of CI system takes it, if so.
    pub(super) fn refuse(&self) -> Option<String> {
        let names = match self {
            Self::Env { name } | Self::InstanceVar { name } => [name.as_str(), ""],
            Self::ResourceVersion { resource, field } => [resource.as_str(), field],
        };
        let too_long = names.iter().any(|name| name.len() > MAX_NAME);
        too_long.then(|| format!("the name must be at most {MAX_NAME} bytes"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn deliveries_are_read_as_they_are_written() {
        let tagged = json!({ "as": "resource_version", "resource": "repo", "field": "ref" });
        for written in [
            json!({ "as": "env", "name": "BRANCH" }),
            json!({ "as": "instance_var", "name": "branch" }),
            tagged.clone(),
        ] {
            let delivery: Delivery = serde_json::from_value(written.clone()).unwrap();
            assert_eq!(serde_json::to_value(delivery).unwrap(), written);
        }
        let bare: Delivery = serde_json::from_value(json!({ "resource": "repo", "field": "ref" })).unwrap();
        assert_eq!(serde_json::to_value(bare).unwrap(), tagged);
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let refused = |written: Value| serde_json::from_value::<Delivery>(written).is_err();
        assert!(refused(json!({ "name": "branch" })));
        assert!(refused(json!({ "as": "env", "resource": "repo", "field": "ref" })));
        assert!(refused(json!({ "as": "resource_version", "resource": "repo" })));
        assert!(refused(json!({ "resource": "repo", "field": "ref", "name": "x" })));
    }
}
