//! Reading a plan, as `terraform show -json` prints it.

use serde_json::Value;

use crate::{callbacks::PlanCounts, mask::Mask};

/// What a plan would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Changes of resources, and of what Terraform knows of them.
    pub(crate) counts: PlanCounts,
    /// Resources that were changed or removed behind Terraform's back.
    pub(crate) drifted: u32,
    /// Outputs that would read otherwise.
    pub(crate) outputs: u32,
}

impl Plan {
    pub(super) fn of(shown: &Value) -> Self {
        let mut counts = PlanCounts::default();
        for change in list(shown, "resource_changes").iter().map(|resource| &resource["change"]) {
            let imported = change["importing"].is_object();
            for action in actions(change) {
                match action {
                    "create" => counts.add += 1,
                    "update" | "forget" => counts.change += 1,
                    "delete" => counts.destroy += 1,
                    "no-op" if imported => counts.change += 1,
                    _ => {}
                }
            }
        }
        let drifted = list(shown, "resource_drift").iter().filter(|change| differs(&change["change"]));
        let outputs = shown["output_changes"].as_object().into_iter().flat_map(|outputs| outputs.values());
        let outputs = outputs.filter(|change| differs(change));
        Self { counts, drifted: number(drifted.count()), outputs: number(outputs.count()) }
    }
}

impl Plan {
    /// How much has to be applied. Where no resource changes, outputs still may: they are kept by applying, too.
    pub(crate) fn to_apply(self) -> PlanCounts {
        match self.counts.total() {
            0 => PlanCounts { change: self.outputs, ..self.counts },
            _ => self.counts,
        }
    }
}

/// Hides from now on everything that the plan marks as sensitive.
pub(super) fn hide_sensitive(shown: &Value, mask: &Mask) {
    let declared = &shown["configuration"]["root_module"]["variables"];
    for (name, variable) in shown["variables"].as_object().into_iter().flatten() {
        hide_marked(&variable["value"], &declared[name]["sensitive"], mask);
    }
    for changes in ["resource_changes", "resource_drift"] {
        for change in list(shown, changes) {
            hide_change(&change["change"], mask);
        }
    }
    shown["output_changes"]
        .as_object()
        .into_iter()
        .flatten()
        .for_each(|(_, change)| hide_change(change, mask));
    for state in [&shown["planned_values"], &shown["prior_state"]["values"]] {
        for (_, output) in state["outputs"].as_object().into_iter().flatten() {
            hide_marked(&output["value"], &output["sensitive"], mask);
        }
    }
}

fn hide_change(change: &Value, mask: &Mask) {
    hide_marked(&change["before"], &change["before_sensitive"], mask);
    hide_marked(&change["after"], &change["after_sensitive"], mask);
}

/// Hides the parts of the value at whose place the marks say `true`.
fn hide_marked(value: &Value, marks: &Value, mask: &Mask) {
    match marks {
        Value::Bool(true) => mask.hide_value(value),
        Value::Object(fields) => fields.iter().for_each(|(name, mark)| hide_marked(&value[name], mark, mask)),
        Value::Array(marks) => {
            marks.iter().enumerate().for_each(|(index, mark)| hide_marked(&value[index], mark, mask));
        }
        _ => {}
    }
}

fn list<'a>(shown: &'a Value, name: &str) -> &'a [Value] {
    shown[name].as_array().map_or(&[], Vec::as_slice)
}

fn actions(change: &Value) -> impl Iterator<Item = &str> {
    change["actions"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn differs(change: &Value) -> bool {
    actions(change).any(|action| !matches!(action, "no-op" | "read"))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn change(actions: &[&str]) -> Value {
        json!({ "change": { "actions": actions } })
    }

    #[test]
    fn a_replacement_counts_twice() {
        let changes = [
            change(&["create"]),
            change(&["update"]),
            change(&["delete", "create"]),
            change(&["no-op"]),
            change(&["read"]),
            change(&["create", "delete"]),
        ];
        let plan = Plan::of(&json!({ "resource_changes": changes }));
        assert_eq!(plan.counts, PlanCounts { add: 3, change: 1, destroy: 2 });
        assert_eq!((plan.drifted, plan.outputs), (0, 0));
    }

    #[test]
    fn what_is_taken_over_or_let_go_is_a_change() {
        let imported = json!({ "change": { "actions": ["no-op"], "importing": { "id": "x" } } });
        let plan = Plan::of(&json!({ "resource_changes": [imported, change(&["forget"])] }));
        assert_eq!(plan.counts, PlanCounts { add: 0, change: 2, destroy: 0 });
    }

    #[test]
    fn outputs_alone_are_worth_an_apply() {
        let outputs = json!({ "a": { "actions": ["update"] }, "b": { "actions": ["create"] } });
        let alone = Plan::of(&json!({ "output_changes": outputs }));
        assert_eq!(alone.to_apply(), PlanCounts { add: 0, change: 2, destroy: 0 });
        let with = Plan::of(&json!({ "output_changes": outputs, "resource_changes": [change(&["create"])] }));
        assert_eq!(with.to_apply(), PlanCounts { add: 1, change: 0, destroy: 0 });
    }

    #[test]
    fn drift_is_what_differs() {
        let plan = Plan::of(&json!({
            "resource_drift": [change(&["update"]), change(&["delete"]), change(&["no-op"])],
            "output_changes": { "a": { "actions": ["update"] }, "b": { "actions": ["no-op"] } },
        }));
        assert_eq!((plan.drifted, plan.outputs, plan.counts.total()), (2, 1, 0));
    }

    #[test]
    fn an_empty_plan_changes_nothing() {
        let plan = Plan::of(&json!({}));
        assert_eq!((plan.counts.total(), plan.drifted, plan.outputs), (0, 0, 0));
    }

    #[test]
    fn everything_that_is_marked_is_hidden() {
        let mask = Mask::default();
        let shown = json!({
            "variables": { "a": { "value": "variable secret" }, "b": { "value": "plain" } },
            "configuration": { "root_module": { "variables": { "a": { "sensitive": true }, "b": {} } } },
            "resource_changes": [{ "change": {
                "before": { "list": ["shown", "before secret"] },
                "before_sensitive": { "list": [false, true] },
                "after": { "password": "after secret", "name": "name" },
                "after_sensitive": { "password": true },
            } }],
            "resource_drift": [{ "change": { "after": "drift secret", "after_sensitive": true } }],
            "output_changes": { "o": { "after": "output secret", "after_sensitive": true } },
            "planned_values": { "outputs": { "p": { "value": "planned secret", "sensitive": true } } },
            "prior_state": { "values": { "outputs": { "p": { "value": "prior secret", "sensitive": true } } } },
        });
        hide_sensitive(&shown, &mask);
        for secret in ["variable", "before", "after", "drift", "output", "planned", "prior"] {
            assert_eq!(mask.text(&format!("{secret} secret")), "***");
        }
        assert_eq!(mask.text("plain shown name"), "plain shown name");
    }
}
