//! Being asked to stop while Terraform is at work.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{
    gatehouse::{Call, Gatehouse, Reply},
    order,
    place::Place,
    stand_in::{StandIn, UNTIL_INTERRUPTED, calls, interrupts, wait_for},
    worker::Worker,
};

#[tokio::test]
async fn a_cancel_interrupts_a_plan_once() {
    let place = Place::new();
    let terraform = StandIn::new().plan(UNTIL_INTERRUPTED).install(&place);
    let cancel =
        |call: &Call| if call.logs("ready") || call.logs("stopping") { Reply::Cancel } else { Reply::Usual };
    let gatehouse = Gatehouse::answering(order("provision", "plan", &json!({})), cancel).await;
    let ended = Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
    assert_eq!(ended.code(), 2, "{}", ended.log);
    let end = gatehouse.end();
    assert_eq!((&end["command"], &end["cancelled"]), (&json!("failure"), &json!(true)));
    assert_eq!(gatehouse.reason(), "cancelled: terraform plan was interrupted");
    assert_eq!(interrupts(&place), 1);
    assert!(gatehouse.log().contains(&"stopping".to_owned()), "what it said at the end is missing");
    assert!(gatehouse.steps().contains(&"plan failed".to_owned()));
    assert!(!place.plan_file().exists(), "a plan was kept");
}

#[tokio::test]
async fn signals_mean_cancel_and_interrupt_an_apply_once() {
    for (signal, then) in [(Signal::SIGTERM, Signal::SIGINT), (Signal::SIGINT, Signal::SIGTERM)] {
        let place = Place::new();
        place.keep_plan();
        let go_on = place.path().join("go-on");
        let script = format!(
            "trap 'echo interrupted >> \"$place/interrupts\"; say stopping; done=yes' INT\n\
             say ready\nwhile [ -z \"$done\" ]; do sleep 0.02; done\n{}\nexit 1",
            wait_for(&go_on)
        );
        let terraform = StandIn::new().apply(&script).install(&place);
        let gatehouse = Gatehouse::start(order("provision", "apply", &json!({}))).await;
        let worker = Worker::new(&place, &gatehouse, "apply", &terraform).start();
        gatehouse.hears("Terraform is at work", |call| call.logs("ready")).await;
        worker.signal(signal);
        gatehouse.hears("it was interrupted", |call| call.logs("stopping")).await;
        worker.signal(then);
        worker.signal(signal);
        std::fs::write(go_on, "").unwrap();
        let ended = worker.ended().await;
        assert_eq!(ended.code(), 2, "{}", ended.log);
        assert_eq!(gatehouse.reason(), "the worker was told to end: terraform apply was interrupted");
        assert_eq!(gatehouse.end()["cancelled"], true);
        assert_eq!(interrupts(&place), 1);
        assert!(place.plan_file().exists());
    }
}

#[tokio::test]
async fn terraform_that_does_not_end_is_killed_with_everything_it_started() {
    let place = Place::new();
    place.keep_plan();
    let alive = place.path().join("alive");
    let script =
        format!("trap '' INT\n(while :; do : > '{}'; sleep 0.02; done) &\nsay ready\nwait", alive.display());
    let terraform = StandIn::new().apply(&script).install(&place);
    let cancel = |call: &Call| if call.logs("ready") { Reply::Cancel } else { Reply::Usual };
    let gatehouse = Gatehouse::answering(order("provision", "apply", &json!({})), cancel).await;
    let worker = Worker::new(&place, &gatehouse, "apply", &terraform).with("GATEHOUSE_STOP_SECONDS", "1");
    let ended = worker.run().await;
    assert_eq!(ended.code(), 2, "{}", ended.log);
    let reason = gatehouse.reason();
    assert!(reason.starts_with("cancelled: terraform apply was killed"), "{reason}");
    std::fs::remove_file(&alive).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert!(!alive.exists(), "a child of Terraform lives on");
}

#[tokio::test]
async fn an_attempt_that_is_cancelled_before_it_starts_runs_nothing() {
    let place = Place::new();
    let terraform = StandIn::new().install(&place);
    let cancel = |call: &Call| if call.is("started") { Reply::Cancel } else { Reply::Usual };
    let gatehouse = Gatehouse::answering(order("provision", "plan", &json!({})), cancel).await;
    let ended = Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
    assert_eq!(ended.code(), 2, "{}", ended.log);
    assert_eq!(gatehouse.end()["cancelled"], true);
    assert_eq!(calls(&place), Vec::<String>::new());
}

#[tokio::test]
async fn an_apply_that_is_done_before_it_hears_of_the_cancel_succeeds() {
    let place = Place::new();
    place.keep_plan();
    let script = "trap 'done=yes' INT\nsay ready\nwhile [ -z \"$done\" ]; do sleep 0.02; done\nexit 0";
    let outputs = json!({ "url": { "sensitive": false, "value": "https://shop" } });
    let terraform = StandIn::new().apply(script).output(&outputs).install(&place);
    let cancel = |call: &Call| if call.logs("ready") { Reply::Cancel } else { Reply::Usual };
    let gatehouse = Gatehouse::answering(order("provision", "apply", &json!({})), cancel).await;
    let ended = Worker::new(&place, &gatehouse, "apply", &terraform).run().await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    assert_eq!(gatehouse.end()["outputs"], json!({ "url": { "value": "https://shop" } }));
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_while_nobody_answers_does_nothing() {
    let place = Place::new();
    let terraform = StandIn::new().install(&place);
    let gatehouse =
        Gatehouse::answering(order("provision", "plan", &json!({})), |_| Reply::Status(503)).await;
    let worker = Worker::new(&place, &gatehouse, "plan", &terraform).start();
    crate::support::wait::eventually("the worker asks", || gatehouse.seen().len() > 1).await;
    worker.signal(Signal::SIGTERM);
    let ended = worker.ended().await;
    assert_eq!(ended.code(), 4, "{}", ended.log);
    assert_eq!(calls(&place), Vec::<String>::new());
}
