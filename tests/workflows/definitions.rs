//! What the definitions promise, read from the files themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use gatehouse_domain::operations::{OPEN_AT_MOST, look_again_after};
use gatehouse_http::extract::check_json;
use gatehouse_local::step_functions::StateMachine;
use serde_json::Value;

use crate::world::{DEPLOY, PROVISION, substitutions};

const TEMPLATE: &str = include_str!("../../template.yaml");

/// How a function fails that did not say why itself. `Lambda.*` are Lambda's refusals and lost answers; a function that was
/// cut off at its time limit or whose process died has the name that Lambda gives to that, without a prefix.
const FUNCTION_FAILURES: [&str; 10] = [
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    // Of a function in a VPC that was idle for weeks, until it has a network interface again.
    "Lambda.ENINotReadyException",
    "Lambda.ResourceNotReadyException",
    "Lambda.Unknown",
    "Runtime.ExitError",
    "Sandbox.Timedout",
];

/// Errors of a worker that was never begun, so that beginning again doubles nothing.
const WORKER_NEVER_BEGUN: [&str; 4] =
    ["AmazonECS.Unknown", "ECS.AmazonECSException", "ECS.ServerException", "ECS.ThrottlingException"];

/// A definition as a graph.
struct Graph {
    start: String,
    timeout: u64,
    states: BTreeMap<String, Value>,
}

impl Graph {
    fn of(definition: &str) -> Self {
        let mut definition: Value = serde_json::from_str(definition).expect("JSON");
        let Value::Object(states) = definition["States"].take() else { panic!("States is no object") };
        Self {
            start: text(&definition["StartAt"]).to_owned(),
            timeout: definition["TimeoutSeconds"].as_u64().expect("a TimeoutSeconds"),
            states: states.into_iter().collect(),
        }
    }

    fn of_type(&self, kind: &str) -> Vec<(&String, &Value)> {
        self.states.iter().filter(|(_, state)| state["Type"] == kind).collect()
    }

    fn followers(&self, state: &str) -> Vec<&str> {
        let state = &self.states[state];
        let listed = ["Choices", "Catch"].map(|list| state[list].as_array().map_or(&[][..], Vec::as_slice));
        let branches = listed.into_iter().flatten().map(|branch| &branch["Next"]);
        let all = branches.chain([&state["Next"], &state["Default"]]);
        all.filter_map(Value::as_str).collect()
    }

    /// What can be reached from `state` without going through `avoided`.
    fn reached_from(&self, state: &str, avoided: &str) -> BTreeSet<&str> {
        let mut reached = BTreeSet::new();
        let mut next = self.followers(state);
        while let Some(state) = next.pop() {
            if state != avoided && reached.insert(state) {
                next.extend(self.followers(state));
            }
        }
        reached
    }

    /// The longest time from `state` to an end, through no state twice.
    fn longest(&self, state: &str, passed: &mut Vec<String>) -> u64 {
        passed.push(state.to_owned());
        let followers =
            self.followers(state).into_iter().filter(|next| !passed.iter().any(|one| one == next));
        let followers: Vec<_> = followers.map(str::to_owned).collect();
        let rest = followers.iter().map(|next| self.longest(next, passed)).max().unwrap_or_default();
        passed.pop();
        rest + duration(&self.states[state])
    }
}

/// How long a state may take, with everything that is tried again.
fn duration(state: &Value) -> u64 {
    let once = state["TimeoutSeconds"].as_u64().or(state["Seconds"].as_u64()).unwrap_or_default();
    let retriers = state["Retry"].as_array().map_or(&[][..], Vec::as_slice);
    let number = |retrier: &Value, field: &str| retrier[field].as_u64().expect("a number");
    let again = |retrier: &Value| {
        let each = if waits_for_token(state) { 0 } else { once };
        number(retrier, "MaxAttempts") * (number(retrier, "MaxDelaySeconds") + each)
    };
    once + retriers.iter().map(again).sum::<u64>()
}

fn waits_for_token(state: &Value) -> bool {
    state["Resource"].as_str().is_some_and(|resource| resource.ends_with(".waitForTaskToken"))
}

fn invokes(state: &Value) -> bool {
    text(&state["Resource"]).starts_with("arn:aws:states:::lambda:invoke")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn errors(handler: &Value) -> Vec<&str> {
    handler["ErrorEquals"].as_array().expect("errors").iter().map(text).collect()
}

fn list<'a>(state: &'a Value, name: &str) -> &'a [Value] {
    state[name].as_array().map_or(&[], Vec::as_slice)
}

fn each(check: impl Fn(&Graph)) {
    for definition in [PROVISION, DEPLOY] {
        check(&Graph::of(definition));
    }
}

