//! What Gatehouse tells a module of the place that it is for, in the way that the module declares it.

use gatehouse_domain::json::{Json, Object};
use gatehouse_modules::{OWN, Variables, tells};
use serde_json::json;

use crate::work::WorkOrder;

/// Values of those variables that Gatehouse fills by itself. What the module does not declare is not told, nor what it
/// declares with a type of another meaning, nor what somebody gave an input for.
pub(crate) fn told(variables: &Variables, order: &WorkOrder) -> Object {
    let WorkOrder { tenant, service, environment, operation_id, .. } = order;
    let whole = json!({
        "tenant": tenant, "service": service, "environment": environment, "operation_id": operation_id,
    });
    let tags = json!({
        "tenant": tenant, "service": service, "environment": environment, "managed-by": "gatehouse",
    });
    let parts = [
        ("tenant", json!(tenant)),
        ("service", json!(service)),
        ("environment", json!(environment)),
        ("tags", tags),
    ];
    let wanted = parts.into_iter().filter(|(name, _)| {
        let declared = variables.get(*name).is_some_and(|variable| tells(name, variable.kind.as_deref()));
        declared && !order.inputs.contains_key(*name)
    });
    let mut told: Object = wanted.map(|(name, value)| (name.to_owned(), Json::from(value))).collect();
    if variables.contains_key(OWN) {
        told.insert(OWN.to_owned(), whole.into());
    }
    told
}

#[cfg(test)]
mod tests {
    use gatehouse_modules::Variable;
    use serde_json::Value;

    use super::*;

    fn told_to(declared: &[(&str, Option<&str>)], inputs: &Value) -> Json {
        let order = serde_json::from_value(json!({
            "operation_id": "op_1", "kind": "provision", "phase": "plan", "tenant": "acme", "service": "shop",
            "environment": "dev", "module": "example", "inputs": inputs, "heartbeat_seconds": 20,
        }));
        let variables = declared.iter().map(|(name, kind)| {
            ((*name).to_owned(), Variable { kind: kind.map(str::to_owned), ..Variable::default() })
        });
        Json::Object(told(&variables.collect(), &order.unwrap()))
    }

    #[test]
    fn a_module_is_told_what_it_declares() {
        let whole =
            json!({ "tenant": "acme", "service": "shop", "environment": "dev", "operation_id": "op_1" });
        let tags =
            json!({ "tenant": "acme", "service": "shop", "environment": "dev", "managed-by": "gatehouse" });
        assert_eq!(told_to(&[("size", None)], &json!({})), json!({}).into());
        assert_eq!(told_to(&[("gatehouse", None)], &json!({})), json!({ "gatehouse": whole }).into());
        let declared = [("environment", Some("string")), ("tags", Some("map(string)")), ("tenant", None)];
        let expected = json!({ "environment": "dev", "tags": tags, "tenant": "acme" });
        assert_eq!(told_to(&declared, &json!({})), expected.into());
    }

    #[test]
    fn what_means_something_else_is_left_alone() {
        let declared = [("environment", Some("object({name=string})")), ("tags", Some("list(string)"))];
        assert_eq!(told_to(&declared, &json!({})), json!({}).into());
        let declared = [("environment", Some("string")), ("service", Some("string"))];
        let given = json!({ "environment": "production" });
        assert_eq!(told_to(&declared, &given), json!({ "service": "shop" }).into());
    }
}
