//! Commands on the machine of the local stack.

use serde::{Deserialize, Serialize};

use super::rules::{MAX_TARGET, Rules};
use crate::{
    ci::{connection::Connection, delivery::Delivery},
    validation::FieldError,
};

/// The longest path of a directory, in bytes: what the system takes.
const MAX_DIRECTORY: usize = 4096;

/// A command on the machine of the local stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessTarget {
    /// The program and its arguments; no shell is involved unless it is named here.
    pub command: Vec<String>,
    /// The directory to run in; an empty one of the run's own without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Whether stderr is written into stdout, as a terminal does. The order of the two is exact then, and
    /// which is which is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub merge_stderr: bool,
}

impl Rules for ProcessTarget {
    const NAME: &'static str = "process";

    fn check(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.command.first().is_none_or(String::is_empty) {
            errors.push(FieldError::new("/command", "must name a program"));
        }
        if self.command.iter().any(|word| word.contains('\0')) {
            errors.push(FieldError::new("/command", "must not hold NUL"));
        }
        if self.command.iter().map(|word| word.len() + 1).sum::<usize>() > MAX_TARGET {
            errors.push(FieldError::new("/command", format!("must be at most {MAX_TARGET} bytes in all")));
        }
        if self.directory.as_ref().is_some_and(|path| path.len() > MAX_DIRECTORY || path.contains('\0')) {
            let detail = format!("must be at most {MAX_DIRECTORY} bytes without NUL");
            errors.push(FieldError::new("/directory", detail));
        }
        errors
    }

    fn refuse_delivery(delivery: &Delivery) -> Option<String> {
        match delivery {
            Delivery::Env { name } => (!is_variable_name(name))
                .then(|| "must be letters, digits and '_', not starting with a digit".into()),
            Delivery::InstanceVar { .. } => {
                Some("a process takes no instance variables; deliver as `env`".into())
            }
            Delivery::ResourceVersion { .. } => Some("a process has no resources; deliver as `env`".into()),
        }
    }

    fn check_connection(_connection: &Connection<'_>) -> Vec<FieldError> {
        vec![FieldError::new("/kind", "`process` is built into the local stack; there is nothing to set")]
    }
}

fn is_variable_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
