//! Which tenant may use which scope of a provider: each setting, by tenant, scope, and what is done.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use gatehouse_domain::{
    caller::Caller,
    catalog::DeployTarget,
    ci::{
        CancelMode, CiProvider, ConcourseTarget, DiscoveredJob, ProcessTarget, ProviderDirectory,
        ProviderKind, ProviderLookupError, RunStatus, Sharing, Target,
    },
    clock::Clock,
    idempotency::IdempotencyKey,
    janitor::fill_in_sharing,
    jobs::{
        self, DiscoverError, Discovery, ImportEntry, ImportMode, ImportRefusal, Imported, Job, JobDraft,
        PutJobError, Refusal,
    },
    name::{ProviderName, TenantId},
    operations::{DeployError, Operation, Work, trigger_run},
    providers::{FindProvider, Provider, SaveProvider},
    revision::{EditOutcome, Precondition, Revision},
    runs::{
        self, RunId, ShowRunError,
        start::{self, StartError, Started},
    },
    scopes::{ScopeClosed, Shares},
    tenant::{SaveTenant, Tenant},
};
use gatehouse_testkit::app::{ScriptedCi, Start, catalog};
use serde_json::json;

use crate::support::{TestTable, admin, audit, draft, origin, person};

const TEAMS: [&str; 2] = ["main", "ops"];

/// The one CI system, under any name.
struct Any(Arc<ScriptedCi>);

#[async_trait]
impl ProviderDirectory for Any {
    async fn provider(&self, _: &ProviderName) -> Result<Arc<dyn CiProvider>, ProviderLookupError> {
        Ok(self.0.clone())
    }
}

/// An installation with these tenants.
struct World {
    table: TestTable,
    ci: Arc<ScriptedCi>,
    providers: Any,
}

fn said(scopes: serde_json::Value) -> Sharing {
    Sharing::Scopes(serde_json::from_value(scopes).unwrap())
}

fn target(team: &str, job: &str) -> Target {
    Target::Concourse(ConcourseTarget {
        team: team.into(),
        pipeline: "app".into(),
        job: job.into(),
        vars: serde_json::Map::new(),
    })
}

fn platform() -> Caller {
    person("root", "*=admin", "ses_root")
}

impl World {
    async fn of(tenants: &[&str]) -> Self {
        let ci = Arc::new(ScriptedCi::default());
        let world = Self { table: TestTable::new().await, providers: Any(ci.clone()), ci };
        for tenant in tenants {
            world.create_tenant(tenant).await;
        }
        world
    }

    async fn create_tenant(&self, tenant: &str) {
        let id: TenantId = tenant.parse().unwrap();
        let entry = self.table.entry("user:root", &format!("tenant:{tenant}"), Some(tenant));
        let created_at = self.table.system.now();
        let tenant = Tenant {
            id,
            display_name: tenant.into(),
            require_second_factor: false,
            default_project: None,
            created_at,
            created_by: "user:root".into(),
        };
        self.table.table.save_tenant(&tenant, &entry).await.unwrap();
    }

    /// Registers the provider, or changes what it says.
    async fn share(&self, name: &str, kind: ProviderKind, sharing: Sharing) {
        let name: ProviderName = name.parse().unwrap();
        let previous = self.table.table.find_provider(&name).await.unwrap();
        let provider = Provider {
            name,
            kind,
            url: Some("https://ci.example.com".into()),
            account: None,
            ca_certificate: None,
            sharing,
            revision: Revision::new(&*self.table.system),
            credentials_version: "cred_1".into(),
            updated_at: self.table.system.now(),
            updated_by: "user:root".into(),
        };
        let previous = previous.as_ref().map(|provider| &provider.revision);
        let saved = self.table.table.save_provider(&provider, previous, None).await.unwrap();
        assert_eq!(saved, EditOutcome::Done);
    }

    async fn sharing(&self, name: &str) -> Sharing {
        self.table.table.find_provider(&name.parse().unwrap()).await.unwrap().unwrap().sharing
    }

    async fn put(&self, tenant: &str, draft: JobDraft, expected: Precondition) -> Result<Job, PutJobError> {
        let (kinds, caller, origin) = (BTreeSet::from(ProviderKind::ALL), admin(tenant), origin());
        let (store, system, audit) = (&*self.table.table, &*self.table.system, audit(&caller, &origin));
        let put = jobs::put(store, system, &kinds, &audit, draft, None, &expected);
        put.await.map(|put| put.job)
    }

