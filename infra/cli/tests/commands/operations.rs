use std::time::Duration;

use gatehouse_cli::Exit;
use serde_json::{Value, json};

use crate::support::{Person, Ran, Reply, Server};

const OPERATION: &str = "GET /services/svc_1/operations/op_1";
const STATUS: &str = "GET /services/svc_1/actions/status";

fn operation(status: &str, more: &Value) -> Value {
    let mut operation = json!({
        "id": "op_1", "kind": "provision", "service_id": "svc_1", "service": "shop", "environment": "dev",
        "status": status, "requested_by": "user:ada", "requested_at": "2026-01-01T00:00:00Z",
        "outputs": {}, "steps": [], "log": [], "links": [],
    });
    operation.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({ "operation": operation })
}

fn asked_for() -> Reply {
    Reply::json(202, &operation("queued", &json!({})))
}

fn looked_at(status: &str, more: &Value) -> Reply {
    Reply::ok(&operation(status, more))
}

/// What comes of a provisioning that is watched, and looks so each time.
async fn watch(server: &Server, looks: impl IntoIterator<Item = Reply>, more: &[&str]) -> Ran {
    server.on("POST /services/svc_1/actions/provision", asked_for());
    for look in looks {
        server.on(OPERATION, look);
    }
    let line = [&["provision", "svc_1", "dev", "--watch"], more].concat();
    Person::with_token(server).run(&line).await
}

#[tokio::test]
async fn the_id_of_an_operation_stands_alone_on_standard_output() {
    let cases: [(&[&str], &str, Value); 4] = [
        (
            &["provision", "svc_1", "dev", "--input", "size=3", "-i", "count:=3"],
            "provision",
            json!({ "environment": "dev", "inputs": { "size": "3", "count": 3 } }),
        ),
        (&["deprovision", "svc_1", "dev"], "deprovision", json!({ "environment": "dev" })),
        (&["drift", "svc_1", "dev"], "drift", json!({ "environment": "dev" })),
        (&["deploy", "svc_1", "dev", "1.2.3"], "deploy", json!({ "environment": "dev", "version": "1.2.3" })),
    ];
    for (line, action, body) in cases {
        let server = Server::start().await;
        server.on(&format!("POST /services/svc_1/actions/{action}"), asked_for());
        let ran = Person::with_token(&server).run(line).await.done();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("op_1\n", "queued\n"), "{action}");
        let asked = server.only();
        assert_eq!(asked.json(), body);
        assert!(asked.header("idempotency-key").is_some_and(|key| key.starts_with("cli_")));
    }
}

