//! What Gatehouse is told.

use serde_json::{Value, json};

use crate::support::{
    OPERATION, TASK_TOKEN,
    gatehouse::{Call, Gatehouse, Reply},
    order,
    place::Place,
    stand_in::{StandIn, calls, wait_for},
    worker::Worker,
};

/// A plan that creates two, changes one and replaces one.
fn changes() -> Value {
    let change = |actions: &[&str]| json!({ "change": { "actions": actions } });
    json!({ "resource_changes": [
        change(&["create"]), change(&["create"]), change(&["update"]), change(&["delete", "create"]),
        change(&["no-op"]),
    ] })
}

#[tokio::test]
async fn a_plan_is_made_counted_and_kept() {
    let place = Place::new();
    let terraform = StandIn::new().plan("say planning").show(&changes()).install(&place);
    let gatehouse = Gatehouse::start(order("provision", "plan", &json!({}))).await;
    let ended = Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    let messages = gatehouse.messages();
    assert_eq!(messages[0]["command"], "started");
    assert_eq!(messages[0]["task_token"], TASK_TOKEN);
    let end = gatehouse.end();
    assert_eq!(end["plan"], json!({ "add": 3, "change": 1, "destroy": 1, "applyable": true }));
    assert_eq!(end["message"], "3 to add, 1 to change, 1 to destroy");
    assert_eq!(
        gatehouse.steps(),
        [
            "init running",
            "init succeeded",
            "plan running",
            "plan succeeded",
            "show running",
            "show succeeded"
        ]
    );
    assert_eq!(gatehouse.log(), ["planning"]);
    assert!(place.plan_file().exists());
    assert_eq!(place.workspaces(), 0);
    assert_eq!(
        calls(&place),
        [
            "init -input=false -no-color -json",
            "plan -input=false -no-color -json -detailed-exitcode -lock-timeout=120s -out=gatehouse.tfplan",
            "show -no-color -json gatehouse.tfplan",
        ]
    );
}

#[tokio::test]
async fn messages_are_numbered_without_a_gap() {
    let place = Place::new();
    let terraform = StandIn::new().install(&place);
    let gatehouse = Gatehouse::start(order("provision", "plan", &json!({}))).await;
    Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
    let messages = gatehouse.messages();
    for (index, message) in messages.iter().enumerate() {
        assert_eq!(message["sequence"], index + 1);
        assert_eq!((&message["operation_id"], &message["attempt"]), (&json!(OPERATION), &json!(1)));
    }
    assert!(messages.len() > 6, "{messages:?}");
}

#[tokio::test]
async fn an_apply_says_how_much_is_done_and_what_came_of_it() {
    let place = Place::new();
    place.keep_plan();
    let done = r#"echo '{"@message":"x: done","type":"apply_complete"}'"#;
    let apply = format!("{done}\nsleep 0.3\n{done}\n{done}\n{done}\n{done}");
    let outputs = json!({
        "url": { "sensitive": false, "value": "https://shop" },
        "password": { "sensitive": true, "value": "pa55word" },
    });
    let terraform = StandIn::new().show(&changes()).apply(&apply).output(&outputs).install(&place);
    let gatehouse = Gatehouse::start(order("provision", "apply", &json!({}))).await;
    let ended = Worker::new(&place, &gatehouse, "apply", &terraform).run().await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    let percentages: Vec<_> =
        gatehouse.messages().iter().filter_map(|message| message["percentage"].as_u64()).collect();
    assert!(percentages.is_sorted(), "{percentages:?}");
    assert_eq!(percentages.last(), Some(&100));
    let expected = json!({ "url": { "value": "https://shop" }, "password": { "sensitive": true } });
    assert_eq!(gatehouse.end()["outputs"], expected);
    assert!(!place.plan_file().exists(), "an applied plan is kept");
    let steps = gatehouse.steps();
    assert_eq!(steps[4..], ["apply running", "apply succeeded", "output running", "output succeeded"]);
}

#[tokio::test]
async fn what_came_of_an_apply_is_told_later_where_it_cannot_be_read() {
    let place = Place::new();
    place.keep_plan();
    let away = place.path().join("away");
    std::fs::write(&away, "").unwrap();
    let outputs = json!({ "url": { "sensitive": false, "value": "https://shop" } });
    let stand_in = StandIn::new().output(&outputs).output_fails_while(&away, "the state cannot be read");
    let terraform = stand_in.install(&place);
    let gatehouse = Gatehouse::start(order("provision", "apply", &json!({}))).await;
    let ended = Worker::new(&place, &gatehouse, "apply", &terraform).run().await;
    assert_eq!(ended.code(), 1, "{}", ended.log);
    assert_eq!(gatehouse.reason(), "terraform output failed: the state cannot be read");
    // What was applied is there.
    assert_eq!(gatehouse.end().get("unchanged"), None, "{}", gatehouse.end());
    let steps = gatehouse.steps();
    assert_eq!(steps[4..], ["apply running", "apply succeeded", "output running", "output failed"]);

    std::fs::remove_file(&away).unwrap();
    let gatehouse = Gatehouse::start(order("provision", "plan", &json!({}))).await;
    let ended = Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    assert_eq!(gatehouse.end()["outputs"], json!({ "url": { "value": "https://shop" } }));
}

