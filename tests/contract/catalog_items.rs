//! How services, their environments and operations are stored: what older versions wrote must be readable, and
//! what this one writes too when it is rolled back.

use std::{collections::BTreeMap, time::Duration};

use gatehouse_domain::{
    catalog::{
        Category, DeployTarget, Deployed, Drift, DriftState, EnvironmentSpec, FindService, Infrastructure,
        Lifecycle, Link, OutputValue, PlanSummary, Provisioned, SaveService, SecretInputs, Service,
        ServiceSpec, Settled,
    },
    idempotency::Fingerprint,
    json::Json,
    modules::{FindModule, Input, Interface, Module, Output, SaveModule},
    operations::{
        Asked, Attempt, Effects, Operation, OperationOutcome, Phase, SaveOperation, Signal, State, Step,
        StepState, TaskToken, Verdict, Work,
    },
    revision::{EditOutcome, Revision},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    catalog::{begin, configuration, entry_of, find, state},
    support::{TestTable, item},
};

const NOON: &str = "2026-01-02T12:00:00Z";
const EVENING: &str = "2026-01-02T20:00:00Z";

fn noon() -> Timestamp {
    NOON.parse().unwrap()
}

fn evening() -> Timestamp {
    EVENING.parse().unwrap()
}

/// `item` with `more` in it.
fn with(mut item: Value, more: &Value) -> Value {
    item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    item
}

fn environment(name: &str) -> EnvironmentSpec {
    EnvironmentSpec {
        name: name.parse().unwrap(),
        category: Category::Dev,
        approval_required: false,
        approval_group: None,
        module: None,
        inputs: gatehouse_domain::json::Object::new(),
        secret_inputs: SecretInputs::default(),
        ttl_hours: None,
        drift_hours: None,
        deploy: None,
    }
}

fn secrets() -> SecretInputs {
    serde_json::from_value(json!({ "password": "c2VhbGVk" })).unwrap()
}

fn service(id: &str) -> Service {
    Service {
        id: format!("svc_{id}").parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        name: id.parse().unwrap(),
        spec: ServiceSpec {
            project: "payments".parse().unwrap(),
            owner: "team-payments".into(),
            description: None,
            repository: None,
            lifecycle: Lifecycle::Production,
            links: Vec::new(),
            environments: Vec::new(),
            build_job: None,
            deploy: None,
        },
        described: None,
        fingerprint: Fingerprint::of(&[id]),
        revision: Revision::unverified("rev_1".into()),
        created_at: noon(),
        created_by: "user:ada".into(),
        updated_at: noon(),
        updated_by: "user:bob".into(),
    }
}

fn stored_service(service: &Service) -> Value {
    let name = service.name.as_str();
    json!({
        "pk": format!("SERVICE#{}", service.id), "sk": "SERVICE",
        "gsi1pk": "SERVICES", "gsi1sk": format!("acme#{name}"),
        "search": format!("{name}\nteam-payments\n"),
        "service_id": service.id.as_str(), "tenant": "acme", "name": name, "project": "payments",
        "owner": "team-payments", "lifecycle": "production", "fingerprint": service.fingerprint.as_str(),
        "revision": "rev_1", "created_at": NOON, "created_by": "user:ada",
        "updated_at": NOON, "updated_by": "user:bob",
    })
}

