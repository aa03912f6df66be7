//! Workflow definitions in the Amazon States Language, read and checked.

pub(super) mod errors;
pub(super) mod expression;
mod path;
pub(super) mod state;
mod template;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use self::{errors::MAX_SECONDS, state::State};

/// A workflow that can be executed.
#[derive(Clone, Debug)]
pub struct StateMachine {
    name: String,
    start_at: String,
    timeout_seconds: Option<u32>,
    states: BTreeMap<String, State>,
}

/// Why a definition cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// The machine's name would not do as part of an ARN and of a file's name.
    #[error("`{0}` is not a state machine's name: 1 to 80 letters, digits, `-` and `_`")]
    Name(String),
    /// The definition is not JSON of the right shape.
    #[error("{machine}: {problem}")]
    Machine { machine: String, problem: String },
    /// One state is not right, or not known here.
    #[error("{machine}: {state}: {problem}")]
    State { machine: String, state: String, problem: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Definition {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
    start_at: String,
    timeout_seconds: Option<u32>,
    states: Map<String, Value>,
}

impl StateMachine {
    /// Reads the definition of the machine `name`, with `${…}` replaced from `substitutions`.
    ///
    /// # Errors
    /// When the definition is wrong, or says something that is not played here.
    pub fn parse(
        name: &str,
        definition: &str,
        substitutions: &BTreeMap<String, String>,
    ) -> Result<Self, DefinitionError> {
        if !is_machine_name(name) {
            return Err(DefinitionError::Name(name.to_owned()));
        }
        let wrong = |problem: String| DefinitionError::Machine { machine: name.to_owned(), problem };
        let mut json: Value = serde_json::from_str(definition).map_err(|error| wrong(error.to_string()))?;
        substitute(&mut json, substitutions).map_err(wrong)?;
        let read: Definition = serde_json::from_value(json).map_err(|error| wrong(error.to_string()))?;
        if read.timeout_seconds.is_some_and(|seconds| seconds == 0 || seconds > MAX_SECONDS) {
            return Err(wrong("TimeoutSeconds is out of range".to_owned()));
        }
        let states = read.states.into_iter().map(|(state, fields)| parsed(name, state, fields));
        let machine = Self {
            name: name.to_owned(),
            start_at: read.start_at,
            timeout_seconds: read.timeout_seconds,
            states: states.collect::<Result<_, _>>()?,
        };
        machine.check_targets().map(|()| machine)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first state's name.
    pub(super) fn start_at(&self) -> &str {
        &self.start_at
    }

    /// For how long an execution may run.
    pub(super) fn timeout_seconds(&self) -> Option<u32> {
        self.timeout_seconds
    }

    /// A state, by its name.
    pub(super) fn state(&self, name: &str) -> Option<&State> {
        self.states.get(name)
    }

    fn check_targets(&self) -> Result<(), DefinitionError> {
        if !self.states.contains_key(&self.start_at) {
            let problem = format!("StartAt names {}, which is no state", self.start_at);
            return Err(DefinitionError::Machine { machine: self.name.clone(), problem });
        }
        for (name, state) in &self.states {
            if let Some(target) = state.followers().into_iter().find(|next| !self.states.contains_key(*next))
            {
                let problem = format!("it leads to {target}, which is no state");
                return Err(state_error(&self.name, name, problem));
            }
        }
        Ok(())
    }
}

fn parsed(machine: &str, state: String, fields: Value) -> Result<(String, State), DefinitionError> {
    let Value::Object(fields) = fields else {
        return Err(state_error(machine, &state, "it is not an object".to_owned()));
    };
    let read = State::parse(fields).map_err(|problem| state_error(machine, &state, problem))?;
    Ok((state, read))
}

fn state_error(machine: &str, state: &str, problem: String) -> DefinitionError {
    DefinitionError::State { machine: machine.to_owned(), state: state.to_owned(), problem }
}

fn is_machine_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=80).contains(&name.len()) && name.bytes().all(plain)
}

/// Replaces `${Name}` in every text.
fn substitute(json: &mut Value, by: &BTreeMap<String, String>) -> Result<(), String> {
    match json {
        Value::String(text) => *text = substituted(text, by)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| substitute(item, by))?,
        Value::Object(fields) => fields.values_mut().try_for_each(|value| substitute(value, by))?,
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    Ok(())
}

fn substituted(text: &str, by: &BTreeMap<String, String>) -> Result<String, String> {
    let mut parts = text.split("${");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) =
            part.split_once('}').ok_or_else(|| format!("`{text}` has a ${{ without its end"))?;
        let value = by.get(name).ok_or_else(|| format!("nothing was given for ${{{name}}}"))?;
        whole = whole + value + rest;
    }
    Ok(whole)
}
