//! What the function writes, and what `template.yaml` lets it write. Emulators do not judge by keys.

use std::collections::BTreeSet;

use gatehouse_store::keys;
use gatehouse_testkit::concourse::Script;

use crate::recordings::{ended, start};

const TEMPLATE: &str = include_str!("../../../../template.yaml");

/// The partition keys to which a statement of the function's policy is limited; a star stands for any end.
fn leading_keys(statement: &str) -> Vec<&'static str> {
    let (_, function) = TEMPLATE.split_once("\n  StreamsFunction:\n").expect("the function");
    let (_, rest) = function.split_once(&format!("- Sid: {statement}\n")).expect("the statement");
    let (statement, _) = rest.split_once("- Sid: ").expect("another statement");
    let (_, keys) = statement.split_once("dynamodb:LeadingKeys: [").expect("a condition");
    let (keys, _) = keys.split_once(']').expect("a list");
    keys.split(", ").map(|key| key.trim_matches('"')).collect()
}

fn is_like(key: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(key == pattern, |beginning| key.starts_with(beginning))
}

#[tokio::test]
async fn watching_writes_only_what_the_function_may_write() {
    let (app, twin) = start(Script::new().task("talk", |task| task.log("hello\n"))).await;
    // What was there before, others have written.
    app.table.writes.take();
    let acme = app.as_viewer("acme");
    // Nobody has logged in to the CI system before.
    let absent = acme.get("/v1/runs/main:app:deploy:999/events").await;
    assert_eq!(absent.problem(), "not-found", "{absent}");
    let mut writes = app.table.writes.take();
    let events = ended(&app, &twin).await;
    // Triggering is another function's.
    app.table.writes.take();
    let told = acme.get(events).await.events();
    assert_eq!(told.last().map(|event| event.event.as_str()), Some("end"));
    writes.extend(app.table.writes.take());
    let operations: BTreeSet<_> = writes.iter().map(|(operation, _)| *operation).collect();
    assert_eq!(operations, ["DeleteItem", "PutItem", "UpdateItem"].into(), "{writes:?}");
    for (operation, key) in writes {
        let statement = if operation == "UpdateItem" { "RecordRuns" } else { "TakeTurns" };
        let may = leading_keys(statement).into_iter().any(|pattern| is_like(&key, pattern));
        assert!(may, "{operation} of {key}");
    }
    // Who looks at a run that was given versions takes away what was pinned for it.
    assert!(leading_keys("TakeTurns").contains(&keys::PINS));
    assert_eq!(leading_keys("QueryProjects"), [keys::PROJECTS]);
}