    async fn trigger(&self, job: &Job, key: Option<&str>) -> Result<Started, StartError> {
        let (caller, origin) = (admin(job.tenant.as_str()), origin());
        let (store, system) = (&*self.table.table, &*self.table.system);
        let key: Option<IdempotencyKey> = key.map(|key| key.parse().unwrap());
        let (audit, nothing) = (audit(&caller, &origin), BTreeMap::new());
        start::trigger(store, &self.providers, system, &audit, &job.id, &nothing, key.as_ref()).await
    }

    async fn show(&self, tenant: &str, run: &RunId) -> Result<(), ShowRunError> {
        let (store, system) = (&*self.table.table, &*self.table.system);
        runs::show(store, &self.providers, system, &admin(tenant), run).await.map(drop)
    }
}

/// A job of `tenant` that points into a team at a provider.
fn job_in(tenant: &str, id: &str, provider: &str, team: &str) -> JobDraft {
    let mut draft = draft(id, &format!("{tenant}-web"));
    draft.spec.provider = provider.parse().unwrap();
    draft.spec.target = target(team, id);
    draft
}

/// A provider with jobs and runs of one tenant in one team from when it was open, and what it says now.
struct Case<'a> {
    world: &'a World,
    what: String,
    tenant: &'a str,
    team: &'a str,
    provider: String,
    job: Job,
    ended: RunId,
    running: RunId,
}

impl<'a> Case<'a> {
    async fn new(world: &'a World, number: usize, tenant: &'a str, team: &'a str, sharing: Sharing) -> Self {
        let provider = format!("ci-{number}");
        world.share(&provider, ProviderKind::Concourse, Sharing::OpenToAll).await;
        let draft = job_in(tenant, &format!("old-{number}"), &provider, team);
        let job = world.put(tenant, draft, Precondition::Absent).await.unwrap();
        let ended = world.trigger(&job, None).await.unwrap().run;
        world.ci.set_status(&ended.build.0, RunStatus::Succeeded);
        let running = world.trigger(&job, Some(&format!("running-{number}"))).await.unwrap().run.id;
        let what = format!("{tenant} in {team} where {sharing:?}");
        world.share(&provider, ProviderKind::Concourse, sharing).await;
        Self { world, what, tenant, team, provider, job, ended: ended.id, running }
    }

    fn new_job(&self, what: &str) -> JobDraft {
        job_in(self.tenant, &format!("{what}-{}", self.provider), &self.provider, self.team)
    }

    /// That it was done, or refused with what is missing, as it should be.
    fn assert(&self, deed: &str, refused: Option<ScopeClosed>, may: bool) {
        let what = format!("{deed}: {}", self.what);
        match refused {
            None => assert!(may, "{what}: was not refused"),
            Some(closed) => {
                assert!(!may, "{what}: {closed}");
                let named = [&self.provider, self.tenant, self.team].map(|name| format!("`{name}`"));
                let text = closed.to_string();
                assert!(named.iter().all(|name| text.contains(name)), "{what}: {text}");
            }
        }
    }

    async fn register(&self) -> Option<ScopeClosed> {
        scope_of_put(self.world.put(self.tenant, self.new_job("new"), Precondition::Absent).await)
    }

    async fn replace(&self) -> Option<ScopeClosed> {
        let mut draft = JobDraft { id: self.job.id.clone(), spec: self.job.spec.clone() };
        draft.spec.description = Some("edited".into());
        let expected = Precondition::Revision(self.job.revision.clone());
        scope_of_put(self.world.put(self.tenant, draft, expected).await)
    }

    async fn import(&self) -> Option<ScopeClosed> {
        let draft = self.new_job("imported");
        let entry = ImportEntry { written_id: draft.id.to_string(), draft: Ok(draft) };
        let (kinds, caller, origin) = (BTreeSet::from(ProviderKind::ALL), admin(self.tenant), origin());
        let (store, system, audit) =
            (&*self.world.table.table, &*self.world.table.system, audit(&caller, &origin));
        let mode = ImportMode::EachOnItsOwn;
        let imported = jobs::import(store, system, &kinds, &audit, vec![entry], None, mode).await.unwrap();
        match &imported[..] {
            [Imported::Created] => None,
            [Imported::Refused(ImportRefusal::Job(Refusal::Scope(closed)))] => Some(closed.clone()),
            other => panic!("{}: {other:?}", self.what),
        }
    }

