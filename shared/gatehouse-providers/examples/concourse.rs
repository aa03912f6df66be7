//! Talks to a real Concourse, for a test by hand.
//!
//! ```text
//! export CONCOURSE_URL=https://ci.example.com
//! export CONCOURSE_USERNAME=ci-gateway CONCOURSE_PASSWORD=…   # or CONCOURSE_CLIENT_ID and CONCOURSE_CLIENT_SECRET
//! export CONCOURSE_CA="$(cat ca.pem)"                          # only for a private authority
//! cargo run -p gatehouse-providers --example concourse                        # checks, and lists what there is
//! cargo run -p gatehouse-providers --example concourse -- TEAM PIPELINE JOB   # triggers, and shows the log
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use futures_util::StreamExt;
use gatehouse_domain::{
    ci::{
        Account, CiProvider, ConcourseTarget, ProviderKind, RunEvent, RunEventBody, Sharing, StartKind,
        StartRequest, StepPhase, Target, TargetUse,
    },
    lease::{LeaseOutcome, Leases},
    providers::{Credentials, Provider},
    revision::Revision,
    secret::{SecretName, WriteSecret},
    store::StoreError,
};
use gatehouse_outbound::OutboundHttp;
use gatehouse_providers::{Dependencies, concourse::ConcourseProvider};
use gatehouse_runtime::{
    clock::System,
    env::{optional, required},
};
use gatehouse_testkit::app::MemorySecrets;

/// Nobody else is here.
struct Alone;

#[async_trait]
impl Leases for Alone {
    async fn acquire(&self, _: &str, _: &str, _: Duration) -> Result<LeaseOutcome, StoreError> {
        Ok(LeaseOutcome::Acquired)
    }

    async fn release(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

fn credentials() -> Result<Credentials> {
    let (account, secret) = if let Some(username) = optional("CONCOURSE_USERNAME") {
        (Account::Password { username }, required("CONCOURSE_PASSWORD")?)
    } else {
        let client_id = required("CONCOURSE_CLIENT_ID").context("and no CONCOURSE_USERNAME either")?;
        (Account::ClientCredentials { client_id }, required("CONCOURSE_CLIENT_SECRET")?)
    };
    Ok(Credentials { account, secret: secret.into(), given_for: None })
}

async fn provider() -> Result<Arc<ConcourseProvider>> {
    let credentials = credentials()?;
    let settings = Provider {
        name: "concourse".parse()?,
        kind: ProviderKind::Concourse,
        url: Some(required("CONCOURSE_URL")?),
        account: Some(credentials.account.clone()),
        ca_certificate: optional("CONCOURSE_CA"),
        sharing: Sharing::OpenToAll,
        revision: Revision::unverified("example".to_owned()),
        credentials_version: "example".to_owned(),
        updated_at: jiff::Timestamp::UNIX_EPOCH,
        updated_by: "example".to_owned(),
    };
    let memory = Arc::new(MemorySecrets::default());
    memory.write(&SecretName::provider_credentials(&settings.name), &credentials.to_secret()).await?;
    let dependencies = Dependencies {
        read_secrets: memory.clone(),
        write_secrets: memory,
        leases: Arc::new(Alone),
        system: Arc::new(System),
        http: OutboundHttp::new().allow_loopback(),
    };
    Ok(Arc::new(ConcourseProvider::new(&settings, dependencies)))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let provider = provider().await?;
    match &arguments[..] {
        [] => look_around(&provider).await,
        [team, pipeline, job] => run(provider, team, pipeline, job).await,
        _ => bail!("arguments are none, or TEAM PIPELINE JOB"),
    }
}

async fn look_around(provider: &ConcourseProvider) -> Result<()> {
    let jobs = provider.discover(&BTreeSet::new()).await;
    let found = jobs.as_deref().unwrap_or_default();
    let targets: Vec<_> = found.iter().map(|job| TargetUse::from(job.target.clone())).collect();
    println!("{:#?}", provider.check(&targets).await?);
    for job in jobs? {
        println!("{}  {}  {}", job.job_id, job.display_name, job.note.unwrap_or_default());
    }
    Ok(())
}

async fn run(provider: Arc<ConcourseProvider>, team: &str, pipeline: &str, job: &str) -> Result<()> {
    let target = Target::Concourse(ConcourseTarget {
        team: team.to_owned(),
        pipeline: pipeline.to_owned(),
        job: job.to_owned(),
        vars: serde_json::Map::new(),
    });
    let checkpoint = provider.checkpoint(&target).await?;
    let environment = BTreeMap::new();
    let kind = StartKind::Trigger;
    let request = StartRequest {
        id: "example",
        target: &target,
        kind: &kind,
        environment: &environment,
        checkpoint: &checkpoint,
    };
    let build = provider.start(&request).await?;
    eprintln!("{}", build.web_url.as_deref().unwrap_or_default());
    let mut events = provider.events(target, build.id, None);
    while let Some(event) = events.next().await {
        show(&event?)?;
    }
    Ok(())
}

fn show(event: &RunEvent) -> Result<()> {
    match &event.body {
        RunEventBody::Log { text, .. } => {
            let mut out = std::io::stdout();
            out.write_all(text.as_bytes())?;
            out.flush()?;
        }
        RunEventBody::Status { provider_status, reason, .. } => {
            let reason = reason.as_ref().map(|reason| format!(": {}", reason.detail)).unwrap_or_default();
            eprintln!("* {provider_status}{reason}");
        }
        RunEventBody::Step { step, name, phase: StepPhase::Finished { exit_status, .. }, .. } => {
            eprintln!("* {} ended with {exit_status:?}", name.as_deref().unwrap_or(step));
        }
        RunEventBody::Error { message, .. } => eprintln!("* error: {message}"),
        RunEventBody::Step { .. } | RunEventBody::End => {}
    }
    Ok(())
}
