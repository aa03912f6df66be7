//! Jobs files.

use serde_json::{Value, json};

use crate::support::{Answer, Call, Client, Key, TestStack};

/// The example of the documentation, as old files look.
const OLD_FILE: &str = "\
jobs:
  - job_id: job_hello
    project: example
    display_name: Hello
    environment: prod
    provider: { kind: concourse, ref: { team: main, pipeline: example-pipeline, job: hello-job } }
";

async fn import(client: &Client, query: &str, file: &str) -> Answer {
    let call = Call::post(format!("/v1/jobs/import{query}")).body("application/yaml", file.to_owned());
    client.send(call).await
}

fn outcomes(report: &Value) -> Vec<(&str, &str)> {
    let entries = report["entries"].as_array().unwrap().iter();
    entries.map(|entry| (entry["job_id"].as_str().unwrap(), entry["outcome"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn an_old_file_is_taken_as_it_is() {
    let stack = TestStack::start().await;
    let example = stack.client(&Key::EXAMPLE);
    let report = import(&example, "", OLD_FILE).await.expect(200).json();
    assert_eq!(outcomes(&report), [("job_hello", "created")]);
    let job = example.get("/v1/jobs/job_hello").await.expect(200).json()["job"].clone();
    for (member, value) in [
        ("project", json!("example")),
        ("display_name", json!("Hello")),
        ("environment", json!("prod")),
        ("tenant", json!("example")),
        (
            "provider",
            json!({ "kind": "concourse",
            "ref": { "team": "main", "pipeline": "example-pipeline", "job": "hello-job" } }),
        ),
    ] {
        assert_eq!(job[member], value);
    }
    let again = import(&example, "?atomic=true", OLD_FILE).await.expect(200).json();
    assert_eq!(outcomes(&again), [("job_hello", "unchanged")]);
    let unchanged = example.get("/v1/jobs/job_hello").await.expect(200).json()["job"].clone();
    assert_eq!(unchanged, job, "importing the same again edits nothing");
    let edited = OLD_FILE.replace("display_name: Hello", "display_name: Hello again");
    let changed = import(&example, "", &edited).await.expect(200).json();
    assert_eq!(outcomes(&changed), [("job_hello", "changed")]);
    stack.stop().await;
}

const MIXED_FILE: &str = "\
jobs:
  - job_id: hello
    project: example
    provider: { kind: process, ref: { command: [changed] } }
  - job_id: brand-new
    project: example
    provider: { kind: process, ref: { command: ['true'] } }
  - job_id: no good id
    project: example
    provider: { kind: process, ref: { command: ['true'] } }
  - job_id: bad-command
    project: example
    provider: { kind: process, ref: { command: [1] } }
  - job_id: brand-new
    project: example
    provider: { kind: process, ref: { command: ['false'] } }
  - job_id: foreign-project
    project: theirs
    provider: { kind: process, ref: { command: ['true'] } }
  - job_id: theirs
    project: example
    provider: { kind: process, ref: { command: ['true'] } }
  - project: example
    provider: { kind: process, ref: { command: ['true'] } }
  - job_id: extra
    project: example
    colour: red
    provider: { kind: process, ref: { command: ['true'] } }
  - job_id: [17]
    project: example
";

async fn stack_with_something_of_others() -> TestStack {
    let stack = TestStack::start().await;
    let theirs =
        json!({ "project": "theirs", "provider": { "kind": "process", "ref": { "command": ["true"] } } });
    stack.client(&Key::OTHER).send(Call::put("/v1/jobs/theirs").json(&theirs)).await.expect(201);
    stack
}

#[tokio::test]
async fn each_entry_stands_on_its_own_and_is_reported() {
    let stack = stack_with_something_of_others().await;
    let example = stack.client(&Key::EXAMPLE);
    let report = import(&example, "", MIXED_FILE).await.expect(200).json();
    assert_eq!(
        report["summary"],
        json!({ "created": 1, "changed": 1, "unchanged": 0, "refused": 8, "skipped": 0 })
    );
    assert_eq!(outcomes(&report)[..2], [("hello", "changed"), ("brand-new", "created")]);
    let refusals: Vec<_> = report["entries"].as_array().unwrap()[2..]
        .iter()
        .map(|entry| {
            (entry["errors"][0]["pointer"].as_str().unwrap(), entry["errors"][0]["detail"].as_str().unwrap())
        })
        .collect();
    let expected = [
        ("/jobs/2/job_id", "a job id must be 1 to 128 characters"),
        ("/jobs/3/provider/ref/command/0", "invalid type: integer `1`, expected a string"),
        ("/jobs/4/job_id", "an earlier entry has the same id"),
        ("/jobs/5/project", "project `theirs` is not yours to use"),
        ("/jobs/6/job_id", "job id `theirs` is not yours to use"),
        ("/jobs/7/job_id", "is required"),
        ("/jobs/8/colour", "unknown field `colour`"),
        ("/jobs/9/job_id", "must be a string"),
    ];
    for ((pointer, detail), (expected_pointer, says)) in refusals.iter().zip(expected) {
        assert_eq!(*pointer, expected_pointer, "{detail}");
        assert!(detail.contains(says), "{detail:?} does not say {says:?}");
    }
    assert_eq!(refusals.len(), expected.len());
    let command = example.get("/v1/jobs/brand-new").await.expect(200).json();
    assert_eq!(command["job"]["provider"]["ref"]["command"], json!(["true"]));
    stack.stop().await;
}

#[tokio::test]
async fn all_or_nothing_writes_nothing_when_one_entry_is_bad() {
    let stack = stack_with_something_of_others().await;
    let example = stack.client(&Key::EXAMPLE);
    let before = example.all("/v1/jobs", "jobs").await;
    let report = import(&example, "?atomic=true", MIXED_FILE).await.expect(200).json();
    assert_eq!(
        report["summary"],
        json!({ "created": 0, "changed": 0, "unchanged": 0, "refused": 8, "skipped": 2 })
    );
    assert_eq!(example.all("/v1/jobs", "jobs").await, before);
    stack.stop().await;
}

#[tokio::test]
async fn a_new_project_needs_a_tenant_and_keeps_it() {
    let stack = TestStack::start().await;
    let platform = stack.client(&Key::PLATFORM);
    let file = "jobs: [{job_id: x, project: fresh, provider: {kind: process, ref: {command: [a]}}}]";
    let unclear = import(&platform, "", file).await.expect(200).json();
    let error = unclear["entries"][0]["errors"][0].clone();
    assert_eq!(error["pointer"], "/jobs/0/project");
    assert!(error["detail"].as_str().unwrap().contains("?tenant="), "{error}");
    import(&platform, "?tenant=other", file).await.expect(200);
    assert_eq!(platform.get("/v1/jobs/x").await.json()["job"]["tenant"], "other");
    // It exists now, so that the tenant need not be said, and cannot be changed by saying another.
    let file = file.replace("command: [a]", "command: [b]");
    let again = import(&platform, "?tenant=example", &file).await.expect(200).json();
    assert_eq!(outcomes(&again), [("x", "changed")]);
    assert_eq!(platform.get("/v1/jobs/x").await.json()["job"]["tenant"], "other");
    stack.client(&Key::EXAMPLE).get("/v1/jobs/x").await.problem(404, "not-found");
    stack.stop().await;
}

#[tokio::test]
async fn as_many_jobs_as_an_import_may_have_are_imported() {
    let stack = TestStack::start().await;
    let example = stack.client(&Key::EXAMPLE);
    let file = |count: usize| {
        let entry = |number: usize| {
            json!({ "job_id": format!("job-{number:03}"), "project": "many",
                "provider": { "kind": "concourse",
                    "ref": { "team": "t", "pipeline": "p", "job": number.to_string() } } })
        };
        json!({ "jobs": (0..count).map(entry).collect::<Vec<_>>() }).to_string()
    };
    let report = import(&example, "?atomic=true", &file(25)).await.expect(200).json();
    assert_eq!(report["summary"]["created"], 25);
    let report = import(&example, "", &file(120)).await.expect(200).json();
    assert_eq!((&report["summary"]["created"], &report["summary"]["unchanged"]), (&json!(95), &json!(25)));
    assert_eq!(example.all("/v1/jobs?project=many", "jobs").await.len(), 120);
    stack.stop().await;
}

#[tokio::test]
async fn files_are_taken_as_yaml_or_json_whatever_curl_calls_them() {
    let stack = TestStack::start().await;
    let example = stack.client(&Key::EXAMPLE);
    let json = json!({ "jobs": [{ "job_id": "j", "project": "example",
        "provider": { "kind": "process", "ref": { "command": ["true"] } } }], "notes": [{ "any": "thing" }] });
    let yaml = "# a comment\n---\njobs:\n- job_id: j\n  project: example\n  provider: &p\n    kind: process\n    \
        ref:\n      command: ['true']\n- job_id: k\n  project: example\n  provider: *p\n";
    for (kind, body, jobs) in [
        ("application/json", json.to_string(), 1),
        ("application/json; charset=utf-8", json.to_string(), 1),
        ("application/x-www-form-urlencoded", json.to_string(), 1),
        ("application/yaml", yaml.to_owned(), 2),
        ("text/yaml", yaml.to_owned(), 2),
        ("application/x-www-form-urlencoded", yaml.to_owned(), 2),
    ] {
        let answer = example.send(Call::post("/v1/jobs/import").body(kind, body)).await.expect(200).json();
        assert_eq!(
            (answer["summary"]["refused"].as_u64(), answer["entries"].as_array().unwrap().len()),
            (Some(0), jobs),
            "{kind}: {answer}"
        );
    }
    stack.stop().await;
}
