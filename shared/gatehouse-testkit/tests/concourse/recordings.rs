//! The twin's plans and streams beside those of a real Concourse.
//!
//! What is compared: the plan, but for ids; of each event its type, version, members, and which step it
//! is of. Whatever differs stands in [`reviewed`] or fails.

use gatehouse_testkit::{
    concourse::{Hook, Script, Status, Version},
    recordings,
};
use serde_json::{Value, json};

use crate::client::{Client, JOB, envelopes, one_job};

/// What may differ, and why.
fn reviewed(event: &Value) -> bool {
    let kind = event["event"].as_str().unwrap();
    // The real one had a worker for each step at once.
    let waiting = kind == "waiting-for-worker";
    // What steps print is the test's own business.
    let printed = kind == "log";
    waiting || printed
}

/// Whether an event is about the image of a task.
fn is_of_image(event: &Value) -> bool {
    let step = event["data"]["origin"]["id"].as_str().unwrap_or_default();
    let kind = event["event"].as_str().unwrap();
    kind.starts_with("image-") || step.ends_with("/image-check") || step.ends_with("/image-get")
}

/// Events of a stream, one a line; steps are numbered as they appear.
fn outline(events: &[Value]) -> Vec<String> {
    let mut steps: Vec<String> = Vec::new();
    let mut number = |id: &str| {
        let place = steps.iter().position(|step| step == id).unwrap_or_else(|| {
            steps.push(id.to_owned());
            steps.len() - 1
        });
        format!("#{place}")
    };
    let line = |event: &Value| {
        let data = event["data"].as_object().unwrap();
        // Resources of the twin have no metadata, which Concourse leaves out then.
        let members: Vec<_> = data.keys().filter(|key| *key != "metadata").map(String::as_str).collect();
        let step = event["data"]["origin"]["id"].as_str().map(&mut number).unwrap_or_default();
        let told =
            ["status", "exit_status", "succeeded", "changed", "message"].map(|key| &event["data"][key]);
        let told: Vec<_> = told.into_iter().filter(|told| !told.is_null()).map(Value::to_string).collect();
        let (kind, version) = (event["event"].as_str().unwrap(), event["version"].as_str().unwrap());
        format!("{kind} {version} {step} {} {}", members.join(","), told.join(","))
    };
    events.iter().filter(|event| !reviewed(event)).map(line).collect()
}

/// A plan without ids and without what tests cannot choose; `do` of one step is that step.
fn shape(plan: &Value) -> Value {
    match plan {
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(node) => {
            if let Some([only]) = node.get("do").and_then(Value::as_array).map(Vec::as_slice) {
                return shape(only);
            }
            // The types of resources, how many steps may run at once, and which version is got.
            let left_out = ["id", "type", "limit", "version", "fail_fast"];
            let kept = node.iter().filter(|(key, _)| !left_out.contains(&key.as_str()));
            kept.map(|(key, value)| (key.clone(), shape(value))).collect()
        }
        other => other.clone(),
    }
}

/// Every task of the recorded pipelines had an image.
fn begin() -> Script {
    Script::new().with_image()
}

fn fails(script: Script, name: &str) -> Script {
    script.task(name, |task| task.exit(1))
}

fn works(script: Script, name: &str) -> Script {
    script.task(name, |task| task)
}

fn put(script: Script, name: &str) -> Script {
    let version = json!({"version": "1.2.3"});
    script.hooked(Hook::OnSuccess, |script| script.put(name, &version), |script| script.get(name, &version))
}

fn get_task_put(script: Script) -> Script {
    put(works(get(script, "repo"), "build"), "release")
}

fn get(script: Script, name: &str) -> Script {
    script.get(name, &json!({"version": "abc123"}))
}

