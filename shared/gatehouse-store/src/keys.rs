//! Every key of the table, built here and nowhere else, from typed parts that cannot hold `#`.

use data_encoding::HEXLOWER;
use gatehouse_domain::{
    api_key::{ApiKey, ApiKeyId},
    audit::Entry,
    catalog::{DriftSchedule, EnvironmentState, Service},
    ci::Target,
    entities::{Entity, EntityKind, EntityRef, Relation},
    id::{OperationId, ServiceId, TokenId},
    idempotency::RequestKey,
    janitor::Announcement,
    jobs::Job,
    name::{EnvironmentName, JobId, ModuleName, ProjectName, ProviderName, ServiceName, TenantId, UserName},
    operations::{Operation, OperationStatus},
    project::Project,
    runs::{Run, RunId},
    tokens::ServiceToken,
    users::Permit,
};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

/// Partition and sort key of an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub pk: String,
    pub sk: String,
}

impl Key {
    fn new(pk: impl Into<String>, sk: impl Into<String>) -> Self {
        Self { pk: pk.into(), sk: sk.into() }
    }
}

/// `CURSOR_KEY` / `CURSOR_KEY`: what cursors are sealed with.
pub fn cursor_key() -> Key {
    Key::new("CURSOR_KEY", "CURSOR_KEY")
}

/// `JOB#<job>` / `JOB`
pub fn job(id: &JobId) -> Key {
    Key::new(format!("JOB#{id}"), "JOB")
}

/// Index: `JOBS` / `<tenant>#<project>#<job>`. One partition: jobs are configuration, not traffic.
pub fn job_in_list(job: &Job) -> Key {
    Key::new(JOBS, format!("{}#{}#{}", job.tenant, job.spec.project, job.id))
}

/// Partition of the index that lists jobs.
pub const JOBS: &str = "JOBS";

/// What the sort keys of a tenant's things begin with, in every list by tenant.
pub fn of_tenant(tenant: &TenantId) -> String {
    format!("{tenant}#")
}

/// What the sort keys of a project's things begin with, in the lists of jobs and of services by project.
pub fn of_project(tenant: &TenantId, project: &ProjectName) -> String {
    format!("{tenant}#{project}#")
}

/// `TARGET#<provider>#<team>:<pipeline>:<job>` / `JOB#<job>`: which jobs point at a pipeline job. Instance
/// variables are left out, since a build is found by its pipeline job alone. `None` for targets that
/// nobody looks up.
pub fn job_by_target(provider: &ProviderName, target: &Target, id: &JobId) -> Option<Key> {
    target_partition(provider, target).map(|pk| Key::new(pk, format!("JOB#{id}")))
}

/// Partition of [`job_by_target`].
pub fn target_partition(provider: &ProviderName, target: &Target) -> Option<String> {
    target.lookup_name().map(|name| format!("TARGET#{provider}#{name}"))
}

/// `PROJECT#<project>` / `PROJECT`
pub fn project(name: &ProjectName) -> Key {
    Key::new(format!("PROJECT#{name}"), "PROJECT")
}

/// Index: `PROJECTS` / `<tenant>#<project>`. One partition: projects are configuration.
pub fn project_in_list(project: &Project) -> Key {
    Key::new(PROJECTS, format!("{}{}", of_tenant(&project.tenant), project.name))
}

/// Partition of the index that lists projects.
pub const PROJECTS: &str = "PROJECTS";

/// `SERVICE#<service>` / `SERVICE`
pub fn service(id: &ServiceId) -> Key {
    Key::new(with_environments(id), "SERVICE")
}

/// Partition of a service and its environments.
pub fn with_environments(service: &ServiceId) -> String {
    format!("SERVICE#{service}")
}

/// Index: `SERVICES` / `<tenant>#<name>`. One partition: services are configuration, not traffic.
pub fn service_in_list(service: &Service) -> Key {
    Key::new(SERVICES, format!("{}{}", of_tenant(&service.tenant), service.name))
}

/// Partition of the index that lists services.
pub const SERVICES: &str = "SERVICES";

/// `SERVICE_NAME#<tenant>#<name>` / `SERVICE_NAME`: which service has the name.
pub fn service_name(tenant: &TenantId, name: &ServiceName) -> Key {
    Key::new(format!("SERVICE_NAME#{tenant}#{name}"), "SERVICE_NAME")
}

