//! The backend that keeps an environment's state: ours, and no other.

use gatehouse_domain::json::Json;
use serde_json::{Map, Value, json};

use crate::{
    location::{Location, key_below},
    work::WorkOrder,
};

/// The file of a workspace that says where the state is.
pub(crate) const BACKEND_FILE: &str = "gatehouse_override.tf.json";

/// A backend of Terraform.
pub(crate) struct Backend {
    kind: &'static str,
    settings: Map<String, Value>,
}

/// Terraform took another backend than it was told to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Terraform would keep its state elsewhere than Gatehouse told it to, with the backend `{kind}`")]
pub struct OtherBackend {
    kind: String,
}

impl Backend {
    /// The one that keeps the order's state at this location.
    pub(crate) fn of(state: &Location, region: Option<&str>, order: &WorkOrder) -> Self {
        let mut settings = Map::new();
        let kind = match state {
            Location::Directory(directory) => {
                settings.insert("path".to_owned(), json!(directory.join(order.state_key())));
                "local"
            }
            Location::Bucket { bucket, prefix } => {
                let key = key_below(prefix, &order.state_key());
                let fixed = [
                    ("bucket", json!(bucket)),
                    ("key", json!(key)),
                    ("encrypt", json!(true)),
                    ("use_lockfile", json!(true)),
                ];
                let region = region.map(|region| ("region", json!(region)));
                let all = fixed.into_iter().chain(region);
                settings.extend(all.map(|(name, value)| (name.to_owned(), value)));
                "s3"
            }
        };
        Self { kind, settings }
    }

    /// As a file of Terraform says it.
    pub(crate) fn configuration(&self) -> Value {
        json!({ "terraform": { "backend": { self.kind: self.settings } } })
    }

    /// Compares it with the one that `init` took: whatever a module says and however Terraform reads it, state goes there
    /// or nowhere.
    pub(crate) fn is_in_force(&self, taken: &Json) -> Result<(), OtherBackend> {
        let same =
            |(name, value): (&String, &Value)| taken["config"][name.as_str()] == Json::from(value.clone());
        if taken["type"].as_str() == Some(self.kind) && self.settings.iter().all(same) {
            return Ok(());
        }
        Err(OtherBackend { kind: taken["type"].as_str().unwrap_or("none").to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(state: &str, region: Option<&str>) -> Backend {
        let order = serde_json::from_value(json!({
            "operation_id": "op_1", "kind": "provision", "phase": "plan", "tenant": "acme", "service": "shop",
            "environment": "dev", "module": "example", "inputs": {}, "heartbeat_seconds": 20,
        }));
        Backend::of(&state.parse().unwrap(), region, &order.unwrap())
    }

    #[test]
    fn state_in_a_bucket_is_encrypted_and_locked() {
        let expected = json!({ "terraform": { "backend": { "s3": {
            "bucket": "states",
            "key": "gatehouse/tenants/acme/shop/dev/terraform.tfstate",
            "region": "eu-west-1",
            "encrypt": true,
            "use_lockfile": true,
        } } } });
        assert_eq!(backend("s3://states/gatehouse", Some("eu-west-1")).configuration(), expected);
        let elsewhere = backend("s3://states", None).configuration();
        assert_eq!(elsewhere["terraform"]["backend"]["s3"].get("region"), None);
    }

    #[test]
    fn state_in_a_directory_is_a_file() {
        let path = "/states/tenants/acme/shop/dev/terraform.tfstate";
        let expected = json!({ "terraform": { "backend": { "local": { "path": path } } } });
        assert_eq!(backend("file:///states", Some("eu-west-1")).configuration(), expected);
    }

    #[test]
    fn another_backend_is_told_from_ours() {
        let ours = backend("s3://states", Some("eu-west-1"));
        let key = "tenants/acme/shop/dev/terraform.tfstate";
        let taken = |change: &dyn Fn(&mut Value)| {
            let mut taken = json!({ "type": "s3", "config": {
                "bucket": "states", "key": key, "region": "eu-west-1", "encrypt": true, "use_lockfile": true,
                "acl": null,
            } });
            change(&mut taken);
            ours.is_in_force(&taken.into())
        };
        assert_eq!(taken(&|_| {}), Ok(()));
        let other = |kind: &str| Err(OtherBackend { kind: kind.to_owned() });
        assert_eq!(taken(&|taken| taken["config"]["key"] = json!("x")), other("s3"));
        assert_eq!(taken(&|taken| taken["config"]["use_lockfile"] = json!(null)), other("s3"));
        assert_eq!(taken(&|taken| taken["type"] = json!("local")), other("local"));
        assert_eq!(taken(&|taken| *taken = json!(null)), other("none"));
    }
}