    /// The teams that are read, of those that are named, or of all.
    async fn discover(&self, teams: &[&str]) -> Result<BTreeSet<String>, ScopeClosed> {
        let found = |team: &&str| DiscoveredJob {
            job_id: format!("found-in-{team}").parse().unwrap(),
            display_name: (*team).to_owned(),
            target: target(team, "found"),
            note: None,
        };
        self.world.ci.set_jobs(TEAMS.iter().map(found).collect());
        let scopes = teams.iter().map(|team| (*team).to_owned()).collect();
        let (provider, project) = (self.provider.parse().unwrap(), self.job.spec.project.clone());
        let wanted = Discovery { provider: &provider, scopes: &scopes, project: &project, tenant: None };
        let store = &*self.world.table.table;
        match jobs::discover(store, &self.world.providers, &platform(), &wanted).await {
            Ok(found) => Ok(found.into_iter().map(|job| job.display_name).collect()),
            Err(DiscoverError::Scope(closed)) => Err(closed),
            Err(other) => panic!("{}: {other:?}", self.what),
        }
    }

    async fn check(&self) -> Option<ScopeClosed> {
        let (store, provider) = (&*self.world.table.table, self.provider.parse().unwrap());
        let shares = Shares::of(store, &provider).await.unwrap();
        let uses = jobs::uses(store, &shares, &provider).await.unwrap();
        assert!(!uses.targets.is_empty());
        uses.closed.into_iter().next()
    }

    async fn rerun(&self) -> Option<ScopeClosed> {
        let (caller, origin) = (admin(self.tenant), origin());
        let (store, system) = (&*self.world.table.table, &*self.world.table.system);
        let audit = audit(&caller, &origin);
        scope_of_start(start::rerun(store, &self.world.providers, system, &audit, &self.ended, None).await)
    }

    /// Deploys through the catalog; what the operation is told.
    async fn deploy(&self) -> Option<String> {
        let table = &self.world.table;
        let service = catalog::saved(table, self.tenant, &self.provider).await;
        let target = DeployTarget::Job(self.job.id.clone());
        let work = Work::Deploy { version: "1.2.3".into(), target };
        let operation = Operation { work, ..catalog::operation(table, &service, "dev") };
        catalog::begin(table, &operation, &service).await;
        let (store, system) = (&*table.table, &*table.system);
        match trigger_run(store, &self.world.providers, system, &operation.id).await {
            Ok(_) => None,
            Err(DeployError::Refused(why)) => Some(why),
            Err(other) => panic!("{}: {other:?}", self.what),
        }
    }

    /// Whether a build is shown that Gatehouse did not start.
    async fn shows_other_builds(&self) -> bool {
        let build = self.world.ci.begin(&self.job.spec.target);
        let id = format!("{}@{}:app:{}:{build}", self.provider, self.team, self.job.id);
        match self.world.show(self.tenant, &id.parse().unwrap()).await {
            Ok(()) => true,
            Err(ShowRunError::NotFound) => false,
            Err(other) => panic!("{}: {other:?}", self.what),
        }
    }

    /// What is running is shown and cancelled, and what was begun is answered again, whatever the provider says now.
    async fn assert_goes_on(&self) {
        let world = self.world;
        let key = format!("running-{}", self.provider.trim_start_matches("ci-"));
        let again = world.trigger(&self.job, Some(&key)).await.unwrap();
        assert!(again.replayed && again.run.id == self.running, "{}", self.what);
        world.show(self.tenant, &self.running).await.unwrap();
        let (caller, origin) = (admin(self.tenant), origin());
        let (audit, mode) = (audit(&caller, &origin), CancelMode::Graceful);
        let (store, system) = (&*world.table.table, &*world.table.system);
        let cancelled = runs::cancel(store, &world.providers, system, &audit, &self.running, mode).await;
        assert_eq!(cancelled.unwrap().run.status, RunStatus::Cancelling, "{}", self.what);
    }

