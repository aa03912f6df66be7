use super::support::{Site, after, token};
use crate::{
    catalog::{DriftState, Infrastructure, OutputValue, PlanSummary},
    json::Object,
    operations::{
        Asked, OPEN_AT_MOST, Operation, OperationOutcome, Phase, Signal, State, StepRefused, StepState,
        Verdict,
        lifecycle::{Changed, LOG_BYTES, LOG_LINES, Message, Progress, Report, Success},
        request::Ask,
        workflow::Execution,
    },
};

/// An operation of this kind in this environment, as it stands when it was just asked for.
fn asked(environment: &str, ask: &Ask) -> Operation {
    let site = Site::default();
    site.memory.operation(&site.requested(environment, ask))
}

fn provisioning() -> Operation {
    asked("prod", &Ask::Provision(Object::new()))
}

fn say(operation: &mut Operation, report: Report) {
    let attempt = operation.attempt.as_ref().unwrap();
    let (attempt, sequence) = (attempt.number, attempt.sequence + 1);
    let message = Message { attempt, sequence, fingerprint: format!("m{sequence}"), report };
    operation.report(message, after(10)).unwrap();
}

fn started() -> Report {
    Report::Started { token: Some(token("worker")), links: Vec::new() }
}

fn success(add: u32) -> Report {
    let plan = Some(PlanSummary { add, change: 0, destroy: 0, ..PlanSummary::default() });
    let outputs = Some([("url".to_owned(), OutputValue::Sensitive)].into());
    Report::Success(Success { plan, outputs, ..Success::default() })
}

fn verdict(approved: bool) -> Verdict {
    Verdict { approved, asked: Asked::by("user:bob", after(20)), comment: None }
}

fn stop() -> Asked {
    Asked::by("user:eve", after(30))
}

/// How far to bring an operation.
const STAGES: [&str; 8] =
    ["requested", "planning", "planned", "awaiting", "agreed", "opened", "applying", "applied"];

/// The operation at that stage.
fn at_stage(stage: &str) -> Operation {
    let mut operation = provisioning();
    let steps: [&dyn Fn(&mut Operation); 7] = [
        &|operation| {
            operation.begin_attempt(Phase::Plan, after(1)).unwrap();
            say(operation, started());
        },
        &|operation| say(operation, success(1)),
        &|operation| {
            operation.await_approval(token("approval"), after(15)).unwrap();
        },
        &|operation| {
            operation.decide(verdict(true), after(20)).unwrap();
        },
        &|operation| {
            operation.begin_attempt(Phase::Apply, after(25)).unwrap();
        },
        &|operation| say(operation, started()),
        &|operation| say(operation, success(1)),
    ];
    let stages = STAGES.iter().position(|name| *name == stage).unwrap();
    steps.iter().take(stages).for_each(|step| step(&mut operation));
    operation
}

fn ended(ending: OperationOutcome) -> Operation {
    let mut operation = at_stage("planning");
    operation.state = State::Ended { ending, at: after(40), reason: None };
    operation
}

fn word(outcome: &Result<Changed, StepRefused>) -> &'static str {
    match outcome {
        Ok(Changed::Nothing) => "nothing",
        Ok(Changed::Record) => "recorded",
        Ok(Changed::Ended(_)) => "ended",
        Err(StepRefused::Ended(_)) => "too late",
        Err(StepRefused::CancelRequested) => "stopping",
        Err(StepRefused::OutOfPlace(_)) => "out of place",
    }
}

/// What each thing that may happen does to this operation.
fn outcomes(operation: &Operation) -> [&'static str; 9] {
    let with = |act: &dyn Fn(&mut Operation) -> Result<Changed, StepRefused>| {
        let mut operation = operation.clone();
        word(&act(&mut operation))
    };
    let said = |changed: Option<Changed>| changed.ok_or(StepRefused::OutOfPlace("nobody is asked"));
    [
        with(&|operation| operation.begin_attempt(Phase::Plan, after(50))),
        with(&|operation| operation.begin_attempt(Phase::Apply, after(50))),
        with(&|operation| operation.begin_attempt(Phase::Deploy, after(50))),
        with(&Operation::admit),
        with(&|operation| operation.await_approval(token("other"), after(50))),
        with(&|operation| operation.finish(after(50))),
        with(&|operation| Ok(operation.fail("Broken", "no", after(50)))),
        with(&|operation| said(operation.ask_to_stop(stop()))),
        with(&|operation| said(operation.decide(verdict(true), after(50)))),
    ]
}

