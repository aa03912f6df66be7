//! Reports as JSON.

use std::collections::BTreeMap;

use gatehouse_domain::{
    catalog::{Link, ModuleArtifact, OpenInputs, OutputValue, PlanSummary, SealError},
    id::OperationId,
    idempotency::Fingerprint,
    json::{Json, Object},
    operations::{
        Operation, StepState, TaskToken,
        report::{Message, Progress, Report, Success, Taken},
    },
    validation::FieldError,
};
use gatehouse_http::written::{OldWords, Words};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The longest name of a step, in bytes.
const MAX_STEP: usize = 60;
/// The longest message, in bytes.
const MAX_MESSAGE: usize = 500;
/// The longest reason of a failure, in bytes.
const MAX_REASON: usize = 1000;
/// The most lines of a log in one report.
const MAX_LINES: usize = 50;
/// The longest line, in bytes.
const MAX_LINE: usize = 1000;
/// The most links in one report.
const MAX_LINKS: usize = 10;
/// The longest name of a link and its longest URL, in bytes.
const MAX_LINK: (usize, usize) = (200, 2000);
/// How much the outputs may measure as JSON, in bytes: an environment keeps them.
const MAX_OUTPUTS: usize = 32 * 1024;
/// How often a worker should say that it works, in seconds: the workflow gives up after three minutes.
const HEARTBEAT_SECONDS: u32 = 20;

/// What a worker reports. Which members a command takes is in `docs/PROVISIONER.md`.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportBody {
    /// The operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, example = "op_0k6p2q9v8m4t1c7d3f5g0h2j4k")]
    operation_id: Option<OperationId>,
    /// The attempt.
    #[schema(example = 1)]
    attempt: u32,
    /// 1, 2, 3 … in the attempt; a repetition of the same report keeps its number.
    #[schema(example = 1)]
    sequence: u64,
    /// `started`, `progress`, `heartbeat`, `success` or `failure`.
    #[schema(example = "progress")]
    command: String,
    /// With `started`: what the worker was given to be waited for with.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_token: Option<String>,
    /// With `started` and `success`: where to read on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    links: Option<Vec<Link>>,
    /// With `progress`: the name of the step that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// With `progress`: how that step stands; `running` without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    state: Option<StepState>,
    /// With `progress`: how far that step is, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    percentage: Option<u8>,
    /// With `progress` and `success`: for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// With `progress`: lines that the worker wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<Vec<String>>,
    /// With `success` of a plan: how many resources come, change and go.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    plan: Option<PlanSummary>,
    /// With `success` of a plan: under which SHA-256 the module is kept, in 64 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    artifact: Option<ModuleArtifact>,
    /// With `success` of an apply, and of a plan that would change nothing: what came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs: Option<BTreeMap<String, OutputBody>>,
    /// With `failure`: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// With `failure`: that the worker was stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled: Option<bool>,
    /// With `failure` of an apply: that nothing was changed for sure, so the environment is what it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    unchanged: Option<bool>,
}

/// A report of a worker of the old portal: it named neither attempt nor place in its sequence, without which a repeated or
/// late one cannot be told, so it is refused with today's words.
impl OldWords for ReportBody {
    const WORDS: &'static [Words] = &[Words {
        gone: &[
            ("status", "say `command` instead: `started`, `progress`, `heartbeat`, `success` or `failure`"),
            ("service_id", "say `operation_id` instead, which the worker was begun with"),
            ("deployment_id", "say `operation_id` instead, which the webhook was called with"),
            ("request_id", "say `operation_id` instead, which the worker was begun with"),
            ("environment", "say `operation_id` instead: it is of one environment"),
            ("error", "say `reason` instead, with the command `failure`"),
            ("error_message", "say `reason` instead, with the command `failure`"),
            ("progress", "say `percentage` instead, with the command `progress`"),
            ("logs", "say `log` instead, a list of lines, with the command `progress`"),
            ("image_tag", "leave it out: the operation knows its `version`"),
        ],
        ..Words::of("ReportBody")
    }];
}

/// What came out under one name: a value, or that it is sensitive or too large.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutputBody {
    /// The value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    value: Option<Json>,
    /// `true`, with no value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    sensitive: bool,
    /// `true`, with no value.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    too_large: bool,
}

