//! What the steps of a build are called, from its plan and from the plans that come with its events.

use std::collections::HashMap;

use gatehouse_domain::ci::{AcrossValue, StepFacts};
use serde::Deserialize;
use serde_json::{Map, Value};

/// How many steps are remembered: plans that grow while a build runs must not fill the memory.
const MAX_STEPS: usize = 10_000;

/// The keys of a plan's node below which a step with a name stands, where the name is there, and the word for
/// such a step.
const NAMED_STEPS: [(&str, &str, &str); 12] = [
    ("get", "name", "get"),
    ("dependent_get", "name", "get"),
    ("put", "name", "put"),
    ("task", "name", "task"),
    ("check", "name", "check"),
    ("set_pipeline", "name", "set_pipeline"),
    ("load_var", "name", "load_var"),
    ("get_var", "name", "get_var"),
    ("run", "message", "run"),
    ("prototype", "message", "run"),
    ("artifact_input", "name", "artifact_input"),
    ("artifact_output", "name", "artifact_output"),
];

/// The steps of a build, by id.
#[derive(Debug, Default)]
pub(super) struct StepNames(HashMap<String, Known>);

/// What is known of a step.
#[derive(Debug, Clone, Default)]
struct Known {
    kind: String,
    /// What it is called, with what tells it from its siblings.
    title: String,
    place: Place,
    /// Of an `across` step, the names of its variables.
    variables: Vec<String>,
}

/// Where in the plan a step stands, as far as that tells it from others.
#[derive(Debug, Clone, Default)]
struct Place {
    /// Which attempts of `retry` steps it is part of, the outermost first.
    attempts: Vec<u32>,
    across: Vec<AcrossValue>,
    /// The title of the step whose image, or type's image, it brings.
    of: Option<String>,
}

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
        Some(self.0.get(id)?.title.clone()).filter(|title| !title.is_empty())
    }

    /// What sort of step `id` is, and which one of several alike.
    pub(super) fn facts(&self, id: &str) -> StepFacts {
        let Some(known) = self.0.get(id) else { return StepFacts::default() };
        StepFacts {
            kind: Some(known.kind.clone()).filter(|kind| !kind.is_empty()),
            attempt: known.place.attempts.last().copied(),
            across: known.place.across.clone(),
            ..StepFacts::default()
        }
    }

    /// Adds the steps of a build's `plan`, however deep they are.
    pub(super) fn add_plan(&mut self, plan: &Value) {
        self.walk(plan, &Place::default());
    }

    /// Adds the steps of a plan that step `id` made while it ran: for its image, or a variable.
    pub(super) fn add_plan_of(&mut self, id: &str, plan: &Value) {
        let known = self.0.get(id).cloned().unwrap_or_default();
        self.walk(plan, &known.below());
    }

    /// Adds the steps that the `across` step `id` turned into, each with the values that it got.
    pub(super) fn add_substeps(&mut self, id: &str, substeps: &[Substep]) {
        let known = self.0.get(id).cloned().unwrap_or_default();
        self.walk_substeps(&known, substeps);
    }

    /// Adds a step that says itself what it is, unless that is known.
    pub(super) fn add(&mut self, id: &str, kind: &str, name: &str) {
        if !self.0.contains_key(id) {
            self.insert(id, kind, name, &Place::default(), Vec::new());
        }
    }

    fn insert(&mut self, id: &str, kind: &str, name: &str, place: &Place, variables: Vec<String>) -> Known {
        let title = place.title(name);
        let known = Known { kind: kind.to_owned(), title, place: place.clone(), variables };
        if self.0.len() < MAX_STEPS {
            self.0.insert(id.to_owned(), known.clone());
        }
        known
    }

    fn walk(&mut self, value: &Value, place: &Place) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.walk(item, place)),
            Value::Object(node) => self.walk_node(node, place),
            _ => {}
        }
    }

    fn walk_node(&mut self, node: &Map<String, Value>, place: &Place) {
        let id = node.get("id").and_then(Value::as_str).unwrap_or_default();
        for (key, inner) in node {
            match (key.as_str(), inner) {
                ("retry", Value::Array(attempts)) => {
                    for (attempt, step) in (1..).zip(attempts) {
                        self.walk(step, &place.attempt(attempt));
                    }
                }
                ("across", Value::Object(across)) => self.walk_across(id, across, place),
                (key, Value::Object(step)) => match named(key, step).filter(|_| !id.is_empty()) {
                    Some((kind, name)) => {
                        let known = self.insert(id, kind, name, place, Vec::new());
                        self.walk(inner, &known.below());
                    }
                    None => self.walk(inner, place),
                },
                (_, inner) => self.walk(inner, place),
            }
        }
    }

    /// From 7.0 to 7.3 the combinations are in the plan, later they come as an event.
    fn walk_across(&mut self, id: &str, across: &Map<String, Value>, place: &Place) {
        let variables = across.get("vars").and_then(Value::as_array).into_iter().flatten();
        let variables: Vec<_> = variables
            .map(|variable| variable["name"].as_str().or(variable["var"].as_str()).unwrap_or("?").to_owned())
            .collect();
        let known = self.insert(id, "across", &variables.join(", "), place, variables);
        let steps = across.get("steps").cloned().unwrap_or_default();
        self.walk_substeps(&known, &serde_json::from_value::<Vec<Substep>>(steps).unwrap_or_default());
    }

    fn walk_substeps(&mut self, across: &Known, substeps: &[Substep]) {
        for substep in substeps {
            let mut place = across.place.clone();
            let names = across.variables.iter().map(String::as_str).chain(std::iter::repeat("?"));
            place.across.extend(
                names
                    .zip(&substep.values)
                    .map(|(name, value)| AcrossValue { name: name.to_owned(), value: value.clone() }),
            );
            self.walk(&substep.step, &place);
        }
    }
}