#[test]
fn what_may_happen_when() {
    const NO: &str = "out of place";
    const OK: &str = "recorded";
    // plan, apply, deploy, admit, await approval, finish, fail, cancel, approve
    let table = [
        ("requested", [OK, NO, NO, NO, NO, NO, "ended", "ended", NO]),
        ("planning", [OK, NO, NO, NO, NO, NO, "ended", OK, NO]),
        ("planned", [OK, NO, NO, NO, OK, NO, "ended", OK, NO]),
        ("awaiting", [NO, NO, NO, NO, OK, NO, "ended", "ended", OK]),
        ("agreed", [NO, OK, NO, NO, OK, NO, "ended", OK, NO]),
        ("opened", [NO, OK, NO, NO, OK, NO, "ended", OK, NO]),
        ("applying", [NO, NO, NO, NO, OK, NO, "ended", OK, NO]),
        ("applied", [NO, NO, NO, NO, OK, "ended", "ended", OK, NO]),
    ];
    for (stage, expected) in table {
        assert_eq!(outcomes(&at_stage(stage)), expected, "{stage}");
    }
}

#[test]
fn nothing_happens_to_what_has_ended() {
    const LATE: &str = "too late";
    for ending in [
        OperationOutcome::Failed,
        OperationOutcome::Cancelled,
        OperationOutcome::Rejected,
        OperationOutcome::TimedOut,
    ] {
        let expected = [LATE, LATE, LATE, LATE, LATE, LATE, "nothing", "out of place", "out of place"];
        assert_eq!(outcomes(&ended(ending)), expected, "{ending:?}");
    }
    let expected = [LATE, LATE, LATE, LATE, LATE, "nothing", "nothing", "out of place", "out of place"];
    assert_eq!(outcomes(&ended(OperationOutcome::Succeeded)), expected);
}

#[test]
fn what_was_asked_to_stop_goes_no_further() {
    for stage in ["planning", "planned", "agreed", "opened"] {
        let mut operation = at_stage(stage);
        operation.ask_to_stop(stop()).unwrap();
        let [plan, apply, deploy, admit, wait, ..] = outcomes(&operation);
        assert_eq!([plan, apply, deploy, admit, wait], ["stopping"; 5], "{stage}");
        assert_eq!(operation.ask_to_stop(stop()), Some(Changed::Nothing));
        operation.fail("CancelRequested", "", after(50));
        assert_eq!(operation.ending(), Some(OperationOutcome::Cancelled), "{stage}");
    }
    let mut applied = at_stage("applied");
    applied.ask_to_stop(stop()).unwrap();
    applied.finish(after(50)).unwrap();
    assert_eq!(
        applied.ending(),
        Some(OperationOutcome::Succeeded),
        "it was done before anybody could stop it"
    );
}

#[test]
fn a_workflow_is_owed_what_happened_to_it() {
    let pending_signal = |stage: &str, act: &dyn Fn(&mut Operation)| {
        let mut operation = at_stage(stage);
        act(&mut operation);
        operation.pending_signal
    };
    let cancel = |operation: &mut Operation| drop(operation.ask_to_stop(stop()));
    assert_eq!(pending_signal("requested", &cancel), Some(Signal::Stop));
    assert_eq!(pending_signal("planning", &|_| ()), None);
    assert_eq!(pending_signal("planning", &cancel), None, "its worker is told");
    let next = serde_json::json!({ "next": "approve" });
    assert_eq!(
        pending_signal("planned", &|_| ()),
        Some(Signal::Succeed { token: token("worker"), output: next })
    );
    let by = serde_json::json!({ "approved_by": "user:bob" });
    assert_eq!(
        pending_signal("agreed", &|_| ()),
        Some(Signal::Succeed { token: token("approval"), output: by })
    );
    let reject = |operation: &mut Operation| drop(operation.decide(verdict(false), after(20)));
    let signal = pending_signal("awaiting", &reject);
    assert!(matches!(signal, Some(Signal::Fail { error, .. }) if error == "Rejected"));
    let signal = pending_signal("awaiting", &cancel);
    assert!(matches!(signal, Some(Signal::Fail { error, .. }) if error == "Cancelled"));
}

