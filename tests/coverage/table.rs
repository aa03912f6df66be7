//! `docs/TABLE.md` shows the keys that the code makes.

use std::{collections::BTreeMap, time::Duration};

use gatehouse_domain::{
    api_key::{ApiKey, ApiKeyId, KeyHash},
    audit::{Action, Entry, Origin, Outcome},
    caller::Tenants,
    catalog::{
        DeployTarget, DriftSchedule, EnvironmentState, Infrastructure, Lifecycle, Provisioned, Service,
        ServiceSpec,
    },
    ci::{BuildId, ConcourseTarget, RunStatus, Target},
    entities::{Entity, EntityDraft, EntityKind, EntitySpec, Metadata, Relation},
    idempotency::{Fingerprint, RequestKey},
    janitor::{Announcement, News},
    jobs::{Job, JobSpec},
    operations::{Asked, Operation, OperationStatus, State, Work},
    project::Project,
    revision::Revision,
    runs::Run,
    tokens::{ServiceToken, TokenState},
    users::Permit,
};
use gatehouse_store::keys::{self, Key};
use jiff::Timestamp;

fn job() -> Job {
    let target = ConcourseTarget {
        team: "main".into(),
        pipeline: "example-pipeline".into(),
        job: "hello-job".into(),
        vars: serde_json::Map::new(),
    };
    let spec = JobSpec {
        project: "payments".parse().unwrap(),
        display_name: "Hello".into(),
        description: None,
        environment: None,
        provider: "concourse".parse().unwrap(),
        target: Target::Concourse(target),
        parameters: Vec::new(),
        undeclared: None,
    };
    Job {
        id: "job_hello".parse().unwrap(),
        tenant: "example".parse().unwrap(),
        spec,
        revision: Revision::unverified("rev".into()),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        updated_by: "test".into(),
    }
}

fn run(job: &Job) -> Run {
    Run {
        id: "main:example-pipeline:hello-job:42".parse().unwrap(),
        job_id: job.id.clone(),
        project: job.spec.project.clone(),
        tenant: job.tenant.clone(),
        provider: job.spec.provider.clone(),
        target: job.spec.target.clone(),
        build: BuildId("42".into()),
        number: None,
        status: RunStatus::Queued,
        provider_status: "pending".into(),
        reason: None,
        parameters: std::collections::BTreeMap::new(),
        undelivered: std::collections::BTreeMap::new(),
        awaited: Vec::new(),
        triggered_by: None,
        rerun_of: None,
        created_at: morning(),
        started_at: None,
        finished_at: None,
        cancel_requested_at: None,
        web_url: None,
    }
}

fn announcement() -> Announcement {
    let announcement = serde_json::json!({
        "id": "tok_00000000000000000000000000:ending:14",
        "news": News::TokenEnding.title(),
        "found_at": "2026-09-01T10:00:00Z",
        "subject": "tok_00000000000000000000000000",
    });
    serde_json::from_value(announcement).unwrap()
}

fn morning() -> Timestamp {
    "2026-09-01T10:00:00Z".parse().unwrap()
}

fn project(job: &Job) -> Project {
    Project::new(job.spec.project.clone(), job.tenant.clone(), job.revision.clone(), morning())
}

