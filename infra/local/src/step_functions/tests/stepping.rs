//! How one execution goes on, without anything around it.

use std::{collections::BTreeMap, time::Duration};

use gatehouse_domain::clock::IdSource;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::step_functions::{
    StateMachine, TaskError,
    execution::{Execution, Next, Outcome, Status, Step, TaskEvent},
};

/// Draws the middle of every range.
struct Middle;

impl IdSource for Middle {
    fn random(&self) -> [u8; 16] {
        [0x80; 16]
    }
}

/// An execution and a clock, moved by hand.
struct Flow {
    machine: StateMachine,
    now: Timestamp,
    execution: Execution,
}

impl Flow {
    fn start(definition: &Value, data: Value) -> Self {
        let machine = StateMachine::parse("flow", &definition.to_string(), &BTreeMap::new()).unwrap();
        let now = "2026-01-02T03:04:05Z".parse().unwrap();
        let execution = step(&machine, now).first("one", data.to_string(), data);
        let mut flow = Self { machine, now, execution };
        flow.settle();
        flow
    }

    /// Goes on until only time helps; then says for how many milliseconds.
    fn settle(&mut self) -> Option<u128> {
        loop {
            match step(&self.machine, self.now).advance(&mut self.execution) {
                Next::Continue => {}
                Next::Ended => return None,
                Next::Until(time) => {
                    return Some(Duration::try_from(time.duration_since(self.now)).unwrap().as_millis());
                }
            }
        }
    }

    fn pass(&mut self, seconds: u64) -> Option<u128> {
        self.now += Duration::from_secs(seconds);
        self.settle()
    }

    fn answer(&mut self, result: Result<Value, TaskError>) -> Option<u128> {
        let step = step(&self.machine, self.now);
        let token = step.call(&self.execution).unwrap().token;
        assert!(step.record(&mut self.execution, &token, TaskEvent::Ended(result)));
        self.settle()
    }

    fn fail(&mut self, error: &str) -> Option<u128> {
        self.answer(Err(TaskError::new(error, "because")))
    }

    /// The error that ended it.
    fn error(&self) -> Option<(&str, &str)> {
        match &self.execution.status {
            Status::Ended { outcome: Outcome::Failed(error), .. } => Some((&error.error, &error.cause)),
            _ => None,
        }
    }

    fn output(&self) -> Option<&Value> {
        match &self.execution.status {
            Status::Ended { outcome: Outcome::Succeeded { output }, .. } => Some(output),
            _ => None,
        }
    }
}

fn step(machine: &StateMachine, now: Timestamp) -> Step<'_> {
    Step { machine, now, ids: &Middle }
}

/// A machine that begins with `state`, called `First`.
fn begins_with(state: &Value) -> Value {
    json!({ "StartAt": "First", "TimeoutSeconds": 1000, "States": {
        "First": state,
        "Other": { "Type": "Succeed" },
        "Done": { "Type": "Succeed" },
    } })
}

/// A task with further `fields`.
fn task(fields: Value) -> Value {
    let mut task = json!({
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": { "FunctionName": "f", "Payload": {} },
        "TimeoutSeconds": 60,
        "Next": "Done",
    });
    let Value::Object(fields) = fields else { panic!("fields") };
    task.as_object_mut().unwrap().extend(fields);
    begins_with(&task)
}

#[test]
fn an_error_is_tried_again_with_growing_pauses_and_then_ends_it() {
    let retry = json!([{
        "ErrorEquals": ["Unavailable"], "IntervalSeconds": 2, "BackoffRate": 3,
        "MaxAttempts": 4, "MaxDelaySeconds": 20,
    }]);
    let mut flow = Flow::start(&task(json!({ "Retry": retry })), json!({}));
    for pause in [2, 6, 18, 20] {
        assert_eq!(flow.fail("Unavailable"), Some(u128::from(pause) * 1000));
        assert_eq!(flow.pass(pause), Some(60_000), "the task has its whole time again");
    }
    assert_eq!(flow.fail("Unavailable"), None);
    assert_eq!(flow.error(), Some(("Unavailable", "because")));
}

#[test]
fn jitter_shortens_a_pause_by_chance() {
    let retry = json!([{ "ErrorEquals": ["States.ALL"], "IntervalSeconds": 10, "JitterStrategy": "FULL" }]);
    let mut flow = Flow::start(&task(json!({ "Retry": retry })), json!({}));
    assert_eq!(flow.fail("Any"), Some(5019), "0x80808080 of 0xffffffff of ten seconds");
}