    /// `begins`: the teams in which the tenant may begin something; `goes_on`: whether what is there may be run.
    async fn assert_all(&self, begins: &BTreeSet<String>, goes_on: bool) {
        let may = begins.contains(self.team);
        self.assert("register", self.register().await, may);
        self.assert("import", self.import().await, may);
        self.assert("discover", self.discover(&[self.team]).await.err(), may);
        let read = self.discover(&[]).await;
        assert_eq!(read.unwrap_or_default(), *begins, "discover all: {}", self.what);
        self.assert("replace", self.replace().await, goes_on);
        self.assert("check", self.check().await, goes_on);
        let before = self.world.ci.started().len();
        self.assert("trigger", scope_of_start(self.world.trigger(&self.job, None).await), goes_on);
        self.assert("rerun", self.rerun().await, goes_on);
        let told = self.deploy().await;
        assert_eq!(told.is_none(), goes_on, "deploy: {}: {told:?}", self.what);
        assert!(told.is_none_or(|told| told.contains(&format!("scope `{}`", self.team))), "{}", self.what);
        let started = self.world.ci.started().len() - before;
        assert_eq!(started, if goes_on { 3 } else { 0 }, "builds: {}", self.what);
        assert_eq!(self.shows_other_builds().await, goes_on, "a build of others: {}", self.what);
        self.assert_goes_on().await;
    }
}

fn scope_of_put(put: Result<Job, PutJobError>) -> Option<ScopeClosed> {
    match put {
        Ok(_) => None,
        Err(PutJobError::Refused(Refusal::Scope(closed))) => Some(closed),
        Err(other) => panic!("{other:?}"),
    }
}

fn scope_of_start(started: Result<Started, StartError>) -> Option<ScopeClosed> {
    match started {
        Ok(_) => None,
        Err(StartError::Scope(closed)) => Some(closed),
        Err(other) => panic!("{other:?}"),
    }
}

/// Each setting, with the teams that `acme` and `beta` may use then, where both are there.
fn settings() -> [(Sharing, &'static [&'static str], &'static [&'static str]); 7] {
    [
        (Sharing::OpenToAll, &TEAMS, &TEAMS),
        (said(json!({ "acme": ["main"] })), &["main"], &[]),
        (said(json!({ "*": ["ops"], "beta": ["main"] })), &["ops"], &TEAMS),
        (said(json!({ "acme": ["*"] })), &TEAMS, &[]),
        (said(json!({})), &[], &[]),
        (Sharing::Unsaid, &[], &[]),
        (Sharing::NotAsked, &[], &[]),
    ]
}