#[test]
fn an_end_settles_the_environment() {
    let settled = |stage: &str, error: Option<&str>| {
        let mut operation = at_stage(stage);
        let changed = match error {
            None => operation.finish(after(50)).unwrap(),
            Some(error) => operation.fail(error, "", after(50)),
        };
        let Changed::Ended(settled) = changed else { panic!("{changed:?}") };
        (operation.ending().unwrap(), settled.infrastructure)
    };
    assert_eq!(settled("planned", Some("Broken")), (OperationOutcome::Failed, None));
    assert_eq!(settled("awaiting", Some("States.Timeout")), (OperationOutcome::TimedOut, None));
    assert_eq!(settled("opened", Some("States.HeartbeatTimeout")), (OperationOutcome::TimedOut, None));
    let (ending, left) = settled("applying", Some("Broken"));
    assert!(matches!((ending, left), (OperationOutcome::Failed, Some(Infrastructure::Partial(_)))));
    let (ending, made) = settled("applied", None);
    let Some(Infrastructure::Present(made)) = made else { panic!("{made:?}") };
    assert_eq!((ending, made.outputs.len()), (OperationOutcome::Succeeded, 1));
}

#[test]
fn what_was_done_is_done_although_its_workflow_failed() {
    let ends: [&dyn Fn(&mut Operation) -> Changed; 4] = [
        &|operation| operation.fail("States.HeartbeatTimeout", "", after(50)),
        &|operation| operation.end_abandoned(Some(&Execution::TimedOut), after(50)),
        &|operation| operation.end_abandoned(None, after(50)),
        &|operation| {
            let deadline = operation.deadline;
            operation.end_overdue(deadline)
        },
    ];
    for end in ends {
        let mut operation = at_stage("applied");
        end(&mut operation);
        assert_eq!(operation.ending(), Some(OperationOutcome::Succeeded));
    }
}

#[test]
fn a_plan_that_came_too_late_is_made_again() {
    let mut operation = at_stage("planned");
    operation.begin_attempt(Phase::Plan, after(60)).unwrap();
    assert_eq!((operation.plan, operation.pending_signal.as_ref()), (None, None));
    let mut operation = at_stage("planning");
    say(&mut operation, Report::Failure { reason: "no network".into(), unchanged: false });
    operation.begin_attempt(Phase::Plan, after(60)).unwrap();
    say(&mut operation, started());
    say(&mut operation, success(0));
    operation.finish(after(70)).unwrap();
    assert_eq!(operation.ending(), Some(OperationOutcome::Succeeded));
}

#[test]
fn what_is_open_for_too_long_is_ended() {
    let mut operation = at_stage("applying");
    let deadline = operation.deadline;
    assert_eq!(operation.end_overdue(deadline - std::time::Duration::from_secs(1)), Changed::Nothing);
    assert!(matches!(operation.end_overdue(deadline), Changed::Ended(_)));
    assert_eq!(
        (operation.ending(), operation.pending_signal),
        (Some(OperationOutcome::TimedOut), Some(Signal::Stop))
    );
    let mut unheeded = at_stage("applying");
    unheeded.ask_to_stop(stop()).unwrap();
    assert_eq!(unheeded.end_overdue(after(30 + 15 * 60 - 1)), Changed::Nothing);
    unheeded.end_overdue(after(30 + 15 * 60));
    assert_eq!(unheeded.ending(), Some(OperationOutcome::Cancelled));
}