/// Index: `PROJECT_SERVICES` / `<tenant>#<project>#<name>`, of the name. One partition, as [`SERVICES`].
pub fn service_of_project(service: &Service) -> Key {
    let project = of_project(&service.tenant, &service.spec.project);
    Key::new(PROJECT_SERVICES, format!("{project}{}", service.name))
}

/// Partition of the index that says which services a project has.
pub const PROJECT_SERVICES: &str = "PROJECT_SERVICES";

/// `SERVICE#<service>` / `SERVICE#ENVIRONMENT#<environment>`: how an environment stands.
pub fn environment(service: &ServiceId, name: &EnvironmentName) -> Key {
    Key::new(with_environments(service), format!("SERVICE#ENVIRONMENT#{name}"))
}

/// Index: `ENVIRONMENTS_ENDING` / `<end>#<service>#<environment>`, of an environment that has an end. One
/// partition: what is in it goes with its end.
pub fn environment_ending(state: &EnvironmentState) -> Option<Key> {
    let expires_at = state.infrastructure.provisioned()?.expires_at?;
    Some(ending_at(&state.service, &state.name, expires_at))
}

/// The same of one that is given an end.
pub fn ending_at(service: &ServiceId, name: &EnvironmentName, expires_at: Timestamp) -> Key {
    Key::new(ENVIRONMENTS_ENDING, format!("{}#{service}#{name}", sortable(expires_at)))
}

/// Partition of the index that lists environments by their end.
pub const ENVIRONMENTS_ENDING: &str = "ENVIRONMENTS_ENDING";

/// `SERVICE#<service>` / `SERVICE#DRIFT#<environment>`: when an environment is looked at for drift, if it is.
pub fn drift_schedule(service: &ServiceId, name: &EnvironmentName) -> Key {
    Key::new(with_environments(service), format!("{DRIFT_SCHEDULE}{name}"))
}

/// What the sort keys of schedules begin with.
pub const DRIFT_SCHEDULE: &str = "SERVICE#DRIFT#";

/// Index: `DRIFT_DUE` / `<due>#<service>#<environment>`. One partition: what is in it is written once in some hours.
pub fn drift_due(schedule: &DriftSchedule) -> Key {
    let DriftSchedule { service, environment, due, .. } = schedule;
    Key::new(DRIFT_DUE, format!("{}#{service}#{environment}", sortable(*due)))
}

/// Partition of the index that lists environments by when they are due to be looked at for drift.
pub const DRIFT_DUE: &str = "DRIFT_DUE";

/// `ENTITY#<tenant>#<kind>:<namespace>/<name>` / `ENTITY`
pub fn entity(tenant: &TenantId, reference: &EntityRef) -> Key {
    Key::new(with_relations(tenant, reference), "ENTITY")
}

/// Partition of an entity and of what others say of it, whether it is there or not.
pub fn with_relations(tenant: &TenantId, reference: &EntityRef) -> String {
    format!("ENTITY#{tenant}#{reference}")
}

/// Index: `ENTITIES` / `<tenant>#<kind>#<namespace>/<name>`. One partition: entities are configuration, not traffic.
pub fn entity_in_list(entity: &Entity) -> Key {
    let reference = entity.reference();
    let of_kind = of_kind(&entity.tenant, entity.draft.kind);
    Key::new(ENTITIES, format!("{of_kind}{}/{}", reference.namespace(), reference.name()))
}

/// What the sort keys of a tenant's entities of one kind begin with.
pub fn of_kind(tenant: &TenantId, kind: EntityKind) -> String {
    format!("{}{}#", of_tenant(tenant), kind.as_str())
}

/// Partition of the index that lists entities.
pub const ENTITIES: &str = "ENTITIES";

/// `ENTITY#<tenant>#<target>` / `ENTITY#RELATION#<relation>#<source>`: what `source` says of `target`, as seen from that.
pub fn relation(tenant: &TenantId, target: &EntityRef, relation: Relation, source: &EntityRef) -> Key {
    Key::new(with_relations(tenant, target), format!("{RELATION}{relation}#{source}"))
}

/// What the sort keys of relations begin with.
pub const RELATION: &str = "ENTITY#RELATION#";

/// `OPERATION#<operation>` / `OPERATION`
pub fn operation(id: &OperationId) -> Key {
    Key::new(format!("OPERATION#{id}"), "OPERATION")
}

