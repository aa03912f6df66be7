//! What the worker says, as it stands in the body of a callback.

use std::collections::BTreeMap;

use gatehouse_domain::json::Json;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct Body<'a> {
    pub(super) operation_id: &'a str,
    pub(super) attempt: u32,
    pub(super) sequence: u32,
    #[serde(flatten)]
    pub(super) command: &'a Command,
}

/// One message. It holds secrets (the task token), so it cannot be printed.
#[derive(Clone, Serialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum Command {
    /// The worker is there, and asks for its work order.
    Started {
        task_token: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        links: Vec<Link>,
    },
    /// How far it is.
    Progress(Progress),
    /// It is still there.
    Heartbeat,
    /// It has done its work.
    Success {
        #[serde(skip_serializing_if = "Option::is_none")]
        plan: Option<PlanCounts>,
        /// Under which SHA-256 the module is kept that the plan was made with.
        #[serde(skip_serializing_if = "Option::is_none")]
        artifact: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        outputs: Option<BTreeMap<String, Json>>,
        message: String,
    },
    /// It could not do its work.
    Failure {
        reason: String,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        cancelled: bool,
        /// Whether nothing was changed for sure, although it was to apply.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        unchanged: bool,
    },
}

/// A page for people.
#[derive(Clone, Serialize)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) url: String,
}

/// How far the worker is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Progress {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<StepState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) percentage: Option<u8>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) log: Vec<String>,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepState {
    Running,
    Succeeded,
    Failed,
}

/// How much a plan changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct PlanCounts {
    pub(crate) add: u32,
    pub(crate) change: u32,
    pub(crate) destroy: u32,
    /// Resources that only get another address.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) moved: u32,
    /// Whether there is something to apply, in Terraform's own word. Not said of drift, which is never applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) applyable: Option<bool>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Command {
    /// Its name, for the log.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Progress(_) => "progress",
            Self::Heartbeat => "heartbeat",
            Self::Success { .. } => "success",
            Self::Failure { .. } => "failure",
        }
    }
}

impl PlanCounts {
    /// How many resources have to be touched.
    pub(crate) fn total(self) -> u32 {
        self.add + self.change + self.destroy
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn body(command: &Command) -> Value {
        serde_json::to_value(Body { operation_id: "op_1", attempt: 2, sequence: 7, command }).unwrap()
    }

    #[test]
    fn every_body_says_whose_it_is() {
        let expected = json!({ "operation_id": "op_1", "attempt": 2, "sequence": 7, "command": "heartbeat" });
        assert_eq!(body(&Command::Heartbeat), expected);
    }

    #[test]
    fn what_has_nothing_to_say_is_left_out() {
        let progress =
            Progress { step: Some("init"), state: Some(StepState::Running), ..Progress::default() };
        let body = body(&Command::Progress(progress));
        let said = json!({ "step": "init", "state": "running", "command": "progress" });
        let framed = json!({ "operation_id": "op_1", "attempt": 2, "sequence": 7 });
        let all = said.as_object().unwrap().iter().chain(framed.as_object().unwrap());
        assert_eq!(body, all.map(|(name, value)| (name.clone(), value.clone())).collect::<Value>());
    }

    #[test]
    fn only_a_cancelled_failure_says_so() {
        let failure =
            |cancelled| body(&Command::Failure { reason: "r".into(), cancelled, unchanged: !cancelled });
        assert_eq!(failure(true).get("unchanged"), None);
        assert_eq!(failure(false)["unchanged"], true);
        assert_eq!(failure(false).get("cancelled"), None);
        assert_eq!(failure(true)["cancelled"], true);
    }
}