impl From<OutputBody> for OutputValue {
    fn from(output: OutputBody) -> Self {
        match output {
            OutputBody { sensitive: true, .. } => Self::Sensitive,
            OutputBody { too_large: true, .. } => Self::TooLarge,
            OutputBody { value, .. } => Self::Value(value.unwrap_or_default()),
        }
    }
}

/// What is wrong with a report.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.0.push(FieldError::new(pointer, detail));
    }

    fn at_most(&mut self, pointer: &str, text: Option<&str>, most: usize) {
        if text.is_some_and(|text| text.len() > most) {
            self.add(pointer, format!("must be at most {most} bytes"));
        }
    }
}

impl ReportBody {
    /// The operation that it names, and what it says.
    ///
    /// # Errors
    ///
    /// The members that are refused.
    pub fn into_message(self) -> Result<(OperationId, Message), Vec<FieldError>> {
        let mut errors = Errors::default();
        self.check(&mut errors);
        let text = serde_json::to_string(&self).unwrap_or_default();
        let fingerprint = Fingerprint::of(&["report", &text]).as_str().to_owned();
        let (operation, attempt, sequence) = (self.operation_id.clone(), self.attempt, self.sequence);
        let report = self.into_report(&mut errors);
        match (operation, report) {
            (Some(operation), Some(report)) if errors.0.is_empty() => {
                Ok((operation, Message { attempt, sequence, fingerprint, report }))
            }
            _ => Err(errors.0),
        }
    }

    fn check(&self, errors: &mut Errors) {
        if self.operation_id.is_none() {
            errors.add("/operation_id", "is missing");
        }
        if self.attempt == 0 {
            errors.add("/attempt", "must be at least 1");
        }
        if self.sequence == 0 {
            errors.add("/sequence", "must be at least 1");
        }
        if self.percentage.is_some_and(|percentage| percentage > 100) {
            errors.add("/percentage", "must be 0 to 100");
        }
        errors.at_most("/step", self.step.as_deref(), MAX_STEP);
        errors.at_most("/message", self.message.as_deref(), MAX_MESSAGE);
        errors.at_most("/reason", self.reason.as_deref(), MAX_REASON);
        self.check_lists(errors);
        self.check_members(errors);
    }

    fn check_lists(&self, errors: &mut Errors) {
        let log = self.log.as_deref().unwrap_or_default();
        if log.len() > MAX_LINES || log.iter().any(|line| line.len() > MAX_LINE) {
            errors.add("/log", "must be at most 50 lines of at most 1,000 bytes");
        }
        let links = self.links.as_deref().unwrap_or_default();
        let fits = |link: &Link| {
            let web = link.url.starts_with("https://") || link.url.starts_with("http://");
            web && link.name.len() <= MAX_LINK.0 && link.url.len() <= MAX_LINK.1
        };
        if links.len() > MAX_LINKS || !links.iter().all(fits) {
            errors.add("/links", "must be at most 10 http:// or https:// links");
        }
        let outputs = serde_json::to_string(&self.outputs).map_or(usize::MAX, |text| text.len());
        if outputs > MAX_OUTPUTS {
            errors.add("/outputs", "must be at most 32 KiB as JSON");
        }
    }

    /// Refuses members that the command does not take.
    fn check_members(&self, errors: &mut Errors) {
        let members = [
            ("task_token", self.task_token.is_some(), &["started"][..]),
            ("links", self.links.is_some(), &["started", "success"]),
            ("step", self.step.is_some(), &["progress"]),
            ("state", self.state.is_some(), &["progress"]),
            ("percentage", self.percentage.is_some(), &["progress"]),
            ("message", self.message.is_some(), &["progress", "success"]),
            ("log", self.log.is_some(), &["progress"]),
            ("plan", self.plan.is_some(), &["success"]),
            ("artifact", self.artifact.is_some(), &["success"]),
            ("outputs", self.outputs.is_some(), &["success"]),
            ("reason", self.reason.is_some(), &["failure"]),
            ("cancelled", self.cancelled.is_some(), &["failure"]),
            ("unchanged", self.unchanged.is_some(), &["failure"]),
        ];
        for (name, given, commands) in members {
            if given && !commands.contains(&self.command.as_str()) {
                errors.add(format!("/{name}"), format!("goes with {} only", commands.join(" and ")));
            }
        }
    }