#[test]
fn each_kind_of_error_is_counted_by_itself() {
    let retry = json!([
        { "ErrorEquals": ["A"], "MaxAttempts": 1 },
        { "ErrorEquals": ["B"], "MaxAttempts": 1 },
        { "ErrorEquals": ["C"], "MaxAttempts": 0 },
    ]);
    let mut flow = Flow::start(&task(json!({ "Retry": retry })), json!({}));
    for error in ["A", "B"] {
        assert_eq!(flow.fail(error), Some(1000));
        flow.pass(1);
    }
    assert_eq!(flow.fail("C"), None);
    assert_eq!(flow.error(), Some(("C", "because")));
}

#[test]
fn the_first_catcher_that_matches_gets_the_error() {
    let caught = json!([
        { "ErrorEquals": ["A"], "ResultPath": "$.error", "Next": "Other" },
        { "ErrorEquals": ["States.ALL"], "Next": "Done" },
    ]);
    let definition = task(json!({ "Catch": caught }));
    let mut flow = Flow::start(&definition, json!({"id": 1}));
    flow.fail("A");
    assert_eq!(flow.output(), Some(&json!({"id": 1, "error": {"Error": "A", "Cause": "because"}})));
    let mut flow = Flow::start(&definition, json!({"id": 1}));
    flow.fail("B");
    assert_eq!(flow.output(), Some(&json!({"Error": "B", "Cause": "because"})));
}

#[test]
fn a_timeout_is_an_error_with_a_name() {
    let caught = json!([{ "ErrorEquals": ["States.Timeout"], "Next": "Done" }]);
    let mut flow = Flow::start(&task(json!({ "Catch": caught })), json!({}));
    assert_eq!(flow.pass(59), Some(1000));
    assert_eq!(flow.pass(1), None);
    assert_eq!(flow.output(), Some(&json!({"Error": "States.Timeout", "Cause": ""})));
}

#[test]
fn an_answer_that_comes_after_its_time_changes_nothing() {
    let mut flow = Flow::start(&task(json!({})), json!({}));
    let step = step(&flow.machine, flow.now + Duration::from_mins(1));
    let token = step.call(&flow.execution).unwrap().token;
    assert!(!step.record(&mut flow.execution, &token, TaskEvent::Ended(Ok(json!({})))));
    flow.pass(60);
    assert_eq!(flow.error(), Some(("States.Timeout", "")));
}

#[test]
fn results_go_where_the_definition_says() {
    let selected = json!({ "ResultSelector": { "all.$": "$.Payload.a" }, "ResultPath": "$.x.y" });
    for (fields, data, wanted) in [
        (
            json!({}),
            json!({"id": 1}),
            json!({"ExecutedVersion": "$LATEST", "Payload": {"a": 2}, "StatusCode": 200}),
        ),
        (selected.clone(), json!({"id": 1}), json!({"id": 1, "x": {"y": {"all": 2}}})),
        (selected, json!({"x": {"y": 0, "z": 3}}), json!({"x": {"y": {"all": 2}, "z": 3}})),
    ] {
        let mut flow = Flow::start(&task(fields), data);
        let told = json!({"ExecutedVersion": "$LATEST", "Payload": {"a": 2}, "StatusCode": 200});
        flow.answer(Ok(told));
        assert_eq!(flow.output(), Some(&wanted));
    }
}

#[test]
fn data_that_does_not_fit_the_definition_ends_it_whatever_is_caught() {
    let caught = json!([{ "ErrorEquals": ["States.ALL"], "Next": "Done" }]);
    let retry = json!([{ "ErrorEquals": ["States.ALL"] }]);
    let mut flow = Flow::start(
        &task(json!({ "Catch": caught, "Retry": retry, "ResultSelector": { "a.$": "$.missing" } })),
        json!({}),
    );
    flow.answer(Ok(json!({})));
    assert_eq!(
        flow.error(),
        Some(("States.Runtime", "First: a: the path $.missing leads to nothing in the data"))
    );
    let mut flow = Flow::start(&task(json!({ "Catch": caught, "ResultPath": "$.id.a" })), json!({"id": 1}));
    flow.answer(Ok(json!({})));
    assert_eq!(flow.error().unwrap().0, "States.Runtime");
    let parameters = json!({ "FunctionName": "f", "Payload": { "a.$": "$.missing" } });
    let flow = Flow::start(&task(json!({ "Catch": caught, "Parameters": parameters })), json!({}));
    assert_eq!(flow.error().unwrap().0, "States.Runtime");
    let mut flow = Flow::start(&task(json!({ "Catch": caught })), json!({}));
    flow.answer(Ok(json!("x".repeat(262_144))));
    assert_eq!(flow.error().unwrap().0, "States.DataLimitExceeded");
}

