//! The rules of an operation: what may happen to it when, and what follows. All of them are pure.
//!
//! Each rule is called by somebody who may be late, may come twice, and may die right after the change. So each one
//! asks what the record says now, and not what its caller believes.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Asked, Attempt, OPEN_AT_MOST, Operation, OperationKind, OperationOutcome, Phase, Signal, State, Step,
    StepState, TaskToken, Verdict, Work, workflow::Execution,
};
use crate::{
    audit::JANITOR,
    catalog::{
        DeployTarget, Deployed, Drift, DriftState, EnvironmentSpec, Infrastructure, Link, ModuleArtifact,
        OutputValue, PlanSummary, Provisioned, Service, Settled,
    },
};

/// How many lines of a worker's log are kept with an operation. The whole is where its links lead.
pub const LOG_LINES: usize = 100;

/// How much of a worker's log is kept with an operation, in bytes.
pub const LOG_BYTES: usize = 8 * 1024;

/// The most steps of an operation; more are not kept.
pub const MAX_STEPS: usize = 40;

/// The most links of an operation; more are not kept.
pub const MAX_LINKS: usize = 20;

/// The most attempts of an operation: a state machine that begins more is broken.
const MAX_ATTEMPTS: u32 = 20;

/// The longest reason that is kept, in bytes.
const MAX_REASON: usize = 1000;

/// How long a worker has to stop when it was asked to: longer than it lets Terraform finish, since an apply that is
/// cut off leaves resources that are in no state file.
const CANCEL_GRACE: Duration = Duration::from_mins(15);

/// The error of a state machine whose worker said that it failed.
const WORKER_FAILED: &str = "WorkerFailed";
/// The error of a state machine when nobody agreed.
const REJECTED: &str = "Rejected";
/// The error of a state machine that was asked to stop.
const CANCELLED: &str = "Cancelled";
/// The errors of a state machine when somebody did not answer in time.
const TIMEOUTS: [&str; 2] = ["States.Timeout", "States.HeartbeatTimeout"];

/// What a rule did to an operation.
#[derive(Debug, Clone, PartialEq)]
pub enum Changed {
    Nothing,
    /// It changed the record.
    Record,
    /// It ended the operation, which settles its environment.
    Ended(Box<Settled>),
}

/// Why a step of the workflow is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StepRefused {
    /// The operation has ended.
    #[error("the operation has ended: it {}", .0.as_str())]
    Ended(OperationOutcome),
    /// Somebody asked the operation to stop.
    #[error("the operation was asked to stop")]
    CancelRequested,
    /// The operation is not so far, or further.
    #[error("this step is out of place: {0}")]
    OutOfPlace(&'static str),
}

/// What a worker reports.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    Started {
        /// The token of the task that waits for it, where the attempt does not have it yet.
        token: Option<TaskToken>,
        /// Where to read on.
        links: Vec<Link>,
    },
    /// How far it is.
    Progress(Progress),
    /// That it still works.
    Heartbeat,
    /// It did what it was asked for.
    Success(Success),
    /// It could not, or stopped.
    Failure {
        reason: String,
        /// Whether it is certain that nothing was changed, although it was to apply.
        unchanged: bool,
    },
}

/// How far a worker is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// In which step, and how that stands; without it, in the one that is running.
    pub step: Option<(String, StepState)>,
    /// How far that step is, 0 to 100.
    pub percentage: Option<u8>,
    /// What it does just now.
    pub message: Option<String>,
    pub log: Vec<String>,
}

/// What came of a worker's work.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Success {
    /// What the plan would do.
    pub plan: Option<PlanSummary>,
    /// The module as the plan was made with it.
    pub artifact: Option<ModuleArtifact>,
    /// What came out, where it is known: after an apply, and of a plan that would change nothing.
    pub outputs: Option<BTreeMap<String, OutputValue>>,
    /// Where to read on.
    pub links: Vec<Link>,
    pub message: Option<String>,
}

/// A report, with what tells it from others.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// The attempt that it is of.
    pub attempt: u32,
    /// 1, 2, 3 … in the attempt.
    pub sequence: u64,
    /// The same for the same message, and for no other.
    pub fingerprint: String,
    pub report: Report,
}

