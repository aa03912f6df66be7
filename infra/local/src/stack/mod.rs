//! The whole of Gatehouse in one process.

mod account;
mod bus;
mod flush;
mod functions;
mod janitor;
mod modules;
mod parts;
mod seed;
mod services;
mod stop;
mod table;
mod workers;
mod workflows;

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use gatehouse_domain::janitor::Announcement;
use gatehouse_loopback::OwnNames;
use gatehouse_runtime::clock::SystemClock;
use gatehouse_template::Template;
use tokio::{
    net::TcpListener,
    sync::{broadcast, watch},
    task::JoinHandle,
};

pub use self::workers::{PROVISIONER, find_terraform};
use self::{
    account::account,
    bus::Bus,
    modules::Publisher,
    parts::Parts,
    services::Services,
    stop::stopped,
    workers::{WorkerSettings, Workers},
    workflows::LocalTasks,
};
use crate::{
    files::private_directory,
    gateway::{
        ApiIdentity, Gateway, GatewaySettings, KnownToEverybody, LambdaFunction, Limits, RunningGateway,
    },
    process::{ProcessProvider, ProcessSettings},
};

/// The template that is deployed, which says what exists here too.
const TEMPLATE: &str = include_str!("../../../../template.yaml");

/// How a stack is started.
#[derive(Debug, Clone)]
pub struct StackSettings {
    /// Where to listen; port 0 takes a free one.
    pub address: SocketAddr,
    /// What it answers to, besides the names of loopback and the address that it listens on.
    pub hosts: Vec<String>,
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
    services: Services,
    processes: Arc<ProcessProvider>,
    workers: Workers,
    bus: Bus,
    sweeping: JoinHandle<()>,
    /// Asks everything to stop.
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
        let data = settings.data_dir.as_path();
        prepare(data).with_context(|| format!("{} cannot be used as data directory", data.display()))?;
        // Before anything is opened: it refuses a directory that another stack uses.
        let processes = ProcessSettings::new(data, &settings.program);
        let processes = Arc::new(ProcessProvider::open(&processes, Arc::new(SystemClock))?);
        let template = Template::parse(TEMPLATE, &overrides()).context("template.yaml")?;
        let (stopping, stop) = watch::channel(false);
        // Workers are given its address, so the port is taken before there is anything to serve.
        let listener = listen(settings.address).await?;
        let base_url = format!("http://{}", reachable(listener.local_addr()?));
        let machines = workflows::machines(&base_url, settings.worker_silence)?;
        let services = Services::start(data, &template, machines, &stop).await?;

        let modules = modules::directory(settings.modules.as_deref(), data).context("the modules")?;
        let has_terraform = settings.terraform.is_some();
        let parts = Parts::new(&template, &services, processes.clone(), has_terraform, base_url)?;
        seed::make_keys(&parts).await?;
        let mut publisher = Publisher::new(modules.clone(), parts.table.clone(), parts.system.clone());
        publisher.publish().await.context("the modules")?;
        let functions = functions::all(&parts)?;
        let address = listener.local_addr()?;
        let gateway = gateway(&template, &functions, &parts, address, settings.hosts)?;
        let filled_with = seed::fill(&gateway, &parts, data, settings.seed.as_deref()).await?;
        let example_key = match filled_with {
            Some(key) if !on_loopback(address) && seed::everybody_knows(&key)? => {
                seed::replace_key(&parts, data).await?
            }
            own => own,
        };
        let gateway = gateway.serve(listener, stopped(stop.clone()))?;

        let workers = Workers::new(WorkerSettings {
            program: settings.program.clone(),
            terraform: settings.terraform.clone(),
            modules,
            directory: data.canonicalize()?.join("provisioner"),
        });
        // What a killed stack left running continues here, so whatever it may ask for is there already.
        services.engine.begin(Arc::new(LocalTasks::new(functions, workers.clone())));
        tokio::spawn(publisher.keep_publishing(stop.clone()));
        let sweeping = tokio::spawn(janitor::keep_sweeping(
            janitor::janitor(&parts, Arc::new(functions::directory(&parts))),
            stop,
        ));
        let bus = parts.bus;
        Ok(Self { gateway, services, processes, workers, bus, sweeping, stopping, example_key })
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// Whether others than this machine can reach it.
    pub fn is_exposed(&self) -> bool {
        !on_loopback(self.address())
    }

    /// Where it listens, for clients.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The key that an example tenant is used with, when the stack was filled with one. Beyond loopback it is one that
    /// was made when the stack first listened there, and is told only that once.
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
        self.services.step_functions.finished().await;
        // An error means that it panicked, which is in the log.
        let _ended = self.sweeping.await;
        self.services.secrets.finished().await;
        self.services.dynamodb.stop().await;
    }
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("{address} cannot be listened on; choose another port with --port"))
}

/// Whether nobody but this machine reaches what listens there.
fn on_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Where workers on this machine reach a stack that listens there.
fn reachable(address: SocketAddr) -> SocketAddr {
    let everywhere = address.ip().is_unspecified();
    if everywhere { SocketAddr::from(([127, 0, 0, 1], address.port())) } else { address }
}

fn overrides() -> BTreeMap<String, String> {
    BTreeMap::from([("StageName".to_owned(), "local".to_owned())])
}

fn gateway(
    template: &Template,
    functions: &BTreeMap<String, LambdaFunction>,
    parts: &Parts,
    address: SocketAddr,
    hosts: Vec<String>,
) -> anyhow::Result<Gateway> {
    let stage = template.api.stage.clone();
    // A page that has this very address as its name was loaded from here.
    let listened_on = Some(address.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    let settings = GatewaySettings {
        api: ApiIdentity { account: account(), api_id: "gatehouse".to_owned(), stage },
        limits: Limits::default(),
        clock: parts.system.clone(),
        ids: parts.system.clone(),
        names: OwnNames::of_loopback().and(hosts.into_iter().chain(listened_on)),
        refused: if on_loopback(address) { KnownToEverybody::default() } else { seed::known_to_everybody()? },
    };
    let gateway = Gateway::new(template, functions, settings)?;
    parts.memory.belongs_to(gateway.authorizer_caches());
    Ok(gateway)
}

/// Makes the data directory, which holds secrets, the user's own.
fn prepare(directory: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    private_directory(directory)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
}
