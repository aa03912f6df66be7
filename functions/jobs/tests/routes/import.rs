use gatehouse_domain::access::Scope;
use gatehouse_testkit::app::{Answer, Client, TestApp};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::{assert_nothing_was_written, assert_refused, start_with_ci};

/// The example of the documentation, as old files look.
const OLD_FILE: &str = "\
jobs:
  - job_id: job_hello
    project: example
    display_name: Hello
    environment: prod
    provider: { kind: concourse, ref: { team: main, pipeline: example-pipeline, job: hello-job } }
";

async fn import(client: &Client<'_>, query: &str, file: &str) -> Answer {
    let answer = client.post(format!("/v1/jobs/import{query}")).body("application/yaml", file).await;
    assert_eq!(answer.status, 200, "{answer}");
    answer
}

/// The ids of the caller's jobs.
async fn ids(client: &Client<'_>, query: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = client.get(format!("/v1/jobs?limit=100{query}{cursor}")).await;
        let jobs = page.body["jobs"].as_array().unwrap();
        ids.extend(jobs.iter().map(|job| job["job_id"].as_str().unwrap().to_owned()));
        let Some(next) = page.body["next_cursor"].as_str() else { return ids };
        cursor = format!("&cursor={next}");
    }
}

fn outcomes(report: &Value) -> Vec<(&str, &str)> {
    let entries = report["entries"].as_array().unwrap().iter();
    entries.map(|entry| (entry["job_id"].as_str().unwrap(), entry["outcome"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn an_old_file_is_taken_as_it_is() {
    let (app, _) = start_with_ci().await;
    let example = app.as_admin("example");
    let report = import(&example, "", OLD_FILE).await.body;
    assert_eq!(outcomes(&report), [("job_hello", "created")]);
    let job = example.get("/v1/jobs/job_hello").await.body["job"].clone();
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
    let again = import(&example, "?atomic=true", OLD_FILE).await.body;
    assert_eq!(outcomes(&again), [("job_hello", "unchanged")]);
    let unchanged = example.get("/v1/jobs/job_hello").await.body["job"].clone();
    assert_eq!(unchanged, job, "importing the same again edits nothing");
    let edited = OLD_FILE.replace("display_name: Hello", "display_name: Hello again");
    let changed = import(&example, "", &edited).await.body;
    assert_eq!(outcomes(&changed), [("job_hello", "changed")]);
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

/// The function with a job `hello` of tenant `example`, and one of another tenant.
async fn with_something_of_others() -> TestApp {
    let (app, _) = start_with_ci().await;
    let hello =
        json!({ "project": "example", "provider": { "kind": "process", "ref": { "command": ["true"] } } });
    app.as_admin("example").put("/v1/jobs/hello").json(&hello).await;
    let theirs =
        json!({ "project": "theirs", "provider": { "kind": "process", "ref": { "command": ["true"] } } });
    app.as_admin("other").put("/v1/jobs/theirs").json(&theirs).await;
    app
}

#[tokio::test]
async fn each_entry_stands_on_its_own_and_is_reported() {
    let app = with_something_of_others().await;
    let example = app.as_admin("example");
    let report = import(&example, "", MIXED_FILE).await.body;
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
        ("/jobs/5/project", "project `theirs` cannot be used; choose another name"),
        ("/jobs/6/job_id", "job id `theirs` cannot be used; choose another"),
        ("/jobs/7/job_id", "is required"),
        ("/jobs/8/colour", "unknown field `colour`"),
        ("/jobs/9/job_id", "must be a string"),
    ];
    for ((pointer, detail), (expected_pointer, says)) in refusals.iter().zip(expected) {
        assert_eq!(*pointer, expected_pointer, "{detail}");
        assert!(detail.contains(says), "{detail:?} does not say {says:?}");
    }
    assert_eq!(refusals.len(), expected.len());
    let command = example.get("/v1/jobs/brand-new").await.body;
    assert_eq!(command["job"]["provider"]["ref"]["command"], json!(["true"]));
}

/// As the README has it, with the key that the local stack shows: it is for all tenants, and there is one.
#[tokio::test]
async fn a_key_for_all_tenants_makes_projects_of_the_only_one() {
    let (app, _) = start_with_ci().await;
    app.table.create_tenant("example").await;
    let key = app.as_api_key(&[Scope::All], "*");
    let report = import(&key, "", OLD_FILE).await.body;
    assert_eq!(outcomes(&report), [("job_hello", "created")]);
    assert_eq!(key.get("/v1/jobs/job_hello").await.body["job"]["tenant"], "example");
    app.table.create_tenant("other").await;
    let another = OLD_FILE.replace("project: example", "project: another");
    let report = import(&key, "", &another).await.body;
    assert_snapshot!(report["entries"][0]["errors"][0]["detail"], @r#""project `another` does not exist yet: say with ?tenant= which tenant it is to belong to""#);
}

/// The old generator made projects of pipelines.
#[tokio::test]
async fn projects_and_environments_are_called_as_pipelines_and_people_have_it() {
    let (app, _) = start_with_ci().await;
    let example = app.as_admin("example");
    let long = "x".repeat(57);
    for (index, project) in ["My_Pipeline", "my.pipeline", &long].into_iter().enumerate() {
        let file = OLD_FILE
            .replace("project: example", &format!("project: {project}"))
            .replace("job_hello", &format!("job-{index}"))
            .replace("prod", "Production");
        let report = import(&example, "", &file).await.body;
        assert_eq!(report["summary"]["created"], 1, "{report}");
        let job = example.get(format!("/v1/jobs/job-{index}")).await.body["job"].clone();
        assert_eq!((&job["project"], &job["environment"]), (&json!(project), &json!("Production")));
        assert_eq!(ids(&example, &format!("&project={project}&environment=Production")).await.len(), 1);
    }
    for (project, says) in
        [("V1", "is reserved"), ("openapi.json", "is reserved"), ("my pipeline", "1 to 128")]
    {
        let file = OLD_FILE.replace("project: example", &format!("project: {project}"));
        let report = import(&example, "", &file).await.body;
        let detail = report["entries"][0]["errors"][0]["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(says), "{project}: {detail}");
    }
}

#[tokio::test]
async fn a_file_may_say_more_than_its_jobs() {
    let (app, _) = start_with_ci().await;
    let example = app.as_admin("example");
    let file = format!("version: 2\nx-anchors: {{ any: thing }}\n{OLD_FILE}")
        .replace("prod", "prod\n    parameters: null");
    let report = import(&example, "", &file).await.body;
    assert_eq!(outcomes(&report), [("job_hello", "created")], "{report}");
    // Nor need it be said what it is.
    let call = example.post("/v1/jobs/import");
    let unsaid = call.untyped_body(file).await.body;
    assert_eq!(outcomes(&unsaid), [("job_hello", "unchanged")]);
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_said_in_words_of_its_own() {
    let (app, _) = start_with_ci().await;
    let example = app.as_admin("example");
    let files = [
        "",
        "jobs:\n",
        "jobs: {}\n",
        "- job_id: x\n",
        "jobs: [1]\n",
        "{}",
        "jobs: []\nextra: 1\n",
        "jobs: []\njobs: []\n",
        "jobs: []\n---\njobs: []\n",
    ];
    let mut said = String::new();
    for file in files {
        let answer = example.post("/v1/jobs/import").body("application/yaml", file).await;
        said.extend([format!("{file:?}\n{answer}\n")]);
    }
    assert_snapshot!(said, @r#"
    ""
    422 Unprocessable Entity
    validation-failed: Refused: the body itself.
      "": the file is empty; it needs `jobs`, a list
    "jobs:\n"
    422 Unprocessable Entity
    validation-failed: Refused: `/jobs`.
      "/jobs": must be a list of jobs
    "jobs: {}\n"
    422 Unprocessable Entity
    validation-failed: Refused: `/jobs`.
      "/jobs": must be a list of jobs
    "- job_id: x\n"
    422 Unprocessable Entity
    validation-failed: Refused: the body itself.
      "": the file must be a mapping with `jobs`, a list
    "jobs: [1]\n"
    422 Unprocessable Entity
    validation-failed: Refused: `/jobs/0`.
      "/jobs/0": must be a job: a mapping with `job_id`, `project` and `provider`
    "{}"
    422 Unprocessable Entity
    validation-failed: Refused: `/jobs`.
      "/jobs": is required: a list of jobs
    "jobs: []\nextra: 1\n"
    422 Unprocessable Entity
    validation-failed: Refused: `/extra`.
      "/extra": is not known here; `jobs`, `version` and `x-…` are
    "jobs: []\njobs: []\n"
    400 Bad Request
    malformed-body: The file is not YAML: line 2 column 1: duplicate mapping key `jobs` is not allowed here.
    "jobs: []\n---\njobs: []\n"
    400 Bad Request
    malformed-body: The file is not YAML: line 3 column 1: only single YAML document expected but multiple found.
    "#);
}

/// As many as an installation has, in one request: what cannot be written together is written one by one.
#[tokio::test]
async fn five_thousand_jobs_are_imported_at_once() {
    let (app, _) = start_with_ci().await;
    let example = app.as_admin("example");
    let file = |count: usize| {
        let entry = |number: usize| {
            json!({ "job_id": format!("job-{number:04}"), "project": format!("project-{}", number % 7),
                "description": "x".repeat(200),
                "provider": { "kind": "concourse",
                    "ref": { "team": "t", "pipeline": "p", "job": number.to_string() } } })
        };
        json!({ "jobs": (0..count).map(entry).collect::<Vec<_>>() })
    };
    let first = example.post("/v1/jobs/import").json(&file(30)).await.body;
    assert_eq!(first["summary"]["created"], 30);
    app.table.calls.take();
    let report = example.post("/v1/jobs/import").json(&file(5_000)).await;
    assert_eq!(
        report.body["summary"],
        json!({ "created": 4970, "changed": 0, "unchanged": 30, "refused": 0, "skipped": 0 })
    );
    let calls = app.table.calls.take();
    let transactions = calls.iter().filter(|call| *call == "TransactWriteItems").count();
    assert!(transactions < 220, "{transactions}");
    let again = example.post("/v1/jobs/import").json(&file(5_000)).await;
    assert_eq!(again.body["summary"]["unchanged"], 5_000);
}

#[tokio::test]
async fn all_or_nothing_writes_nothing_when_one_entry_is_bad() {
    let app = with_something_of_others().await;
    let example = app.as_admin("example");
    let before = example.get("/v1/jobs").await.body;
    let report = import(&example, "?atomic=true", MIXED_FILE).await.body;
    assert_eq!(
        report["summary"],
        json!({ "created": 0, "changed": 0, "unchanged": 0, "refused": 8, "skipped": 2 })
    );
    assert_eq!(example.get("/v1/jobs").await.body, before);
}

#[tokio::test]
async fn a_new_project_needs_a_tenant_and_keeps_it() {
    let (app, _) = start_with_ci().await;
    let platform = app.as_platform_admin();
    let file = "jobs: [{job_id: x, project: fresh, provider: {kind: process, ref: {command: [a]}}}]";
    let unclear = import(&platform, "", file).await.body;
    let error = unclear["entries"][0]["errors"][0].clone();
    assert_eq!(error["pointer"], "/jobs/0/project");
    assert!(error["detail"].as_str().unwrap().contains("?tenant="), "{error}");
    for tenant in ["example", "other"] {
        app.table.create_tenant(tenant).await;
    }
    let refused = import(&platform, "?tenant=nope", file).await.body;
    assert_eq!(refused["entries"][0]["errors"][0]["detail"], "there is no tenant `nope`; create it first");
    import(&platform, "?tenant=other", file).await;
    assert_eq!(platform.get("/v1/jobs/x").await.body["job"]["tenant"], "other");
    // It exists now, so that the tenant need not be said, and cannot be changed by saying another.
    let file = file.replace("command: [a]", "command: [b]");
    let again = import(&platform, "?tenant=example", &file).await.body;
    assert_eq!(outcomes(&again), [("x", "changed")]);
    assert_eq!(platform.get("/v1/jobs/x").await.body["job"]["tenant"], "other");
    assert_eq!(app.as_viewer("example").get("/v1/jobs/x").await.problem(), "not-found");
}

#[tokio::test]
async fn as_many_jobs_as_an_import_may_have_are_imported() {
    let (app, _) = start_with_ci().await;
    let example = app.as_admin("example");
    let file = |count: usize| {
        let entry = |number: usize| {
            json!({ "job_id": format!("job-{number:03}"), "project": "many",
                "provider": { "kind": "concourse",
                    "ref": { "team": "t", "pipeline": "p", "job": number.to_string() } } })
        };
        json!({ "jobs": (0..count).map(entry).collect::<Vec<_>>() }).to_string()
    };
    // One more write than a transaction has: four for each job, and one for their new project.
    let refused = example.post("/v1/jobs/import?atomic=true").body("application/yaml", file(25)).await;
    assert_snapshot!(refused, @"
    413 Payload Too Large
    body-too-large: All or nothing takes at most 100 writes, and these jobs and what is recorded of them need 101; split the file.
    ");
    let report = import(&example, "?atomic=true", &file(24)).await.body;
    assert_eq!(report["summary"]["created"], 24);
    let report = import(&example, "", &file(120)).await.body;
    assert_eq!((&report["summary"]["created"], &report["summary"]["unchanged"]), (&json!(96), &json!(24)));
    assert_eq!(ids(&example, "&project=many").await.len(), 120);
}

#[tokio::test]
async fn files_are_taken_as_yaml_or_json_and_as_nothing_that_a_page_can_send_unasked() {
    let (app, _) = start_with_ci().await;
    let example = app.as_admin("example");
    let json = json!({ "jobs": [{ "job_id": "j", "project": "example",
        "provider": { "kind": "process", "ref": { "command": ["true"] } } }], "notes": [{ "any": "thing" }] });
    let yaml = "# a comment\n---\njobs:\n- job_id: j\n  project: example\n  provider: &p\n    kind: process\n    \
        ref:\n      command: ['true']\n- job_id: k\n  project: example\n  provider: *p\n";
    for (kind, body, jobs) in [
        ("application/json", json.to_string(), 1),
        ("application/json; charset=utf-8", json.to_string(), 1),
        ("application/yaml", yaml.to_owned(), 2),
        ("text/yaml", yaml.to_owned(), 2),
        ("application/x-yaml", yaml.to_owned(), 2),
        ("Application/YAML; charset=utf-8", yaml.to_owned(), 2),
    ] {
        let answer = example.post("/v1/jobs/import").body(kind, body).await.body;
        assert_eq!(
            (answer["summary"]["refused"].as_u64(), answer["entries"].as_array().unwrap().len()),
            (Some(0), jobs),
            "{kind}: {answer}"
        );
    }
    for kind in
        ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x/json"]
    {
        for body in [json.to_string(), yaml.to_owned()] {
            let answer = example.post("/v1/jobs/import").body(kind, body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.problem()),
                (415, "unsupported-media-type"),
                "{kind:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_file_with_a_member_twice_is_refused_whichever_way_it_is_written() {
    let (app, _) = start_with_ci().await;
    let example = app.as_admin("example");
    let entry = r#"{"job_id":"j","project":"example","project":"other","provider":{"kind":"process","ref":{"command":["true"]}}}"#;
    for file in [format!(r#"{{"jobs":[{entry}]}}"#), r#"{"jobs":[],"jobs":[]}"#.to_owned()] {
        for kind in ["application/json", "application/yaml"] {
            let answer = example.post("/v1/jobs/import").body(kind, file.clone()).await;
            assert!(
                [400, 422].contains(&answer.status.as_u16()),
                "{kind}: {} {}",
                answer.status,
                answer.body
            );
        }
    }
    assert!(ids(&example, "").await.is_empty());
}

#[tokio::test]
async fn jobs_files_that_are_bombs_or_no_jobs_files_are_refused() {
    const MALFORMED: &[&str] = &["malformed-body"];
    const INVALID: &[&str] = &["validation-failed"];
    const UNREADABLE: &[&str] = &["malformed-body", "validation-failed"];
    let laughs: String =
        ('b'..='i').fold("a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned(), |file, name| {
            let before = char::from(u8::try_from(name).unwrap() - 1);
            let aliases = vec![format!("*{before}"); 9].join(", ");
            file + &format!("{name}: &{name} [{aliases}]\n")
        });
    let quadratic = format!(
        "jobs:\n- &a {{job_id: x, description: {}}}\n{}",
        "y".repeat(20_000),
        "- *a\n".repeat(40_000)
    );
    let deep = format!("jobs: {}", "[".repeat(50_000));
    let levels: Vec<_> = (0..1300).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    let deep_maps = levels.concat();
    let merged = "jobs:\n- &a {job_id: x, <<: {project: y}}\n- {<<: *a}\n".to_owned();
    let files = [
        (laughs.as_str(), UNREADABLE),
        (&quadratic, UNREADABLE),
        (&deep, UNREADABLE),
        (&deep_maps, UNREADABLE),
        ("jobs: &a [*a]\n", UNREADABLE),
        ("jobs: *absent\n", MALFORMED),
        ("jobs: [\n", MALFORMED),
        ("jobs: \"\n", MALFORMED),
        ("jobs: []\njobs: []\n", UNREADABLE),
        ("jobs: []\n---\njobs: []\n", UNREADABLE),
        ("", UNREADABLE),
        ("just text", UNREADABLE),
        ("- job_id: x\n", UNREADABLE),
        ("jobs: {}\n", UNREADABLE),
        ("jobs: [1]\n", UNREADABLE),
        ("jobs: [[]]\n", UNREADABLE),
        ("jobs: []\nextra: 1\n", INVALID),
        ("jobs: !!binary aGVsbG8=\n", UNREADABLE),
        ("jobs:\n- ? [a, b]\n  : c\n", UNREADABLE),
        ("%TAG ! tag:evil,2000:\njobs: []\n", UNREADABLE),
        ("jobs: \u{0}\n", UNREADABLE),
    ];
    let (app, _) = start_with_ci().await;
    let platform = app.as_platform_admin();
    app.table.create_tenant("example").await;
    app.table.calls.take();
    let import = || platform.post("/v1/jobs/import?tenant=example");
    for (file, slugs) in files {
        let what: String = file.chars().take(80).collect();
        assert_refused(&what, &import().body("application/yaml", file).await, slugs, "");
    }
    assert_refused(
        "not UTF-8",
        &import().body("application/yaml", &b"\xff\xfe"[..]).await,
        MALFORMED,
        "UTF-8",
    );
    let merged = import().body("application/yaml", merged).await;
    assert!(!merged.status.is_server_error(), "{merged}");
    if merged.status == 200 {
        assert_eq!(merged.body["summary"]["refused"], 2, "{merged}");
    }
    assert_nothing_was_written(&app);
}

#[tokio::test]
async fn files_with_too_many_entries_are_refused() {
    let (app, _) = start_with_ci().await;
    let entries = |count: usize| json!({ "jobs": vec![json!({}); count] });
    let import = |query: &str| app.as_admin("example").post(format!("/v1/jobs/import{query}"));
    assert_snapshot!(import("").json(&entries(5_001)).await, @r#"
    422 Unprocessable Entity
    validation-failed: Refused: `/jobs`.
      "/jobs": must be at most 5000 items
    "#);
    assert_snapshot!(import("?atomic=true").json(&entries(26)).await, @"
    413 Payload Too Large
    body-too-large: At most 25 jobs can be imported at once, this file has 26.
    ");
    assert_eq!(import("?atomic=perhaps").json(&entries(0)).await.problem(), "invalid-query");
    assert_nothing_was_written(&app);
}

#[tokio::test]
async fn is_for_admins() {
    let (app, _) = start_with_ci().await;
    assert_eq!(app.anonymous().post("/v1/jobs/import").await.problem(), "unauthorized");
    assert_eq!(app.as_developer("example").post("/v1/jobs/import").await.problem(), "forbidden");
    let reader = app.as_api_key(&[Scope::JobsRead], "example").post("/v1/jobs/import").await;
    assert_eq!(reader.problem(), "forbidden");
}