#[test]
fn an_approval_begins_the_time_anew() {
    let waiting = at_stage("awaiting");
    let week = std::time::Duration::from_hours(7 * 24);
    assert_eq!(waiting.deadline, waiting.requested.at + week + OPEN_AT_MOST);
    let mut early = waiting.clone();
    early.decide(verdict(true), after(20)).unwrap();
    assert_eq!(early.deadline, after(20) + OPEN_AT_MOST);
    let mut late = waiting.clone();
    let approved_at = waiting.deadline - std::time::Duration::from_secs(1);
    late.decide(verdict(true), approved_at).unwrap();
    assert_eq!(late.end_overdue(waiting.deadline), Changed::Nothing, "it has its time to work");
    assert!(matches!(late.end_overdue(approved_at + OPEN_AT_MOST), Changed::Ended(_)));
    let mut refused = waiting.clone();
    refused.decide(verdict(false), after(20)).unwrap();
    assert_eq!(refused.deadline, waiting.deadline);
}

#[test]
fn a_workflow_that_is_gone_is_begun_or_given_up() {
    let mut operation = at_stage("requested");
    operation.pending_signal = None;
    assert_eq!(operation.end_abandoned(None, after(50)), Changed::Record);
    assert_eq!(operation.pending_signal, Some(Signal::Start));
    let mut operation = at_stage("applying");
    assert_eq!(operation.end_abandoned(Some(&Execution::Running), after(50)), Changed::Nothing);
    operation.end_abandoned(None, after(50));
    assert_eq!(operation.ending(), Some(OperationOutcome::Failed));
    let mut operation = at_stage("applying");
    operation.end_abandoned(Some(&Execution::Succeeded), after(50));
    assert_eq!(operation.ending(), Some(OperationOutcome::Failed), "it ended without a result");
}

#[test]
fn a_webhook_that_is_called_again_reports_for_the_same_attempt() {
    let mut operation = provisioning();
    operation.work = crate::operations::Work::Deploy {
        version: "1".into(),
        target: crate::catalog::DeployTarget::Webhook("https://example.com".into()),
    };
    operation.approval_required = false;
    operation.begin_webhook(token("first"), after(1)).unwrap();
    operation.begin_webhook(token("second"), after(2)).unwrap();
    assert_eq!(operation.attempt.as_ref().unwrap().number, 1);
    say(&mut operation, Report::Success(Success::default()));
    let output = serde_json::json!({ "deployed": true });
    let pending_signal = |name: &str| Some(Signal::Succeed { token: token(name), output: output.clone() });
    assert_eq!(operation.pending_signal, pending_signal("second"));
    operation.begin_webhook(token("third"), after(3)).unwrap();
    assert_eq!(
        operation.pending_signal,
        pending_signal("third"),
        "what was reported is told to whoever waits now"
    );
}

#[test]
fn drift_is_what_a_plan_found() {
    let mut operation = provisioning();
    let given = operation.work.configuration().unwrap().clone();
    operation.work = crate::operations::Work::Drift(given);
    operation.approval_required = false;
    for (found, state) in [(0, DriftState::None), (2, DriftState::Detected)] {
        let mut operation = operation.clone();
        operation.begin_attempt(Phase::Plan, after(1)).unwrap();
        say(&mut operation, started());
        say(&mut operation, success(found));
        assert!(operation.clone().begin_attempt(Phase::Apply, after(5)).is_err(), "drift is not applied");
        let Changed::Ended(settled) = operation.finish(after(50)).unwrap() else { panic!("it goes on") };
        assert_eq!(settled.drift.unwrap().unwrap().state, state);
        assert_eq!(settled.infrastructure, None);
    }
}

#[test]
fn of_a_log_the_end_is_kept() {
    let mut operation = at_stage("planning");
    for number in 0..50 {
        let log = (0..50).map(|line| format!("line {}", number * 50 + line)).collect();
        say(&mut operation, Report::Progress(Progress { log, ..Progress::default() }));
    }
    assert_eq!(operation.log.len(), LOG_LINES);
    assert_eq!(operation.log.last().unwrap(), "line 2499");
    say(
        &mut operation,
        Report::Progress(Progress { log: vec!["x".repeat(1000); 50], ..Progress::default() }),
    );
    let bytes: usize = operation.log.iter().map(|line| line.len() + 1).sum();
    assert!(bytes <= LOG_BYTES && bytes > LOG_BYTES - 1002, "{bytes}");
}

