use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    StateMachine,
    expression::{Context, Expression},
};

/// A machine with one task and its end, to be spoilt.
fn definition() -> Value {
    json!({
        "StartAt": "Work",
        "States": {
            "Work": {
                "Type": "Task",
                "Resource": "arn:aws:states:::lambda:invoke",
                "Parameters": { "FunctionName": "${Function}", "Payload": { "id.$": "$.id" } },
                "TimeoutSeconds": 60,
                "Retry": [{ "ErrorEquals": ["Unavailable"] }],
                "Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "Done" }],
                "Next": "Done",
            },
            "Done": { "Type": "Succeed" },
        },
    })
}

fn parse(definition: &Value) -> Result<StateMachine, String> {
    let substitutions = BTreeMap::from([("Function".to_owned(), "f".to_owned())]);
    StateMachine::parse("flow", &definition.to_string(), &substitutions).map_err(|error| error.to_string())
}

/// What is said of the definition with `value` at `pointer`, of which all but the last part exists.
fn refusal(pointer: &str, value: Value) -> String {
    let mut spoilt = definition();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let place = spoilt.pointer_mut(parent).unwrap();
    match place {
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        object => object[key] = value,
    }
    parse(&spoilt).expect_err(pointer)
}

fn refused<const N: usize>(cases: [(&str, Value, &str); N]) {
    for (pointer, value, wanted) in cases {
        let said = refusal(pointer, value);
        assert!(said.starts_with(wanted), "{pointer}: {said}");
    }
}

#[test]
fn a_definition_that_is_known_is_read() {
    parse(&definition()).unwrap();
}

#[test]
fn what_is_not_known_of_a_machine_is_refused_by_name() {
    refused([
        ("/Version", json!("1.0"), "flow: unknown field `Version`"),
        ("/QueryLanguage", json!("JSONata"), "flow: unknown field `QueryLanguage`"),
        ("/StartAt", json!("Nowhere"), "flow: StartAt names Nowhere, which is no state"),
        ("/TimeoutSeconds", json!(0), "flow: TimeoutSeconds is out of range"),
        ("/States/Done/Type", json!("Map"), "flow: Done: the Type \"Map\" is not played here"),
        ("/States/Done/Output", json!(1), "flow: Done: unknown field `Output`"),
        ("/States/Done", json!(1), "flow: Done: it is not an object"),
        (
            "/States/Done",
            json!({"Type": "Wait", "Next": "Work"}),
            "flow: Done: it needs one of Seconds and SecondsPath",
        ),
        (
            "/States/Done",
            json!({"Type": "Wait", "Timestamp": "2026-01-01T00:00:00Z", "Next": "Work"}),
            "flow: Done: unknown field `Timestamp`",
        ),
        ("/States/Done", json!({"Type": "Choice", "Choices": []}), "flow: Done: missing field `Default`"),
        (
            "/States/Done",
            json!({"Type": "Choice", "Choices": [{"Variable": "$.a", "Next": "Work"}], "Default": "Work"}),
            "flow: Done: a choice needs one test",
        ),
        (
            "/States/Done",
            json!({"Type": "Choice", "Choices": [{"Not": {}, "Next": "Work"}], "Default": "Work"}),
            "flow: Done: unknown field `Not`",
        ),
    ]);
}

#[test]
fn what_is_not_known_of_a_task_is_refused_by_name() {
    refused([
        ("/States/Work/End", json!(true), "flow: Work: unknown field `End`"),
        ("/States/Work/Next", json!("Gone"), "flow: Work: it leads to Gone, which is no state"),
        ("/States/Work/InputPath", json!("$.a"), "flow: Work: unknown field `InputPath`"),
        (
            "/States/Work/Resource",
            json!("arn:aws:states:::sqs:sendMessage"),
            "flow: Work: unknown variant `arn:aws:states:::sqs:sendMessage`",
        ),
        ("/States/Work/TimeoutSeconds", json!(0), "flow: Work: TimeoutSeconds is out of range"),
        ("/States/Work/TimeoutSeconds", json!("60"), "flow: Work: invalid type"),
        (
            "/States/Work/HeartbeatSeconds",
            json!(60),
            "flow: Work: HeartbeatSeconds is less than TimeoutSeconds, and not 0",
        ),
        ("/States/Work/HeartbeatSeconds", json!(30), "flow: Work: only what has a token can send heartbeats"),
        (
            "/States/Work/Resource",
            json!("arn:aws:states:::lambda:invoke.waitForTaskToken"),
            "flow: Work: $$.Task.Token is handed out where it is waited for, and only there",
        ),
        ("/States/Work/ResultPath", json!("$$.a"), "flow: Work: `$$.a` is not a path"),
    ]);
}

