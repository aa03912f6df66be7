//! The teams, pipelines and jobs that the recorded servers had.

use gatehouse_testkit::{
    concourse::{ConcourseTwin, Hook, JobBuilder, Role, Script, Status, TwinBuilder, Version},
    recordings,
};
use serde_json::Value;

pub const ACCOUNTS: [&str; 5] = ["admin", "ci-gateway", "member", "viewer", "operator2"];

pub const PASSWORD: &str = "s3cret";

/// The server of `folder`; what the recorded `file` shows beside is there too.
pub fn builder(version: Version, folder: &str, file: &str) -> TwinBuilder {
    let mut builder =
        ConcourseTwin::builder().version(version).abort_waits_for_release().first_build_id(1000);
    for account in ACCOUNTS {
        builder = builder.user(account, PASSWORD);
    }
    builder = builder
        .team("main", |team| {
            let team = team.role("admin", Role::Owner).role("member", Role::Member);
            team.role("ci-gateway", Role::PipelineOperator).role("viewer", Role::Viewer)
        })
        .team("ops", |team| team.role("admin", Role::Owner).role("ci-gateway", Role::Viewer))
        .team("other", |team| team.role("admin", Role::Owner).role("ci-gateway", Role::Viewer));
    let jobs = list(folder, "jobs", "/api/v1/jobs");
    let mut pipelines = list(folder, "teams-pipelines", "/api/v1/pipelines");
    pipelines.sort_by_key(|pipeline| pipeline["id"].as_i64());
    for pipeline in pipelines {
        let id = &pipeline["id"];
        let jobs: Vec<_> = jobs.iter().filter(|job| job["pipeline_id"] == *id).collect();
        builder = builder.pipeline(text(&pipeline["team_name"]), text(&pipeline["name"]), |mut it| {
            it = it.instance_vars(&pipeline["instance_vars"]);
            if pipeline["paused"] == true {
                it = it.paused();
            }
            jobs.iter().fold(it, |it, recorded| it.job(text(&recorded["name"]), |job| job_as(job, recorded)))
        });
    }
    if file == "errors" {
        builder = builder.pipeline("main", "made-here", |it| {
            it.archived().set_by(21, 61).job("only", |job| job.script(Script::new()))
        });
    }
    builder
}

/// The recorded list at `target`.
fn list(folder: &str, file: &str, target: &str) -> Vec<Value> {
    let exchanges = recordings::exchanges(folder, file);
    let listed = exchanges.iter().find(|exchange| exchange.target == target).unwrap();
    serde_json::from_str(listed.answer.body.as_ref().unwrap()).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn job_as(job: JobBuilder, recorded: &Value) -> JobBuilder {
    let name = text(&recorded["name"]);
    let script = names(&recorded["inputs"])
        .into_iter()
        .fold(Script::new(), |script, input| script.get(input, &serde_json::json!({"version": "abc123"})));
    let script = match name {
        "missing-input" => script.waits_for_input("nothing"),
        "broken-check" => script.waits_for_broken_input("broken"),
        _ => script.stays_pending(),
    };
    let script = script.task(task_of(name), |task| match name {
        "failing" => task.wait_for_release().exit(3),
        "no-such-binary" => task.wait_for_release().error("no-such-binary").unfinished(),
        "timeout" => task.wait_for_release().error("timeout exceeded").unfinished(),
        _ => task.wait_for_release(),
    });
    let script = names(&recorded["outputs"]).into_iter().fold(script, |script, output| {
        // What was put is got again.
        let version = serde_json::json!({"version": "1.2.3"});
        script.hooked(Hook::OnSuccess, |it| it.put(output, &version), |it| it.get(output, &version))
    });
    let script = match name {
        "failing" | "timeout" => script.finish(Status::Failed),
        "no-such-binary" => script.finish(Status::Errored),
        _ => script.finish(Status::Succeeded),
    };
    let job = job.script(script);
    let job = if recorded["paused"] == true { job.paused() } else { job };
    match name {
        "serial" => job.max_in_flight(1),
        "two-at-once" => job.max_in_flight(2),
        "group-a" | "group-b" => job.serial_group("g"),
        "no-manual" => job.disable_manual_trigger(),
        "passed-nothing" => job.passed("repo", "never-ran"),
        "not-rerunnable" => job.disable_reruns(),
        _ => job,
    }
}

/// What the job's task is called.
fn task_of(job: &str) -> &str {
    match job {
        "serial" => "one",
        "failing" => "fail",
        "no-such-binary" => "missing",
        "timeout" => "too-slow",
        "get-task-put" => "build",
        "slow" => "count",
        _ => "say",
    }
}

fn names(steps: &Value) -> Vec<&str> {
    steps.as_array().into_iter().flatten().map(|step| text(&step["name"])).collect()
}