fn teams(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn each_tenant_does_in_each_scope_what_the_provider_says_and_nothing_else() {
    let world = World::of(&["acme", "beta"]).await;
    let mut number = 0;
    for (sharing, acme, beta) in settings() {
        for (tenant, may) in [("acme", acme), ("beta", beta)] {
            for team in TEAMS {
                number += 1;
                let case = Case::new(&world, number, tenant, team, sharing.clone()).await;
                let goes_on = sharing == Sharing::NotAsked || may.contains(&team);
                case.assert_all(&teams(may), goes_on).await;
            }
        }
    }
}

#[tokio::test]
async fn the_only_tenant_does_everything_where_nothing_is_said() {
    let world = World::of(&["acme"]).await;
    let mut number = 0;
    for (sharing, acme, _) in settings() {
        let unsaid = matches!(sharing, Sharing::Unsaid | Sharing::NotAsked);
        let may = if unsaid { &TEAMS } else { acme };
        for team in TEAMS {
            number += 1;
            let case = Case::new(&world, number, "acme", team, sharing.clone()).await;
            case.assert_all(&teams(may), may.contains(&team)).await;
        }
    }
}

#[tokio::test]
async fn a_provider_of_which_nothing_is_said_closes_when_another_tenant_appears() {
    // Created, or only with a project, as the first job of a tenant that nobody created makes it.
    for created in [true, false] {
        let world = World::of(&[]).await;
        world.share("ci", ProviderKind::Concourse, Sharing::Unsaid).await;
        let job = job_in("acme", "build", "ci", "main");
        let job = world.put("acme", job, Precondition::Absent).await.expect("the first one is the only one");
        world.trigger(&job, None).await.unwrap();
        if created {
            world.create_tenant("beta").await;
        } else {
            let elsewhere = job_in("beta", "elsewhere", "not-registered", "main");
            world.put("beta", elsewhere, Precondition::Absent).await.unwrap();
        }
        let closed = scope_of_start(world.trigger(&job, None).await).expect("it is closed");
        assert_eq!(
            closed.to_string(),
            "provider `ci` does not let tenant `acme` use scope `main`: a platform admin can say in its `scopes`, or \
             with `open_to_all`, who may use what"
        );
        let intruder = world.put("beta", job_in("beta", "theirs", "ci", "main"), Precondition::Absent).await;
        assert!(scope_of_put(intruder).is_some());
        world.share("ci", ProviderKind::Concourse, said(json!({ "acme": ["main"] }))).await;
        world.trigger(&job, None).await.unwrap();
    }
}

/// A call whose answer was lost is never made again for a tenant that may not use the scope any more.
#[tokio::test]
async fn a_lost_call_is_not_made_again_in_a_scope_that_was_taken_away() {
    let world = World::of(&["acme", "beta"]).await;
    world.share("ci", ProviderKind::Concourse, said(json!({ "acme": ["main"] }))).await;
    let job = world.put("acme", job_in("acme", "build", "ci", "main"), Precondition::Absent).await.unwrap();
    world.ci.next_start(Start::CallLost);
    let lost = world.trigger(&job, Some("k")).await;
    assert!(matches!(lost, Err(StartError::OutcomeUnknown { .. })), "{lost:?}");
    world.share("ci", ProviderKind::Concourse, said(json!({}))).await;
    world.table.system.sleep(Duration::from_mins(2)).await;
    assert!(scope_of_start(world.trigger(&job, Some("k")).await).is_some());
    assert!(world.ci.started().is_empty());
    world.share("ci", ProviderKind::Concourse, said(json!({ "acme": ["main"] }))).await;
    world.trigger(&job, Some("k")).await.unwrap();
    assert_eq!(world.ci.started().len(), 1);
}

async fn fill_in(world: &World) -> usize {
    fill_in_sharing(&*world.table.table, &*world.table.system).await.unwrap()
}

/// What a provider was stored as, before it was asked who may use what.
async fn before_it_was_asked(world: &World, jobs: &[(&str, &str, &str)]) -> Vec<Job> {
    world.share("ci", ProviderKind::Concourse, Sharing::OpenToAll).await;
    let mut saved = Vec::new();
    for (tenant, id, team) in jobs {
        let job = world.put(tenant, job_in(tenant, id, "ci", team), Precondition::Absent).await;
        saved.push(job.unwrap());
    }
    world.share("ci", ProviderKind::Concourse, Sharing::NotAsked).await;
    saved
}

#[tokio::test]
async fn what_jobs_use_today_is_filled_in_once_and_nothing_more() {
    let world = World::of(&["acme", "beta"]).await;
    let jobs = [("acme", "a", "main"), ("acme", "b", "team-a"), ("beta", "c", "ops")];
    let jobs = before_it_was_asked(&world, &jobs).await;
    world.share("idle", ProviderKind::Concourse, Sharing::NotAsked).await;
    world.share("open", ProviderKind::Concourse, Sharing::OpenToAll).await;
    assert_eq!(fill_in(&world).await, 2);
    assert_eq!(world.sharing("ci").await, said(json!({ "acme": ["main", "team-a"], "beta": ["ops"] })));
    assert_eq!(world.sharing("idle").await, said(json!({})), "nobody used it");
    assert_eq!(world.sharing("open").await, Sharing::OpenToAll, "somebody said so");
    for job in &jobs {
        world.trigger(job, None).await.unwrap();
    }
    let wider = world.put("beta", job_in("beta", "d", "ci", "main"), Precondition::Absent).await;
    assert!(scope_of_put(wider).is_some());
    assert_eq!(fill_in(&world).await, 0);
}

#[tokio::test]
async fn the_only_tenant_goes_on_using_everything_after_it_was_filled_in() {
    let world = World::of(&["acme"]).await;
    before_it_was_asked(&world, &[("acme", "a", "main")]).await;
    assert_eq!(fill_in(&world).await, 1);
    assert_eq!(world.sharing("ci").await, Sharing::Unsaid);
    world.put("acme", job_in("acme", "b", "ci", "ops"), Precondition::Absent).await.unwrap();
}

#[tokio::test]
async fn the_machine_of_the_local_stack_stays_open() {
    let world = World::of(&["acme", "beta"]).await;
    world.share("process", ProviderKind::Process, Sharing::NotAsked).await;
    assert_eq!(fill_in(&world).await, 1);
    assert_eq!(world.sharing("process").await, Sharing::OpenToAll);
    let mut job = job_in("beta", "echo", "process", "main");
    job.spec.target =
        Target::Process(ProcessTarget { command: vec!["true".into()], directory: None, merge_stderr: false });
    world.put("beta", job, Precondition::Absent).await.unwrap();
}