/// Why a report is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReportRefused {
    /// Another attempt has taken this one's place.
    #[error("another attempt has taken the place of this one")]
    Superseded,
    /// The operation has ended.
    #[error("the operation has ended: it {}", .0.as_str())]
    Ended(OperationOutcome),
    /// It does not come in the order in which reports come.
    #[error("the report is out of order: {0}")]
    OutOfOrder(&'static str),
    /// It lacks what this phase has to report.
    #[error("the report is incomplete: {0}")]
    Incomplete(&'static str),
}

impl Operation {
    /// Whether it has no outcome yet.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Ended { .. })
    }

    /// Whether the janitor asked for it because the time of its environment was over. It begins only where that time
    /// is over still: somebody may have extended it since the janitor looked.
    pub fn is_expiry(&self) -> bool {
        self.work.kind() == OperationKind::Deprovision && self.requested.by == JANITOR
    }

    /// How it came out, once it did.
    pub fn ending(&self) -> Option<OperationOutcome> {
        match self.state {
            State::Ended { ending, .. } => Some(ending),
            State::Requested | State::Running { .. } | State::AwaitingApproval { .. } => None,
        }
    }

    /// Refuses what has ended.
    pub(super) fn still_open(&self) -> Result<(), StepRefused> {
        self.ending().map_or(Ok(()), |ending| Err(StepRefused::Ended(ending)))
    }

    /// Refuses what has ended, or is to stop.
    pub(super) fn going_on(&self) -> Result<(), StepRefused> {
        self.still_open()?;
        if self.cancel.is_some() { Err(StepRefused::CancelRequested) } else { Ok(()) }
    }

    /// Whether nobody has to agree any more.
    pub(super) fn is_agreed(&self) -> bool {
        !self.approval_required || self.verdict.as_ref().is_some_and(|verdict| verdict.approved)
    }

    /// Refuses to go on under a weaker rule than holds in its service now. The rule that held when it was asked for is
    /// in the record, and holds in any case. What the janitor asks for was agreed to with what it takes away.
    pub(super) fn keeps_to(&self, service: Option<&Service>) -> Result<(), &'static str> {
        let environment =
            service.and_then(|service| Some((service, service.environment(&self.environment)?)));
        let Some((service, spec)) = environment else {
            return Err("the environment does not exist any more");
        };
        let agreed = self.verdict.as_ref().is_some_and(|verdict| verdict.approved);
        if spec.approval_required && !agreed && self.requested.by != JANITOR {
            return Err("the environment asks for approval by now; ask again");
        }
        // Whoever approved it was in the group of the record, and of no other one that is known.
        let is_approved_for = spec.approval_group.is_none() || spec.approval_group == self.approval_group;
        if !is_approved_for && self.requested.by != JANITOR {
            return Err("the environment asks for the approval of a group by now; ask again");
        }
        self.is_up_to_date(service, spec)
    }

    /// Refuses what was asked for while something else deployed to a protected environment, or provisioned it.
    pub(super) fn is_up_to_date(
        &self,
        service: &Service,
        spec: &EnvironmentSpec,
    ) -> Result<(), &'static str> {
        let other = match &self.work {
            Work::Deploy { target, .. } => service.spec.target_of(spec) != Some(target),
            Work::Provision(given) => spec.module.as_ref() != Some(&given.module),
            Work::Deprovision(_) | Work::Drift(_) => false,
        };
        if other && spec.is_protected() {
            return Err("the environment is deployed or provisioned by something else by now; ask again");
        }
        Ok(())
    }

    /// Opens an attempt, which supersedes the one before.
    pub(super) fn begin_attempt(&mut self, phase: Phase, now: Timestamp) -> Result<Changed, StepRefused> {
        self.going_on()?;
        let number = self.attempt.as_ref().map_or(0, |attempt| attempt.number) + 1;
        // The machines retry a handful of times. Without a bound, one that loops would fill the record.
        if number > MAX_ATTEMPTS {
            return Err(StepRefused::OutOfPlace("there were too many attempts"));
        }
        let fits = match phase {
            Phase::Plan => self.work.configuration().is_some() && self.may_plan(),
            // Never twice: after a worker has begun to apply, the plan that was approved is no longer what a second
            // one would do. The state machine asks again where an answer of this function was lost, and that is fine
            // as long as no worker has started.
            Phase::Apply => {
                let planned = self.plan.is_some() && self.work.kind() != OperationKind::Drift;
                planned && self.is_agreed() && !self.may_have_changed_something()
            }
            Phase::Deploy => self.work.kind() == OperationKind::Deploy && self.is_agreed(),
        };
        if !fits {
            return Err(StepRefused::OutOfPlace("the operation is not at this phase"));
        }
        if phase == Phase::Plan {
            // The attempt before may have reported after its task had timed out. Its plan is of a worker that nobody
            // waits for any more; approving that one and applying this one must not happen.
            self.plan = None;
            self.fix_module(None);
            self.failure = None;
        }
        self.close_steps(StepState::Failed, now);
        self.attempt = Some(Attempt::new(number, phase, now));
        self.state = State::Running { phase };
        // The workflow could ask for this only after it had got what was pending: its start, or an approval.
        self.pending_signal = None;
        Ok(Changed::Record)
    }

    /// Whether nothing has come of a plan yet.
    fn may_plan(&self) -> bool {
        match self.state {
            State::Requested | State::Running { phase: Phase::Plan } => true,
            State::Running { .. } | State::AwaitingApproval { .. } | State::Ended { .. } => false,
        }
    }

    /// Admits a deploy, which its workflow asks for first.
    pub(super) fn admit(&mut self) -> Result<Changed, StepRefused> {
        self.going_on()?;
        if self.work.kind() != OperationKind::Deploy {
            return Err(StepRefused::OutOfPlace("only a deploy is admitted"));
        }
        // That the workflow asks shows that it was started.
        self.pending_signal = None;
        Ok(Changed::Record)
    }

    /// Waits for somebody to agree. Where they have agreed already, the workflow gets its answer at once.
    pub(super) fn await_approval(
        &mut self,
        token: TaskToken,
        now: Timestamp,
    ) -> Result<Changed, StepRefused> {
        self.going_on()?;
        let ready = self.plan.is_some() || self.work.kind() == OperationKind::Deploy;
        if !ready {
            return Err(StepRefused::OutOfPlace("there is nothing to agree to yet"));
        }
        if self.is_agreed() {
            // The state machine retried this step, and somebody agreed to the try before, whose token is of no use
            // any more: this token gets the answer.
            self.pending_signal = Some(self.agreed(token));
        } else {
            // A retry changes the token, and not since when people have been waited for.
            let since = match &self.state {
                State::AwaitingApproval { since, .. } => *since,
                State::Requested | State::Running { .. } | State::Ended { .. } => now,
            };
            self.state = State::AwaitingApproval { since, token };
            self.pending_signal = None;
        }
        Ok(Changed::Record)
    }

    fn agreed(&self, token: TaskToken) -> Signal {
        let by = self.verdict.as_ref().map(|verdict| verdict.asked.by.clone());
        Signal::Succeed { token, output: json!({ "approved_by": by }) }
    }

    /// Records a decision. `None` when the operation does not wait for one: of two people who decide at the same
    /// time, the second finds it decided.
    pub(super) fn decide(&mut self, verdict: Verdict, now: Timestamp) -> Option<Changed> {
        let State::AwaitingApproval { token, .. } = &self.state else { return None };
        let token = token.clone();
        let reason = format!("rejected by {}", verdict.asked.by);
        let reason =
            verdict.comment.as_ref().map_or_else(|| reason.clone(), |said| format!("{reason}: {said}"));
        let approved = verdict.approved;
        self.verdict = Some(verdict);
        if approved {
            // Not only once the workflow asks for the next attempt: until then the operation would still look as if
            // it waited, and could be decided about again.
            let phase = if self.work.kind() == OperationKind::Deploy { Phase::Deploy } else { Phase::Apply };
            self.state = State::Running { phase };
            // What was left of the time that people had is no time for the work.
            self.deadline = now + OPEN_AT_MOST;
            self.pending_signal = Some(self.agreed(token));
            return Some(Changed::Record);
        }
        // A rejection ends the operation here, and frees the environment even if the workflow never learns of it.
        self.pending_signal = Some(Signal::Fail { token, error: REJECTED.to_owned(), cause: reason.clone() });
        Some(self.end(OperationOutcome::Rejected, Some(reason), now))
    }

    /// Asks it to stop. What nothing works on, or nothing that could be told, ends at once; otherwise its worker learns of
    /// it. Asking again changes nothing. `None` when it has ended.
    pub(super) fn ask_to_stop(&mut self, asked: Asked) -> Option<Changed> {
        if self.cancel.is_some() && self.is_open() {
            return Some(Changed::Nothing);
        }
        let now = asked.at;
        let reason = format!("cancelled by {}", asked.by);
        let signal = match &self.state {
            State::Ended { .. } => return None,
            // Whoever got the call need not ask again before they are done, and their environment would be locked until
            // then. If they do, they learn that the operation has ended.
            State::Running { .. } if self.waits_for_webhook() => {
                match self.attempt.as_ref().and_then(|attempt| attempt.token.clone()) {
                    Some(token) => Signal::Fail { token, error: CANCELLED.to_owned(), cause: reason.clone() },
                    None => Signal::Stop,
                }
            }
            // Something may be half-way through a change. It learns of the wish with its next report, stops where
            // that is safe, and its workflow records the end; `end_overdue` is for one that does not.
            State::Running { .. } => {
                self.cancel = Some(asked);
                return Some(Changed::Record);
            }
            // The workflow may be starting just now. It would be refused at its first step, so stopping it only
            // saves it that.
            State::Requested => Signal::Stop,
            State::AwaitingApproval { token, .. } => {
                Signal::Fail { token: token.clone(), error: CANCELLED.to_owned(), cause: reason.clone() }
            }
        };
        self.cancel = Some(asked);
        self.pending_signal = Some(signal);
        Some(self.end(OperationOutcome::Cancelled, Some(reason), now))
    }

    /// Whether a webhook deploys, and whoever it called has not said yet how that came out.
    fn waits_for_webhook(&self) -> bool {
        let by_webhook = matches!(&self.work, Work::Deploy { target: DeployTarget::Webhook(_), .. });
        by_webhook && self.attempt.as_ref().is_none_or(|attempt| !attempt.reported)
    }

    /// Records that what was asked for was done.
    pub(super) fn finish(&mut self, now: Timestamp) -> Result<Changed, StepRefused> {
        match self.ending() {
            // The answer to the first try was lost, or the janitor came first.
            Some(OperationOutcome::Succeeded) => return Ok(Changed::Nothing),
            Some(ending) => return Err(StepRefused::Ended(ending)),
            None => {}
        }
        // What workers reported decides, and not what the state machine concludes from it.
        if !self.is_done() {
            return Err(StepRefused::OutOfPlace("the operation has not been done"));
        }
        self.pending_signal = None;
        Ok(self.end(OperationOutcome::Succeeded, None, now))
    }

    /// Whether everything that had to be done was reported as done.
    fn is_done(&self) -> bool {
        let reported =
            |phase| self.attempt.as_ref().is_some_and(|attempt| attempt.phase == phase && attempt.reported);
        let done = match self.work.kind() {
            OperationKind::Drift => self.plan.is_some(),
            OperationKind::Provision | OperationKind::Deprovision => {
                reported(Phase::Apply) || self.plan.is_some_and(|plan| plan.is_empty())
            }
            OperationKind::Deploy => reported(Phase::Deploy),
        };
        done && self.failure.is_none()
    }

    /// Records that it will not be done. What has ended keeps its outcome.
    pub(super) fn fail(&mut self, error: &str, cause: &str, now: Timestamp) -> Changed {
        if !self.is_open() {
            return Changed::Nothing;
        }
        // The workflow is past waiting: it caught an error, or is gone.
        self.pending_signal = None;
        // The worker's last report was recorded, but its signal came after the task had timed out. What was done is
        // done, whatever the workflow makes of it.
        if self.is_done() {
            return self.end(OperationOutcome::Succeeded, None, now);
        }
        let timeout = TIMEOUTS.contains(&error);
        let ending = match error {
            // However the worker stopped: it did because somebody wanted it to, as far as anybody can tell.
            _ if self.cancel.is_some() => OperationOutcome::Cancelled,
            REJECTED => OperationOutcome::Rejected,
            _ if timeout => OperationOutcome::TimedOut,
            _ => OperationOutcome::Failed,
        };
        let reason = match (&self.failure, &self.cancel) {
            // The worker's own reason says more than the error that the state machine caught.
            (Some(reported), _) => reported.clone(),
            (None, Some(asked)) => format!("cancelled by {}", asked.by),
            (None, None) if timeout => self.silence().to_owned(),
            (None, None) => cut(&format!("{error}: {cause}"), MAX_REASON),
        };
        self.end(ending, Some(reason), now)
    }

    fn silence(&self) -> &'static str {
        match self.state {
            State::AwaitingApproval { .. } => "nobody approved it in time",
            _ => "its worker was not heard of for too long",
        }
    }

    /// Ends what is open longer than it may be, or did not stop when it was asked to.
    pub(super) fn end_overdue(&mut self, now: Timestamp) -> Changed {
        if !self.is_open() {
            return Changed::Nothing;
        }
        let unheeded = self.cancel.as_ref().is_some_and(|asked| asked.at + CANCEL_GRACE <= now);
        if !unheeded && now < self.deadline {
            return Changed::Nothing;
        }
        // In place of whatever was pending: the execution has nothing left to wait for.
        self.pending_signal = Some(Signal::Stop);
        match &self.cancel {
            _ if self.is_done() => self.end(OperationOutcome::Succeeded, None, now),
            Some(asked) => {
                let reason = format!("cancelled by {}; its worker did not answer", asked.by);
                self.end(OperationOutcome::Cancelled, Some(reason), now)
            }
            None => self.end(
                OperationOutcome::TimedOut,
                Some("it was open longer than it may be".to_owned()),
                now,
            ),
        }
    }

    /// Records what became of a workflow that ended without recording it, or that does not exist.
    ///
    /// A workflow's last step is a call of this system, and it may fail for as long as the state machine retries.
    pub(super) fn end_abandoned(&mut self, execution: Option<&Execution>, now: Timestamp) -> Changed {
        match execution {
            Some(Execution::Running) => Changed::Nothing,
            Some(Execution::TimedOut) => self.fail("States.Timeout", "its workflow took too long", now),
            Some(Execution::Failed { error, cause }) => self.fail(error, cause, now),
            Some(Execution::Succeeded) => {
                self.fail("WorkflowEnded", "its workflow ended without a result", now)
            }
            // Its start was acknowledged, and yet there is no execution: the state machine was replaced meanwhile.
            // Nothing has happened yet, so it can start now.
            None if self.state == State::Requested => {
                self.pending_signal = Some(Signal::Start);
                Changed::Record
            }
            // Starting another one would begin a second attempt beside a worker that may be alive.
            None => self.fail("WorkflowLost", "its workflow does not exist any more", now),
        }
    }

    /// Takes a worker's report. `Nothing` for one that was taken before.
    pub(super) fn report(&mut self, message: Message, now: Timestamp) -> Result<Changed, ReportRefused> {
        let Some(attempt) = &self.attempt else {
            return Err(ReportRefused::OutOfOrder("no attempt has begun"));
        };
        if message.attempt != attempt.number {
            let superseded = message.attempt < attempt.number;
            let early = ReportRefused::OutOfOrder("the attempt has not begun");
            return Err(if superseded { ReportRefused::Superseded } else { early });
        }
        // Before anything else is asked: a worker whose last answer was lost repeats that report until it gets one,
        // also after the operation has ended by it.
        if message.sequence == attempt.sequence && attempt.last_message.as_ref() == Some(&message.fingerprint)
        {
            return Ok(Changed::Nothing);
        }
        if let Some(ending) = self.ending() {
            return Err(ReportRefused::Ended(ending));
        }
        in_order(attempt, &message)?;
        self.take(message, now)
    }

    fn take(&mut self, message: Message, now: Timestamp) -> Result<Changed, ReportRefused> {
        let Some(mut attempt) = self.attempt.take() else {
            return Err(ReportRefused::OutOfOrder("no attempt has begun"));
        };
        attempt.sequence = message.sequence;
        attempt.last_message = Some(message.fingerprint);
        attempt.heard_at = now;
        match message.report {
            Report::Started { token, links } => {
                // The first token stays: a webhook's attempt has got its own from the state machine, and whoever
                // holds the callback token must not be able to point the answer elsewhere.
                attempt.token = attempt.token.or(token);
                // A worker runs, so the workflow has got whatever made it start one.
                self.pending_signal = None;
                self.add_links(links);
            }
            Report::Heartbeat => {}
            Report::Progress(progress) => self.progress(attempt.number, attempt.phase, progress, now),
            Report::Success(success) => {
                attempt.reported = true;
                let output = self.succeeded(attempt.phase, success, now);
                self.pending_signal = attempt.token.clone().map(|token| Signal::Succeed { token, output });
            }
            Report::Failure { reason, unchanged } => {
                attempt.reported = true;
                self.unchanged = unchanged;
                let reason = cut(&reason, MAX_REASON);
                self.close_steps(StepState::Failed, now);
                self.failure = Some(reason.clone());
                let error = if self.cancel.is_some() { CANCELLED } else { WORKER_FAILED }.to_owned();
                self.pending_signal =
                    attempt.token.clone().map(|token| Signal::Fail { token, error, cause: reason });
            }
        }
        self.attempt = Some(attempt);
        Ok(Changed::Record)
    }

    /// Keeps what came out, and returns what the workflow gets as the output of the task.
    fn succeeded(&mut self, phase: Phase, success: Success, now: Timestamp) -> Value {
        self.add_links(success.links);
        self.close_steps(StepState::Succeeded, now);
        if let Some(message) = success.message {
            self.add_log(vec![message]);
        }
        match phase {
            Phase::Plan => {
                self.plan = success.plan;
                self.fix_module(success.artifact);
                if let Some(outputs) = success.outputs {
                    self.outputs = outputs;
                }
                json!({ "next": self.next_after_plan() })
            }
            Phase::Apply => {
                self.outputs = success.outputs.unwrap_or_default();
                json!({ "applied": true })
            }
            Phase::Deploy => json!({ "deployed": true }),
        }
    }

    /// What is provisioned is applied with the module that was planned with, whatever becomes of it meanwhile. What is
    /// taken away or compared was fixed when it was applied.
    fn fix_module(&mut self, artifact: Option<ModuleArtifact>) {
        if let Work::Provision(given) = &mut self.work {
            given.artifact = artifact;
        }
    }

    /// Decided here and not in the state machine, so that the record and its workflow cannot disagree.
    fn next_after_plan(&self) -> &'static str {
        let nothing = self.plan.is_some_and(|plan| plan.is_empty());
        match self.work.kind() {
            OperationKind::Drift => "finish",
            _ if nothing => "finish",
            _ if self.is_agreed() => "apply",
            _ => "approve",
        }
    }

    pub(super) fn progress(&mut self, attempt: u32, phase: Phase, progress: Progress, now: Timestamp) {
        self.add_log(progress.log);
        let says_something = progress.percentage.is_some() || progress.message.is_some();
        let step = progress.step.or_else(|| says_something.then(|| self.running_step(attempt, phase)));
        let Some((name, state)) = step else { return };
        let known = self.steps.iter().position(|step| step.name == name && step.attempt == attempt);
        let place = match known {
            Some(place) => place,
            // The record is one item of the table; a worker that reports without end must not make it too big.
            None if self.steps.len() >= MAX_STEPS => return,
            None => {
                self.steps.push(Step {
                    name,
                    attempt,
                    state: StepState::Running,
                    percentage: None,
                    message: None,
                    started_at: now,
                    ended_at: None,
                });
                self.steps.len() - 1
            }
        };
        let step = &mut self.steps[place];
        step.state = state;
        step.percentage = progress.percentage.or(step.percentage);
        step.message = progress.message.or(step.message.take());
        step.ended_at = (state != StepState::Running).then_some(now);
    }

    /// What a report is about that names no step: the last one that runs. Who never names any has one with the name of
    /// its phase.
    fn running_step(&self, attempt: u32, phase: Phase) -> (String, StepState) {
        let runs = |step: &&Step| step.attempt == attempt && step.state == StepState::Running;
        let name =
            self.steps.iter().rfind(runs).map_or_else(|| phase.as_str().to_owned(), |it| it.name.clone());
        (name, StepState::Running)
    }

    /// Ends the steps of a worker that has nothing more to say of them.
    fn close_steps(&mut self, as_what: StepState, now: Timestamp) {
        for step in self.steps.iter_mut().filter(|step| step.state == StepState::Running) {
            step.state = as_what;
            step.ended_at = Some(now);
        }
    }

    pub(super) fn add_links(&mut self, links: Vec<Link>) {
        for link in links {
            if self.links.len() < MAX_LINKS && !self.links.contains(&link) {
                self.links.push(link);
            }
        }
    }

    /// Keeps the last lines, by number and by size.
    fn add_log(&mut self, lines: Vec<String>) {
        self.log.extend(lines);
        let mut left = LOG_BYTES;
        let kept = self.log.iter().rev().take(LOG_LINES).take_while(|line| {
            let fits = line.len() < left;
            left = left.saturating_sub(line.len() + 1);
            fits
        });
        let forgotten = self.log.len() - kept.count();
        self.log.drain(..forgotten);
    }

    /// Notes the run that deploys, also where the operation is to stop by now: a run that is not noted is followed
    /// and stopped by nobody.
    pub(super) fn note_run(
        &mut self,
        run: crate::runs::RunId,
        now: Timestamp,
    ) -> Result<Changed, StepRefused> {
        self.still_open()?;
        if self.run.as_ref() == Some(&run) {
            return Ok(Changed::Nothing);
        }
        self.run = Some(run);
        self.pending_signal = None;
        self.state = State::Running { phase: Phase::Deploy };
        // No worker reports for a run. The attempt only stands for it, so that one rule says what is done.
        if self.attempt.is_none() {
            self.attempt = Some(Attempt { sequence: 1, ..Attempt::new(1, Phase::Deploy, now) });
        }
        Ok(Changed::Record)
    }

    /// Notes how the run that deploys came out.
    pub(super) fn note_run_ended(&mut self, failure: Option<String>, now: Timestamp) -> Changed {
        let Some(attempt) = self.attempt.as_mut().filter(|attempt| !attempt.reported) else {
            return Changed::Nothing;
        };
        attempt.reported = true;
        attempt.heard_at = now;
        self.failure = failure;
        Changed::Record
    }

    /// Opens the attempt of whoever is called by a webhook. They may have got a call before, whose answer was
    /// lost: it is the same attempt then, so that they may report with the token of either call.
    pub(super) fn begin_webhook(&mut self, token: TaskToken, now: Timestamp) -> Result<Changed, StepRefused> {
        self.going_on()?;
        if self.attempt.as_ref().is_none_or(|attempt| attempt.phase != Phase::Deploy) {
            self.begin_attempt(Phase::Deploy, now)?;
        }
        if let Some(attempt) = &mut self.attempt {
            // The state machine retried the step, so the task before is gone, and this one waits. What was reported
            // to that one already is its answer as well.
            attempt.token = Some(token.clone());
            self.pending_signal = match &self.failure {
                _ if !attempt.reported => None,
                None => Some(Signal::Succeed { token, output: json!({ "deployed": true }) }),
                Some(cause) => {
                    Some(Signal::Fail { token, error: WORKER_FAILED.to_owned(), cause: cause.clone() })
                }
            };
        }
        Ok(Changed::Record)
    }

    /// Takes a signal that was delivered off the record. `false` when another one is pending by now.
    pub(super) fn acknowledge(&mut self, delivered: &Signal) -> bool {
        let same = self.pending_signal.as_ref() == Some(delivered);
        if same {
            self.pending_signal = None;
        }
        same
    }

    fn end(&mut self, ending: OperationOutcome, reason: Option<String>, now: Timestamp) -> Changed {
        self.close_steps(StepState::Failed, now);
        self.state = State::Ended { ending, at: now, reason };
        Changed::Ended(Box::new(self.settles(ending, now)))
    }

    /// What its end changes about its environment.
    fn settles(&self, ending: OperationOutcome, now: Timestamp) -> Settled {
        let nothing = Settled::default();
        let done = ending == OperationOutcome::Succeeded;
        match &self.work {
            Work::Provision(_) if done => Settled {
                infrastructure: self.as_provisioned(now).map(Infrastructure::Present),
                drift: Some(None),
                ..nothing
            },
            Work::Deprovision(_) if done => {
                Settled { infrastructure: Some(Infrastructure::Absent), drift: Some(None), ..nothing }
            }
            // An apply that did not report its end: only Terraform's state knows what there is, so the environment is
            // partial, and can be provisioned or deprovisioned again.
            // Unless its worker was certain that nothing was changed: then the environment is what it was.
            Work::Provision(_) | Work::Deprovision(_)
                if self.may_have_changed_something() && !self.unchanged =>
            {
                let left = self.as_provisioned(now).map(|left| match self.requested.by.as_str() {
                    // The janitor wanted it gone because its time was over. With a new time to live it would stay
                    // for as long again, and cost as much.
                    JANITOR => Provisioned { expires_at: Some(now), ..left },
                    _ => left,
                });
                Settled { infrastructure: left.map(Infrastructure::Partial), ..nothing }
            }
            Work::Drift(_) if done => Settled { drift: Some(self.found_drift(now)), ..nothing },
            Work::Deploy { version, .. } if done => Settled {
                deployed: Some(Deployed { operation: self.id.clone(), version: version.clone(), at: now }),
                ..nothing
            },
            Work::Provision(_) | Work::Deprovision(_) | Work::Drift(_) | Work::Deploy { .. } => nothing,
        }
    }

    /// Whether a worker has begun to apply. Each reports `started` before it does anything, so one that has not
    /// reported has not changed anything, and may be replaced by another one.
    fn may_have_changed_something(&self) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.phase == Phase::Apply && attempt.token.is_some())
    }

    pub(super) fn as_provisioned(&self, now: Timestamp) -> Option<Provisioned> {
        let given = self.work.configuration()?;
        let ttl = given.ttl_hours.map(|hours| Duration::from_hours(hours.into()));
        Some(Provisioned {
            operation: self.id.clone(),
            at: now,
            module: given.module.clone(),
            artifact: given.artifact.clone(),
            inputs: given.inputs.clone(),
            secret_inputs: given.secret_inputs.clone(),
            outputs: self.outputs.clone(),
            expires_at: ttl.map(|ttl| now + ttl),
        })
    }

    fn found_drift(&self, now: Timestamp) -> Option<Drift> {
        let summary = self.plan?;
        let state = if summary.is_empty() { DriftState::None } else { DriftState::Detected };
        Some(Drift { operation: self.id.clone(), state, checked_at: now, summary })
    }
}

/// Refuses what does not come in the order in which a worker reports. Reports cross each other on their way: an
/// overtaken one is dropped, since the later one says more.
fn in_order(attempt: &Attempt, message: &Message) -> Result<(), ReportRefused> {
    if message.sequence <= attempt.sequence {
        return Err(ReportRefused::OutOfOrder("its sequence number was used already"));
    }
    if attempt.reported {
        return Err(ReportRefused::OutOfOrder("the worker has said that it is done"));
    }
    let starts = matches!(message.report, Report::Started { .. });
    if starts && attempt.sequence > 0 {
        return Err(ReportRefused::OutOfOrder("the worker has said before that it works"));
    }
    if attempt.token.is_none() && !matches!(message.report, Report::Started { token: Some(_), .. }) {
        return Err(ReportRefused::OutOfOrder("`started` with its task_token comes first"));
    }
    let unplanned = attempt.phase == Phase::Plan
        && matches!(&message.report, Report::Success(success) if success.plan.is_none());
    if unplanned { Err(ReportRefused::Incomplete("a plan reports what it would do")) } else { Ok(()) }
}

/// The first `most` bytes of a text, at a character's end.
fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}