/// An operation that provisions without approval, whose plan is as given.
fn planned(plan: PlanSummary) -> Operation {
    let mut operation = Operation { approval_required: false, ..at_stage("planning") };
    say(&mut operation, Report::Success(Success { plan: Some(plan), ..Success::default() }));
    operation
}

#[test]
fn terraform_says_whether_there_is_something_to_apply() {
    let moves = PlanSummary { moved: 1, applyable: Some(true), ..PlanSummary::default() };
    let odd = PlanSummary { applyable: Some(true), ..PlanSummary::default() };
    for plan in [moves, odd] {
        let operation = planned(plan);
        let Some(Signal::Succeed { output, .. }) = &operation.pending_signal else { panic!("{operation:?}") };
        assert_eq!(output["next"], "apply");
        assert!(operation.clone().finish(after(50)).is_err(), "it was not applied");
    }
    let mut nothing = planned(PlanSummary { applyable: Some(false), ..PlanSummary::default() });
    assert!(matches!(nothing.finish(after(50)), Ok(Changed::Ended(_))));
}

#[test]
fn outputs_are_those_of_the_state_whenever_they_are_told() {
    let known = [("url".to_owned(), OutputValue::Value("https://a".into()))];
    let mut operation = at_stage("planning");
    operation.outputs = known.clone().into();
    let plan = Some(PlanSummary { applyable: Some(false), ..PlanSummary::default() });
    for (told, expected) in [
        (None, known.clone().into()),
        (
            Some([("url".to_owned(), OutputValue::TooLarge)].into()),
            [("url".to_owned(), OutputValue::TooLarge)].into(),
        ),
    ] {
        let mut operation = operation.clone();
        say(&mut operation, Report::Success(Success { plan, outputs: told, ..Success::default() }));
        let Ok(Changed::Ended(settled)) = operation.finish(after(50)) else { panic!("it goes on") };
        let Some(Infrastructure::Present(provisioned)) = settled.infrastructure else {
            panic!("{settled:?}")
        };
        assert_eq!(provisioned.outputs, expected);
    }
}

#[test]
fn an_environment_is_partial_only_where_something_may_have_changed() {
    for unchanged in [true, false] {
        let mut operation = at_stage("applying");
        let reason = "terraform apply failed: Saved plan is stale".to_owned();
        say(&mut operation, Report::Failure { reason: reason.clone(), unchanged });
        let Changed::Ended(settled) = operation.fail("WorkerFailed", "", after(50)) else {
            panic!("it goes on")
        };
        let partial = matches!(settled.infrastructure, Some(Infrastructure::Partial(_)));
        assert_eq!((partial, settled.infrastructure.is_none()), (!unchanged, unchanged));
        let State::Ended { ending, reason: kept, .. } = operation.state else { panic!("it goes on") };
        assert_eq!((ending, kept), (OperationOutcome::Failed, Some(reason)));
    }
    // Of whom nothing is known, everything may be expected.
    let mut silent = at_stage("applying");
    let Changed::Ended(settled) = silent.fail("States.HeartbeatTimeout", "", after(50)) else {
        panic!("it goes on")
    };
    assert!(matches!(settled.infrastructure, Some(Infrastructure::Partial(_))));
}

