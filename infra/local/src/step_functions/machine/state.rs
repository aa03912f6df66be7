//! The states, as far as they are played here.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    errors::{Catcher, MAX_SECONDS, Retrier},
    path::Path,
    template::Template,
};

#[derive(Clone, Debug)]
pub enum State {
    Task(Box<Task>),
    Choice(Choice),
    Wait(Wait),
    Pass(Pass),
    Succeed,
    Fail(Fail),
}

/// Has somebody else do something.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Task {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
    pub resource: Resource,
    pub parameters: Template,
    pub result_selector: Option<Template>,
    #[serde(default)]
    pub result_path: Path,
    pub timeout_seconds: u32,
    pub heartbeat_seconds: Option<u32>,
    #[serde(default)]
    pub retry: Vec<Retrier>,
    #[serde(default)]
    pub catch: Vec<Catcher>,
    pub next: String,
}

/// Who does it, and how its end is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Resource {
    /// A function; what it answers is the result.
    #[serde(rename = "arn:aws:states:::lambda:invoke")]
    Function,
    /// A function that hands the token to somebody who reports the result.
    #[serde(rename = "arn:aws:states:::lambda:invoke.waitForTaskToken")]
    FunctionWithToken,
    /// A container that is given the token.
    #[serde(rename = "arn:aws:states:::ecs:runTask.waitForTaskToken")]
    Worker,
}

/// Goes one of several ways.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Choice {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
    choices: Vec<Rule>,
    default: String,
}

/// One way, and when it is taken.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Rule {
    variable: Path,
    boolean_equals: Option<bool>,
    string_equals: Option<String>,
    numeric_less_than: Option<f64>,
    next: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Wait {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
    seconds: Option<u32>,
    seconds_path: Option<Path>,
    pub next: String,
}

/// Writes something into the data.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Pass {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
    pub result: Value,
    #[serde(default)]
    pub result_path: Path,
    pub next: String,
}

/// Ends the execution well.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Succeed {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
}

/// Ends the execution badly.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub struct Fail {
    #[serde(rename = "Comment")]
    _comment: Option<String>,
    pub error: String,
    pub cause: String,
}

impl State {
    /// Reads a state. What is not known here is an error, so that nothing is played otherwise than AWS does.
    pub fn parse(mut fields: Map<String, Value>) -> Result<Self, String> {
        let kind = fields.remove("Type").ok_or("it has no Type")?;
        let state = match kind.as_str().unwrap_or_default() {
            "Task" => Self::Task(Box::new(read(fields)?)),
            "Choice" => Self::Choice(read(fields)?),
            "Wait" => Self::Wait(read(fields)?),
            "Pass" => Self::Pass(read(fields)?),
            "Succeed" => read::<Succeed>(fields).map(|_| Self::Succeed)?,
            "Fail" => Self::Fail(read(fields)?),
            _ => return Err(format!("the Type {kind} is not played here")),
        };
        state.check().map(|()| state)
    }

    /// The states that may follow it.
    pub fn followers(&self) -> Vec<&str> {
        match self {
            Self::Task(task) => {
                let caught = task.catch.iter().map(|catcher| catcher.next.as_str());
                caught.chain([task.next.as_str()]).collect()
            }
            Self::Choice(choice) => {
                let chosen = choice.choices.iter().map(|rule| rule.next.as_str());
                chosen.chain([choice.default.as_str()]).collect()
            }
            Self::Wait(wait) => vec![&wait.next],
            Self::Pass(pass) => vec![&pass.next],
            Self::Succeed | Self::Fail(_) => vec![],
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Task(task) => task.check(),
            Self::Choice(choice) => choice.choices.iter().try_for_each(Rule::check),
            Self::Wait(wait) if wait.seconds.is_some() == wait.seconds_path.is_some() => {
                Err("it needs one of Seconds and SecondsPath".to_owned())
            }
            Self::Wait(_) | Self::Pass(_) | Self::Succeed | Self::Fail(_) => Ok(()),
        }
    }
}

impl Task {
    fn check(&self) -> Result<(), String> {
        let gives_token = self.parameters.gives_token();
        let problem = if self.resource.takes_token() != gives_token {
            Some("$$.Task.Token is handed out where it is waited for, and only there")
        } else if self.result_selector.as_ref().is_some_and(Template::gives_token) {
            Some("a ResultSelector has no $$.Task.Token")
        } else if self.resource.is_function() && self.parameters.names() != ["FunctionName", "Payload"] {
            Some("a function is invoked with FunctionName and Payload")
        } else if !(1..=MAX_SECONDS).contains(&self.timeout_seconds) {
            Some("TimeoutSeconds is out of range")
        } else if self
            .heartbeat_seconds
            .is_some_and(|seconds| seconds == 0 || seconds >= self.timeout_seconds)
        {
            Some("HeartbeatSeconds is less than TimeoutSeconds, and not 0")
        } else if self.heartbeat_seconds.is_some() && !gives_token {
            Some("only what has a token can send heartbeats")
        } else if self.hides_handlers() {
            Some("what stands behind States.ALL is never reached")
        } else {
            self.retry.iter().find_map(Retrier::problem)
        };
        problem.map_or(Ok(()), |problem| Err(problem.to_owned()))
    }

    fn hides_handlers(&self) -> bool {
        let retried: Vec<_> = self.retry.iter().map(|retrier| &retrier.error_equals).collect();
        let caught: Vec<_> = self.catch.iter().map(|catcher| &catcher.error_equals).collect();
        [retried, caught].iter().any(|list| list.iter().rev().skip(1).any(|errors| errors.are_all()))
    }
}

impl Resource {
    /// Whether the result is reported with a token.
    pub fn takes_token(self) -> bool {
        self != Self::Function
    }

    /// Whether a function is invoked.
    pub fn is_function(self) -> bool {
        self != Self::Worker
    }
}

impl Choice {
    /// The way that is taken with this data.
    pub fn choose(&self, data: &Value) -> Result<&str, String> {
        for rule in &self.choices {
            if rule.holds(data)? {
                return Ok(&rule.next);
            }
        }
        Ok(&self.default)
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let tests =
            [self.boolean_equals.is_some(), self.string_equals.is_some(), self.numeric_less_than.is_some()];
        let one = tests.into_iter().filter(|test| *test).count() == 1;
        one.then_some(()).ok_or_else(|| "a choice needs one test".to_owned())
    }

    /// A value of another type fails the test; one that is missing fails the execution, as on AWS.
    fn holds(&self, data: &Value) -> Result<bool, String> {
        let found = self.variable.find(data);
        let value =
            found.ok_or_else(|| format!("the path {} leads to nothing in the data", self.variable))?;
        Ok(self.boolean_equals.is_some_and(|wanted| value.as_bool() == Some(wanted))
            || self.string_equals.as_deref().is_some_and(|wanted| value.as_str() == Some(wanted))
            || self
                .numeric_less_than
                .is_some_and(|limit| value.as_f64().is_some_and(|number| number < limit)))
    }
}

impl Wait {
    /// For how many seconds, with this data.
    pub fn seconds(&self, data: &Value) -> Result<u32, String> {
        let Some(path) = &self.seconds_path else {
            return Ok(self.seconds.unwrap_or_default());
        };
        let seconds = path.find(data).and_then(Value::as_u64).and_then(|seconds| u32::try_from(seconds).ok());
        let seconds = seconds.filter(|seconds| *seconds <= MAX_SECONDS);
        seconds.ok_or_else(|| format!("the path {path} does not lead to a number of seconds"))
    }
}

fn read<T: serde::de::DeserializeOwned>(fields: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}
