//! Services and operations to put in, and what is done to them.

use std::collections::BTreeMap;

use gatehouse_domain::{
    catalog::{
        Category, CreateService, EnvironmentSpec, EnvironmentState, FindService, Infrastructure, Lifecycle,
        Provisioned, SaveService, Service, ServiceSpec, Settled,
    },
    clock::Clock,
    id::{OperationId, ServiceId},
    idempotency::Fingerprint,
    json::{self, Object},
    operations::{
        Asked, BeginOutcome, Configuration, Effects, FindOperation, Listing, Operation, OperationOutcome,
        OperationStatus, SaveOperation, Signal, State, Work,
    },
    revision::{EditOutcome, Revision},
};

use super::table::TestTable;

/// An environment in which `example` can be provisioned.
pub fn environment(name: &str) -> EnvironmentSpec {
    EnvironmentSpec {
        name: name.parse().expect("an environment"),
        category: Category::Dev,
        approval_required: false,
        approval_group: None,
        module: Some("example".parse().expect("a module")),
        inputs: Object::new(),
        ttl_hours: None,
        drift_hours: None,
        deploy: None,
    }
}

/// A service of project `payments` with the environments `dev` and `prod`.
pub fn service(table: &TestTable, tenant: &str, name: &str) -> Service {
    let now = table.system.now();
    Service {
        id: ServiceId::new(&*table.system),
        tenant: tenant.parse().expect("a tenant"),
        name: name.parse().expect("a service"),
        spec: ServiceSpec {
            project: "payments".parse().expect("a project"),
            owner: "team-payments".into(),
            description: None,
            repository: None,
            lifecycle: Lifecycle::Production,
            links: Vec::new(),
            environments: vec![environment("dev"), environment("prod")],
            build_job: None,
            deploy: None,
        },
        described: None,
        fingerprint: Fingerprint::of(&[name]),
        revision: Revision::new(&*table.system),
        created_at: now,
        created_by: "user:ada".into(),
        updated_at: now,
        updated_by: "user:ada".into(),
    }
}

/// The service as its next edit leaves it.
pub fn edited(table: &TestTable, service: &Service) -> Service {
    Service { revision: Revision::new(&*table.system), updated_by: "user:bob".into(), ..service.clone() }
}

/// A service that is in the table.
pub async fn saved(table: &TestTable, tenant: &str, name: &str) -> Service {
    let service = service(table, tenant, name);
    let created = table.table.create_service(&service, &entry_of(table, &service)).await;
    assert!(matches!(created, Ok(CreateService::Created)), "{created:?}");
    service
}

pub fn entry_of(table: &TestTable, service: &Service) -> gatehouse_domain::audit::Entry {
    let target = format!("service:{}/{}", service.tenant, service.name);
    table.entry("user:ada", &target, Some(service.tenant.as_str()))
}

pub fn configuration() -> Configuration {
    Configuration {
        module: "example".parse().expect("a module"),
        artifact: None,
        inputs: json::object(serde_json::Map::from_iter([("size".to_owned(), 3.into())])),
        ttl_hours: Some(8),
    }
}

/// An operation that provisions an environment of `service`, as it is asked for.
pub fn operation(table: &TestTable, service: &Service, environment: &str) -> Operation {
    let now = table.system.now();
    Operation {
        id: OperationId::new(&*table.system, now),
        service: service.id.clone(),
        service_name: service.name.clone(),
        tenant: service.tenant.clone(),
        project: service.spec.project.clone(),
        environment: environment.parse().expect("an environment"),
        work: Work::Provision(configuration()),
        approval_required: false,
        approval_group: None,
        requested: Asked::by("user:ada", now),
        fingerprint: Fingerprint::of(&[environment]),
        deadline: now + std::time::Duration::from_hours(8),
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
        pending_signal: Some(Signal::Start),
        listed_as: Some(OperationStatus::Queued),
        updated_at: now,
        version: 1,
    }
}

pub async fn begin(table: &TestTable, operation: &Operation, service: &Service) -> BeginOutcome {
    let target = format!("operation:{}", operation.id);
    let entry = table.entry("user:ada", &target, Some(operation.tenant.as_str()));
    table.table.begin_operation(operation, &service.revision, &entry).await.expect("an outcome")
}

/// An operation that was begun in an environment.
pub async fn begun(table: &TestTable, service: &Service, environment: &str) -> Operation {
    let operation = operation(table, service, environment);
    let outcome = begin(table, &operation, service).await;
    assert!(matches!(outcome, BeginOutcome::Begun), "{outcome:?}");
    operation
}

/// The operation as its next change leaves it.
pub fn changed(
    table: &TestTable,
    operation: &Operation,
    state: State,
    pending_signal: Option<Signal>,
) -> Operation {
    let changed = Operation {
        state,
        pending_signal,
        version: operation.version + 1,
        updated_at: table.system.now(),
        ..operation.clone()
    };
    Operation { listed_as: Some(changed.standing()), ..changed }
}

pub fn ended(table: &TestTable, operation: &Operation) -> Operation {
    let state = State::Ended { ending: OperationOutcome::Succeeded, at: table.system.now(), reason: None };
    changed(table, operation, state, None)
}

/// Ends the operation, which settles its environment so.
pub async fn end(table: &TestTable, operation: &Operation, settled: &Settled) -> Operation {
    let ended = ended(table, operation);
    let listing = Listing::Moved { from: operation.listed_as };
    let effects = Effects { settled: Some(settled), listing, ..Effects::default() };
    let outcome = table.table.save_operation(&ended, &effects).await.expect("an outcome");
    assert_eq!(outcome, EditOutcome::Done);
    ended
}

pub fn provisioned(table: &TestTable, operation: &Operation) -> Provisioned {
    let given = operation.work.configuration().expect("it provisions");
    Provisioned {
        operation: operation.id.clone(),
        at: table.system.now(),
        module: given.module.clone(),
        artifact: given.artifact.clone(),
        inputs: given.inputs.clone(),
        outputs: BTreeMap::new(),
        expires_at: None,
    }
}

pub fn present(table: &TestTable, operation: &Operation) -> Settled {
    let infrastructure = Some(Infrastructure::Present(provisioned(table, operation)));
    Settled { infrastructure, ..Settled::default() }
}

/// How the environment stands; `None` when nothing was ever done in it.
pub async fn state(table: &TestTable, service: &Service, environment: &str) -> Option<EnvironmentState> {
    let found = table.table.find_service(&service.id).await.expect("an answer");
    found.and_then(|mut found| found.environments.remove(&environment.parse().expect("an environment")))
}

pub async fn find(table: &TestTable, operation: &Operation) -> Option<Operation> {
    table.table.find_operation(&operation.id).await.expect("an answer")
}
