//! What Gatehouse asks for: the work order that the first callback is answered with.

use std::{collections::BTreeSet, fmt, str::FromStr};

use gatehouse_domain::json::Object;
use serde::Deserialize;

#[derive(Clone, Deserialize)]
pub struct WorkOrder {
    /// The operation, as a check: it must be the one that the worker was started for.
    pub operation_id: String,
    /// What is to happen.
    pub kind: Kind,
    /// Which half of it.
    pub phase: Phase,
    pub tenant: String,
    pub service: String,
    pub environment: String,
    pub module: String,
    /// Under which SHA-256 the module is kept as it is to be used; without it, it is taken as it stands.
    #[serde(default)]
    pub artifact: Option<String>,
    /// Values of the module's variables, secret ones among them.
    pub inputs: Object,
    /// Which of them are secrets, whatever the module calls them.
    #[serde(default)]
    pub secret_inputs: BTreeSet<String>,
    /// How often Gatehouse wants to hear of the worker.
    pub heartbeat_seconds: u32,
}

/// What is to happen to an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is created, or changed to what its inputs say.
    Provision,
    Deprovision,
    /// It is compared with what was created.
    Drift,
}

/// Which half of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Finding out what would change. Nothing does.
    Plan,
    Apply,
}

/// The text names no phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be `plan` or `apply`")]
pub struct UnknownPhase;

impl FromStr for Phase {
    type Err = UnknownPhase;

    fn from_str(text: &str) -> Result<Self, UnknownPhase> {
        match text {
            "plan" => Ok(Self::Plan),
            "apply" => Ok(Self::Apply),
            _ => Err(UnknownPhase),
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plan => "plan",
            Self::Apply => "apply",
        })
    }
}

impl fmt::Debug for WorkOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkOrder")
            .field("operation_id", &self.operation_id)
            .field("kind", &self.kind)
            .field("phase", &self.phase)
            .field("module", &self.module)
            .finish_non_exhaustive()
    }
}

/// Why a work order cannot be carried out by this worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// It is another worker's.
    #[error("the work order is for {found}, but this worker was started for {expected}")]
    NotOurs {
        /// What it is for.
        found: String,
        /// What the worker was started for.
        expected: String,
    },
    /// A name in it would lead somewhere else when it is part of a path.
    #[error("the {what} `{name}` of the work order is no plain name")]
    NotPlain { what: &'static str, name: String },
    /// Drift is found by planning alone.
    #[error("a drift check has nothing to apply")]
    NothingToApply,
}

impl WorkOrder {
    /// Checks that the order is for this operation and phase, and that its names are safe in paths.
    ///
    /// # Errors
    ///
    /// When it is not so.
    pub fn check(&self, operation_id: &str, phase: Phase) -> Result<(), OrderError> {
        if self.operation_id != operation_id || self.phase != phase {
            let found = format!("{} of {}", self.phase, self.operation_id);
            return Err(OrderError::NotOurs { found, expected: format!("{phase} of {operation_id}") });
        }
        let names = [
            ("operation", &self.operation_id),
            ("tenant", &self.tenant),
            ("service", &self.service),
            ("environment", &self.environment),
            ("module", &self.module),
        ];
        let artifact = self.artifact.iter().map(|name| ("artifact", name));
        for (what, name) in names.into_iter().chain(artifact) {
            if !is_plain(name) {
                return Err(OrderError::NotPlain { what, name: name.clone() });
            }
        }
        match (self.kind, self.phase) {
            (Kind::Drift, Phase::Apply) => Err(OrderError::NothingToApply),
            _ => Ok(()),
        }
    }

    /// Where Terraform's state of the environment is, below the place of all state.
    pub fn state_key(&self) -> String {
        format!("tenants/{}/{}/{}/terraform.tfstate", self.tenant, self.service, self.environment)
    }
}

/// Whether the name is one part of a path, and stays one in every shell and bucket.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.bytes().all(plain) && name.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn order(change: impl FnOnce(&mut Value)) -> WorkOrder {
        let mut order = json!({
            "operation_id": "op_1", "kind": "provision", "phase": "plan", "tenant": "acme", "service": "shop",
            "environment": "dev", "module": "example", "inputs": { "password": "s3cret" },
            "heartbeat_seconds": 20, "something": "new",
        });
        change(&mut order);
        serde_json::from_value(order).unwrap()
    }

    #[test]
    fn each_environment_has_a_state_of_its_own() {
        assert_eq!(order(|_| {}).state_key(), "tenants/acme/shop/dev/terraform.tfstate");
    }

    #[test]
    fn an_order_for_somebody_else_is_refused() {
        assert_eq!(order(|_| {}).check("op_1", Phase::Plan), Ok(()));
        let error = order(|_| {}).check("op_1", Phase::Apply).unwrap_err().to_string();
        assert_eq!(
            error,
            "the work order is for plan of op_1, but this worker was started for apply of op_1"
        );
        assert!(order(|_| {}).check("op_2", Phase::Plan).is_err());
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in ["", ".", "..", "../x", "a/b", ".hidden", "-x", "a b", "a\0", "ä"] {
            for what in ["tenant", "service", "environment", "module"] {
                let order = order(|order| order[what] = json!(bad));
                assert!(order.check("op_1", Phase::Plan).is_err(), "{what} {bad:?}");
            }
        }
        assert!(order(|order| order["service"] = json!("shop-2_x.y")).check("op_1", Phase::Plan).is_ok());
    }

    #[test]
    fn drift_is_never_applied() {
        let order = order(|order| {
            order["kind"] = json!("drift");
            order["phase"] = json!("apply");
        });
        assert_eq!(order.check("op_1", Phase::Apply), Err(OrderError::NothingToApply));
    }

    #[test]
    fn printing_an_order_prints_no_input() {
        let printed = format!("{:?}", order(|_| {}));
        assert!(printed.contains("op_1") && !printed.contains("s3cret"), "{printed}");
    }
}
