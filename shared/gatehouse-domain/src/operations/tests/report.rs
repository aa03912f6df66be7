use std::time::Duration;

use futures_util::FutureExt;
use secrecy::ExposeSecret;

use super::support::{Site, token};
use crate::{
    catalog::PlanSummary,
    id::OperationId,
    operations::{
        OperationOutcome, Phase, StepState,
        attempt::{CallbackKey, CallbackTokenError},
        lifecycle::{Progress, ReportRefused},
        report::{Callback, Message, Report, ReportError, Success, Taken, report},
        steer,
        workflow::Workflow,
    },
};

fn key() -> CallbackKey {
    CallbackKey::new(&"k".repeat(32).into()).unwrap()
}

/// A worker of an operation.
struct Worker<'a> {
    site: &'a Site,
    operation: OperationId,
    attempt: u32,
    callback_token: String,
}

impl<'a> Worker<'a> {
    /// One whose attempt has just been opened.
    fn begin(site: &'a Site, operation: &OperationId, phase: Phase) -> Self {
        let key = key();
        let begun = steer::begin_attempt(&site.memory, &site.hand, &key, operation, phase);
        let begun = begun.now_or_never().unwrap().unwrap();
        site.engine.heard();
        Self {
            site,
            operation: operation.clone(),
            attempt: begun.attempt,
            callback_token: begun.callback_token.expose_secret().to_owned(),
        }
    }

    fn callback(&self, sequence: u64, report: Report) -> Callback {
        let fingerprint = format!("{sequence} {report:?}");
        let message = Message { attempt: self.attempt, sequence, fingerprint, report };
        Callback { operation: self.operation.clone(), workflow: Workflow::Provision, message }
    }

    fn post(&self, callback: &Callback) -> Result<Taken, ReportError> {
        let (Site { memory, hand, .. }, key) = (self.site, key());
        let workflow = self.site.workflow_ports();
        let posted = report(memory, hand, workflow, &key, &self.callback_token, callback);
        posted.now_or_never().unwrap()
    }

    fn say(&self, sequence: u64, report: Report) -> Result<Taken, ReportError> {
        self.post(&self.callback(sequence, report))
    }

    fn start(&self) -> Taken {
        self.say(1, started()).unwrap()
    }
}

fn started() -> Report {
    Report::Started { token: Some(token("task")), links: Vec::new() }
}

fn planned() -> Report {
    let plan = Some(PlanSummary { add: 2, change: 0, destroy: 0, ..PlanSummary::default() });
    Report::Success(Success { plan, ..Success::default() })
}

fn out_of_order(answer: &Result<Taken, ReportError>) -> bool {
    matches!(answer, Err(ReportError::Refused(ReportRefused::OutOfOrder(_))))
}