/// Index: `OPERATIONS#<service>` / `<requested at>#<operation>`. Bounded by time, since operations expire.
pub fn operation_in_list(operation: &Operation) -> Key {
    Key::new(operations_of(&operation.service), place_among_operations(operation))
}

/// Partition of the index that lists the operations of a service.
pub fn operations_of(service: &ServiceId) -> String {
    format!("OPERATIONS#{service}")
}

/// `ALL_OPERATIONS` / `<requested at>#<operation>`. Bounded by time, since operations expire.
pub fn listed_operation(operation: &Operation) -> Key {
    Key::new(ALL_OPERATIONS, place_among_operations(operation))
}

/// Index: `ALL_OPERATIONS#<tenant>` / `<requested at>#<operation>`
pub fn listed_operation_of_tenant(operation: &Operation) -> Key {
    Key::new(of_tenants_operations(ALL_OPERATIONS, &operation.tenant), place_among_operations(operation))
}

/// Partition of all operations.
pub const ALL_OPERATIONS: &str = "ALL_OPERATIONS";

/// `OPERATIONS_BY_STATUS#<class>` / `<requested at>#<operation>`: an operation among those that stand as it does.
pub fn operation_by_status(operation: &Operation, status: OperationStatus) -> Key {
    Key::new(operations_by_status(status), place_among_operations(operation))
}

/// Index: `OPERATIONS_BY_STATUS#<class>#<tenant>` / `<requested at>#<operation>`
pub fn operation_by_status_of_tenant(operation: &Operation, status: OperationStatus) -> Key {
    let list = of_tenants_operations(&operations_by_status(status), &operation.tenant);
    Key::new(list, place_among_operations(operation))
}

/// Partition of the operations that stand so. What is worked on shares one: its status changes often, and there is at
/// most one in each environment.
pub fn operations_by_status(status: OperationStatus) -> String {
    let class = match status {
        OperationStatus::Queued
        | OperationStatus::Planning
        | OperationStatus::Applying
        | OperationStatus::Deploying
        | OperationStatus::Cancelling => "working",
        OperationStatus::AwaitingApproval
        | OperationStatus::Succeeded
        | OperationStatus::Failed
        | OperationStatus::Cancelled
        | OperationStatus::Rejected
        | OperationStatus::TimedOut => status.as_str(),
    };
    format!("OPERATIONS_BY_STATUS#{class}")
}

/// Partition of the index that has a tenant's part of a list of operations.
pub fn of_tenants_operations(list: &str, tenant: &TenantId) -> String {
    format!("{list}#{tenant}")
}

fn place_among_operations(operation: &Operation) -> String {
    format!("{}#{}", sortable(operation.requested.at), operation.id)
}

/// `OPERATIONS_LISTED` / `OPERATIONS_LISTED`: how far those are listed that are older than the lists.
pub fn operations_listed() -> Key {
    Key::new("OPERATIONS_LISTED", "OPERATIONS_LISTED")
}

/// `OPEN_OPERATIONS` / `<operation>`. Holds only those that are open or have a signal pending.
pub fn open_operation(id: &OperationId) -> Key {
    Key::new(OPEN_OPERATIONS, id.as_str())
}

/// Partition of the operations that are open.
pub const OPEN_OPERATIONS: &str = "OPEN_OPERATIONS";

/// `MODULES` / `MODULE#<module>`. One partition: an installation has some dozens, and two hundred at most.
pub fn module(name: &ModuleName) -> Key {
    Key::new(MODULES, format!("MODULE#{name}"))
}

/// Partition of all modules.
pub const MODULES: &str = "MODULES";

/// `TENANTS` / `TENANT#<tenant>`. One partition: an installation has some dozens.
pub fn tenant(id: &TenantId) -> Key {
    Key::new(TENANTS, format!("TENANT#{id}"))
}

/// Partition of all tenants.
pub const TENANTS: &str = "TENANTS";

/// `USER#<user>` / `USER`
pub fn user(name: &UserName) -> Key {
    Key::new(format!("USER#{name}"), "USER")
}

/// Index: `USERS` / `<user>`. One partition: people, not traffic.
pub fn user_in_list(name: &UserName) -> Key {
    Key::new(USERS, name.as_str())
}