/// `steps/hooks`: a task that fails, with every hook around it.
fn hooks() -> Script {
    let main = |script: Script| {
        script.hooked(
            Hook::OnSuccess,
            |script| fails(script, "main"),
            |script| script.not_run(|script| works(script, "not-run")),
        )
    };
    let step =
        |script: Script| script.hooked(Hook::OnFailure, main, |script| works(script, "cleanup-failure"));
    let step = |script: Script| script.hooked(Hook::Ensure, step, |script| works(script, "always"));
    let job = |script: Script| script.hooked(Hook::OnFailure, step, |script| put(script, "release"));
    let job = |script: Script| {
        let aborted = |script: Script| script.not_run(|script| works(script, "aborted-hook"));
        script.hooked(Hook::OnAbort, job, aborted)
    };
    begin().hooked(Hook::Ensure, job, |script| works(script, "job-ensure")).finish(Status::Failed)
}

fn across_in_across() -> Script {
    let outer = [vec![json!(1)], vec![json!(2)]];
    let inner = [vec![json!("x")], vec![json!(true)]];
    begin()
        .across(&["a"], &outer, |_, script| script.across(&["b"], &inner, |_, script| works(script, "inner")))
}

/// The recordings, and what the twin is told to do the same.
fn scenarios() -> Vec<(&'static str, Script)> {
    let unfinished = |name: &str, message: &str, status| {
        begin().task(name, |task| task.error(message).unfinished()).finish(status)
    };
    vec![
        ("basic-hello", works(begin(), "say")),
        ("basic-failing", begin().task("fail", |task| task.exit(3)).finish(Status::Failed)),
        (
            "basic-no-such-binary",
            unfinished(
                "missing",
                "exec: \"no-such-binary\": executable file not found in $PATH",
                Status::Errored,
            ),
        ),
        ("basic-timeout", unfinished("too-slow", "timeout exceeded", Status::Failed)),
        ("steps-get-task-put", get_task_put(begin())),
        ("steps-retry", begin().retry(3, |_, script| fails(script, "flaky")).finish(Status::Failed)),
        ("steps-across-in-across", across_in_across()),
        ("steps-set-pipeline", get(begin(), "repo").set_pipeline("made-here", true)),
        ("steps-load-var", works(get(begin(), "repo").load_var("loaded"), "use")),
        ("steps-try", works(begin().attempt(|script| fails(script, "may-fail")), "goes-on")),
        ("steps-hooks", hooks()),
        ("steps-parallel", begin().in_parallel(|script| works(works(get(script, "repo"), "left"), "right"))),
    ]
}

#[tokio::test]
async fn plans_and_streams_are_as_recorded() {
    let recorded = recordings::streams();
    let mut compared = 0;
    for (scenario, script) in scenarios() {
        for (version, folder) in [(Version::V7_14, "7.14.3"), (Version::V8_3, "8.3.0-dev")] {
            let name = format!("{folder}/{scenario}");
            let Some(recording) = recorded.iter().find(|recording| recording.name == name) else { continue };
            compared += 1;
            let script = match name.as_str() {
                // Another build had looked for the image just before.
                "8.3.0-dev/steps-get-task-put" => get_task_put(Script::new().with_checked_image()),
                _ => script.clone(),
            };
            let twin = one_job(script).version(version).start().await;
            let client = Client::login(&twin).await;
            let build = client.trigger(JOB).await;
            let stream = client.events(build, &[]).await.until_end().await;
            let events: Vec<Value> =
                recording.events.iter().map(|event| serde_json::from_str(event).unwrap()).collect();
            let (mut own, mut events) = (envelopes(&stream), events);
            if scenario == "steps-parallel" {
                // Both tasks looked for their image at the same time.
                own.retain(|event| !is_of_image(event));
                events.retain(|event| !is_of_image(event));
            }
            let (mut told, mut expected) = (outline(&own), outline(&events));
            if scenario == "steps-parallel" {
                // The twin does one after the other, and so the steps have other numbers.
                for lines in [&mut told, &mut expected] {
                    for line in lines.iter_mut() {
                        *line = line.replace(['#', '0', '1', '2'], "");
                    }
                    lines.sort_unstable();
                }
            }
            assert_eq!(told, expected, "{name}");
            let plan = client.get(&format!("/api/v1/builds/{build}/plan")).await.json();
            assert_eq!(shape(&plan), shape(recording.plan.as_ref().unwrap()), "{name}");
        }
    }
    assert_eq!(compared, 19);
}