/// The kind and the name of the step that stands below `key` of a plan's node.
fn named<'a>(key: &str, step: &'a Map<String, Value>) -> Option<(&'static str, &'a str)> {
    let (_, name, kind) = NAMED_STEPS.iter().find(|(named, ..)| *named == key)?;
    Some((kind, step.get(*name)?.as_str()?))
}

impl Known {
    /// The place of what this step brings for itself.
    fn below(&self) -> Place {
        let of = Some(self.title.clone()).filter(|title| !title.is_empty());
        Place { of, ..self.place.clone() }
    }
}

impl Place {
    fn attempt(&self, attempt: u32) -> Self {
        let mut place = self.clone();
        place.attempts.push(attempt);
        place
    }

    /// `inner (1, x)`, `flaky (attempt 2)`, `image of unit`.
    fn title(&self, name: &str) -> String {
        // What it is of says already where that stands.
        if let Some(of) = &self.of {
            return format!("{name} of {of}");
        }
        let mut marks: Vec<_> = self.across.iter().map(|across| plain(&across.value)).collect();
        if !self.attempts.is_empty() {
            let attempts: Vec<_> = self.attempts.iter().map(u32::to_string).collect();
            marks.push(format!("attempt {}", attempts.join(".")));
        }
        if marks.is_empty() { name.to_owned() } else { format!("{name} ({})", marks.join(", ")) }
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of_plan(plan: &Value) -> StepNames {
        let mut names = StepNames::default();
        names.add_plan(plan);
        names
    }

    #[test]
    fn steps_are_found_however_deep_they_are() {
        let names = of_plan(&json!({"id": "1", "do": [
            {"id": "2", "get": {"name": "repo", "version": {"id": "no step"},
                "image_get_plan": {"id": "3", "get": {"name": "git"}}}},
            {"id": "4", "on_failure": {
                "step": {"id": "5", "in_parallel": {"steps": [{"id": "6", "task": {"name": "unit"}}]}},
                "on_failure": {"id": "7", "put": {"name": "alert"}}}},
            {"id": "8", "timeout": {"step": {"id": "9", "run": {"message": "say hi", "type": "greeter"}}}},
        ]}));
        let found = ["1", "2", "3", "6", "7", "9"].map(|id| names.name(id));
        let expected = [None, Some("repo"), Some("git of repo"), Some("unit"), Some("alert"), Some("say hi")];
        assert_eq!(found, expected.map(|name| name.map(str::to_owned)));
        assert_eq!(names.facts("9").kind.as_deref(), Some("run"));
    }

    #[test]
    fn every_attempt_is_another_step() {
        let task = |id: &str| json!({"id": id, "task": {"name": "flaky"}});
        let names = of_plan(&json!({"id": "1", "retry": [
            task("2"), {"id": "3", "try": {"step": task("4")}}, {"id": "5", "retry": [task("6")]},
        ]}));
        let found = ["2", "4", "6"].map(|id| (names.name(id).unwrap(), names.facts(id).attempt));
        let expected = [("flaky (attempt 1)", 1), ("flaky (attempt 2)", 2), ("flaky (attempt 3.1)", 1)];
        assert_eq!(found, expected.map(|(name, attempt)| (name.to_owned(), Some(attempt))));
    }

    #[test]
    fn values_of_across_inside_across_add_up() {
        let mut names = of_plan(&json!({"id": "a", "across": {"vars": [{"name": "go"}, {"name": "os"}]}}));
        let substeps = json!([{"values": [1.21, "mac"], "step": {"id": "a/0", "do": [
            {"id": "a/1", "across": {"vars": [{"name": "db"}]}}]}}]);
        names.add_substeps("a", &serde_json::from_value::<Vec<Substep>>(substeps).unwrap());
        let substeps = json!([{"step": {"id": "a/1/0", "task": {"name": "unit"}}, "values": [true]}]);
        names.add_substeps("a/1", &serde_json::from_value::<Vec<Substep>>(substeps).unwrap());
        names.add_plan_of("a/1/0", &json!({"id": "a/1/0/image-get", "get": {"name": "image"}}));
        let found = ["a", "a/1", "a/1/0", "a/1/0/image-get"].map(|id| names.name(id).unwrap());
        let expected =
            ["go, os", "db (1.21, mac)", "unit (1.21, mac, true)", "image of unit (1.21, mac, true)"];
        assert_eq!(found, expected);
        let across = names.facts("a/1/0/image-get").across;
        let across: Vec<_> = across.into_iter().map(|across| (across.name, across.value)).collect();
        let expected = [("go", json!(1.21)), ("os", json!("mac")), ("db", json!(true))];
        assert_eq!(across, expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn old_plans_have_the_values_of_across_in_them() {
        let names = of_plan(&json!({"id": "a", "across": {
            "vars": [{"name": "go", "values": ["1.15"]}],
            "steps": [{"step": {"id": "b", "task": {"name": "unit"}}, "values": ["1.15"]}]}}));
        assert_eq!(names.name("b").as_deref(), Some("unit (1.15)"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut names = StepNames::default();
        for id in 0..MAX_STEPS + 5 {
            names.add(&id.to_string(), "task", "step");
        }
        assert_eq!(names.0.len(), MAX_STEPS);
    }
}