#[test]
fn a_template_that_cannot_be_filled_is_refused() {
    refused([
        (
            "/States/Work/ResultSelector",
            json!({"a.$": "$$.Task.Token"}),
            "flow: Work: a ResultSelector has no $$.Task.Token",
        ),
        (
            "/States/Work/Parameters",
            json!({"FunctionName": "f"}),
            "flow: Work: a function is invoked with FunctionName and Payload",
        ),
        (
            "/States/Work/Parameters/Payload",
            json!({"a.$": "$.list[0]"}),
            "flow: Work: `a.$`: `$.list[0]` is not a path",
        ),
        ("/States/Work/Parameters/Payload", json!({"a.$": 1}), "flow: Work: `a.$` is not followed by a text"),
        (
            "/States/Work/Parameters/Payload",
            json!({"a.$": "$$.Execution.Input"}),
            "flow: Work: `a.$`: `$$.Execution.Input` of the context is not played here",
        ),
        (
            "/States/Work/Parameters/Payload",
            json!({"a.$": "States.UUID()"}),
            "flow: Work: `a.$`: `` is not a path",
        ),
        (
            "/States/Work/Parameters/Payload",
            json!({"a.$": "States.Hash($.a, 'MD5')"}),
            "flow: Work: `a.$`: the function States.Hash is not played here",
        ),
        ("/States/Work/Parameters/FunctionName", json!("${Other}"), "flow: nothing was given for ${Other}"),
        (
            "/States/Work/Parameters/FunctionName",
            json!("${Other"),
            "flow: `${Other` has a ${ without its end",
        ),
    ]);
}

#[test]
fn errors_that_are_not_known_are_refused() {
    refused([
        ("/States/Work/Catch/0/Next", json!("Gone"), "flow: Work: it leads to Gone, which is no state"),
        (
            "/States/Work/Retry/0/ErrorEquals",
            json!(["States.TaskFailed"]),
            "flow: Work: the error States.TaskFailed is not played here",
        ),
        (
            "/States/Work/Retry/0/ErrorEquals",
            json!(["States.ALL", "A"]),
            "flow: Work: ErrorEquals needs names, and States.ALL stands alone",
        ),
        ("/States/Work/Retry/0/ErrorEquals", json!([]), "flow: Work: ErrorEquals needs names"),
        (
            "/States/Work/Retry/0/BackoffRate",
            json!(0.5),
            "flow: Work: a Retry needs an IntervalSeconds and a BackoffRate of at least 1",
        ),
        ("/States/Work/Retry/0/JitterStrategy", json!("SOME"), "flow: Work: unknown variant `SOME`"),
        (
            "/States/Work/Catch",
            json!([
                {"ErrorEquals": ["States.ALL"], "Next": "Done"},
                {"ErrorEquals": ["A"], "Next": "Done"},
            ]),
            "flow: Work: what stands behind States.ALL is never reached",
        ),
    ]);
}

#[test]
fn a_name_that_would_not_do_in_an_arn_is_refused() {
    for name in ["", "a.b", "a/b", "a:b", &"a".repeat(81)] {
        let error = StateMachine::parse(name, &definition().to_string(), &BTreeMap::new()).unwrap_err();
        assert!(error.to_string().contains("is not a state machine's name"), "{error}");
    }
    let error = StateMachine::parse("flow", "{", &BTreeMap::new()).unwrap_err();
    assert_eq!(error.to_string(), "flow: EOF while parsing an object at line 1 column 1");
}

#[test]
fn expressions_are_worked_out() {
    let data = json!({"a": {"b": [1, {"c": null}]}, "text": "x, y,,z", "number": 3, "yes": true});
    let context = Context { token: "t", execution: "op_1", retries: 2 };
    for (text, wanted) in [
        ("$", data.clone()),
        ("$.a.b", json!([1, {"c": null}])),
        ("$$.Task.Token", json!("t")),
        ("$$.Execution.Name", json!("op_1")),
        ("$$.State.RetryCount", json!(2)),
        ("States.StringSplit($.text, ', ')", json!(["x", "y", "z"])),
        ("States.StringSplit('subnet-a', ',')", json!(["subnet-a"])),
        ("States.Format('{}', $.number)", json!("3")),
        ("States.Format('{}-{} of {}', $.text, $.yes, $$.Execution.Name)", json!("x, y,,z-true of op_1")),
        ("States.Format('none')", json!("none")),
    ] {
        let expression = Expression::parse(text).unwrap();
        assert_eq!(expression.evaluate(&data, &context), Ok(wanted), "{text}");
    }
}

#[test]
fn expressions_say_what_is_wrong() {
    let context = Context { token: "t", execution: "op_1", retries: 2 };
    let evaluate = |text: &str| Expression::parse(text)?.evaluate(&json!({"a": {}}), &context);
    for (text, wanted) in [
        ("$.b.c", "the path $.b.c leads to nothing in the data"),
        ("States.Format('{}', $.a)", "the path $.a does not lead to a text, a number or a truth"),
        ("States.Format('{} {}', $.a)", "`{} {}` does not have one {} for each value"),
        ("States.Format($.a, $.a)", "`States.Format($.a, $.a)` does not have the arguments"),
        ("States.StringSplit('a')", "`States.StringSplit('a')` does not have the arguments"),
        ("States.StringSplit('a', ','", "`States.StringSplit('a', ','` has no end"),
        ("States.StringSplit('a' ',')", "`'a' ','` has something other than a comma"),
        ("States.StringSplit('a, b)", "`'a, b` has a quote without its end"),
        (r"States.StringSplit('a\'', ',')", r"`'a\'', ','` has a backslash"),
    ] {
        let said = evaluate(text).expect_err(text);
        assert!(said.starts_with(wanted), "{text}: {said}");
    }
}