/// Partition of the index that lists users.
pub const USERS: &str = "USERS";

/// `PLATFORM_ADMINS` / `PLATFORM_ADMINS`: who they are, of whom one must stay.
pub fn platform_admins() -> Key {
    Key::new("PLATFORM_ADMINS", "PLATFORM_ADMINS")
}

/// `PERMITS#<hash of whose>#<window>` / `PERMITS`
pub fn permits(permit: &Permit) -> Key {
    Key::new(format!("PERMITS#{}#{}", digest(&permit.of), sortable(permit.window)), "PERMITS")
}

/// `PROVIDERS` / `PROVIDER#<provider>`. One partition: an installation has a handful.
pub fn provider(name: &ProviderName) -> Key {
    Key::new(PROVIDERS, format!("PROVIDER#{name}"))
}

/// Partition of all providers.
pub const PROVIDERS: &str = "PROVIDERS";

/// `APIKEY#<key id>` / `APIKEY`
pub fn api_key(id: &ApiKeyId) -> Key {
    Key::new(format!("APIKEY#{}", id.as_str()), "APIKEY")
}

/// Index: `APIKEYS` / `<created at>#<key id>`. One partition: keys are made by hand.
pub fn api_key_in_list(key: &ApiKey) -> Key {
    Key::new(API_KEYS, format!("{}#{}", sortable(key.created_at), key.id.as_str()))
}

/// Partition of the index that lists API keys.
pub const API_KEYS: &str = "APIKEYS";

/// `TOKEN#<jti>` / `TOKEN`
pub fn token(jti: &TokenId) -> Key {
    Key::new(format!("TOKEN#{jti}"), "TOKEN")
}

/// Index: `TOKENS` / `<tenant>#<end>#<jti>`. Bounded by time, since tokens expire.
pub fn token_in_list(token: &ServiceToken) -> Key {
    let until_end = tokens_ending(&token.tenant, token.expires_at);
    Key::new(TOKENS, format!("{until_end}#{}", token.jti))
}

/// Partition of the index that lists service tokens.
pub const TOKENS: &str = "TOKENS";

/// Prefix of the sort keys of a tenant's tokens that expire at this time.
pub fn tokens_ending(tenant: &TenantId, expires_at: Timestamp) -> String {
    format!("{}{}", of_tenant(tenant), sortable(expires_at))
}

/// `SIGNING_KEYS` / `SIGNING_KEYS`: the ring.
pub fn signing_keys() -> Key {
    Key::new("SIGNING_KEYS", "SIGNING_KEYS")
}

/// `FLUSH` / `FLUSH`: the mark that a flush of the authorizer cache is pending.
pub fn pending_flush() -> Key {
    Key::new("FLUSH", "FLUSH")
}

/// `SWEEP` / `SWEEP`: how far the janitor's round through API keys and tokens has come. Only the janitor writes it.
pub fn sweep() -> Key {
    Key::new("SWEEP", "SWEEP")
}

/// `OUTBOX` / `<found at>#<announcement>`. Empty but for the moments between deciding and publishing.
pub fn to_publish(announcement: &Announcement) -> Key {
    Key::new(OUTBOX, format!("{}#{}", sortable(announcement.found_at), announcement.id))
}

/// Partition of what is to be published.
pub const OUTBOX: &str = "OUTBOX";

/// Into how many partitions a month of a trail is divided: ADR 23 says why so many.
/// A version with more of them writes what one with fewer does not read.
pub const AUDIT_SHARDS: u8 = 8;

/// `AUDIT#<month>#<shard>` / `<at>#<entry>`
pub fn audit(entry: &Entry) -> Key {
    Key::new(shard_of_month(AUDIT, &month(entry.at), shard(entry)), place_in_trail(entry))
}

/// Index: `AUDIT#TENANT#<tenant>#<month>#<shard>` / `<at>#<entry>`, when the entry has a tenant.
pub fn audit_of_tenant(entry: &Entry) -> Option<Key> {
    let trail = trail_of_tenant(entry.tenant.as_ref()?);
    Some(Key::new(shard_of_month(&trail, &month(entry.at), shard(entry)), place_in_trail(entry)))
}

/// `AUDIT#ACTOR#<hash of the actor>#<month>#<shard>` / `<at>#<entry>`
pub fn audit_of_actor(entry: &Entry) -> Key {
    let trail = trail_of_actor(&entry.actor);
    Key::new(shard_of_month(&trail, &month(entry.at), shard(entry)), place_in_trail(entry))
}

