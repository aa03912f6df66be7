//! Builds that are ready to use.

use std::time::Duration;

use serde_json::json;

use super::builder::TwinBuilder;
use super::roles::Role;
use super::script::{Script, Status, TaskScript};
use super::twin::ConcourseTwin;

impl Script {
    /// A get, a task of three lines, `succeeded`, all at once.
    pub fn quick() -> Self {
        Self::new()
            .get("repo", &json!({"ref": "abc1234"}))
            .task("unit", |task| task.log("Hello, world!\r\n").log("building\r\n").log("done\r\n"))
    }

    /// A task that prints `lines` lines, one each `every`, then `succeeded`.
    pub fn slow(every: Duration, lines: u32) -> Self {
        Self::new().get("repo", &json!({"ref": "abc1234"})).task("slow", |task| {
            (1..=lines).fold(task, |task, line| task.log(&format!("line {line} of {lines}\r\n")).sleep(every))
        })
    }

    /// A task that exits with 1.
    pub fn failing() -> Self {
        Self::new()
            .get("repo", &json!({"ref": "abc1234"}))
            .task("unit", |task| task.log("1 test failed\r\n").exit(1))
            .finish(Status::Failed)
    }

    /// A build that Concourse could not go on with.
    pub fn errored() -> Self {
        Self::new()
            .task("unit", |task| {
                task.error("run task step: no workers satisfying: platform 'linux'").unfinished()
            })
            .finish(Status::Errored)
    }

    /// A task that prints nothing until the test releases it.
    pub fn silent() -> Self {
        Self::new().task("silent", TaskScript::wait_for_release)
    }

    /// A task that prints `lines` numbered lines at once. They are made when they are read.
    pub fn huge(lines: u64) -> Self {
        Self::new().task("huge", |task| task.lines(lines))
    }

    /// A build whose stream has no `status: started`.
    pub fn starts_without_started() -> Self {
        Self::quick().unannounced()
    }

    /// Everything that makes reading a log hard: lines over several chunks and several in one, progress
    /// with `\r`, ANSI, an empty payload, unknown and outdated events, and `finish` in both of its shapes.
    pub fn chunky() -> Self {
        Self::new()
            .get("repo", &json!({"ref": "abc1234"}))
            .task("chunky", |task| {
                task.log("one li")
                    .log("ne in two chunks\r\ntwo lines\r\nin one chunk\r\n")
                    .log(" 10%\r")
                    .log(" 55%\r100%\r\n")
                    .log("\u{1b}[31mred\u{1b}[0m <b>&amp;</b>\r\n")
                    .log("")
                    .log_stderr("grüße aus Köln \u{1f680}\u{2028}\r\n")
                    .log("no newline at the end")
            })
            .event("from-the-future", "1.0", &json!({"origin": {"id": "64f0a1"}, "anything": [1, null]}))
            .event("log", "4.0", &json!({"origin": {"name": "old", "type": "task"}, "payload": "old log\n"}))
            .event("error", "3.0", &json!({"origin": {"id": "64f0a1"}, "message": "old error"}))
            .event("finish", "1.0", &json!({"time": 1_790_000_000, "exit_status": 0}))
            .event(
                "finish",
                "1.0",
                &json!({"origin": {"id": "64f0a1"}, "time": 1_790_000_000, "succeeded": true}),
            )
    }
}

impl ConcourseTwin {
    /// The twin a newcomer tries out: Concourse 7.14 with user `ci-gateway`, password `s3cret`, who is
    /// pipeline-operator in `main` and viewer in `ops`.
    ///
    /// `main` has `example-pipeline` (`hello-job`, `slow-job`, `failing-job`) and `app`, instanced by
    /// `branch` (`main`, `dev`), with job `deploy`; `ops` has `maintenance` with job `backup`.
    pub fn example() -> TwinBuilder {
        let slow = Script::slow(Duration::from_millis(500), 60);
        Self::builder()
            .user("ci-gateway", "s3cret")
            .team("main", |team| team.role("ci-gateway", Role::PipelineOperator))
            .team("ops", |team| team.role("ci-gateway", Role::Viewer))
            .abort_delay(Duration::from_secs(1))
            .pipeline("main", "example-pipeline", |pipeline| {
                pipeline
                    .job("hello-job", |job| job.script(Script::quick()))
                    .job("slow-job", |job| job.script(slow))
                    .job("failing-job", |job| job.script(Script::failing()))
            })
            .pipeline("main", "app", |pipeline| {
                pipeline.instance_vars(&json!({"branch": "main"})).job("deploy", |job| job)
            })
            .pipeline("main", "app", |pipeline| {
                pipeline.instance_vars(&json!({"branch": "dev"})).job("deploy", |job| job)
            })
            .pipeline("ops", "maintenance", |pipeline| pipeline.job("backup", |job| job))
    }
}