#[tokio::test]
async fn a_service() {
    let table = TestTable::new().await;
    let least = service("least");
    let plain = service("full");
    let special = EnvironmentSpec {
        category: Category::Prod,
        approval_required: true,
        module: Some("example".parse().unwrap()),
        inputs: configuration().inputs,
        secret_inputs: secrets(),
        ttl_hours: Some(8),
        drift_hours: Some(24),
        deploy: Some(DeployTarget::Webhook("https://deploy.example/".into())),
        ..environment("prod")
    };
    let full = Service {
        spec: ServiceSpec {
            description: Some("Takes money".into()),
            repository: Some("https://git.example/payments".into()),
            lifecycle: Lifecycle::Deprecated,
            links: vec![Link { name: "Board".into(), url: "https://board.example/".into() }],
            environments: vec![environment("dev"), special],
            build_job: Some("job_build".parse().unwrap()),
            deploy: Some(DeployTarget::Job("job_deploy".parse().unwrap())),
            ..plain.spec.clone()
        },
        ..plain
    };
    let more = json!({
        "search": "full\nteam-payments\ntakes money", "description": "Takes money",
        "repository": "https://git.example/payments", "lifecycle": "deprecated",
        "links": [{ "name": "Board", "url": "https://board.example/" }],
        "environments": [
            { "name": "dev", "category": "dev", "approval_required": false, "inputs": "{}" },
            { "name": "prod", "category": "prod", "approval_required": true, "module": "example",
              "inputs": "{\"size\":3}", "secret_inputs": { "password": "c2VhbGVk" }, "ttl_hours": 8,
              "drift_hours": 24,
              "deploy": { "webhook": "https://deploy.example/" } },
        ],
        "build_job": "job_build", "deploy": { "job": "job_deploy" },
    });
    let expected = [stored_service(&least), with(stored_service(&full), &more)];
    for (service, expected) in [least, full].into_iter().zip(expected) {
        table.table.create_service(&service, None, &entry_of(&table, &service)).await.unwrap();
        assert_eq!(item(&table, &format!("SERVICE#{}", service.id), "SERVICE").await, expected);
        let name = service.name.as_str();
        let claim = json!({
            "pk": format!("SERVICE_NAME#acme#{name}"), "sk": "SERVICE_NAME",
            "gsi1pk": "PROJECT_SERVICES", "gsi1sk": format!("acme#payments#{name}"),
            "service_id": service.id.as_str(),
        });
        assert_eq!(item(&table, &format!("SERVICE_NAME#acme#{name}"), "SERVICE_NAME").await, claim);
        let found = table.table.find_service(&service.id).await.unwrap().unwrap();
        assert_eq!(found.service, service);
    }
}

fn operation(service: &Service) -> Operation {
    Operation {
        id: "op_1".parse().unwrap(),
        service: service.id.clone(),
        service_name: service.name.clone(),
        tenant: service.tenant.clone(),
        project: service.spec.project.clone(),
        environment: "dev".parse().unwrap(),
        work: Work::Provision(configuration()),
        approval_required: false,
        approval_group: None,
        requested: Asked::by("user:ada", noon()),
        fingerprint: Fingerprint::of(&["dev"]),
        deadline: evening(),
        state: State::Requested,
        cancel: None,
        verdict: None,
        attempt: None,
        known_drift: None,
        plan: None,
        outputs: BTreeMap::new(),
        steps: Vec::new(),
        log: Vec::new(),
        links: Vec::new(),
        run: None,
        failure: None,
        unchanged: false,
        pending_signal: None,
        listed_as: None,
        updated_at: noon(),
        version: 1,
    }
}

/// Everything that an operation can have.
fn full(least: &Operation) -> Operation {
    let mut attempt = Attempt::new(3, Phase::Apply, noon());
    attempt.token = TaskToken::new("t0ken".into());
    attempt.sequence = u64::MAX;
    attempt.last_message = Some("fingerprint".into());
    attempt.reported = true;
    let step = |state, percentage, message: Option<&str>| Step {
        name: "init".into(),
        attempt: 1,
        state,
        percentage,
        message: message.map(str::to_owned),
        started_at: noon(),
        ended_at: percentage.map(|_| noon()),
    };
    let asked = |by: &str| Asked::by(by, noon());
    Operation {
        work: Work::Deploy {
            version: "1.2".into(),
            target: DeployTarget::Job("job_deploy".parse().unwrap()),
        },
        approval_required: true,
        cancel: Some(asked("user:eve")),
        verdict: Some(Verdict { approved: true, asked: asked("user:bob"), comment: Some("fine".into()) }),
        attempt: Some(attempt),
        known_drift: Some(PlanSummary { change: 4, ..PlanSummary::default() }),
        plan: Some(PlanSummary { add: 1, change: 2, destroy: 3, ..PlanSummary::default() }),
        outputs: BTreeMap::from([
            ("url".into(), OutputValue::Value(json!(1.0).into())),
            ("key".into(), OutputValue::Sensitive),
        ]),
        steps: vec![step(StepState::Running, None, None), step(StepState::Failed, Some(7), Some("done"))],
        log: vec!["line".into()],
        links: vec![Link { name: "log".into(), url: "https://log.example/".into() }],
        run: Some("main:app:deploy:42".parse().unwrap()),
        failure: Some("it broke".into()),
        ..least.clone()
    }
}

