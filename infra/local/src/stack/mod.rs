//! The whole of Gatehouse in one process.

mod flush;
mod functions;
mod janitor;
mod modules;
mod seed;
mod table;
mod workers;
mod workflows;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use gatehouse_domain::{
    clock::{Clock, IdSource},
    janitor::Announcement,
};
use gatehouse_dynamodb::DynamoDb;
use gatehouse_runtime::{
    aws::Aws,
    clock::{System, SystemClock, SystemIds},
};
use gatehouse_secrets::Secrets;
use gatehouse_store::Table;
use gatehouse_template::Template;
use gatehouse_workflows::{Answers, Executions};
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    task::JoinHandle,
};

pub use self::workers::find_terraform;
use self::{
    flush::GatewayMemory,
    janitor::Bus,
    workers::{WorkerSettings, Workers},
    workflows::LocalTasks,
};
use crate::{
    gateway::{ApiIdentity, Gateway, GatewaySettings, Limits, RunningGateway, Sources},
    process::{ProcessProvider, ProcessSettings},
    secrets_manager::{RunningSecretsManager, SecretsManager},
    step_functions::{RunningStepFunctions, StepFunctions},
};

/// The template that is deployed, which says what exists here too.
const TEMPLATE: &str = include_str!("../../../../template.yaml");

/// What AWS would call things. None of it leaves this machine.
const REGION: &str = "us-east-1";
const ACCOUNT: &str = "000000000000";

/// How a stack is started.
#[derive(Debug, Clone)]
pub struct StackSettings {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What keeps all state; created where it is missing.
    pub data_dir: PathBuf,
    /// What to fill an empty stack from, instead of the built-in example.
    pub seed: Option<PathBuf>,
    /// The `gatehouse` program, which is the worker that provisions and the watcher of this stack's processes.
    pub program: PathBuf,
    /// The directory of modules to provision with, instead of the built-in example.
    pub modules: Option<PathBuf>,
    /// Terraform, where there is one.
    pub terraform: Option<PathBuf>,
    /// For how long a worker may be silent, instead of what the workflows say; tests do not wait minutes.
    pub worker_silence: Option<Duration>,
}

/// A stack that runs.
pub struct Stack {
    gateway: RunningGateway,
    dynamodb: DynamoDb,
    secrets: RunningSecretsManager,
    processes: Arc<ProcessProvider>,
    workers: Workers,
    workflows: RunningStepFunctions,
    bus: Bus,
    sweeping: JoinHandle<()>,
    /// Tells everything to stop.
    stopping: watch::Sender<bool>,
    example_key: Option<String>,
}

