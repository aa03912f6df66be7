//! Which step an event is of.

use serde::Deserialize;
use serde_json::Value;

/// Where an event comes from: since 2015 the id of a step in the plan. Events from before that say instead what
/// the step is called, and where in the build it stands.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Origin {
    id: Value,
    name: Option<String>,
    /// `get`, `put`, `task`; in the oldest `input`, `output`, `run`.
    #[serde(rename = "type")]
    kind: Option<String>,
    pub(super) source: Option<String>,
    location: Value,
    hook: Option<String>,
}

/// A step, by its origin.
#[derive(Debug, PartialEq)]
pub(super) struct Step {
    pub(super) id: String,
    /// What an origin without an id says of it, kind and name.
    pub(super) said: Option<(&'static str, String)>,
}

impl Step {
    /// What ran in a build from before there were steps.
    pub(super) fn run() -> Self {
        Self { id: "run".to_owned(), said: Some(("task", "run".to_owned())) }
    }

    /// A step that is known by what it brings or takes only.
    pub(super) fn of(kind: &'static str, name: &str) -> Self {
        Self { id: format!("{kind}/{name}"), said: Some((kind, name.to_owned())) }
    }
}

impl Origin {
    /// The step; `None` for what belongs to none.
    pub(super) fn step(&self) -> Option<Step> {
        let id = match &self.id {
            Value::String(id) => id.clone(),
            Value::Number(id) => id.to_string(),
            _ => String::new(),
        };
        if !id.is_empty() {
            return Some(Step { id, said: None });
        }
        let name = self.name.as_deref().unwrap_or_default();
        match (self.kind.as_deref(), name) {
            (Some("run"), "") => Some(Step::run()),
            (_, "") => None,
            (Some("get" | "input"), name) => Some(self.located(Step::of("get", name))),
            (Some("put" | "output"), name) => Some(self.located(Step::of("put", name))),
            (Some("task" | "run"), name) => Some(self.located(Step::of("task", name))),
            (_, name) => Some(self.located(Step { id: name.to_owned(), said: Some(("", name.to_owned())) })),
        }
    }

    /// The step with an id that no other of its name has: `task/unit@0.2`, `put/alert@1.1/failure`.
    fn located(&self, step: Step) -> Step {
        let place: Vec<_> = match &self.location {
            Value::Array(place) => place.iter().map(Value::to_string).collect(),
            Value::Object(place) => {
                ["parent_id", "id"].iter().filter_map(|key| place.get(*key)).map(Value::to_string).collect()
            }
            _ => Vec::new(),
        };
        let hook = self.hook.as_deref().or(self.location["hook"].as_str()).unwrap_or_default();
        let mut id = step.id;
        if !place.is_empty() {
            id = format!("{id}@{}", place.join("."));
        }
        if !hook.is_empty() {
            id = format!("{id}/{hook}");
        }
        Step { id, ..step }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(origin: Value) -> Option<String> {
        serde_json::from_value::<Origin>(origin).unwrap().step().map(|step| step.id)
    }

    #[test]
    fn origins_of_every_version_name_their_step() {
        let told = [
            id(json!({"id": "6b0962bb/image-get", "source": "stderr"})),
            id(json!({"id": 7})),
            id(json!({"type": "run", "name": ""})),
            id(json!({"type": "input", "name": "repo"})),
            id(json!({"name": "repo", "type": "get", "location": [0, 1], "substep": true, "hook": ""})),
            id(json!({"name": "alert", "type": "put", "hook": "failure",
                "location": {"parent_id": 1, "id": 4, "parallel_group": 0, "serial_group": 0, "hook": ""}})),
            id(json!({"name": "unit", "type": "task",
                "location": {"parent_id": 0, "id": 2, "parallel_group": 0, "serial_group": 0, "hook": "ensure"}})),
        ];
        let expected = [
            "6b0962bb/image-get",
            "7",
            "run",
            "get/repo",
            "get/repo@0.1",
            "put/alert@1.4/failure",
            "task/unit@0.2/ensure",
        ];
        assert_eq!(told, expected.map(|id| Some(id.to_owned())));
        assert_eq!(
            [id(json!({})), id(json!({"id": ""})), id(json!({"type": "get", "name": ""}))],
            [(); 3].map(|()| None)
        );
    }
}
