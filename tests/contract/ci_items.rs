//! How jobs, providers, runs and requests for runs are stored: what older versions wrote must be readable, and
//! what this one writes too when it is rolled back.

use std::{collections::BTreeMap, time::Duration};

use gatehouse_domain::{
    ci::{Account, BuildId, Checkpoint, ProviderKind, Reason, ReasonCode, RunStatus, Sharing, StartKind},
    idempotency::{Fingerprint, IdempotencyKey, RequestKey},
    jobs::{FindJob, Job, JobEdit, JobSpec, SaveJobs},
    parameter::Undeclared,
    providers::{FindProvider, Provider, SaveProvider},
    revision::Revision,
    runs::{
        FindRun, RecordRun, Run,
        start::{FinishOutcome, RunRequest, RunRequestState, RunRequests},
    },
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::support::{TestTable, item, target};

const NOON: &str = "2026-01-02T12:00:00Z";

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

fn job(id: &str) -> Job {
    Job {
        id: id.parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        spec: JobSpec {
            project: "payments".parse().unwrap(),
            display_name: "Build".into(),
            description: None,
            environment: None,
            provider: "concourse".parse().unwrap(),
            target: target("build"),
            parameters: Vec::new(),
            undeclared: None,
        },
        revision: Revision::unverified("rev_1".into()),
        created_at: noon(),
        updated_at: noon(),
        updated_by: "user:ada".into(),
    }
}

async fn save(table: &TestTable, job: Job) -> Value {
    let edit = JobEdit { job: job.clone(), previous: None, new_project: None, entries: Vec::new() };
    table.table.save_jobs(&[edit]).await.unwrap();
    assert_eq!(table.table.find_job(&job.id).await.unwrap().as_ref(), Some(&job));
    item(table, &format!("JOB#{}", job.id), "JOB").await
}

#[tokio::test]
async fn a_job() {
    let table = TestTable::new().await;
    let target = json!({ "kind": "concourse", "ref": { "team": "main", "pipeline": "app", "job": "build" } });
    let least = json!({
        "pk": "JOB#least", "sk": "JOB", "gsi1pk": "JOBS", "gsi1sk": "acme#payments#least",
        "job_id": "least", "tenant": "acme", "project": "payments", "display_name": "Build",
        "provider": "concourse", "target": target, "revision": "rev_1",
        "created_at": NOON, "updated_at": NOON, "updated_by": "user:ada",
    });
    assert_eq!(save(&table, job("least")).await, least);
    let mut full = job("full");
    full.spec.description = Some("builds".into());
    full.spec.environment = Some("prod".parse().unwrap());
    let parameters = json!([
        { "name": "branch", "type": "string", "required": true, "description": "which",
          "deliver": { "as": "instance_var", "name": "branch" } },
        { "name": "size", "type": "choice", "options": ["s", "l"], "required": false, "default": "s",
          "deliver": { "as": "instance_var", "name": "shape.size" } },
    ]);
    full.spec.parameters = serde_json::from_value(parameters.clone()).unwrap();
    full.spec.undeclared = Some(Undeclared::Keep);
    let vars = json!({ "stage": "dev", "shape": { "count": 3, "ratio": 1.5, "on": true, "none": null } });
    full.spec.target = serde_json::from_value(json!({ "kind": "concourse",
        "ref": { "team": "main", "pipeline": "app", "job": "build", "vars": vars } }))
    .unwrap();
    let mut expected = least;
    for (name, value) in [
        ("pk", json!("JOB#full")),
        ("gsi1sk", json!("acme#payments#full")),
        ("job_id", json!("full")),
        ("description", json!("builds")),
        ("environment", json!("prod")),
        ("parameters", parameters),
        ("undeclared", json!("keep")),
    ] {
        expected[name] = value;
    }
    expected["target"]["ref"]["vars"] = vars;
    assert_eq!(save(&table, full).await, expected);
}

#[tokio::test]
async fn a_provider() {
    let table = TestTable::new().await;
    let mut provider = Provider {
        name: "concourse".parse().unwrap(),
        kind: ProviderKind::Concourse,
        url: None,
        account: None,
        ca_certificate: None,
        sharing: Sharing::NotAsked,
        revision: Revision::unverified("rev_1".into()),
        credentials_version: "cred_1".into(),
        updated_at: noon(),
        updated_by: "user:ada".into(),
    };
    let mut expected = json!({
        "pk": "PROVIDERS", "sk": "concourse", "name": "concourse", "kind": "concourse", "revision": "rev_1",
        "credentials_version": "cred_1", "updated_at": NOON, "updated_by": "user:ada",
    });
    let key = gatehouse_store::keys::provider(&provider.name);
    (expected["pk"], expected["sk"]) = (json!(key.pk), json!(key.sk));
    table.table.save_provider(&provider, None, None).await.unwrap();
    assert_eq!(item(&table, &key.pk, &key.sk).await, expected);
    assert_eq!(table.table.find_provider(&provider.name).await.unwrap(), Some(provider.clone()));
    for (account, stored) in [
        (Account::Password { username: "ci".into() }, json!({ "grant": "password", "username": "ci" })),
        (
            Account::ClientCredentials { client_id: "gatehouse".into() },
            json!({ "grant": "client_credentials", "client_id": "gatehouse" }),
        ),
    ] {
        provider.url = Some("https://ci.example.com".into());
        provider.account = Some(account);
        provider.ca_certificate = Some("PEM".into());
        table.table.save_provider(&provider, Some(&provider.revision), None).await.unwrap();
        expected["url"] = json!("https://ci.example.com");
        expected["account"] = stored;
        expected["ca_certificate"] = json!("PEM");
        assert_eq!(item(&table, &key.pk, &key.sk).await, expected);
        assert_eq!(table.table.find_provider(&provider.name).await.unwrap(), Some(provider.clone()));
    }
    let scopes = json!({ "acme": ["main", "team-a"], "*": ["public"] });
    for (sharing, stored) in [
        (Sharing::Unsaid, json!("unsaid")),
        (Sharing::OpenToAll, json!("open_to_all")),
        (Sharing::Scopes(serde_json::from_value(scopes.clone()).unwrap()), json!({ "scopes": scopes })),
    ] {
        provider.sharing = sharing;
        table.table.save_provider(&provider, Some(&provider.revision), None).await.unwrap();
        expected["sharing"] = stored;
        assert_eq!(item(&table, &key.pk, &key.sk).await, expected);
        assert_eq!(table.table.find_provider(&provider.name).await.unwrap(), Some(provider.clone()));
    }
}

fn least_run() -> Run {
    Run {
        id: "main:app:build:7".parse().unwrap(),
        job_id: "build".parse().unwrap(),
        project: "payments".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        provider: "concourse".parse().unwrap(),
        target: target("build"),
        build: BuildId("7".into()),
        number: None,
        status: RunStatus::Queued,
        provider_status: "pending".into(),
        reason: None,
        parameters: BTreeMap::new(),
        undelivered: BTreeMap::new(),
        awaited: Vec::new(),
        triggered_by: None,
        rerun_of: None,
        created_at: noon(),
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
        web_url: None,
    }
}

fn full_run() -> Run {
    Run {
        number: Some("17".into()),
        status: RunStatus::Cancelling,
        reason: Some(Reason { code: ReasonCode::WaitingForSlot, detail: "wait".into() }),
        parameters: BTreeMap::from([("branch".parse().unwrap(), json!("main"))]),
        undelivered: BTreeMap::from([("a b".into(), json!([1e300, null]))]),
        triggered_by: Some("user:ada".into()),
        rerun_of: Some("main:app:build:6".parse().unwrap()),
        started_at: Some(noon()),
        finished_at: Some(noon()),
        cancel_requested_at: Some(noon()),
        web_url: Some("https://ci.example.com/7".into()),
        ..least_run()
    }
}

/// The attributes of the run itself, without those of the item.
fn stored_run(full: bool) -> Value {
    let mut run = json!({
        "run_id": "main:app:build:7", "job_id": "build", "project": "payments", "tenant": "acme",
        "provider": "concourse", "build": "7", "status": "queued", "provider_status": "pending",
        "target": { "kind": "concourse", "ref": { "team": "main", "pipeline": "app", "job": "build" } },
        "created_at": NOON,
    });
    if full {
        let more = json!({
            "number": "17", "status": "cancelling", "reason": { "code": "waiting_for_slot", "detail": "wait" },
            "parameters": { "branch": "main" }, "undelivered": r#"{"a b":[1e+300,null]}"#, "triggered_by": "user:ada", "rerun_of": "main:app:build:6",
            "started_at": NOON, "finished_at": NOON, "cancel_requested_at": NOON,
            "web_url": "https://ci.example.com/7",
        });
        run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    run
}

fn with_keys(mut run: Value) -> Value {
    run["pk"] = json!("RUN#main:app:build:7");
    run["sk"] = json!("RUN");
    run["gsi1pk"] = json!("RUNS#build");
    run["gsi1sk"] = json!("2026-01-02T12:00:00.000Z#main:app:build:7");
    run["expires_at"] = json!(noon().as_second() + 90 * 24 * 60 * 60);
    run
}

#[tokio::test]
async fn a_run() {
    for (run, full) in [(least_run(), false), (full_run(), true)] {
        let table = TestTable::new().await;
        // A run that has no record is written whole.
        table.table.record_cancel_request(&run).await.unwrap();
        let item = item(&table, "RUN#main:app:build:7", "RUN").await;
        assert_eq!(item, with_keys(stored_run(full)));
        assert_eq!(table.table.find_run(&run.id).await.unwrap(), Some(run));
    }
}

#[tokio::test]
async fn a_request_for_a_run() {
    let key = RequestKey::of("user:ada", &"k".parse::<IdempotencyKey>().unwrap());
    let fingerprint = Fingerprint::of(&["trigger", "build"]);
    let open = |recovering| RunRequestState::Open {
        holder: "req_1".into(),
        held_until: noon() + Duration::from_secs(35),
        called_at: noon(),
        recovering,
    };
    let mut request = RunRequest {
        key: key.clone(),
        id: "run_1".into(),
        fingerprint: fingerprint.clone(),
        job_id: "build".parse().unwrap(),
        kind: StartKind::Trigger,
        rerun_of: None,
        target: target("build"),
        parameters: BTreeMap::new(),
        undelivered: BTreeMap::new(),
        versions: Vec::new(),
        environment: BTreeMap::new(),
        checkpoint: Checkpoint("41".into()),
        actor: "user:ada".into(),
        created_at: noon(),
        state: open(false),
    };
    let pk = format!("START#{}", key.as_str());
    let mut expected = json!({
        "pk": pk, "sk": "START", "expires_at": noon().as_second() + 24 * 60 * 60,
        "key": key.as_str(), "start_id": "run_1", "fingerprint": fingerprint.as_str(), "job_id": "build",
        "kind": { "how": "trigger" }, "checkpoint": "41", "actor": "user:ada", "created_at": NOON,
        "target": { "kind": "concourse", "ref": { "team": "main", "pipeline": "app", "job": "build" } },
        "state": { "is": "open", "holder": "req_1", "held_until": "2026-01-02T12:00:35Z", "called_at": NOON,
            "looking": false },
    });
    let table = TestTable::new().await;
    let entry = table.entry("user:ada", "job:build", Some("acme"));
    table.table.begin_request(&request, &entry).await.unwrap();
    assert_eq!(item(&table, &pk, "START").await, expected);
    let pointer = item(&table, "OPEN#build", &pk).await;
    let expires_at = &expected["expires_at"];
    assert_eq!(
        pointer,
        json!({ "pk": "OPEN#build", "sk": pk, "key": key.as_str(), "expires_at": expires_at })
    );
    assert!(table.table.hold_request(&request, &open(true)).await.unwrap());
    request.state = open(true);
    expected["state"]["looking"] = json!(true);
    assert_eq!(item(&table, &pk, "START").await, expected);
    assert_eq!(table.table.find_request(&key, noon()).await.unwrap().as_ref(), Some(&request));
    let finished = table.table.finish_request(&request, &full_run()).await.unwrap();
    assert_eq!(finished, FinishOutcome::Finished);
    expected["state"] = json!({ "is": "finished", "run": stored_run(true) });
    assert_eq!(item(&table, &pk, "START").await, expected);
    assert_eq!(item(&table, "RUN#main:app:build:7", "RUN").await, with_keys(stored_run(true)));

    // A rerun with values.
    let table = TestTable::new().await;
    request.state = open(false);
    request.kind = StartKind::Rerun { build: BuildId("6".into()) };
    request.rerun_of = Some("main:app:build:6".parse().unwrap());
    request.parameters = BTreeMap::from([("branch".parse().unwrap(), json!("main"))]);
    request.undelivered = BTreeMap::from([("sha".into(), json!("abc"))]);
    request.environment = BTreeMap::from([("BRANCH".into(), "main".into())]);
    table.table.begin_request(&request, &table.entry("user:ada", "job:build", None)).await.unwrap();
    let stored = item(&table, &pk, "START").await;
    assert_eq!(stored["kind"], json!({ "how": "rerun", "build": "6" }));
    assert_eq!(stored["rerun_of"], json!("main:app:build:6"));
    assert_eq!(stored["parameters"], json!({ "branch": "main" }));
    assert_eq!(stored["undelivered"], json!(r#"{"sha":"abc"}"#));
    assert_eq!(stored["environment"], json!({ "BRANCH": "main" }));
    assert_eq!(table.table.find_request(&key, noon()).await.unwrap(), Some(request));
}
