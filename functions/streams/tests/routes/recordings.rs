//! Streams of a real Concourse, as readers of the API get them: whole, and from behind every event.

use std::sync::Arc;

use gatehouse_domain::{
    ci::{Account, ProviderKind, Sharing},
    clock::Clock,
    providers::{Credentials, Provider, SaveProvider},
    revision::Revision,
    secret::SecretName,
};
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::Directory;
use gatehouse_store::Table;
use gatehouse_testkit::{
    app::{Event, MemorySecrets, TestApp, TestSystem, callers, job_draft},
    concourse::{ConcourseTwin, Role, Script},
    recordings,
};
use serde_json::{Value, json};
use streams::AppState;

use crate::trigger;

/// The CI systems that there are, which may be on this machine.
fn directory(table: Arc<Table>, secrets: Arc<MemorySecrets>, system: Arc<TestSystem>) -> Directory {
    gatehouse_providers::directory(table, secrets, system, OutboundHttp::new().allow_loopback())
}

/// The function, and a Concourse whose job `main/app/deploy` does what was recorded.
pub async fn start(script: Script) -> (TestApp, ConcourseTwin) {
    let twin = ConcourseTwin::builder()
        .user("ci-gateway", "s3cret-canary")
        .team("main", |team| team.role("ci-gateway", Role::PipelineOperator))
        .pipeline("main", "app", |pipeline| pipeline.job("deploy", |job| job.script(script)))
        .start()
        .await;
    let app = TestApp::start(|deps| {
        let (table, system) = (deps.table, deps.system);
        let providers = directory(table.clone(), deps.secrets, system.clone());
        streams::router(AppState { table, providers: Arc::new(providers), system })
    })
    .await;
    let account = Account::Password { username: "ci-gateway".to_owned() };
    let provider = Provider {
        name: "concourse".parse().expect("a provider"),
        kind: ProviderKind::Concourse,
        url: Some(twin.url().to_owned()),
        account: Some(account.clone()),
        ca_certificate: None,
        sharing: Sharing::OpenToAll,
        revision: Revision::new(&*app.system),
        credentials_version: "cred_1".to_owned(),
        updated_at: app.system.now(),
        updated_by: "user:root".to_owned(),
    };
    app.table.table.save_provider(&provider, None, None).await.expect("a provider");
    let given_for = Some(provider.place());
    let credentials = Credentials { account, secret: "s3cret-canary".to_owned().into(), given_for };
    app.secrets.put(&SecretName::provider_credentials(&provider.name), &credentials.to_secret());
    app.table.save_draft(&callers::tenant_key("acme"), job_draft("deploy", "payments")).await;
    (app, twin)
}

/// Triggers the job, and waits until the build has ended: the path of its events.
pub async fn ended(app: &TestApp, twin: &ConcourseTwin) -> String {
    let run =
        trigger(app, &directory(app.table.table.clone(), app.secrets.clone(), app.system.clone())).await;
    let build = twin.builds().last().expect("a build").id;
    twin.wait_until_finished(build).await;
    // Time stands still, whoever sleeps meanwhile: who waits for the twin has not waited long.
    app.system.announce(1000);
    format!("/v1/runs/{run}/events")
}

/// What two readings of a stream have in common: all but when a step was seen.
fn told(events: &[Event]) -> Vec<String> {
    events.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn every_recording_is_read_the_same_behind_every_event() {
    let recordings = recordings::streams();
    assert_eq!(recordings.len(), 36);
    let mut resumed = 0;
    for recording in recordings {
        let (app, twin) = start(Script::recorded(recording.plan.clone(), &recording.events)).await;
        let path = ended(&app, &twin).await;
        let acme = app.as_viewer("acme");
        let whole = acme.get(&path).await.events();
        let name = &recording.name;
        assert_eq!(whole.last().map(|event| event.event.as_str()), Some("end"), "{name}");
        let ids: Vec<_> = whole.iter().filter_map(|event| event.id.as_deref()).collect();
        assert!(ids.len() + 2 >= whole.len(), "{name}: an event has no place: {:?}", told(&whole));
        for (index, event) in whole.iter().enumerate() {
            let Some(id) = event.id.as_deref().filter(|id| *id != "end") else { continue };
            let rest = acme.get(&path).last_event_id(id).await.events();
            assert_eq!(told(&rest), told(&whole[index + 1..]), "{name}, behind {id}");
            resumed += 1;
        }
    }
    assert!(resumed > 1000, "{resumed}");
}

fn event(number: usize, kind: &str, data: &Value) -> String {
    json!({ "data": data, "event": kind, "version": "1.0", "event_id": number.to_string() }).to_string()
}

/// As `atc/plan.go` and `atc/event` have them: no such step and no such task were recorded.
#[tokio::test]
async fn a_run_step_and_a_task_without_an_image_are_told() {
    let plan = json!({ "schema": "exec.v2", "plan": { "id": "1", "do": [
        { "id": "2", "run": { "message": "greet", "type": "greeter", "object": { "who": "world" } } },
        { "id": "3", "task": { "name": "plain", "privileged": false, "hermetic": false } },
    ] } });
    let (run, task) = (json!({ "id": "2" }), json!({ "id": "3" }));
    let config = |path: &str| json!({ "platform": "linux", "image": "", "run": { "path": path, "args": ["-c", "true"], "dir": "" }, "inputs": null });
    let said = [
        ("status", json!({ "status": "started", "time": 1_795_777_814 })),
        ("initialize", json!({ "origin": run, "time": 1_795_777_814 })),
        ("selected-worker", json!({ "origin": run, "time": 1_795_777_814, "selected_worker": "w1" })),
        ("start", json!({ "origin": run, "time": 1_795_777_815 })),
        (
            "log",
            json!({ "origin": { "id": "2", "source": "stdout" }, "payload": "hello\n", "time": 1_795_777_815 }),
        ),
        ("finish", json!({ "origin": run, "time": 1_795_777_816, "succeeded": true })),
        ("initialize-task", json!({ "origin": task, "time": 1_795_777_816, "config": config("") })),
        ("start-task", json!({ "origin": task, "time": 1_795_777_816, "config": config("sh") })),
        ("finish-task", json!({ "origin": task, "time": 1_795_777_817, "exit_status": 0 })),
        ("status", json!({ "status": "succeeded", "time": 1_795_777_817 })),
    ];
    let events: Vec<_> =
        said.iter().enumerate().map(|(number, (kind, data))| event(number, kind, data)).collect();
    let (app, twin) = start(Script::recorded(Some(plan), &events)).await;
    let path = ended(&app, &twin).await;
    let acme = app.as_viewer("acme");
    let whole = acme.get(&path).await.events();
    let steps = whole.iter().filter(|event| event.event == "step").map(|event| &event.data);
    let steps: Vec<_> = steps.map(|step| (&step["kind"], &step["name"], &step["phase"])).collect();
    let [run, greet, task, bare] = ["run", "greet", "task", "plain"].map(Value::from);
    let [preparing, started, finished] = ["preparing", "started", "finished"].map(Value::from);
    let expected = [
        (&run, &greet, &preparing),
        (&run, &greet, &preparing),
        (&run, &greet, &started),
        (&run, &greet, &finished),
        (&task, &bare, &preparing),
        (&task, &bare, &started),
        (&task, &bare, &finished),
    ];
    assert_eq!(steps, expected, "{:?}", told(&whole));
    for (index, event) in whole.iter().enumerate() {
        let Some(id) = event.id.as_deref().filter(|id| *id != "end") else { continue };
        assert_eq!(acme.get(&path).last_event_id(id).await.events(), whole[index + 1..], "behind {id}");
    }
}