#[tokio::test]
async fn apply_runs_with_the_providers_that_plan_took() {
    let module = ("example/main.tf", "variable \"gatehouse\" {}");
    let place = Place::with_modules(&[module]);
    let stand_in = StandIn::new()
        .init("[ -e .terraform.lock.hcl ] || echo 'taken by plan' > .terraform.lock.hcl")
        .apply("cp .terraform.lock.hcl \"$place/lock-of-apply\"");
    let terraform = stand_in.install(&place);
    for phase in ["plan", "apply"] {
        let gatehouse = Gatehouse::start(order("provision", phase, &json!({}))).await;
        let ended = Worker::new(&place, &gatehouse, phase, &terraform).run().await;
        assert_eq!(ended.code(), 0, "{}", ended.log);
    }
    let lock = std::fs::read_to_string(place.path().join("lock-of-apply")).unwrap();
    assert_eq!(lock, "taken by plan\n");
    let inits: Vec<_> = calls(&place).into_iter().filter(|call| call.starts_with("init")).collect();
    assert_eq!(
        inits,
        ["init -input=false -no-color -json", "init -input=false -no-color -json -lockfile=readonly"]
    );
}

#[tokio::test]
async fn a_drift_check_only_looks() {
    let place = Place::new();
    let drifted = json!({ "resource_drift": [{ "change": { "actions": ["update"] } }] });
    let terraform = StandIn::new().show(&drifted).install(&place);
    let gatehouse = Gatehouse::start(order("drift", "plan", &json!({}))).await;
    let ended = Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    assert_eq!(gatehouse.end()["plan"], json!({ "add": 0, "change": 1, "destroy": 0 }));
    assert!(calls(&place)[1].ends_with(" -refresh-only"), "{:?}", calls(&place));
    assert!(!place.plan_file().exists());
}

#[tokio::test]
async fn a_deprovision_plans_to_destroy() {
    let place = Place::new();
    let terraform = StandIn::new().install(&place);
    let gatehouse = Gatehouse::start(order("deprovision", "plan", &json!({}))).await;
    Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
    assert_eq!(gatehouse.end()["plan"], json!({ "add": 0, "change": 0, "destroy": 0, "applyable": false }));
    assert!(calls(&place)[1].ends_with(" -destroy"), "{:?}", calls(&place));
}

#[tokio::test]
async fn lines_are_told_while_terraform_still_works() {
    let place = Place::new();
    let go_on = place.path().join("go-on");
    let script = format!("say first\n{}\nsay second", wait_for(&go_on));
    let terraform = StandIn::new().plan(&script).install(&place);
    let gatehouse = Gatehouse::start(order("provision", "plan", &json!({}))).await;
    let worker = Worker::new(&place, &gatehouse, "plan", &terraform).start();
    gatehouse.hears("the first line", |call| call.logs("first")).await;
    assert!(!gatehouse.log().contains(&"second".to_owned()));
    std::fs::write(go_on, "").unwrap();
    assert_eq!(worker.ended().await.code(), 0);
    assert_eq!(gatehouse.log(), ["first", "second"]);
}

#[tokio::test]
async fn heartbeats_go_out_while_terraform_is_silent() {
    let place = Place::new();
    let go_on = place.path().join("go-on");
    let terraform = StandIn::new().plan(&wait_for(&go_on)).install(&place);
    let mut order = order("provision", "plan", &json!({}));
    order["heartbeat_seconds"] = json!(1);
    let mut heartbeats = 0;
    let hook = move |call: &Call| {
        heartbeats += u32::from(call.is("heartbeat"));
        if heartbeats == 2 {
            std::fs::write(&go_on, "").unwrap();
        }
        Reply::Usual
    };
    let gatehouse = Gatehouse::answering(order, hook).await;
    let ended = Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    assert_eq!(gatehouse.end()["command"], "success");
}

#[tokio::test]
async fn many_lines_go_fifty_at_a_time_and_long_ones_are_cut() {
    let place = Place::new();
    let script = "i=0; while [ $i -lt 120 ]; do say \"line $i\"; i=$((i+1)); done\n\
                  say \"$(printf '%01500d' 7)\"";
    let terraform = StandIn::new().plan(script).install(&place);
    let gatehouse = Gatehouse::start(order("provision", "plan", &json!({}))).await;
    Worker::new(&place, &gatehouse, "plan", &terraform).run().await;
    let log = gatehouse.log();
    assert_eq!(log.len(), 121);
    assert_eq!((log[0].as_str(), log[119].as_str()), ("line 0", "line 119"));
    assert!(log[120].len() <= 1000 && log[120].ends_with('…'), "{}", log[120]);
    let sizes = gatehouse.messages().into_iter().filter_map(|message| Some(message["log"].as_array()?.len()));
    assert!(sizes.max() <= Some(50));
}

#[tokio::test]
async fn a_link_to_the_log_is_told_at_the_start() {
    let place = Place::new();
    let terraform = StandIn::new().install(&place);
    let gatehouse = Gatehouse::start(order("provision", "plan", &json!({}))).await;
    let template = "https://logs.test/{operation_id}/{phase}/{attempt}";
    Worker::new(&place, &gatehouse, "plan", &terraform).with("GATEHOUSE_LOG_LINK", template).run().await;
    let url = format!("https://logs.test/{OPERATION}/plan/1");
    assert_eq!(gatehouse.messages()[0]["links"], json!([{ "name": "log", "url": url }]));
}