fn service(job: &Job) -> Service {
    Service {
        id: "svc_1".parse().unwrap(),
        tenant: job.tenant.clone(),
        name: "shop".parse().unwrap(),
        spec: ServiceSpec {
            project: job.spec.project.clone(),
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
        fingerprint: Fingerprint::of(&[]),
        revision: job.revision.clone(),
        created_at: morning(),
        created_by: "user:ada".into(),
        updated_at: morning(),
        updated_by: "user:ada".into(),
    }
}

fn entity(service: &Service) -> Entity {
    let metadata = Metadata {
        name: "shop".parse().unwrap(),
        namespace: "default".parse().unwrap(),
        title: None,
        description: None,
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        tags: Vec::new(),
        links: Vec::new(),
    };
    Entity {
        tenant: service.tenant.clone(),
        draft: EntityDraft { kind: EntityKind::Component, metadata, spec: EntitySpec::default() },
        revision: service.revision.clone(),
        created_at: morning(),
        created_by: "user:ada".into(),
        updated_at: morning(),
        updated_by: "user:ada".into(),
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
        work: Work::Deploy { version: "1".into(), target: DeployTarget::Job("job_hello".parse().unwrap()) },
        approval_required: false,
        approval_group: None,
        requested: Asked::by("user:ada", morning()),
        fingerprint: service.fingerprint.clone(),
        deadline: morning(),
        state: State::Requested,
        cancel: None,
        verdict: None,
        attempt: None,
        known_drift: None,
        plan: None,
        outputs: std::collections::BTreeMap::new(),
        steps: Vec::new(),
        log: Vec::new(),
        links: Vec::new(),
        run: None,
        failure: None,
        unchanged: false,
        pending_signal: None,
        listed_as: None,
        updated_at: morning(),
        version: 1,
    }
}

/// The environment of `operation`, with an end.
fn environment(operation: &Operation) -> EnvironmentState {
    let provisioned = Provisioned {
        operation: operation.id.clone(),
        at: morning(),
        module: "example".parse().unwrap(),
        artifact: None,
        inputs: gatehouse_domain::json::Object::new(),
        secret_inputs: gatehouse_domain::catalog::SecretInputs::default(),
        outputs: std::collections::BTreeMap::new(),
        expires_at: Some(morning()),
    };
    EnvironmentState {
        infrastructure: Infrastructure::Present(provisioned),
        ..EnvironmentState::new(operation.service.clone(), operation.environment.clone())
    }
}

fn api_key() -> ApiKey {
    ApiKey {
        id: ApiKeyId::unverified("key_0123456789abcdef0123".into()),
        hash: KeyHash::from_hex(&"0".repeat(64)).unwrap(),
        name: "CI".into(),
        scopes: std::collections::BTreeSet::new(),
        tenants: Tenants::All,
        created_at: morning(),
        minted_by: None,
        created_by: "user:ada".into(),
        expires_at: None,
        last_used_at: None,
        revoked: None,
    }
}

fn token(job: &Job) -> ServiceToken {
    ServiceToken {
        jti: "tok_00000000000000000000000001".parse().unwrap(),
        tenant: job.tenant.clone(),
        project: job.spec.project.clone(),
        service: "worker".parse().unwrap(),
        description: None,
        created_at: morning(),
        created_by: "user:ada".into(),
        expires_at: "2026-11-30T10:00:00Z".parse().unwrap(),
        last_used_at: None,
        replaces: None,
        state: TokenState::Active,
    }
}

fn entry(job: &Job) -> Entry {
    Entry {
        id: "aud_1".into(),
        at: morning(),
        on_behalf_of: None,
        actor: "user:ada".into(),
        action: Action::MintToken,
        target: "token:tok_00000000000000000000000001".into(),
        tenant: Some(job.tenant.clone()),
        outcome: Outcome::Done,
        detail: None,
        count: None,
        origin: Origin::default(),
    }
}

/// The row with `<hash>` in place of every SHA-256.
fn without_hashes(row: &str) -> String {
    let is_hash = |piece: &str| piece.len() == 64 && piece.bytes().all(|byte| byte.is_ascii_hexdigit());
    let pieces = row.split_inclusive(['#', '`']).map(|piece| {
        let text = piece.trim_end_matches(['#', '`']);
        if is_hash(text) { piece.replace(text, "<hash>") } else { piece.to_owned() }
    });
    pieces.collect()
}

fn row(entity: &str, key: &Key, in_list: Option<&Key>) -> String {
    let place = in_list.map_or("| |".to_owned(), |place| format!("`{}` | `{}` |", place.pk, place.sk));
    format!("| {entity} | `{}` | `{}` | {place}", key.pk, key.sk)
}

#[test]
fn the_documentation_shows_the_keys_that_the_code_makes() {
    let job = job();
    let run = run(&job);
    let start = RequestKey::of("api_key:key_1", &"k".parse().unwrap());
    let (provider, target) = (&job.spec.provider, &job.spec.target);
    let (project, api_key, token, entry) = (project(&job), api_key(), token(&job), entry(&job));
    let service = service(&job);
    let entity = entity(&service);
    let reference = entity.reference();
    let cart = "component:default/cart".parse().unwrap();
    let operation = operation(&service);
    let state = environment(&operation);
    let schedule = DriftSchedule {
        service: service.id.clone(),
        environment: state.name.clone(),
        hours: 24,
        due: morning(),
    };
    let ada = "ada".parse().unwrap();
    let permit =
        Permit { of: "account:ada".into(), window: morning(), length: Duration::from_mins(15), limit: 20 };
    let of_tenant = keys::audit_of_tenant(&entry);
    let rows = [
        row("Job", &keys::job(&job.id), Some(&keys::job_in_list(&job))),
        row("Job by target", &keys::job_by_target(provider, target, &job.id).unwrap(), None),
        row("Project", &keys::project(&project.name), Some(&keys::project_in_list(&project))),
        row("Service", &keys::service(&service.id), Some(&keys::service_in_list(&service))),
        row(
            "How an environment of it stands",
            &keys::environment(&state.service, &state.name),
            keys::environment_ending(&state).as_ref(),
        ),
        row(
            "When it is looked at for drift",
            &keys::drift_schedule(&schedule.service, &schedule.environment),
            Some(&keys::drift_due(&schedule)),
        ),
        row(
            "Name of a service",
            &keys::service_name(&service.tenant, &service.name),
            Some(&keys::service_of_project(&service)),
        ),
        row("Entity", &keys::entity(&entity.tenant, &reference), Some(&keys::entity_in_list(&entity))),
        row(
            "What another says of it",
            &keys::relation(&entity.tenant, &reference, Relation::HasPart, &cart),
            None,
        ),
        row("Operation", &keys::operation(&operation.id), Some(&keys::operation_in_list(&operation))),
        row(
            "Operation in the list of all",
            &keys::listed_operation(&operation),
            Some(&keys::listed_operation_of_tenant(&operation)),
        ),
        row(
            "Operation among those that stand so",
            &keys::operation_by_status(&operation, OperationStatus::AwaitingApproval),
            Some(&keys::operation_by_status_of_tenant(&operation, OperationStatus::AwaitingApproval)),
        ),
        row("How far older operations are listed", &keys::operations_listed(), None),
        row("Open operation", &keys::open_operation(&operation.id), None),
        row("Tenant", &keys::tenant(&job.tenant), None),
        row("Module", &keys::module(&"example".parse().unwrap()), None),
        row("Provider", &keys::provider(provider), None),
        row("User, with their sessions", &keys::user(&ada), Some(&keys::user_in_list(&ada))),
        row("Platform admins", &keys::platform_admins(), None),
        row("Permits to try a password", &keys::permits(&permit), None),
        row("API key", &keys::api_key(&api_key.id), Some(&keys::api_key_in_list(&api_key))),
        row("Service token", &keys::token(&token.jti), Some(&keys::token_in_list(&token))),
        row("Signing keys", &keys::signing_keys(), None),
        row("Key of cursors", &keys::cursor_key(), None),
        row("Pending flush", &keys::pending_flush(), None),
        row("How far keys and tokens were looked at", &keys::sweep(), None),
        row("Entry of the trail", &keys::audit(&entry), of_tenant.as_ref()),
        row("The same, of its actor", &keys::audit_of_actor(&entry), None),
        row("Run", &keys::run(&run.id), Some(&keys::run_in_list(&run))),
        row("Run request", &keys::start(&start), None),
        row("Open run request", &keys::open_start(&job.id, &start), None),
        row("Lease", &keys::lease("provider/concourse/token"), None),
        row("Lease of who pins in a pipeline", &keys::pins("concourse/main:example-pipeline:{}"), None),
        row("Outbox", &keys::to_publish(&announcement()), None),
    ];
    let documented = super::read("docs/TABLE.md");
    for row in rows.map(|row| without_hashes(&row)) {
        assert!(documented.contains(&row), "docs/TABLE.md lacks the row\n{row}");
    }
}
