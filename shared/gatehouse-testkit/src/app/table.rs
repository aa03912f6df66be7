use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_sdk_dynamodb::{
    Client,
    config::{Credentials, Intercept, Region, SharedCredentialsProvider},
};
use gatehouse_domain::{
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    caller::Caller,
    ci::{ConcourseTarget, ProviderKind, Target},
    clock::Clock,
    jobs::{self, Job, JobDraft, JobSpec},
    name::ProjectName,
    project::{Project, SaveProject},
    revision::{Precondition, Revision},
    tenant::{SaveTenant, Tenant},
};
use gatehouse_dynamodb::{DynamoDb, Storage, prepare_table, with_long_timeouts};
use gatehouse_runtime::{aws::Aws, env};
use gatehouse_store::Table;

use super::{
    callers,
    interceptors::{Calls, LosesAnswers, Meter, Writes},
    system::TestSystem,
    template::template,
};

/// The template's table, empty and in memory, for one test.
///
/// It is on the embedded `DynamoDB`, or at the endpoint in `GATEHOUSE_TEST_DYNAMODB`.
pub struct TestTable {
    pub table: Arc<Table>,
    pub system: Arc<TestSystem>,
    pub calls: Calls,
    pub writes: Writes,
    /// For what an older version would have written.
    pub client: Client,
    pub name: String,
    /// The embedded server, which ends with the test.
    _server: Option<DynamoDb>,
}

impl TestTable {
    pub async fn new() -> Self {
        crate::log::watch();
        let (server, endpoint) = if let Some(endpoint) = env::optional("GATEHOUSE_TEST_DYNAMODB") {
            (None, endpoint)
        } else {
            let server = DynamoDb::start(Storage::Memory).await.expect("an embedded DynamoDB");
            let endpoint = server.endpoint_url();
            (Some(server), endpoint)
        };
        let (calls, writes) = (Calls::default(), Writes::default());
        let client = client(endpoint, calls.clone(), writes.clone());
        let name = format!("gatehouse-test-{}-{}", std::process::id(), next_number());
        prepare_table(&client, &name, &template().tables[0]).await.expect("a table");
        calls.forget();
        let system = Arc::new(TestSystem::default());
        let table = Arc::new(Table::new(client.clone(), name.clone(), system.clone()));
        Self { table, system, calls, writes, client, name, _server: server }
    }

    /// The same table behind a client that also runs `interceptor`.
    fn through(&self, interceptor: impl Intercept + 'static) -> Table {
        let config = self.client.config().to_builder().interceptor(interceptor).build();
        Table::new(Client::from_conf(config), self.name.clone(), self.system.clone())
    }

    /// The same table, reached over a line that loses the first answer to each call, of which one is made at a time.
    pub fn losing_answers(&self) -> Table {
        self.through(LosesAnswers::default())
    }

    /// The same table, with a meter of what queries cost.
    pub fn metered(&self) -> (Table, Meter) {
        let meter = Meter::default();
        (self.through(meter.clone()), meter)
    }

    /// Saves a job of project `example` of tenant `example`, which points at `main/app/<id>` in Concourse.
    pub async fn save_job(&self, id: &str) -> Job {
        self.save_job_as(&callers::tenant_key("example"), id, "example").await
    }

    pub async fn save_job_as(&self, caller: &Caller, id: &str, project: &str) -> Job {
        self.save_draft(caller, job_draft(id, project)).await
    }

    /// Saves a new job as `caller` wants it.
    pub async fn save_draft(&self, caller: &Caller, draft: JobDraft) -> Job {
        let kinds = BTreeSet::from(ProviderKind::ALL);
        let (store, system) = (&*self.table, &*self.system);
        let audit = AuditContext { caller, origin: &callers::origin() };
        let put = jobs::put(store, system, &kinds, &audit, draft, None, &Precondition::Absent).await;
        put.expect("the job is saved").job
    }

    pub async fn create_tenant(&self, name: &str) {
        self.save_tenant(name, None).await;
    }

    /// A tenant whose services are of this project where they say nothing of it.
    pub async fn save_default_project(&self, tenant: &str, project: &str) {
        self.save_tenant(tenant, Some(project.parse().expect("a project"))).await;
    }

    async fn save_tenant(&self, name: &str, default_project: Option<ProjectName>) {
        let tenant = Tenant {
            id: name.parse().expect("a tenant"),
            display_name: name.to_owned(),
            require_second_factor: false,
            default_project,
            created_at: self.system.now(),
            created_by: "user:root".to_owned(),
        };
        let entry = self.entry("user:root", &format!("tenant:{name}"), Some(name));
        self.table.save_tenant(&tenant, &entry).await.expect("the tenant is saved");
    }

    /// Saves a project of `tenant`, which accepts the service `accepts`, or any.
    pub async fn save_project(&self, tenant: &str, name: &str, accepts: Option<&str>) -> Project {
        let (name, tenant) = (name.parse().expect("a project"), tenant.parse().expect("a tenant"));
        let mut project = Project::new(name, tenant, Revision::new(&*self.system), self.system.now());
        project.accepted_services = accepts.map(|service| [service.parse().expect("a service")].into());
        let entry = self.entry("user:root", "project:any", None);
        self.table.save_project(&project, None, &entry).await.expect("the project is saved");
        project
    }

    /// An entry of the trail that is not written yet, of something done to `target`.
    pub fn entry(&self, actor: &str, target: &str, tenant: Option<&str>) -> Entry {
        let audit_target = AuditTarget {
            target: target.to_owned(),
            tenant: tenant.map(|tenant| tenant.parse().expect("a tenant")),
            detail: None,
        };
        let (system, origin) = (&*self.system, callers::origin());
        Entry::new(system, actor.to_owned(), &origin, Action::PutProject, Outcome::Done, audit_target)
    }
}

/// The job `job` of pipeline `app` of Concourse's team `main`.
pub fn job_target(job: &str) -> Target {
    Target::Concourse(ConcourseTarget {
        team: "main".into(),
        pipeline: "app".into(),
        job: job.into(),
        vars: serde_json::Map::new(),
    })
}

/// A job that points at [`job_target`] of its own id.
pub fn job_draft(id: &str, project: &str) -> JobDraft {
    let spec = JobSpec {
        project: project.parse().expect("a project"),
        display_name: id.to_owned(),
        description: None,
        environment: Some("prod".parse().expect("an environment")),
        provider: "concourse".parse().expect("a provider"),
        target: job_target(id),
        parameters: Vec::new(),
        undeclared: None,
    };
    JobDraft { id: id.parse().expect("a job id"), spec }
}

fn client(endpoint: String, calls: Calls, writes: Writes) -> Client {
    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let aws = Aws::new(Some(Region::from_static("us-east-1")), credentials, Some(endpoint));
    let client = with_long_timeouts(&aws.expect("a client").dynamodb());
    Client::from_conf(client.config().to_builder().interceptor(calls).interceptor(writes).build())
}

fn next_number() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