#[tokio::test]
async fn an_input_that_is_given_twice_begins_nothing() {
    let server = Server::start().await;
    let line = ["provision", "svc_1", "dev", "-i", "size=3", "-i", "size=4"];
    assert_eq!(Person::with_token(&server).run(&line).await.exit, Exit::Usage);
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn who_is_in_the_way_is_told() {
    let server = Server::start().await;
    let busy =
        Reply::problem(409, "operation-running", "Another operation runs", &json!({ "operation": "op_9" }));
    server.on("POST /services/svc_1/actions/deploy", busy);
    let ran = Person::with_token(&server).run(&["deploy", "svc_1", "dev", "2"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert!(ran.stderr.contains("\n  operation: op_9\n"), "{ran:?}");
}

#[tokio::test]
async fn a_lost_answer_tells_the_key_that_begins_no_second_operation() {
    let server = Server::start().await;
    server.on("POST /services/svc_1/actions/drift", Reply::empty(502));
    let line = ["drift", "svc_1", "dev", "--idempotency-key", "once"];
    let ran = Person::with_token(&server).run(&line).await;
    assert_eq!(ran.exit, Exit::Unavailable);
    assert!(ran.stderr.contains("`--idempotency-key once` finds out"), "{ran:?}");
}

#[tokio::test]
async fn the_exit_code_says_whether_the_operation_succeeded() {
    let outcomes = [
        ("succeeded", Exit::Done),
        ("failed", Exit::RunFailed),
        ("cancelled", Exit::RunFailed),
        ("rejected", Exit::RunFailed),
        ("timed_out", Exit::RunFailed),
    ];
    for (status, exit) in outcomes {
        let server = Server::start().await;
        let ran = watch(&server, [looked_at(status, &json!({ "reason": "so it is" }))], &[]).await;
        assert_eq!((ran.exit, ran.stdout.as_str()), (exit, "op_1\n"), "{status}");
        assert_eq!(ran.stderr, format!("queued\n-- {status}: so it is\n"));
    }
}

#[tokio::test]
async fn everything_that_happens_is_told_once() {
    let step = |name: &str, state: &str, message: &str, percentage: u8| json!({ "name": name, "attempt": 1, "state": state, "message": message, "percentage": percentage });
    let plan = json!({ "add": 2, "change": 1, "destroy": 0 });
    let link = json!([{ "name": "log", "url": "https://logs.example/1" }]);
    let looks = [
        looked_at("queued", &json!({})),
        looked_at("planning", &json!({ "steps": [step("plan", "running", "reading", 10)], "log": ["a"] })),
        looked_at(
            "planning",
            &json!({ "steps": [step("plan", "running", "reading", 20)], "log": ["a", "b"], "links": link }),
        ),
        looked_at(
            "applying",
            &json!({
                "steps": [step("plan", "succeeded", "", 100), step("apply", "running", "", 0)],
                "log": ["b", "c"], "links": link, "plan": plan,
            }),
        ),
        looked_at(
            "succeeded",
            &json!({
                "steps": [step("plan", "succeeded", "", 100), step("apply", "succeeded", "", 100)],
                "log": ["b", "c", "\u{1b}[2J"], "links": link, "plan": plan,
                "outputs": { "key": { "sensitive": true }, "size": { "value": 3 }, "url": { "value": "x" } },
            }),
        ),
    ];
    let server = Server::start().await;
    let ran = watch(&server, looks, &[]).await.done();
    assert_eq!(ran.stdout, "op_1\na\nb\nc\n\u{fffd}[2J\n");
    assert_eq!(
        ran.stderr,
        "queued\n-- queued\n-- planning\n-- plan running: reading\n-- log: https://logs.example/1\n\
         -- applying\n-- plan succeeded\n-- apply running\n-- plan: 2 to add, 1 to change, 0 to destroy\n\
         -- apply succeeded\n-- output key: (sensitive)\n-- output size: 3\n-- output url: x\n-- succeeded\n"
    );
    assert_eq!(ran.waits, [Duration::from_secs(2); 4]);
}

#[tokio::test]
async fn what_a_look_for_drift_found_is_no_plan() {
    let server = Server::start().await;
    server.on("POST /services/svc_1/actions/drift", asked_for());
    let plan = json!({ "add": 0, "change": 2, "destroy": 0 });
    server.on(OPERATION, looked_at("succeeded", &json!({ "kind": "drift", "plan": plan })));
    let ran = Person::with_token(&server).run(&["drift", "svc_1", "dev", "--watch"]).await.done();
    assert_eq!(ran.stderr, "queued\n-- drift: 2 resources are otherwise than provisioned\n-- succeeded\n");
}

#[tokio::test]
async fn who_can_go_on_is_told_where_somebody_has_to_agree() {
    let server = Server::start().await;
    let looks = [looked_at("awaiting_approval", &json!({})), looked_at("rejected", &json!({}))];
    let ran = watch(&server, looks, &[]).await;
    assert!(ran.stderr.contains("`gatehouse approve op_1 --service svc_1`"), "{ran:?}");
}

#[tokio::test]
async fn a_watch_survives_failures_that_pass_and_no_others() {
    let down = || Reply::problem(503, "unavailable", "Unavailable", &json!({}));
    let server = Server::start().await;
    let ran = watch(&server, [down(), down(), looked_at("succeeded", &json!({}))], &[]).await.done();
    assert_eq!(ran.stderr.matches("coming back").count(), 1, "{ran:?}");
    assert_eq!(ran.waits, [1, 2].map(Duration::from_secs));
    let server = Server::start().await;
    assert_eq!(watch(&server, [], &[]).await.exit, Exit::Refused);
    let server = Server::start().await;
    let gone = watch(&server, std::iter::repeat_with(down).take(40), &[]).await;
    assert_eq!((gone.exit, server.asked().len()), (Exit::Unavailable, 22));
}

#[tokio::test]
async fn machines_get_the_operation_at_every_change() {
    let server = Server::start().await;
    let looks = ["planning", "planning", "failed"].map(|status| looked_at(status, &json!({})));
    let ran = watch(&server, looks, &["--json"]).await;
    assert_eq!(ran.exit, Exit::RunFailed);
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, ["queued", "planning", "failed"].map(|status| operation(status, &json!({}))));
    assert_eq!(ran.stderr, "");
}

#[tokio::test]
async fn whoever_interrupts_leaves_the_operation_alone() {
    let server = Server::start().await;
    server.on("POST /services/svc_1/actions/deploy", asked_for());
    server.on(OPERATION, Reply::stream(&["{"]).stays_open());
    let asked = server.clone();
    let interrupted = async move {
        while asked.asked().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    let line = ["deploy", "svc_1", "dev", "2", "--watch"];
    let ran = Person::with_token(&server).run_until(&line, interrupted).await;
    assert_eq!(ran.exit, Exit::Interrupted);
    assert_eq!(server.lines(), ["POST /services/svc_1/actions/deploy", OPERATION]);
}

#[tokio::test]
async fn operations_are_listed_and_shown() {
    let server = Server::start().await;
    let listed = json!({ "operations": [operation("failed", &json!({}))["operation"]] });
    server.on("GET /services/svc_1/operations", Reply::ok(&listed));
    server.on(OPERATION, looked_at("failed", &json!({ "reason": "no quota" })));
    let ada = Person::with_token(&server);
    let ran = ada.run(&["operations", "svc_1", "--limit", "5"]).await.done();
    assert_eq!(
        ran.stdout,
        "OPERATION  KIND       ENVIRONMENT  STATUS  REQUESTED             ENDED  BY\n\
         op_1       provision  dev          failed  2026-01-01T00:00:00Z  -      user:ada\n"
    );
    let ran = ada.run(&["operations", "svc_1", "op_1"]).await.done();
    assert!(ran.stdout.lines().any(|line| line == "reason        no quota"), "{ran:?}");
    assert_eq!(server.lines(), ["GET /services/svc_1/operations?limit=5", OPERATION]);
}

#[tokio::test]
async fn operations_are_decided_about_in_their_service() {
    let cases: [(&[&str], &str, &str, Value); 3] = [
        (
            &["approve", "op_1", "--comment", "looks good"],
            "approve",
            "applying",
            json!({ "comment": "looks good" }),
        ),
        (&["reject", "op_1"], "reject", "rejected", json!({})),
        (&["cancel", "op_1"], "cancel", "cancelling", json!({})),
    ];
    for (line, word, status, body) in cases {
        let server = Server::start().await;
        server.on(&format!("POST /services/svc_1/operations/op_1/{word}"), looked_at(status, &json!({})));
        let line = [line, &["--service", "svc_1"]].concat();
        let ran = Person::with_token(&server).run(&line).await.done();
        assert_eq!((ran.stdout.as_str(), ran.stderr), ("", format!("op_1 is {status}\n")));
        assert_eq!(server.only().json(), body);
    }
}

#[tokio::test]
async fn an_operation_is_found_with_one_call_where_nobody_says_of_which_service_it_is() {
    let server = Server::start().await;
    server
        .on("GET /v1/operations/op_1", looked_at("awaiting_approval", &json!({})))
        .on("POST /services/svc_1/operations/op_1/approve", looked_at("applying", &json!({})));
    let ada = Person::with_token(&server);
    ada.run(&["approve", "op_1"]).await.done();
    let calls = ["GET /v1/operations/op_1", "POST /services/svc_1/operations/op_1/approve"];
    assert_eq!(server.lines(), calls);
    let ran = ada.run(&["approve", "op_2"]).await;
    assert_eq!(ran.exit, Exit::Refused);
    assert_eq!(ran.stderr, "gatehouse: there is no operation `op_2`, or you may not see it\n");
}

#[tokio::test]
async fn an_environment_is_let_live_longer() {
    let server = Server::start().await;
    let answer = json!({ "environment": "dev", "ends_at": "2026-01-02T00:00:00Z" });
    server.on("POST /services/svc_1/actions/extend", Reply::ok(&answer));
    let ran = Person::with_token(&server).run(&["extend", "svc_1", "dev", "--hours", "24"]).await.done();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", "dev ends at 2026-01-02T00:00:00Z\n"));
    assert_eq!(server.only().json(), json!({ "environment": "dev", "hours": 24 }));
}

#[tokio::test]
async fn operations_of_all_services_are_listed() {
    let listed = json!({ "operations": [{
        "id": "op_1", "kind": "deploy", "tenant": "acme", "service": "shop", "environment": "prod",
        "status": "awaiting_approval", "since": "2026-01-01T00:00:00Z", "requested_by": "user:ada",
    }] });
    let table = "OPERATION  KIND    TENANT  SERVICE  ENVIRONMENT  STATUS             SINCE                 BY\n\
                 op_1       deploy  acme    shop     prod         awaiting_approval  2026-01-01T00:00:00Z  user:ada\n";
    let cases: [(&[&str], &str); 4] = [
        (&["operations"], "?limit=50"),
        (&["operations", "list", "--limit", "5"], "?limit=5"),
        (&["operations", "list", "--waiting-for-me"], "?waiting_for=me&limit=50"),
        (
            &[
                "operations",
                "list",
                "--status",
                "failed",
                "--tenant",
                "acme",
                "--service",
                "svc_1",
                "--environment",
                "prod",
                "--kind",
                "deploy",
                "--requested-by",
                "user:ada",
            ],
            "?status=failed&tenant=acme&service=svc_1&environment=prod&kind=deploy&requested_by=user%3Aada&limit=50",
        ),
    ];
    for (line, query) in cases {
        let server = Server::start().await;
        server.on("GET /v1/operations", Reply::ok(&listed));
        let ran = Person::with_token(&server).run(line).await.done();
        assert_eq!(ran.stdout, table);
        assert_eq!(server.lines(), [format!("GET /v1/operations{query}")]);
    }
}

fn status(running: &[(&str, &str)]) -> Reply {
    let environments = ["dev", "prod"].map(|name| {
        let mut environment = json!({
            "name": name, "category": name, "infrastructure": { "state": "present" },
            "deployed": { "version": "1.2.3" }, "drift": { "state": "none" },
        });
        if name == "prod" {
            environment["next_drift_check"] = json!("2026-09-22T03:14:15Z");
        }
        if let Some((_, status)) = running.iter().find(|(place, _)| *place == name) {
            environment["running"] = operation(status, &json!({}))["operation"].clone();
        }
        environment
    });
    Reply::ok(&json!({ "service_id": "svc_1", "service": "shop", "environments": environments }))
}

#[tokio::test]
async fn the_status_has_a_line_for_each_environment() {
    let server = Server::start().await;
    server.on(STATUS, status(&[("prod", "applying")]));
    let ran = Person::with_token(&server).run(&["status", "svc_1"]).await.done();
    assert_eq!(
        ran.stdout,
        "ENVIRONMENT  CATEGORY  INFRASTRUCTURE  VERSION  DRIFT  NEXT CHECK            RUNNING    STATUS    OPERATION\n\
         dev          dev       present         1.2.3    none   -                     -          -         -\n\
         prod         prod      present         1.2.3    none   2026-09-22T03:14:15Z  provision  applying  op_1\n"
    );
}

#[tokio::test]
async fn a_status_is_watched_until_nothing_goes_on() {
    let server = Server::start().await;
    let down = Reply::problem(503, "unavailable", "Unavailable", &json!({}));
    server
        .on(STATUS, status(&[("dev", "planning")]))
        .on(STATUS, status(&[("dev", "planning")]))
        .on(STATUS, down)
        .on(STATUS, status(&[("dev", "applying"), ("prod", "queued")]))
        .on(STATUS, status(&[]));
    let ran = Person::with_token(&server).run(&["status", "svc_1", "--watch"]).await.done();
    assert_eq!(
        ran.stderr,
        "-- dev: provision op_1 is planning\n-- Unavailable (503); coming back\n\
         -- dev: provision op_1 is applying\n-- prod: provision op_1 is queued\n"
    );
    assert_eq!(ran.stdout.lines().count(), 3, "{ran:?}");
    assert_eq!(server.asked().len(), 5);
}

#[tokio::test]
async fn machines_get_the_status_at_every_change() {
    let server = Server::start().await;
    server.on(STATUS, status(&[("dev", "planning")])).on(STATUS, status(&[]));
    let ran = Person::with_token(&server).run(&["status", "svc_1", "--watch", "--json"]).await.done();
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[1]["environments"][0]["running"].is_null());
}