fn stored_operation(operation: &Operation) -> Value {
    json!({
        "pk": "OPERATION#op_1", "sk": "OPERATION",
        "gsi1pk": "OPERATIONS#svc_shop", "gsi1sk": "2026-01-02T12:00:00.000Z#op_1",
        "operation_id": "op_1", "service": "svc_shop", "service_name": "shop", "tenant": "acme",
        "project": "payments", "environment": "dev",
        "work": "{\"kind\":\"provision\",\"module\":\"example\",\"inputs\":{\"size\":3},\"ttl_hours\":8}",
        "approval_required": false, "requested": { "by": "user:ada", "at": NOON },
        "fingerprint": operation.fingerprint.as_str(), "deadline": EVENING, "state": { "is": "requested" },
        "outputs": "{}", "owed": "null", "updated_at": NOON, "version": operation.version,
    })
}

fn stored_full() -> Value {
    json!({
        "work": "{\"kind\":\"deploy\",\"version\":\"1.2\",\"target\":{\"job\":\"job_deploy\"}}",
        "approval_required": true, "cancel": { "by": "user:eve", "at": NOON },
        "verdict": { "approved": true, "asked": { "by": "user:bob", "at": NOON }, "comment": "fine" },
        "attempt": {
            "number": 3, "phase": "apply", "begun_at": NOON, "expires_at": "2026-01-02T14:15:00Z",
            "token": "t0ken", "sequence": u64::MAX, "last_message": "fingerprint", "heard_at": NOON,
            "reported": true,
        },
        "known_drift": { "add": 0, "change": 4, "destroy": 0 },
        "plan": { "add": 1, "change": 2, "destroy": 3 },
        "outputs": "{\"key\":\"sensitive\",\"url\":{\"value\":1.0}}",
        "steps": [
            { "name": "init", "attempt": 1, "state": "running", "percentage": null, "message": null,
              "started_at": NOON, "ended_at": null },
            { "name": "init", "attempt": 1, "state": "failed", "percentage": 7, "message": "done",
              "started_at": NOON, "ended_at": NOON },
        ],
        "log": ["line"], "links": [{ "name": "log", "url": "https://log.example/" }],
        "run": "main:app:deploy:42", "failure": "it broke",
    })
}

#[tokio::test]
async fn an_operation() {
    let table = TestTable::new().await;
    let shop = service("shop");
    table.table.create_service(&shop, None, &entry_of(&table, &shop)).await.unwrap();
    let mut current = operation(&shop);
    begin(&table, &current, &shop).await;
    assert_eq!(item(&table, "OPERATION#op_1", "OPERATION").await, stored_operation(&current));
    let pointer = json!({ "pk": "OPEN_OPERATIONS", "sk": "op_1", "operation_id": "op_1" });
    assert_eq!(item(&table, "OPEN_OPERATIONS", "op_1").await, pointer);

    let token = || TaskToken::new("t0ken".into()).unwrap();
    let ended = |reason: Option<&str>| State::Ended {
        ending: OperationOutcome::TimedOut,
        at: evening(),
        reason: reason.map(str::to_owned),
    };
    let (error, cause) = ("Rejected".to_owned(), "no".to_owned());
    let states_and_signals = [
        (State::Running { phase: Phase::Plan }, json!({ "is": "running", "phase": "plan" }), None, "null"),
        (
            State::AwaitingApproval { since: noon(), token: token() },
            json!({ "is": "awaiting_approval", "since": NOON, "token": "t0ken" }),
            Some(Signal::Succeed { token: token(), output: json!({ "next": 1.0 }) }),
            "{\"tell\":\"succeed\",\"token\":\"t0ken\",\"output\":{\"next\":1.0}}",
        ),
        (
            ended(None),
            json!({ "is": "ended", "ending": "timed_out", "at": EVENING }),
            Some(Signal::Fail { token: token(), error, cause }),
            "{\"tell\":\"fail\",\"token\":\"t0ken\",\"error\":\"Rejected\",\"cause\":\"no\"}",
        ),
        (
            ended(Some("late")),
            json!({ "is": "ended", "ending": "timed_out", "at": EVENING, "reason": "late" }),
            Some(Signal::Stop),
            "{\"tell\":\"stop\"}",
        ),
    ];
    for (state, stored_state, signal, stored_signal) in states_and_signals {
        let is_open = !matches!(state, State::Ended { .. });
        let version = current.version + 1;
        current = Operation { state, pending_signal: signal, version, ..full(&operation(&shop)) };
        let saved = table.table.save_operation(&current, &Effects::default()).await.unwrap();
        assert_eq!(saved, EditOutcome::Done);
        let mut expected = with(stored_operation(&current), &stored_full());
        expected["state"] = stored_state;
        expected["owed"] = json!(stored_signal);
        if !is_open {
            expected["expires_at"] = json!(noon().as_second() + 400 * 24 * 60 * 60);
        }
        assert_eq!(item(&table, "OPERATION#op_1", "OPERATION").await, expected);
        assert_eq!(find(&table, &current).await.as_ref(), Some(&current));
    }
}