    fn into_report(self, errors: &mut Errors) -> Option<Report> {
        match self.command.as_str() {
            "started" => {
                let token = self.task_token.map(TaskToken::new);
                if token == Some(None) {
                    errors.add("/task_token", "cannot be a task token");
                }
                Some(Report::Started { token: token.flatten(), links: self.links.unwrap_or_default() })
            }
            "progress" => Some(Report::Progress(Progress {
                step: self.step.map(|step| (step, self.state.unwrap_or(StepState::Running))),
                percentage: self.percentage,
                message: self.message,
                log: self.log.unwrap_or_default(),
            })),
            "heartbeat" => Some(Report::Heartbeat),
            "success" => Some(Report::Success(Success {
                plan: self.plan,
                artifact: self.artifact,
                outputs: self
                    .outputs
                    .map(|outputs| outputs.into_iter().map(|(name, output)| (name, output.into())).collect()),
                links: self.links.unwrap_or_default(),
                message: self.message,
            })),
            "failure" => {
                let reason = self.reason.filter(|reason| !reason.trim().is_empty());
                if reason.is_none() {
                    errors.add("/reason", "say why");
                }
                let unchanged = self.unchanged.unwrap_or_default();
                reason.map(|reason| Report::Failure { reason, unchanged })
            }
            _ => {
                errors.add("/command", "must be one of started, progress, heartbeat, success, failure");
                None
            }
        }
    }
}

/// A report was taken.
// No `Debug`: it has secret inputs.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReportAnswer {
    /// `false` for a report that was taken before.
    applied: bool,
    /// Whether the worker is asked to stop.
    cancel: bool,
    /// With `started`: what the worker is given to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    work: Option<WorkView>,
}

/// What a worker is given to do.
#[derive(Serialize, ToSchema)]
pub(crate) struct WorkView {
    operation_id: String,
    /// `provision`, `deprovision` or `drift`.
    kind: &'static str,
    /// `plan` or `apply`.
    phase: &'static str,
    tenant: String,
    service: String,
    environment: String,
    module: String,
    /// Where the module is kept as it is to be used; without it, it is taken as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    artifact: Option<ModuleArtifact>,
    /// Values of the module's variables, secret ones among them.
    #[schema(value_type = Object)]
    inputs: Object,
    /// Which of the inputs are secrets, never to be shown or logged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secret_inputs: Vec<String>,
    /// How often to say that it works, in seconds.
    heartbeat_seconds: u32,
}

impl ReportAnswer {
    /// The answer to `message`.
    ///
    /// # Errors
    ///
    /// When the worker cannot be given its secret inputs. The same report again is answered with them.
    pub(crate) async fn of(
        taken: &Taken,
        message: &Message,
        open: &dyn OpenInputs,
    ) -> Result<Self, SealError> {
        let starts = matches!(message.report, Report::Started { .. });
        let work = if starts { work(&taken.operation, open).await? } else { None };
        Ok(Self { applied: taken.applied, cancel: taken.cancel, work })
    }
}

async fn work(operation: &Operation, open: &dyn OpenInputs) -> Result<Option<WorkView>, SealError> {
    let (Some(configuration), Some(attempt)) = (operation.work.configuration(), &operation.attempt) else {
        return Ok(None);
    };
    let secrets = &configuration.secret_inputs;
    let opened = secrets.open(open, &operation.service, &operation.environment).await?;
    Ok(Some(WorkView {
        operation_id: operation.id.to_string(),
        kind: operation.work.kind().as_str(),
        phase: attempt.phase.as_str(),
        tenant: operation.tenant.to_string(),
        service: operation.service_name.to_string(),
        environment: operation.environment.to_string(),
        module: configuration.module.to_string(),
        artifact: configuration.artifact.clone(),
        secret_inputs: opened.keys().cloned().collect(),
        inputs: configuration.inputs.clone().into_iter().chain(opened).collect(),
        heartbeat_seconds: HEARTBEAT_SECONDS,
    }))
}