pub const AUDIT: &str = "AUDIT";

/// The trail of a tenant.
pub fn trail_of_tenant(tenant: &TenantId) -> String {
    format!("{AUDIT}#TENANT#{tenant}")
}

/// The trail of somebody. Who is asked for can be any text, so it is hashed.
pub fn trail_of_actor(actor: &str) -> String {
    format!("{AUDIT}#ACTOR#{}", digest(actor))
}

/// What versions wrote all of a month to that did not divide it.
pub fn of_month(trail: &str, month: &str) -> String {
    format!("{trail}#{month}")
}

/// The partition of one part of a month of a trail.
pub fn shard_of_month(trail: &str, month: &str, shard: u8) -> String {
    format!("{}#{shard}", of_month(trail, month))
}

/// The month of a time, UTC: `2026-01`.
pub fn month(time: Timestamp) -> String {
    sortable(time).chars().take("2026-01".len()).collect()
}

/// Which part of its month an entry is in. It follows from the entry's id and nothing else: one that is written again, or is
/// counted again, is the same item.
fn shard(entry: &Entry) -> u8 {
    let digest: [u8; 32] = Sha256::digest(entry.id.as_bytes()).into();
    digest[0] % AUDIT_SHARDS
}

fn place_in_trail(entry: &Entry) -> String {
    format!("{}#{}", sortable(entry.at), entry.id)
}

/// `RUN#<run>` / `RUN`
pub fn run(id: &RunId) -> Key {
    Key::new(format!("RUN#{id}"), "RUN")
}

/// Index: `RUNS#<job>` / `<created at>#<run>`. Bounded by time, since runs expire.
pub fn run_in_list(run: &Run) -> Key {
    Key::new(runs_of(&run.job_id), format!("{}#{}", sortable(run.created_at), run.id))
}

/// Partition of the index that lists the runs of a job.
pub fn runs_of(job: &JobId) -> String {
    format!("RUNS#{job}")
}

/// `START#<hash of the key>` / `START`
pub fn start(key: &RequestKey) -> Key {
    Key::new(format!("START#{}", key.as_str()), "START")
}

/// `OPEN#<job>` / `START#<hash of the key>`: the requests for runs of a job that are not finished.
pub fn open_start(job: &JobId, key: &RequestKey) -> Key {
    Key::new(open_starts_of(job), format!("START#{}", key.as_str()))
}

/// Partition of a job's unfinished requests.
pub fn open_starts_of(job: &JobId) -> String {
    format!("OPEN#{job}")
}

/// `PINS` / `PINS#<hash of the pipeline>`. One partition: there are as many as pipelines in which a run begins just now
/// with versions of resources.
pub fn pins(scope: &str) -> Key {
    Key::new(PINS, format!("PINS#{}", digest(scope)))
}

/// Partition of all leases of those who pin.
pub const PINS: &str = "PINS";

/// `LEASE#<name>` / `LEASE`
pub fn lease(name: &str) -> Key {
    Key::new(format!("LEASE#{name}"), "LEASE")
}

/// A time as text of fixed width, so that text order is time order: `2026-01-02T03:04:05.678Z`.
pub fn sortable(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// SHA-256 of text that could hold anything, for a key.
fn digest(text: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use gatehouse_domain::ci::ConcourseTarget;

    use super::*;

    #[test]
    fn times_sort_as_text() {
        let whole = sortable("2026-01-02T03:04:05Z".parse().unwrap());
        let later = sortable("2026-01-02T03:04:05.001Z".parse().unwrap());
        assert_eq!(whole, "2026-01-02T03:04:05.000Z");
        assert!(whole < later);
    }

    #[test]
    fn no_name_of_a_pipeline_can_forge_a_key() {
        let target = |team: &str| {
            Target::Concourse(ConcourseTarget {
                team: team.into(),
                pipeline: "p#x".into(),
                job: "j:k".into(),
                vars: serde_json::Map::new(),
            })
        };
        let provider = "concourse".parse().unwrap();
        let partition = target_partition(&provider, &target("a#b")).unwrap();
        assert_eq!(partition, "TARGET#concourse#a~23b:p~23x:j~3ak");
    }
}