/// What an operation leaves in its environment.
fn made(operation: &Operation) -> Provisioned {
    Provisioned {
        operation: operation.id.clone(),
        at: noon(),
        module: "example".parse().unwrap(),
        artifact: None,
        inputs: configuration().inputs,
        secret_inputs: SecretInputs::default(),
        outputs: BTreeMap::from([
            ("url".into(), OutputValue::Value(json!(1.0).into())),
            ("key".into(), OutputValue::Sensitive),
        ]),
        expires_at: None,
    }
}

#[tokio::test]
async fn an_environment() {
    let table = TestTable::new().await;
    let shop = service("shop");
    table.table.create_service(&shop, None, &entry_of(&table, &shop)).await.unwrap();
    let first = operation(&shop);
    begin(&table, &first, &shop).await;
    let key = json!({ "pk": "SERVICE#svc_shop", "sk": "SERVICE#ENVIRONMENT#dev" });
    let least = json!({ "service": "svc_shop", "environment": "dev", "last_provisioning": "op_1" });
    let least = with(key, &least);
    let stored = async || item(&table, "SERVICE#svc_shop", "SERVICE#ENVIRONMENT#dev").await;
    assert_eq!(stored().await, with(least.clone(), &json!({ "running": "op_1" })));

    let ending = |operation: &Operation| Operation {
        state: State::Ended { ending: OperationOutcome::Succeeded, at: noon(), reason: None },
        version: 2,
        ..operation.clone()
    };
    let drift = |state| Drift {
        operation: first.id.clone(),
        state,
        checked_at: noon(),
        summary: PlanSummary { add: 1, ..PlanSummary::default() },
    };
    let deployed = Deployed { operation: first.id.clone(), version: "1.2".into(), at: noon() };
    let settled = Settled {
        infrastructure: Some(Infrastructure::Partial(made(&first))),
        deployed: Some(deployed.clone()),
        drift: Some(Some(drift(DriftState::Detected))),
    };
    table
        .table
        .save_operation(&ending(&first), &Effects { settled: Some(&settled), ..Effects::default() })
        .await
        .unwrap();
    let mut expected = with(
        least,
        &json!({
            "infrastructure": {
                "extent": "partial", "operation": "op_1", "at": NOON, "module": "example",
                "inputs": "{\"size\":3}", "outputs": "{\"key\":\"sensitive\",\"url\":{\"value\":1.0}}",
            },
            "deployed": { "operation": "op_1", "version": "1.2", "at": NOON },
            "drift": {
                "operation": "op_1", "state": "detected", "checked_at": NOON,
                "summary": { "add": 1, "change": 0, "destroy": 0 },
            },
        }),
    );
    assert_eq!(stored().await, expected);
    let found = state(&table, &shop, "dev").await.unwrap();
    assert_eq!(found.infrastructure, Infrastructure::Partial(made(&first)));
    assert_eq!((found.deployed, found.drift), (Some(deployed), Some(drift(DriftState::Detected))));

    // With a time to live.
    let second = Operation { id: "op_2".parse().unwrap(), ..first.clone() };
    begin(&table, &second, &shop).await;
    let whole = Provisioned {
        expires_at: Some(noon() + Duration::from_hours(8)),
        secret_inputs: secrets(),
        ..made(&second)
    };
    let settled = Settled {
        infrastructure: Some(Infrastructure::Present(whole.clone())),
        drift: Some(Some(drift(DriftState::None))),
        ..Settled::default()
    };
    table
        .table
        .save_operation(&ending(&second), &Effects { settled: Some(&settled), ..Effects::default() })
        .await
        .unwrap();
    expected["gsi1pk"] = json!("ENVIRONMENTS_ENDING");
    expected["gsi1sk"] = json!("2026-01-02T20:00:00.000Z#svc_shop#dev");
    expected["last_provisioning"] = json!("op_2");
    expected["infrastructure"]["extent"] = json!("present");
    expected["infrastructure"]["operation"] = json!("op_2");
    expected["infrastructure"]["ends_at"] = json!(EVENING);
    expected["infrastructure"]["secret_inputs"] = json!({ "password": "c2VhbGVk" });
    expected["drift"]["state"] = json!("none");
    assert_eq!(stored().await, expected);
    let found = state(&table, &shop, "dev").await.unwrap();
    assert_eq!(found.infrastructure, Infrastructure::Present(whole));

    // Nothing is left of it.
    let third = Operation { id: "op_3".parse().unwrap(), ..first.clone() };
    begin(&table, &third, &shop).await;
    let settled =
        Settled { infrastructure: Some(Infrastructure::Absent), drift: Some(None), ..Settled::default() };
    table
        .table
        .save_operation(&ending(&third), &Effects { settled: Some(&settled), ..Effects::default() })
        .await
        .unwrap();
    let absent = expected.as_object_mut().unwrap();
    absent.retain(|name, _| !["gsi1pk", "gsi1sk", "infrastructure", "drift"].contains(&name.as_str()));
    absent.insert("last_provisioning".into(), json!("op_3"));
    assert_eq!(stored().await, expected);
}