impl Stack {
    /// Starts everything, and fills an empty stack.
    ///
    /// # Errors
    ///
    /// What stood in the way, for people.
    pub async fn start(settings: StackSettings) -> anyhow::Result<Self> {
        let data = &settings.data_dir;
        prepare(data).with_context(|| format!("{} cannot be used as data directory", data.display()))?;
        let template = Template::parse(TEMPLATE, &overrides()).context("template.yaml")?;
        let (stopping, stop) = watch::channel(false);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let processes = ProcessSettings::new(data, settings.program.clone());
        let processes = Arc::new(ProcessProvider::open(&processes, clock.clone())?);
        let shape = template.tables.first().context("template.yaml has no table")?;
        let (dynamodb, client) = table::open(data, shape).await?;
        let secrets = SecretsManager::open(data.join("secrets.json"), &identity(&template), sources())?;
        let secrets = secrets.serve(loopback(), stopped(stop.clone())).await?;
        let listener = listen(settings.address).await?;
        let base_url = format!("http://{}", reachable(listener.local_addr()?));
        let machines = workflows::machines(&base_url, settings.worker_silence)?;
        let engine = StepFunctions::open(data, &identity(&template), machines, clock.clone(), sources())?;
        let running_engine = engine.clone().serve(loopback(), stopped(stop.clone())).await?;
        let sfn = aws(running_engine.endpoint_url())?.step_functions();
        let machines = workflows::directory(&engine, settings.terraform.is_some());
        let modules = modules::directory(settings.modules.as_deref(), data).context("the modules")?;
        let parts = functions::Parts {
            table: Arc::new(Table::new(client, table::TABLE, clock.clone())),
            secrets: Arc::new(Secrets::new(
                aws(secrets.endpoint_url())?.secrets_manager(),
                "gatehouse/local",
                clock.clone(),
            )),
            processes: processes.clone(),
            clock,
            ids: Arc::new(SystemIds),
            system: Arc::new(System),
            memory: GatewayMemory::new(remembered_for(&template)),
            bus: Bus::new(),
            unused_days: janitor::unused_days(&template)?,
            executions: Arc::new(Executions::new(sfn.clone(), machines)),
            answers: Arc::new(Answers::new(sfn)),
            modules: modules::names(&modules)?,
            base_url,
        };
        seed::make_callback_key(&parts).await?;
        let functions = functions::all(&parts)?;
        let gateway =
            GatewaySettings { api: identity(&template), limits: Limits::default(), sources: sources() };
        let gateway = Gateway::new(&template, &functions, gateway)?;
        parts.memory.belongs_to(gateway.authorizer_caches());
        let example_key = seed::fill(&gateway, &parts, data, settings.seed.as_deref()).await?;
        let running = gateway.serve(listener, stopped(stop.clone()))?;
        let workers = Workers::new(WorkerSettings {
            program: settings.program.clone(),
            terraform: settings.terraform,
            modules,
            directory: data.canonicalize()?.join("provisioner"),
        });
        engine.begin(Arc::new(LocalTasks::new(functions, workers.clone())));
        let sweeping = tokio::spawn(janitor::keep_sweeping(janitor::janitor(&parts), stop));
        let bus = parts.bus;
        Ok(Self {
            gateway: running,
            dynamodb,
            secrets,
            processes,
            workers,
            workflows: running_engine,
            bus,
            sweeping,
            stopping,
            example_key,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// Where it listens, for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The key that an example tenant is used with, when the stack was filled with one.
    pub fn example_key(&self) -> Option<&str> {
        self.example_key.as_deref()
    }

    /// What the janitor announces from now on.
    pub fn announcements(&self) -> broadcast::Receiver<Announcement> {
        self.bus.subscribe()
    }

    /// Ends processes, lets open requests finish for a moment, and closes everything.
    pub async fn stop(self) {
        // They report how they ended, so they end first.
        self.workers.stop().await;
        self.processes.stop().await;
        self.stopping.send_replace(true);
        self.gateway.finished().await;
        self.workflows.finished().await;
        // An error means that it panicked, which is in the log.
        let _ended = self.sweeping.await;
        self.secrets.finished().await;
        self.dynamodb.stop().await;
    }
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the stack is gone, which is a stop too.
    let _stopping = stop.wait_for(|stopping| *stopping).await;
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on; choose another port with --port"))
}

/// Where workers on this machine reach a stack that listens there.
fn reachable(address: SocketAddr) -> SocketAddr {
    let everywhere = address.ip().is_unspecified();
    if everywhere { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn overrides() -> std::collections::BTreeMap<String, String> {
    std::collections::BTreeMap::from([("StageName".to_owned(), "local".to_owned())])
}

fn identity(template: &Template) -> ApiIdentity {
    ApiIdentity {
        account_id: ACCOUNT.to_owned(),
        region: REGION.to_owned(),
        api_id: "gatehouse".to_owned(),
        stage: template.api.stage.clone(),
    }
}

/// For how long the gateway remembers an answer of its authorizer.
fn remembered_for(template: &Template) -> Duration {
    template.api.authorizers.values().map(|authorizer| authorizer.ttl).max().unwrap_or_default()
}

fn sources() -> Sources {
    Sources { now: Arc::new(|| SystemClock.now()), random: Arc::new(|| SystemIds.random()) }
}

fn aws(endpoint: String) -> anyhow::Result<Aws> {
    use aws_sdk_dynamodb::config::{Credentials, Region, SharedCredentialsProvider};

    let credentials = Credentials::new("local", "local", None, None, "local stack");
    let credentials = SharedCredentialsProvider::new(credentials);
    Ok(Aws::new(Some(Region::from_static(REGION)), credentials, Some(endpoint))?)
}

/// Makes the data directory, which holds secrets, the user's own.
fn prepare(directory: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
}
