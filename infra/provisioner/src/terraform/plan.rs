//! Reading a plan, as `terraform show -json` prints it.

use gatehouse_domain::json::Json;

use crate::{callbacks::PlanCounts, mask::Mask};

/// What a plan would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Whether there is something to apply, as Terraform says it; `None` where what it showed is no plan.
    pub(crate) applyable: Option<bool>,
    /// Changes of resources, and of what Terraform knows of them.
    pub(crate) counts: PlanCounts,
    /// Resources that were changed or removed behind Terraform's back.
    pub(crate) drifted: u32,
    /// Outputs that would read otherwise.
    pub(crate) outputs: u32,
}

impl Plan {
    pub(super) fn of(shown: &Json) -> Self {
        let mut counts = PlanCounts::default();
        for resource in list(shown, "resource_changes") {
            let change = &resource["change"];
            let imported = change["importing"].as_object().is_some();
            counts.moved += u32::from(resource["previous_address"].as_str().is_some());
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
        let applyable = shown["applyable"].as_bool();
        Self { applyable, counts, drifted: number(drifted.count()), outputs: number(outputs.count()) }
    }
}

impl Plan {
    /// What is to be applied. The numbers are for people, and nothing is decided by them: where no resource changes,
    /// outputs still may, and are kept by applying, too.
    pub(crate) fn to_apply(self) -> PlanCounts {
        let counts = PlanCounts { applyable: self.applyable, ..self.counts };
        match counts.total() + counts.moved {
            0 => PlanCounts { change: self.outputs, ..counts },
            _ => counts,
        }
    }
}

/// Hides from now on everything that the plan marks as sensitive.
pub(super) fn hide_sensitive(shown: &Json, mask: &Mask) {
    let declared = &shown["configuration"]["root_module"]["variables"];
    for (name, variable) in shown["variables"].as_object().into_iter().flatten() {
        hide_marked(&variable["value"], &declared[name.as_str()]["sensitive"], mask);
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

fn hide_change(change: &Json, mask: &Mask) {
    hide_marked(&change["before"], &change["before_sensitive"], mask);
    hide_marked(&change["after"], &change["after_sensitive"], mask);
}

/// Hides the parts of the value at whose place the marks say `true`.
fn hide_marked(value: &Json, marks: &Json, mask: &Mask) {
    match marks {
        Json::Bool(true) => mask.hide_value(value),
        Json::Object(fields) => {
            for (name, mark) in fields {
                hide_marked(&value[name.as_str()], mark, mask);
            }
        }
        Json::Array(marks) => {
            marks.iter().enumerate().for_each(|(index, mark)| hide_marked(&value[index], mark, mask));
        }
        _ => {}
    }
}

fn list<'a>(shown: &'a Json, name: &str) -> &'a [Json] {
    shown[name].as_array().unwrap_or_default()
}

fn actions(change: &Json) -> impl Iterator<Item = &str> {
    list(change, "actions").iter().filter_map(Json::as_str)
}

fn differs(change: &Json) -> bool {
    actions(change).any(|action| !matches!(action, "no-op" | "read"))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn plan(shown: Value) -> Plan {
        Plan::of(&shown.into())
    }

    fn counts(add: u32, change: u32, destroy: u32) -> PlanCounts {
        PlanCounts { add, change, destroy, ..PlanCounts::default() }
    }

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
        let plan = plan(json!({ "resource_changes": changes }));
        assert_eq!(plan.counts, counts(3, 1, 2));
        assert_eq!((plan.drifted, plan.outputs), (0, 0));
    }

    #[test]
    fn what_is_taken_over_or_let_go_is_a_change() {
        let imported = json!({ "change": { "actions": ["no-op"], "importing": { "id": "x" } } });
        let plan = plan(json!({ "resource_changes": [imported, change(&["forget"])] }));
        assert_eq!(plan.counts, counts(0, 2, 0));
    }

    #[test]
    fn a_move_is_told_and_terraform_says_that_it_is_to_be_applied() {
        let moved = json!({ "previous_address": "a", "change": { "actions": ["no-op"] } });
        let plan = plan(json!({ "applyable": true, "resource_changes": [moved] }));
        let expected = PlanCounts { moved: 1, applyable: Some(true), ..PlanCounts::default() };
        assert_eq!(plan.to_apply(), expected);
    }

    #[test]
    fn outputs_alone_are_worth_an_apply() {
        let outputs = json!({ "a": { "actions": ["update"] }, "b": { "actions": ["create"] } });
        let alone = plan(json!({ "output_changes": outputs }));
        assert_eq!(alone.to_apply(), counts(0, 2, 0));
        let with = plan(json!({ "output_changes": outputs, "resource_changes": [change(&["create"])] }));
        assert_eq!(with.to_apply(), counts(1, 0, 0));
    }

    #[test]
    fn drift_is_what_differs() {
        let plan = plan(json!({
            "resource_drift": [change(&["update"]), change(&["delete"]), change(&["no-op"])],
            "output_changes": { "a": { "actions": ["update"] }, "b": { "actions": ["no-op"] } },
        }));
        assert_eq!((plan.drifted, plan.outputs, plan.counts.total()), (2, 1, 0));
    }

    #[test]
    fn an_empty_plan_changes_nothing() {
        let plan = plan(json!({}));
        assert_eq!((plan.counts.total(), plan.drifted, plan.outputs), (0, 0, 0));
        assert_eq!(plan.applyable, None);
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
        hide_sensitive(&shown.into(), &mask);
        for secret in ["variable", "before", "after", "drift", "output", "planned", "prior"] {
            assert_eq!(mask.text(&format!("{secret} secret")), "***");
        }
        assert_eq!(mask.text("plain shown name"), "plain shown name");
    }
}