#[tokio::test]
async fn a_module() {
    let table = TestTable::new().await;
    let size = Input {
        kind: Some("number".into()),
        description: Some("How much.".into()),
        default: Some(Json::parse("1.0").unwrap()),
        ..Input::default()
    };
    let password = Input { required: true, sensitive: true, ..Input::default() };
    let module = Module {
        name: "example".parse().unwrap(),
        interface: Interface {
            inputs: [("size".into(), size), ("password".into(), password)].into(),
            outputs: [("url".into(), Output { description: None, sensitive: true })].into(),
        },
        revision: Revision::unverified("rev_1".into()),
        published_at: noon(),
        published_by: "user:ada".into(),
    };
    let entry = table.entry("user:ada", "module:example", None);
    table.table.save_module(&module, &entry).await.unwrap();
    let interface = "{\"inputs\":{\"password\":{\"required\":true,\"sensitive\":true},\
                     \"size\":{\"type\":\"number\",\"description\":\"How much.\",\"default\":1.0}},\
                     \"outputs\":{\"url\":{\"sensitive\":true}}}";
    let expected = json!({
        "pk": "MODULES", "sk": "MODULE#example", "module": "example", "interface": interface,
        "revision": "rev_1", "published_at": NOON, "published_by": "user:ada",
    });
    assert_eq!(item(&table, "MODULES", "MODULE#example").await, expected);
    assert_eq!(table.table.find_module(&module.name).await.unwrap().as_ref(), Some(&module));
    assert_eq!(table.table.list_modules().await.unwrap(), std::slice::from_ref(&module));
    for expected in [EditOutcome::Done, EditOutcome::Conflict] {
        let entry = table.entry("user:ada", "module:example", None);
        assert_eq!(table.table.delete_module(&module.name, &entry).await.unwrap(), expected);
    }
    assert_eq!(table.table.list_modules().await.unwrap(), []);
}
