//! Names of steps, from the plan of a build and from the plans that come with its events.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;

/// How many names are kept: plans that grow while a build runs must not fill the memory.
const MAX_NAMES: usize = 10_000;

/// The keys of a plan's node under which a step with a name stands.
const NAMED_STEPS: [&str; 10] = [
    "get",
    "put",
    "task",
    "check",
    "set_pipeline",
    "load_var",
    "run",
    "dependent_get",
    "artifact_input",
    "artifact_output",
];

/// What the steps of a build are called.
#[derive(Debug, Default)]
pub(super) struct StepNames(HashMap<String, String>);

/// One combination of an `across` step.
#[derive(Debug, Deserialize)]
pub(super) struct Substep {
    step: Value,
    #[serde(default)]
    values: Vec<Value>,
}

impl StepNames {
    /// What the step `id` is called.
    pub(super) fn name(&self, id: &str) -> Option<String> {
        self.0.get(id).cloned()
    }

    /// Adds the steps of `plan`, however deep they are.
    pub(super) fn add_plan(&mut self, plan: &Value) {
        self.walk(plan, "");
    }

    /// Adds the steps that an `across` step turned into, each with the values that it got.
    pub(super) fn add_substeps(&mut self, substeps: &[Substep]) {
        for substep in substeps {
            let values: Vec<_> = substep.values.iter().map(plain).collect();
            self.walk(&substep.step, &format!(" ({})", values.join(", ")));
        }
    }

    /// Adds a step that says itself what it is called.
    pub(super) fn add(&mut self, id: &str, name: &str) {
        if self.0.len() < MAX_NAMES && !name.is_empty() {
            self.0.insert(id.to_owned(), name.to_owned());
        }
    }

    fn walk(&mut self, value: &Value, suffix: &str) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, suffix)),
            Value::Object(node) => {
                let name = NAMED_STEPS.iter().find_map(|step| node.get(*step)?.get("name")?.as_str());
                if let (Some(id), Some(name)) = (node.get("id").and_then(Value::as_str), name) {
                    self.add(id, &format!("{name}{suffix}"));
                }
                node.values().for_each(|inner| self.walk(inner, suffix));
            }
            _ => {}
        }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn steps_are_found_however_deep_they_are() {
        let mut names = StepNames::default();
        names.add_plan(&json!({"id": "1", "do": [
            {"id": "2", "get": {"name": "repo", "version": {"id": "no step"},
                "image_get_plan": {"id": "3", "get": {"name": "image"}}}},
            {"id": "4", "on_failure": {
                "step": {"id": "5", "in_parallel": {"steps": [{"id": "6", "task": {"name": "unit"}}]}},
                "on_failure": {"id": "7", "put": {"name": "alert"}}}},
            {"id": "8", "retry": [{"id": "9", "timeout": {"step": {"id": "10", "run": {"message": "x"}}}}]},
        ]}));
        let found = ["1", "2", "3", "6", "7", "10"].map(|id| names.name(id));
        let expected = [None, Some("repo"), Some("image"), Some("unit"), Some("alert"), None];
        assert_eq!(found, expected.map(|name| name.map(str::to_owned)));
    }

    #[test]
    fn steps_across_values_carry_them() {
        let mut names = StepNames::default();
        let substeps = json!([{"step": {"id": "a/0", "task": {"name": "unit"}}, "values": ["go", 1.21]}]);
        names.add_substeps(&serde_json::from_value::<Vec<Substep>>(substeps).unwrap());
        assert_eq!(names.name("a/0").as_deref(), Some("unit (go, 1.21)"));
    }

    #[test]
    fn names_are_bounded() {
        let mut names = StepNames::default();
        for id in 0..MAX_NAMES + 5 {
            names.add(&id.to_string(), "step");
        }
        assert_eq!(names.0.len(), MAX_NAMES);
    }
}
