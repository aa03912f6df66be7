//! Gatehouse that does not answer, or does not want to hear.

use serde_json::{Value, json};

use crate::support::{
    gatehouse::{Call, Gatehouse, Reply},
    order,
    place::Place,
    stand_in::{StandIn, UNTIL_INTERRUPTED, calls, interrupts, wait_for},
    worker::{Ended, Worker},
};

async fn plan(
    place: &Place,
    stand_in: StandIn,
    hook: impl FnMut(&Call) -> Reply + Send + 'static,
) -> (Gatehouse, Ended) {
    let terraform = stand_in.install(place);
    let gatehouse = Gatehouse::answering(order("provision", "plan", &json!({})), hook).await;
    let worker = Worker::new(place, &gatehouse, "plan", &terraform).with("GATEHOUSE_CALLBACK_SECONDS", "1");
    let ended = worker.run().await;
    (gatehouse, ended)
}

/// The numbers of every message that came.
fn sequences(seen: &[Value]) -> Vec<u64> {
    seen.iter().map(|body| body["sequence"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn a_message_that_is_not_answered_is_repeated_with_its_number() {
    for fault in ["500", "429", "redirect", "no JSON", "dropped", "silent", "taken"] {
        let place = Place::new();
        let hook = move |call: &Call| match (call.repetition, fault) {
            (0, "500") => Reply::Status(500),
            (0, "429") => Reply::Problem(429, "throttled"),
            (0, "redirect") => Reply::Status(302),
            (0, "no JSON") => Reply::Status(200),
            (0, "dropped") => Reply::Drop,
            (0, "taken") => Reply::TakeAndDrop,
            (0, "silent") if !call.is("progress") => Reply::Hang,
            _ => Reply::Usual,
        };
        let (gatehouse, ended) = plan(&place, StandIn::new(), hook).await;
        assert_eq!(ended.code(), 0, "{fault}: {}", ended.log);
        assert_eq!(gatehouse.end()["command"], "success", "{fault}");
        assert_eq!(gatehouse.steps().len(), 8, "{fault}");
        let sequences = sequences(&gatehouse.seen());
        assert!(sequences.is_sorted(), "{fault}: {sequences:?}");
        assert!(sequences.windows(2).any(|two| two[0] == two[1]), "{fault}: nothing was repeated");
    }
}

#[tokio::test]
async fn an_operation_that_has_ended_stops_terraform_and_is_not_reported_on() {
    for slug in ["operation-ended", "attempt-superseded"] {
        let place = Place::new();
        let hook =
            move |call: &Call| if call.logs("ready") { Reply::Problem(409, slug) } else { Reply::Usual };
        let (gatehouse, ended) = plan(&place, StandIn::new().plan(UNTIL_INTERRUPTED), hook).await;
        assert_eq!(ended.code(), 3, "{}", ended.log);
        assert_eq!(interrupts(&place), 1);
        assert!(
            gatehouse.seen().last().unwrap()["log"].to_string().contains("ready"),
            "it went on reporting"
        );
        assert!(!place.plan_file().exists(), "a plan was kept");
    }
}

#[tokio::test]
async fn a_worker_that_is_not_wanted_runs_nothing() {
    let refusals = [
        (401, "callback-token-invalid"),
        (403, "callback-token-mismatch"),
        (410, "callback-token-expired"),
        (409, "attempt-superseded"),
        (409, "callback-out-of-order"),
        (422, "invalid-body"),
    ];
    for (status, slug) in refusals {
        let place = Place::new();
        let (gatehouse, ended) = plan(&place, StandIn::new(), move |_| Reply::Problem(status, slug)).await;
        assert_eq!(ended.code(), 3, "{slug}: {}", ended.log);
        assert_eq!(gatehouse.seen().len(), 1, "{slug}");
        assert_eq!(calls(&place), Vec::<String>::new(), "{slug}");
    }
}

#[tokio::test]
async fn a_heartbeat_hears_that_the_attempt_was_superseded() {
    let place = Place::new();
    let terraform = StandIn::new().plan(UNTIL_INTERRUPTED).install(&place);
    let mut order = order("provision", "plan", &json!({}));
    order["heartbeat_seconds"] = json!(1);
    let hook = |call: &Call| {
        if call.is("heartbeat") { Reply::Problem(409, "attempt-superseded") } else { Reply::Usual }
    };
    let gatehouse = Gatehouse::answering(order, hook).await;
    let ended = Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
    assert_eq!(ended.code(), 3, "{}", ended.log);
    assert_eq!(interrupts(&place), 1);
}

#[tokio::test]
async fn a_superseded_worker_does_not_replace_the_plan_of_the_next_one() {
    let place = Place::new();
    place.keep_plan();
    let hook = |call: &Call| {
        let shown = call.body["step"] == "show" && call.body["state"] == "succeeded";
        if shown { Reply::Problem(409, "attempt-superseded") } else { Reply::Usual }
    };
    let (_, ended) = plan(&place, StandIn::new().plan("echo other > gatehouse.tfplan"), hook).await;
    assert_eq!(ended.code(), 3, "{}", ended.log);
    assert_eq!(std::fs::read_to_string(place.plan_file()).unwrap(), "a plan");
}

#[tokio::test]
async fn a_progress_that_is_refused_costs_only_itself() {
    for (status, slug) in [(409, "callback-out-of-order"), (400, "invalid-body"), (413, "body-too-large")] {
        let place = Place::new();
        let hook =
            move |call: &Call| if call.begins("plan") { Reply::Problem(status, slug) } else { Reply::Usual };
        let (gatehouse, ended) = plan(&place, StandIn::new(), hook).await;
        assert_eq!(ended.code(), 0, "{slug}: {}", ended.log);
        assert_eq!(gatehouse.steps().len(), 7, "{slug}");
    }
}

#[tokio::test]
async fn a_result_that_is_not_taken_ends_the_attempt_with_a_reason() {
    let place = Place::new();
    let hook =
        |call: &Call| if call.is("success") { Reply::Problem(413, "body-too-large") } else { Reply::Usual };
    let (gatehouse, ended) = plan(&place, StandIn::new(), hook).await;
    assert_eq!(ended.code(), 4, "{}", ended.log);
    assert_eq!(
        gatehouse.reason(),
        "the work is done, but its result was not taken: Gatehouse answered 413 body-too-large: as the test wants it"
    );
}

#[tokio::test]
async fn nothing_is_lost_while_gatehouse_is_away() {
    let place = Place::new();
    let [missed, back] = ["missed", "back"].map(|name| place.path().join(name));
    let init = format!("say zero\n{}", wait_for(&missed));
    let script = format!("say one\nsay two\n: > '{}'", back.display());
    let hook = move |call: &Call| {
        if call.is("started") || back.exists() {
            return Reply::Usual;
        }
        std::fs::write(&missed, "").unwrap();
        Reply::Status(503)
    };
    let (gatehouse, ended) = plan(&place, StandIn::new().init(&init).plan(&script), hook).await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    assert_eq!(gatehouse.log(), ["zero", "one", "two"]);
    assert_eq!(gatehouse.steps().len(), 8);
    assert!(gatehouse.seen().len() > gatehouse.messages().len(), "Gatehouse was never away");
}