#[test]
fn they_are_read_by_the_engine_and_say_nothing_twice() {
    for definition in [PROVISION, DEPLOY] {
        StateMachine::parse("flow", definition, &substitutions()).unwrap();
        // Reading it as a value would keep the last of two fields of one name silently.
        check_json(definition.as_bytes()).unwrap();
    }
    let twice = format!("{:?}", check_json(br#"{"a": [{"b": 1, "b": 2}]}"#).unwrap_err());
    assert!(twice.contains("/a/0/b") && twice.contains("is there more than once"), "{twice}");
}

#[test]
fn the_template_fills_in_what_they_leave_open_and_nothing_else() {
    for (name, definition) in [("provision", PROVISION), ("deploy", DEPLOY)] {
        let open = definition.split("${").skip(1).filter_map(|rest| rest.split_once('}'));
        let open: BTreeSet<_> = open.map(|(name, _)| name).collect();
        assert_eq!(filled_in(name), open, "{name}");
    }
}

/// The names below `DefinitionSubstitutions` of the machine with this definition.
fn filled_in(name: &str) -> BTreeSet<&str> {
    let definition = format!("DefinitionUri: infra/state-machines/{name}.asl.json\n");
    let (_, rest) = TEMPLATE.split_once(&definition).expect("the machine");
    let mut lines = rest.lines().skip_while(|line| line.trim() != "DefinitionSubstitutions:");
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let outer = indentation(lines.next().expect("substitutions"));
    let below: Vec<_> = lines.take_while(|line| indentation(line) > outer).collect();
    let inner = below.first().map_or(outer, |line| indentation(line));
    // What stands deeper belongs to a value.
    let names = below.into_iter().filter(|line| indentation(line) == inner);
    names.filter_map(|line| line.trim().split_once(':')).map(|(name, _)| name).collect()
}

#[test]
fn every_task_has_an_end_and_a_way_out() {
    each(|graph| {
        for (name, task) in graph.of_type("Task") {
            assert!(task["TimeoutSeconds"].as_u64().is_some(), "{name} has no TimeoutSeconds");
            let last = list(task, "Catch").last().unwrap_or_else(|| panic!("{name} catches nothing"));
            assert_eq!(errors(last), ["States.ALL"], "{name}");
            assert_eq!(last["ResultPath"] == "$.error", name != "RecordFailure", "{name}");
            let way_out = text(&last["Next"]);
            if name == "RecordFailure" {
                assert_eq!(graph.states[way_out]["Type"], "Fail");
            } else {
                assert_eq!(way_out, "RecordFailure", "{name}");
            }
        }
    });
}

#[test]
fn who_works_with_a_token_is_heard_of() {
    each(|graph| {
        for (name, task) in graph.of_type("Task").into_iter().filter(|(_, task)| waits_for_token(task)) {
            let heartbeat = task["HeartbeatSeconds"].as_u64();
            let timeout = task["TimeoutSeconds"].as_u64();
            // People need not report while they think.
            assert_eq!(heartbeat.is_some(), name != "AwaitApproval", "{name}");
            assert!(heartbeat < timeout, "{name}");
        }
    });
}

#[test]
fn every_choice_has_a_default() {
    each(|graph| {
        for (name, choice) in graph.of_type("Choice") {
            assert!(graph.states.contains_key(text(&choice["Default"])), "{name}");
        }
    });
}

#[test]
fn every_way_comes_to_an_end() {
    each(|graph| {
        let from_start = graph.reached_from(&graph.start, "");
        for (name, state) in &graph.states {
            assert!(*name == graph.start || from_start.contains(name.as_str()), "{name} is never reached");
            let ends = ["Succeed", "Fail"].map(Value::from).contains(&state["Type"]);
            let reached = graph.reached_from(name, "");
            let leads_to_an_end = reached.iter().any(|one| graph.followers(one).is_empty());
            assert_eq!(ends, graph.followers(name).is_empty(), "{name}");
            assert!(ends || leads_to_an_end, "{name} leads nowhere");
        }
    });
}

#[test]
fn every_circle_lets_time_pass() {
    each(|graph| {
        let waits: BTreeSet<_> = graph.of_type("Wait").into_iter().map(|(name, _)| name.as_str()).collect();
        for name in graph.states.keys().filter(|name| !waits.contains(name.as_str())) {
            let mut seen = BTreeSet::new();
            let mut next = graph.followers(name);
            while let Some(state) = next.pop() {
                assert_ne!(state, name, "{name} can be come back to at once");
                if !waits.contains(state) && seen.insert(state) {
                    next.extend(graph.followers(state));
                }
            }
        }
    });
}

#[test]
fn no_end_goes_unrecorded() {
    each(|graph| {
        for (kind, recorder) in [("Fail", "RecordFailure"), ("Succeed", "Finish")] {
            let unrecorded = graph.reached_from(&graph.start, recorder);
            for (end, _) in graph.of_type(kind) {
                assert!(!unrecorded.contains(end.as_str()), "{end} is reached without {recorder}");
            }
        }
    });
}

#[test]
fn what_somebody_began_with_a_token_is_not_begun_again_by_a_retry() {
    each(|graph| {
        for (name, task) in graph.of_type("Task").into_iter().filter(|(_, task)| waits_for_token(task)) {
            // A function that hands a token on may have died after that; it hands on the same call then.
            let hands_on = |error: &str| error == "Unavailable" || FUNCTION_FAILURES.contains(&error);
            for error in list(task, "Retry").iter().flat_map(errors) {
                let may = if invokes(task) { hands_on(error) } else { WORKER_NEVER_BEGUN.contains(&error) };
                assert!(may, "{name} is begun again after {error}");
            }
        }
    });
}

#[test]
fn a_function_that_crashed_or_was_cut_off_is_invoked_again() {
    each(|graph| {
        for (name, task) in graph.of_type("Task").into_iter().filter(|(_, task)| invokes(task)) {
            let again: Vec<_> = list(task, "Retry").iter().flat_map(errors).collect();
            for error in FUNCTION_FAILURES.into_iter().chain(["Unavailable"]) {
                assert!(again.contains(&error), "{name} gives up after {error}");
            }
        }
    });
}

#[test]
fn only_a_plan_is_made_again() {
    let graph = Graph::of(PROVISION);
    assert!(!graph.reached_from("Apply", "").contains("Apply"));
    assert_eq!(list(&graph.states["Apply"], "Catch").len(), 1);
    assert!(graph.reached_from("Plan", "").contains("Plan"));
    assert!(text(&graph.states["Plan"]["Comment"]).contains("tried again"));
    let again: Vec<_> = list(&graph.states["Plan"], "Catch").iter().map(errors).collect();
    assert_eq!(again, [vec!["States.Timeout", "States.HeartbeatTimeout"], vec!["States.ALL"]]);
    let graph = Graph::of(DEPLOY);
    for begins in ["TriggerRun", "CallWebhook", "AwaitApproval"] {
        assert!(!graph.reached_from(begins, "").contains(begins), "{begins}");
    }
}

/// The most events that the history of an execution may have. Step Functions ends one that goes on after them.
const MOST_EVENTS: u64 = 25_000;

/// The events that a state leaves in the history when it is gone through once, with everything that is tried again: it is
/// entered and left, and each try of a task is scheduled, started, handed on where somebody answers it with a token, and
/// answered.
fn events(state: &Value) -> u64 {
    match text(&state["Type"]) {
        "Task" => {
            let again =
                list(state, "Retry").iter().map(|retrier| retrier["MaxAttempts"].as_u64().expect("a number"));
            let tries = 1 + again.sum::<u64>();
            2 + tries * if waits_for_token(state) { 4 } else { 3 }
        }
        "Fail" => 1,
        _ => 2,
    }
}

/// How often a run is looked at in the longest time that is allowed.
fn looks() -> u64 {
    let (mut age, mut looks) = (Duration::ZERO, 0);
    while age < OPEN_AT_MOST {
        age += Duration::from_secs(look_again_after(age).into());
        looks += 1;
    }
    looks
}

#[test]
fn the_history_holds_the_longest_run_that_is_allowed() {
    let graph = Graph::of(DEPLOY);
    let waits: Vec<_> = graph.of_type("Wait").into_iter().map(|(name, _)| name.as_str()).collect();
    let [wait] = waits.as_slice() else { panic!("one circle is counted, and there are {waits:?}") };
    let comes_back = |state: &&str| graph.reached_from(state, "").contains(wait);
    let circle: Vec<_> = graph.reached_from(wait, "").into_iter().filter(comes_back).collect();
    assert_eq!(circle, ["FollowRun", "RunEnded", "WaitForRun"]);
    let calm: u64 = circle.iter().map(|name| events(&without_retries(&graph.states[*name]))).sum();
    assert_eq!(calm, 9, "a round in which nothing is tried again");
    // One that is asked to stop is looked at often again, until the janitor gives it up: 15 minutes later, and it comes
    // every five.
    let stopping = Duration::from_mins(20).as_secs() / u64::from(look_again_after(Duration::ZERO));
    let round: u64 = circle.iter().map(|name| events(&graph.states[*name])).sum();
    let once: u64 = graph.states.values().map(events).sum();
    let all = 2 + once + (looks() + stopping) * round;
    assert!(all < MOST_EVENTS, "{all} events: {} looks and {stopping} of {round}", looks());
}

#[test]
fn the_history_holds_every_plan_that_is_made_again() {
    let graph = Graph::of(PROVISION);
    let once: u64 = graph.states.values().map(events).sum();
    let again = graph.states["PlanAgain"]["Choices"][0]["NumericLessThan"].as_u64().expect("a number");
    assert!(2 + once * (again + 1) < MOST_EVENTS);
}

fn without_retries(state: &Value) -> Value {
    let mut state = state.clone();
    state["Retry"] = Value::Null;
    state
}

#[test]
fn a_machine_has_time_for_its_longest_way() {
    each(|graph| {
        // The circle in which a run is followed is ended by the operation's deadline, which an approval begins anew.
        let following = if graph.states.contains_key("FollowRun") { OPEN_AT_MOST.as_secs() } else { 0 };
        let longest = following + graph.longest(&graph.start, &mut Vec::new());
        assert!(graph.timeout > longest, "{longest} s may pass, and {} s are given", graph.timeout);
        assert!(longest > 604_800, "the longest way has an approval on it");
    });
}