#[test]
fn a_worker_reports_and_its_workflow_hears() {
    let site = Site::default();
    let worker = Worker::begin(&site, &site.provisioning("dev"), Phase::Plan);
    let taken = worker.start();
    assert!(taken.applied && !taken.cancel);
    assert_eq!(site.engine.heard(), ["heartbeat task"]);
    let step = Some(("init".to_owned(), StepState::Running));
    worker.say(2, Report::Progress(Progress { step, percentage: Some(10), ..Progress::default() })).unwrap();
    worker.say(4, Report::Heartbeat).unwrap();
    assert_eq!(site.engine.heard(), ["heartbeat task"; 2]);
    worker.say(5, planned()).unwrap();
    assert_eq!(site.engine.heard(), [r#"succeed task {"next":"apply"}"#]);
    let operation = site.memory.operation(&worker.operation);
    assert_eq!((operation.steps[0].state, operation.pending_signal), (StepState::Succeeded, None));
}

#[test]
fn a_repetition_changes_nothing_and_tells_what_was_not_told() {
    let site = Site::default();
    let worker = Worker::begin(&site, &site.provisioning("dev"), Phase::Plan);
    worker.start();
    let callback = worker.callback(2, planned());
    site.engine.state().is_down = true;
    assert!(matches!(worker.post(&callback), Err(ReportError::Workflow(_))));
    site.engine.state().is_down = false;
    site.engine.heard();
    let version = site.memory.operation(&worker.operation).version;
    let taken = worker.post(&callback).unwrap();
    assert!(!taken.applied);
    assert_eq!(site.engine.heard(), [r#"succeed task {"next":"apply"}"#]);
    assert_eq!(site.memory.operation(&worker.operation).version, version + 1, "crossed out");
    assert!(!worker.post(&callback).unwrap().applied);
    assert_eq!(site.engine.heard(), [""; 0]);
}

#[test]
fn reports_out_of_order_are_refused() {
    let site = Site::default();
    let worker = Worker::begin(&site, &site.provisioning("dev"), Phase::Plan);
    assert!(out_of_order(&worker.say(1, Report::Heartbeat)), "before it said that it works");
    assert!(out_of_order(&worker.say(1, Report::Started { token: None, links: Vec::new() })));
    worker.start();
    assert!(out_of_order(&worker.say(2, started())), "it said so before");
    assert!(out_of_order(&worker.say(1, Report::Heartbeat)), "another message with a used number");
    worker.say(3, Report::Heartbeat).unwrap();
    assert!(out_of_order(&worker.say(2, Report::Heartbeat)), "overtaken");
    let unplanned = worker.say(4, Report::Success(Success::default()));
    assert!(matches!(unplanned, Err(ReportError::Refused(ReportRefused::Incomplete(_)))));
    worker.say(4, planned()).unwrap();
    assert!(out_of_order(&worker.say(5, Report::Heartbeat)), "after the end");
    assert!(out_of_order(&worker.say(5, Report::Failure { reason: "after all".into(), unchanged: false })));
}

#[test]
fn a_worker_whose_place_was_taken_is_refused() {
    let site = Site::default();
    let id = site.provisioning("dev");
    let first = Worker::begin(&site, &id, Phase::Plan);
    first.start();
    let second = Worker::begin(&site, &id, Phase::Plan);
    let refused = first.say(2, planned());
    assert!(matches!(refused, Err(ReportError::Refused(ReportRefused::Superseded))), "{refused:?}");
    second.start();
    assert_eq!(site.memory.operation(&id).attempt.unwrap().number, 2);
}

#[test]
fn a_token_opens_its_own_attempt_and_no_other() {
    let site = Site::default();
    let worker = Worker::begin(&site, &site.provisioning("dev"), Phase::Plan);
    let other = site.provisioning("prod");
    let mut callback = worker.callback(1, started());
    callback.operation = other;
    assert!(matches!(worker.post(&callback), Err(ReportError::Mismatch)));
    let mut callback = worker.callback(1, started());
    callback.message.attempt = 2;
    assert!(matches!(worker.post(&callback), Err(ReportError::Mismatch)));
    let mut callback = worker.callback(1, started());
    callback.workflow = Workflow::Deploy;
    assert!(matches!(worker.post(&callback), Err(ReportError::Mismatch)));
    assert_eq!(site.memory.operation(&worker.operation).attempt.unwrap().sequence, 0);
    site.hand.advance(Duration::from_mins(75));
    let expired = worker.say(1, started());
    assert!(matches!(expired, Err(ReportError::Token(CallbackTokenError::Expired))));
}

#[test]
fn a_worker_is_asked_to_stop_when_somebody_cancelled_or_nobody_waits() {
    let site = Site::default();
    let worker = Worker::begin(&site, &site.provisioning("dev"), Phase::Plan);
    worker.start();
    site.engine.state().is_gone = true;
    let heartbeat = worker.callback(2, Report::Heartbeat);
    assert!(worker.post(&heartbeat).unwrap().cancel);
    let again = worker.post(&heartbeat).unwrap();
    assert!(again.cancel && !again.applied, "also when the answer to the first one was lost");
    site.engine.state().is_gone = false;
    assert!(!worker.say(3, Report::Heartbeat).unwrap().cancel);
    let mut items = site.memory.items();
    let operation = items.operations.get_mut(&worker.operation).unwrap();
    let asked = operation.requested.clone();
    operation.ask_to_stop(asked).unwrap();
    drop(items);
    assert!(worker.say(4, Report::Heartbeat).unwrap().cancel);
    site.engine.heard();
    worker.say(5, Report::Failure { reason: "stopped".into(), unchanged: false }).unwrap();
    assert_eq!(site.engine.heard(), ["fail task Cancelled: stopped"]);
}

#[test]
fn a_report_after_the_end_is_refused_and_its_repetition_is_not() {
    let site = Site::default();
    let worker = Worker::begin(&site, &site.provisioning("dev"), Phase::Plan);
    worker.start();
    let last = worker.callback(2, Report::Failure { reason: "no such region".into(), unchanged: false });
    worker.post(&last).unwrap();
    let fail = |error: &str| {
        steer::fail(&site.memory, &site.hand, &worker.operation, error, "").now_or_never().unwrap()
    };
    let failed = fail("WorkerFailed");
    assert_eq!(failed.unwrap(), OperationOutcome::Failed);
    assert!(!worker.post(&last).unwrap().applied);
    let late = worker.say(3, Report::Heartbeat);
    assert!(
        matches!(late, Err(ReportError::Refused(ReportRefused::Ended(OperationOutcome::Failed)))),
        "{late:?}"
    );
    let again = fail("States.Timeout");
    assert_eq!(again.unwrap(), OperationOutcome::Failed, "an outcome stays");
}