#[test]
fn progress_without_a_step_is_of_the_one_that_runs() {
    let mut operation = at_stage("applying");
    let percentage =
        |percentage| Report::Progress(Progress { percentage: Some(percentage), ..Progress::default() });
    say(&mut operation, percentage(5));
    assert_eq!((operation.steps[0].name.as_str(), operation.steps[0].percentage), ("apply", Some(5)));
    let step = |name: &str, state| Progress { step: Some((name.to_owned(), state)), ..Progress::default() };
    say(&mut operation, Report::Progress(step("init", StepState::Succeeded)));
    say(&mut operation, Report::Progress(step("modules", StepState::Running)));
    say(&mut operation, percentage(40));
    let message = Some("three of five".to_owned());
    say(&mut operation, Report::Progress(Progress { message: message.clone(), ..Progress::default() }));
    let shown: Vec<_> = operation.steps.iter().map(|step| (step.name.as_str(), step.percentage)).collect();
    assert_eq!(shown, [("apply", Some(5)), ("init", None), ("modules", Some(40))]);
    assert_eq!(operation.steps[2].message, message);
    // Lines alone are of no step.
    let mut planning = at_stage("planning");
    say(&mut planning, Report::Progress(Progress { log: vec!["x".into()], ..Progress::default() }));
    assert!(planning.steps.is_empty());
}

#[test]
fn a_webhook_that_is_cancelled_ends_at_once() {
    let mut deploy = provisioning();
    deploy.work = crate::operations::Work::Deploy {
        version: "1".into(),
        target: crate::catalog::DeployTarget::Webhook("https://example.com".into()),
    };
    deploy.approval_required = false;
    let mut called = deploy.clone();
    called.begin_webhook(token("webhook"), after(1)).unwrap();
    assert!(matches!(called.ask_to_stop(stop()), Some(Changed::Ended(_))));
    let cause = "cancelled by user:eve".to_owned();
    let fail = Signal::Fail { token: token("webhook"), error: "Cancelled".to_owned(), cause };
    assert_eq!((called.ending(), called.pending_signal), (Some(OperationOutcome::Cancelled), Some(fail)));
    // What is done is done.
    let mut done = deploy.clone();
    done.begin_webhook(token("webhook"), after(1)).unwrap();
    say(&mut done, Report::Success(Success::default()));
    assert_eq!(done.ask_to_stop(stop()), Some(Changed::Record));
    done.finish(after(50)).unwrap();
    assert_eq!(done.ending(), Some(OperationOutcome::Succeeded));
    // Agreed to, and not called yet.
    deploy.state = State::Running { phase: Phase::Deploy };
    deploy.attempt = None;
    deploy.ask_to_stop(stop()).unwrap();
    assert_eq!(deploy.pending_signal, Some(Signal::Stop));
}

#[test]
fn what_is_applied_is_the_module_that_was_planned_with() {
    let artifact = |digit: &str| Some(crate::catalog::ModuleArtifact::try_from(digit.repeat(64)).unwrap());
    let plan = Some(PlanSummary { applyable: Some(true), ..PlanSummary::default() });
    let success = |digit| Report::Success(Success { plan, artifact: artifact(digit), ..Success::default() });
    let mut operation = Operation { approval_required: false, ..at_stage("planning") };
    say(&mut operation, success("a"));
    // A plan that nobody waited for is not what is applied.
    operation.begin_attempt(Phase::Plan, after(12)).unwrap();
    assert_eq!(operation.work.configuration().unwrap().artifact, None);
    say(&mut operation, started());
    say(&mut operation, success("b"));
    operation.begin_attempt(Phase::Apply, after(15)).unwrap();
    assert_eq!(operation.work.configuration().unwrap().artifact, artifact("b"));
    say(&mut operation, started());
    say(&mut operation, Report::Success(Success::default()));
    let Ok(Changed::Ended(settled)) = operation.finish(after(50)) else { panic!("it goes on") };
    let Some(Infrastructure::Present(provisioned)) = settled.infrastructure else { panic!("{settled:?}") };
    assert_eq!(provisioned.artifact, artifact("b"));

    // What exists is taken away and compared with it.
    let site = Site::default();
    site.provisioning("dev");
    let mut items = site.memory.items();
    let state = items.environments.values_mut().next().unwrap();
    state.running = None;
    state.infrastructure = Infrastructure::Partial(provisioned);
    drop(items);
    for ask in [Ask::Deprovision, Ask::Drift] {
        let id = site.requested("dev", &ask);
        assert_eq!(site.memory.operation(&id).work.configuration().unwrap().artifact, artifact("b"));
        site.memory.items().environments.values_mut().for_each(|state| state.running = None);
    }
}
