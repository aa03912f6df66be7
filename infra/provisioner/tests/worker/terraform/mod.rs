//! With Terraform itself, offline. Where it is not installed these tests say that they did not run;
//! `GATEHOUSE_TEST_TERRAFORM=required` makes that a failure.

mod interruptions;
mod kept;
mod life;
mod modules;
mod outcomes;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use gatehouse_runtime::env;
use serde_json::Value;

use crate::support::{
    gatehouse::Gatehouse,
    order,
    place::Place,
    worker::{Ended, Worker},
};

/// The real program, if it is there.
fn terraform() -> Option<PathBuf> {
    let named = env::optional("GATEHOUSE_TERRAFORM").unwrap_or_else(|| "terraform".to_owned());
    let found = Command::new(&named).arg("version").output().is_ok_and(|output| output.status.success());
    if found {
        return Some(named.into());
    }
    let required = env::optional("GATEHOUSE_TEST_TERRAFORM").is_some_and(|wish| wish == "required");
    assert!(!required, "there is no `{named}`, and GATEHOUSE_TEST_TERRAFORM requires it");
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    // Past the harness, which shows nothing of tests that pass.
    let notice = format!("NOT RUN, for there is no `{named}`: {test}\n");
    std::io::stderr().write_all(notice.as_bytes()).unwrap();
    None
}

/// One attempt, from its start to its end.
async fn attempt(place: &Place, terraform: &Path, order: Value) -> (Gatehouse, Ended) {
    let phase = order["phase"].as_str().unwrap().to_owned();
    let gatehouse = Gatehouse::start(order).await;
    let ended = Worker::new(place, &gatehouse, &phase, terraform).run().await;
    (gatehouse, ended)
}

/// An attempt that does what it should. Returns how it ended.
async fn succeeds(place: &Place, terraform: &Path, kind: &str, phase: &str, inputs: Value) -> Value {
    let (gatehouse, ended) = attempt(place, terraform, order(kind, phase, &inputs)).await;
    assert_eq!(ended.code(), 0, "{}", ended.log);
    let end = gatehouse.end();
    assert_eq!(end["command"], "success", "{end}");
    end
}

/// What a plan would add, change and destroy. One that only moves apart, that is what Terraform calls applyable.
fn counts(end: &Value) -> [u64; 3] {
    let plan = &end["plan"];
    let counts = ["add", "change", "destroy"].map(|count| plan[count].as_u64().unwrap());
    assert_eq!(plan["applyable"], counts != [0, 0, 0], "{plan}");
    counts
}

/// Plans and applies.
async fn create(place: &Place, terraform: &Path, inputs: Value) {
    for phase in ["plan", "apply"] {
        succeeds(place, terraform, "provision", phase, inputs.clone()).await;
    }
}
