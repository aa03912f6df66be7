//! How the value of a parameter reaches a CI system.

use serde::{Deserialize, Serialize};

/// The longest name of a variable that a value is delivered as, in bytes.
const MAX_VARIABLE: usize = 255;

/// How a value reaches the CI system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "snake_case", deny_unknown_fields)]
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
}

impl Delivery {
    fn name(&self) -> &str {
        match self {
            Self::Env { name } | Self::InstanceVar { name } => name,
        }
    }

    /// Why no kind of CI system takes it, if so.
    pub(super) fn refuse(&self) -> Option<String> {
        (self.name().len() > MAX_VARIABLE).then(|| format!("the name must be at most {MAX_VARIABLE} bytes"))
    }
}
