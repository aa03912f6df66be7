//! How machines and executions are called.

use crate::aws::Account;

/// What every ARN here begins with, up to the kind.
#[derive(Clone, Debug)]
pub struct Arns(String);

impl Arns {
    /// Those of one account in one region.
    pub fn new(account: &Account) -> Self {
        Self(account.arn("states", ""))
    }

    /// The ARN of a machine.
    pub fn machine(&self, name: &str) -> String {
        format!("{}stateMachine:{name}", self.0)
    }

    /// The ARN of an execution.
    pub fn execution(&self, machine: &str, name: &str) -> String {
        format!("{}execution:{machine}:{name}", self.0)
    }

    /// The machine that an ARN names. `None` when it is no machine's ARN of here.
    pub fn machine_of<'a>(&self, arn: &'a str) -> Option<&'a str> {
        arn.strip_prefix(&self.0)?.strip_prefix("stateMachine:")
    }

    /// The machine and the execution that an ARN names. `None` when it is no execution's ARN of here.
    pub fn execution_of<'a>(&self, arn: &'a str) -> Option<(&'a str, &'a str)> {
        arn.strip_prefix(&self.0)?.strip_prefix("execution:")?.split_once(':')
    }
}