#[test]
fn a_choice_goes_the_first_way_that_holds() {
    let choice = |test: Value| {
        let mut rule = json!({ "Variable": "$.a", "Next": "Other" });
        rule.as_object_mut().unwrap().extend(test.as_object().unwrap().clone());
        let never = json!({ "Variable": "$.a", "StringEquals": "never", "Next": "Done" });
        let mut definition = begins_with(&json!({
            "Type": "Choice", "Choices": [never, rule], "Default": "Done",
        }));
        definition["States"]["Other"] = json!({ "Type": "Fail", "Error": "Other", "Cause": "" });
        definition
    };
    for (test, holds, does_not) in [
        (json!({"BooleanEquals": true}), vec![json!(true)], vec![json!(false), json!("true"), json!(null)]),
        (json!({"StringEquals": "x"}), vec![json!("x")], vec![json!("y"), json!(["x"])]),
        (json!({"NumericLessThan": 3}), vec![json!(2), json!(-1.5)], vec![json!(3), json!("2")]),
    ] {
        for (values, other) in [(holds, true), (does_not, false)] {
            for value in values {
                let flow = Flow::start(&choice(test.clone()), json!({"a": value}));
                assert_eq!(flow.error().is_some(), other, "{test} of {value}");
            }
        }
        let flow = Flow::start(&choice(test), json!({}));
        assert_eq!(flow.error().unwrap().0, "States.Runtime", "what is missing is not merely different");
    }
}

#[test]
fn a_wait_takes_its_time_from_the_definition_or_the_data() {
    let wait =
        |field: &str, value: Value| begins_with(&json!({ "Type": "Wait", field: value, "Next": "Done" }));
    for (definition, data) in
        [(wait("Seconds", json!(7)), json!({})), (wait("SecondsPath", json!("$.s")), json!({"s": 7}))]
    {
        let mut flow = Flow::start(&definition, data.clone());
        assert_eq!(flow.pass(6), Some(1000));
        assert_eq!(flow.pass(1), None);
        assert_eq!(flow.output(), Some(&data));
    }
    for seconds in [json!(-1), json!(1.5), json!("7"), json!(100_000_000), json!(null)] {
        let flow = Flow::start(&wait("SecondsPath", json!("$.s")), json!({"s": seconds}));
        assert_eq!(flow.error().unwrap().0, "States.Runtime", "{seconds}");
    }
}

#[test]
fn the_machines_own_timeout_ends_whatever_goes_on() {
    let waiting = begins_with(&json!({ "Type": "Wait", "Seconds": 2000, "Next": "Done" }));
    let mut flow = Flow::start(&waiting, json!({}));
    assert_eq!(flow.settle(), Some(1_000_000));
    flow.pass(1000);
    assert!(matches!(flow.execution.status, Status::Ended { outcome: Outcome::TimedOut, .. }));
}

#[test]
fn a_pass_writes_its_result() {
    let pass = json!({ "Type": "Pass", "Result": {"Error": "E"}, "ResultPath": "$.error", "Next": "Done" });
    let flow = Flow::start(&begins_with(&pass), json!({"id": 1}));
    assert_eq!(flow.output(), Some(&json!({"id": 1, "error": {"Error": "E"}})));
}

#[test]
fn the_log_tells_the_way_and_no_data() {
    let retry = json!([{ "ErrorEquals": ["A"] }]);
    let mut flow = Flow::start(&task(json!({ "Retry": retry })), json!({"secret": "hunter2"}));
    flow.answer(Err(TaskError::new("A", "hunter2")));
    flow.pass(1);
    flow.answer(Ok(json!("hunter2")));
    let lines: Vec<_> = flow.execution.log.iter().map(|line| line.what.as_str()).collect();
    assert_eq!(
        lines,
        [
            "started at First",
            "First: the task is begun",
            "First: A, begun again at 2026-01-02T03:04:06Z",
            "First: the task is begun",
            "First: goes to Done",
            "Done: the execution succeeded",
        ]
    );
}

#[test]
fn the_log_keeps_its_last_lines() {
    let mut definition = begins_with(&json!({ "Type": "Wait", "Seconds": 1, "Next": "First" }));
    definition["TimeoutSeconds"] = json!(99_999);
    let mut flow = Flow::start(&definition, json!({}));
    for _ in 0..200 {
        flow.pass(1);
    }
    assert_eq!(flow.execution.log.len(), 100);
    assert_eq!(flow.execution.log[99].what, "First: waits until 2026-01-02T03:07:26Z");
}
