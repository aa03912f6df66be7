//! The rules of services.

mod drift_schedules;
mod protection;

use std::collections::BTreeSet;

use async_trait::async_trait;
use futures_util::FutureExt;
use serde_json::Map;

use super::*;
use crate::{
    audit::{Action, AuditContext, Entry, Origin},
    caller::Caller,
    ci::{ConcourseTarget, Target},
    idempotency::Fingerprint,
    jobs::{Existing, FindForEdit, Job, JobSpec},
    json::Object,
    name::{JobId, ProjectName, TenantId},
    operations::tests::{
        memory::Memory,
        support::{Site, after, environment, person},
    },
    project::Project,
    revision::{EditOutcome, Precondition, PreconditionError, Revision},
    store::StoreError,
    validation::FieldError,
};

#[async_trait]
impl SaveService for Memory {
    async fn create_service(&self, service: &Service, entry: &Entry) -> Result<CreateService, StoreError> {
        let mut items = self.items();
        if let Some(existing) = items.services.get(&service.id) {
            return Ok(CreateService::Exists(Box::new(existing.clone())));
        }
        let same = |other: &&Service| other.tenant == service.tenant && other.name == service.name;
        if let Some(other) = items.services.values().find(same) {
            return Ok(CreateService::NameTaken(other.id.clone()));
        }
        let set = service.drift_schedules(service.created_at);
        items.reschedule(&service.id, &DriftScheduleEdits { set, ended: Vec::new() });
        items.services.insert(service.id.clone(), service.clone());
        items.trail.push(entry.clone());
        Ok(CreateService::Created)
    }

    async fn replace_service(
        &self,
        service: &Service,
        previous: &Revision,
        edits: &EnvironmentEdits,
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        let mut items = self.items();
        let goes =
            |state: &EnvironmentState| state.service == service.id && edits.removed.contains(&state.name);
        let used = items.environments.values().any(|state| goes(state) && !state.is_idle());
        if used || items.services.get(&service.id).is_none_or(|stored| stored.revision != *previous) {
            return Ok(EditOutcome::Conflict);
        }
        items.environments.retain(|_, state| !goes(state));
        for state in items.environments.values_mut() {
            let Some(operation) = edits.endless.get(&state.name) else { continue };
            let (Infrastructure::Present(provisioned) | Infrastructure::Partial(provisioned)) =
                &mut state.infrastructure
            else {
                continue;
            };
            assert_eq!(provisioned.operation, *operation);
            provisioned.expires_at = None;
        }
        items.reschedule(&service.id, &edits.schedules);
        items.services.insert(service.id.clone(), service.clone());
        items.trail.push(entry.clone());
        Ok(EditOutcome::Done)
    }

    async fn delete_service(
        &self,
        service: &Service,
        states: &[EnvironmentState],
        entry: &Entry,
    ) -> Result<EditOutcome, StoreError> {
        let mut items = self.items();
        let left: Vec<_> = items.environments.values().filter(|state| state.service == service.id).collect();
        let changed = left.len() != states.len() || left.iter().any(|state| !states.contains(state));
        let stored = items.services.get(&service.id);
        if changed || stored.is_none_or(|stored| stored.revision != service.revision) {
            return Ok(EditOutcome::Conflict);
        }
        items.environments.retain(|_, state| state.service != service.id);
        items.drift_schedules.retain(|_, schedule| schedule.service != service.id);
        items.services.remove(&service.id);
        items.trail.push(entry.clone());
        Ok(EditOutcome::Done)
    }
}

/// `payments` is the default of `acme`, and others have none.
#[async_trait]
impl FindDefaultProject for Memory {
    async fn default_project(&self, tenant: &TenantId) -> Result<Option<ProjectName>, StoreError> {
        Ok((tenant.as_str() == "acme").then(|| "payments".parse().unwrap()))
    }
}

/// The projects and jobs of two tenants, by their names.
#[async_trait]
impl FindForEdit for Memory {
    async fn find_for_edit(
        &self,
        jobs: &BTreeSet<JobId>,
        projects: &BTreeSet<ProjectName>,
    ) -> Result<Existing, StoreError> {
        let tenant = |name: &str| if name.contains("beta") { "beta" } else { "acme" }.parse().unwrap();
        let revision = Revision::unverified("r".into());
        let project = |name: &ProjectName| {
            Project::new(name.clone(), tenant(name.as_str()), revision.clone(), after(0))
        };
        let target =
            ConcourseTarget { team: "main".into(), pipeline: "p".into(), job: "j".into(), vars: Map::new() };
        let job = |id: &JobId| Job {
            id: id.clone(),
            tenant: tenant(id.as_str()),
            spec: JobSpec {
                project: "payments".parse().unwrap(),
                display_name: "Deploy".into(),
                description: None,
                environment: None,
                provider: "ci".parse().unwrap(),
                target: Target::Concourse(target.clone()),
                parameters: Vec::new(),
                undeclared: None,
            },
            revision: revision.clone(),
            created_at: after(0),
            updated_at: after(0),
            updated_by: "user:ada".into(),
        };
        let jobs = jobs.iter().filter(|id| !id.as_str().contains("missing"));
        let projects = projects.iter().filter(|name| !name.as_str().contains("missing"));
        Ok(Existing {
            jobs: jobs.map(|id| (id.clone(), job(id))).collect(),
            projects: projects.map(|name| (name.clone(), project(name))).collect(),
        })
    }
}

fn modules() -> Modules {
    Modules::Known(["example", "static"].iter().map(|name| name.parse().unwrap()).collect())
}

/// What the service of every test is.
fn spec() -> ServiceSpec {
    crate::operations::tests::support::service("svc_1").spec
}

fn draft(spec: ServiceSpec) -> ServiceDraft {
    let project = Some(spec.project.clone());
    ServiceDraft { tenant: None, name: "shop".parse().unwrap(), spec: spec.in_project(project) }
}

fn developer() -> Caller {
    person("ada", "acme=developer")
}

impl Site {
    fn creates(
        &self,
        who: &Caller,
        draft: ServiceDraft,
        key: Option<&str>,
    ) -> Result<CreatedService, EditServiceError> {
        let modules = modules();
        let audit = AuditContext { caller: who, origin: &self.origin };
        let key = key.map(|key| key.parse().unwrap());
        let fingerprint = Fingerprint::of(&[&draft.spec.owner]);
        let created = create(&self.memory, &modules, &self.hand, &audit, draft, key.as_ref(), fingerprint);
        created.now_or_never().unwrap()
    }

    fn replaces(&self, who: &Caller, draft: ServiceDraft, seen: &str) -> Result<Service, EditServiceError> {
        let modules = modules();
        let audit = AuditContext { caller: who, origin: &self.origin };
        let seen = Precondition::Revision(Revision::unverified(seen.into()));
        let replaced = replace(&self.memory, &modules, &self.hand, &audit, &self.service, draft, &seen);
        replaced.now_or_never().unwrap()
    }

    fn deletes(&self, who: &Caller, force: Force) -> Result<DeletedService, EditServiceError> {
        let audit = AuditContext { caller: who, origin: &self.origin };
        let seen = Precondition::Revision(Revision::unverified("r1".into()));
        delete(&self.memory, &self.hand, &audit, &self.service, &seen, force).now_or_never().unwrap()
    }

    /// A site without services.
    fn empty() -> Self {
        let site = Self::default();
        site.memory.items().services.clear();
        site
    }

    /// Something was provisioned in `dev`, by nobody in particular.
    fn with_provisioned() -> Self {
        let site = Self::default();
        let id = site.provisioning("dev");
        let mut items = site.memory.items();
        let given = items.operations[&id].work.configuration().unwrap().clone();
        let state = items.environments.values_mut().next().unwrap();
        state.running = None;
        state.infrastructure = Infrastructure::Present(Provisioned {
            operation: id,
            at: after(0),
            module: given.module,
            artifact: given.artifact,
            inputs: given.inputs,
            outputs: std::collections::BTreeMap::new(),
            expires_at: None,
        });
        items.trail.clear();
        drop(items);
        site
    }

    fn pointers(&self, spec: ServiceSpec) -> Vec<String> {
        match self.creates(&developer(), draft(spec), None) {
            Err(EditServiceError::Invalid(errors)) => errors.into_iter().map(|error| error.pointer).collect(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_service_is_created_once_under_a_key_and_a_name() {
    let site = Site::empty();
    let created = site.creates(&developer(), draft(spec()), Some("k")).unwrap();
    assert!(!created.replayed && created.service.tenant.as_str() == "acme");
    let again = site.creates(&developer(), draft(spec()), Some("k")).unwrap();
    assert!(again.replayed && again.service.id == created.service.id);
    let other = ServiceSpec { owner: "team-b".into(), ..spec() };
    let reused = site.creates(&developer(), draft(other), Some("k"));
    assert!(matches!(reused, Err(EditServiceError::KeyReused)));
    let taken = site.creates(&developer(), draft(spec()), None);
    assert!(matches!(taken, Err(EditServiceError::NameTaken(by)) if by == created.service.id));
    let items = site.memory.items();
    let actions: Vec<_> = items.trail.iter().map(|entry| entry.action).collect();
    assert_eq!((items.services.len(), actions), (1, vec![Action::CreateService]));
}

#[test]
fn a_repetition_is_not_answered_with_a_service_of_another_tenant() {
    let site = Site::empty();
    let created = site.creates(&developer(), draft(spec()), Some("k")).unwrap().service;
    let tenant = "beta".parse().unwrap();
    site.memory.items().services.insert(created.id.clone(), Service { tenant, ..created });
    let repeated = site.creates(&developer(), draft(spec()), Some("k"));
    assert!(matches!(repeated, Err(EditServiceError::KeyReused)), "{repeated:?}");
}

#[test]
fn whose_a_service_is_to_be_has_to_be_clear() {
    let site = Site::empty();
    let both = person("ada", "acme=developer,beta=developer");
    let unclear = site.creates(&both, draft(spec()), None);
    assert!(matches!(unclear, Err(EditServiceError::Invalid(errors)) if errors[0].pointer == "/tenant"));
    let of = |tenant: &str| ServiceDraft { tenant: Some(tenant.parse().unwrap()), ..draft(spec()) };
    let viewer = site.creates(&person("vic", "acme=viewer"), of("acme"), None);
    assert!(matches!(viewer, Err(EditServiceError::Forbidden(_))));
    let detail = |tenant| match site.creates(&developer(), of(tenant), None) {
        Err(EditServiceError::Invalid(errors)) => errors,
        other => panic!("{other:?}"),
    };
    let nothing = vec![FieldError::new("/tenant", "you are in no such tenant")];
    assert_eq!((detail("beta"), detail("nobody")), (nothing.clone(), nothing));
    assert!(site.creates(&both, of("acme"), None).is_ok());
}

#[test]
fn every_field_is_checked() {
    let site = Site::empty();
    let link = |name: &str, url: &str| Link { name: name.into(), url: url.into() };
    let good = "https://example.com/a";
    let with = |change: &dyn Fn(&mut ServiceSpec)| {
        let mut spec = spec();
        change(&mut spec);
        site.pointers(spec)
    };
    for owner in ["", "  ", "a\nb", &"x".repeat(201)] {
        assert_eq!(with(&|spec| spec.owner = owner.into()), ["/owner"], "{owner:?}");
    }
    assert_eq!(with(&|spec| spec.description = Some("x".repeat(4001))), ["/description"]);
    for url in ["ftp://a", "https://", "https://a b", "javascript:alert(1)", "https://u:p@a", "https://ä.de"]
    {
        assert_eq!(with(&|spec| spec.repository = Some(url.into())), ["/repository"], "{url:?}");
        assert_eq!(with(&|spec| spec.links = vec![link("a", good), link("b", url)]), ["/links/1/url"]);
        let target = Some(DeployTarget::Webhook(url.into()));
        assert_eq!(with(&|spec| spec.deploy.clone_from(&target)), ["/deploy/webhook"]);
        let pointers = with(&|spec| spec.environments[1].deploy.clone_from(&target));
        assert_eq!(pointers, ["/environments/1/deploy/webhook"]);
    }
    assert_eq!(with(&|spec| spec.links = vec![link("", good)]), ["/links/0/name"]);
    assert_eq!(with(&|spec| spec.links = vec![link("a", good); 21]), ["/links"]);
    let names = |count: usize| (0..count).map(|number| environment(&format!("e{number}"))).collect();
    assert_eq!(with(&|spec| spec.environments = names(21)), ["/environments"]);
    assert_eq!(with(&|spec| spec.environments[1].name = "dev".parse().unwrap()), ["/environments/1/name"]);
    let unknown = with(&|spec| spec.environments[2].module = Some("other".parse().unwrap()));
    assert_eq!(unknown, ["/environments/2/module"]);
    let big = Object::from([("a".to_owned(), "x".repeat(16 * 1024).as_str().into())]);
    assert_eq!(with(&|spec| spec.environments[0].inputs.clone_from(&big)), ["/environments/0/inputs"]);
    assert_eq!(with(&|spec| spec.environments[0].module = None), ["/environments/0/inputs"]);
    for hours in [0, 8785] {
        let pointers = with(&|spec| spec.environments[0].ttl_hours = Some(hours));
        assert_eq!(pointers, ["/environments/0/ttl_hours"]);
    }
    let lasting = with(&|spec| {
        spec.environments[2].module = None;
        spec.environments[2].inputs.clear();
    });
    assert_eq!(lasting, ["/environments/2/ttl_hours"]);
    for hours in [0, 745] {
        let pointers = with(&|spec| spec.environments[0].drift_hours = Some(hours));
        assert_eq!(pointers, ["/environments/0/drift_hours"]);
    }
    let incomparable = with(&|spec| {
        let bare = &mut spec.environments[0];
        bare.module = None;
        bare.inputs.clear();
        bare.drift_hours = Some(24);
    });
    assert_eq!(incomparable, ["/environments/0/drift_hours"]);
    assert!(site.memory.items().services.is_empty());
}

#[test]
fn without_a_project_a_service_gets_the_tenants_default_one_and_keeps_what_it_has() {
    let site = Site::empty();
    let unsaid = |name: &str| ServiceDraft {
        tenant: None,
        name: name.parse().unwrap(),
        spec: spec().in_project(None),
    };
    let created = site.creates(&developer(), unsaid("shop"), None).unwrap();
    assert_eq!(created.service.spec.project.as_str(), "payments");
    let Err(EditServiceError::Invalid(errors)) =
        site.creates(&person("bea", "beta=developer"), unsaid("shop"), None)
    else {
        panic!("a service of no project")
    };
    assert_eq!(errors[0].pointer, "/project");
    assert!(errors[0].detail.contains("tenant `beta` has no `default_project`"), "{errors:?}");

    let elsewhere = ServiceSpec { project: "stock".parse().unwrap(), ..spec() };
    let kept =
        site.creates(&developer(), ServiceDraft { name: "store".parse().unwrap(), ..draft(elsewhere) }, None);
    let kept = kept.unwrap().service;
    let audit = AuditContext { caller: &developer(), origin: &Origin::default() };
    let seen = Precondition::Revision(kept.revision.clone());
    let replaced =
        replace(&site.memory, &Modules::Unknown, &site.hand, &audit, &kept.id, unsaid("store"), &seen);
    assert_eq!(replaced.now_or_never().unwrap().unwrap().spec.project.as_str(), "stock");
}

#[test]
fn another_tenants_projects_and_jobs_are_none() {
    let site = Site::empty();
    for name in ["beta-project", "missing"] {
        let spec = ServiceSpec { project: name.parse().unwrap(), ..spec() };
        assert_eq!(site.pointers(spec), ["/project"], "{name}");
    }
    for id in ["job_beta", "job_missing"] {
        let id: JobId = id.parse().unwrap();
        let target = Some(DeployTarget::Job(id.clone()));
        let mut spec = ServiceSpec { build_job: Some(id.clone()), deploy: target.clone(), ..spec() };
        spec.environments[1].deploy = target;
        let expected = ["/build_job", "/deploy/job", "/environments/1/deploy/job"];
        assert_eq!(site.pointers(spec), expected, "{id}");
    }
    let own = ServiceSpec { build_job: Some("job_own".parse().unwrap()), ..spec() };
    assert!(site.creates(&developer(), draft(own), None).is_ok());
}

#[test]
fn a_service_is_replaced_by_those_who_know_it() {
    let site = Site::default();
    let changed = ServiceSpec { owner: "team-b".into(), ..spec() };
    let stale = site.replaces(&developer(), draft(changed.clone()), "r0");
    assert!(matches!(stale, Err(EditServiceError::Precondition(PreconditionError::Failed))));
    let viewer = site.replaces(&person("vic", "acme=viewer"), draft(changed.clone()), "r1");
    assert!(matches!(viewer, Err(EditServiceError::Forbidden(_))));
    let foreign = site.replaces(&person("eve", "beta=admin"), draft(changed.clone()), "r1");
    assert!(matches!(foreign, Err(EditServiceError::NotFound)));
    let moved = ServiceDraft {
        tenant: Some("beta".parse().unwrap()),
        name: "store".parse().unwrap(),
        spec: draft(changed.clone()).spec,
    };
    let Err(EditServiceError::Invalid(errors)) = site.replaces(&developer(), moved, "r1") else {
        panic!("a service was moved")
    };
    let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/tenant", "/name"]);
    assert!(site.memory.items().trail.is_empty());
    let service = site.replaces(&developer(), draft(changed), "r1").unwrap();
    assert_eq!(service.spec.owner, "team-b");
    assert_ne!(service.revision.as_str(), "r1");
}

#[test]
fn an_environment_in_use_cannot_be_taken_away() {
    let without_dev = ServiceSpec { environments: spec().environments.split_off(1), ..spec() };
    let site = Site::default();
    site.provisioning("dev");
    let busy = site.replaces(&developer(), draft(without_dev.clone()), "r1");
    assert!(matches!(busy, Err(EditServiceError::Busy(names)) if names[0].as_str() == "dev"));
    let site = Site::with_provisioned();
    let provisioned = site.replaces(&developer(), draft(without_dev.clone()), "r1");
    assert!(matches!(provisioned, Err(EditServiceError::StillProvisioned(_))));
    site.memory.items().environments.values_mut().for_each(|state| {
        state.infrastructure = Infrastructure::Absent;
    });
    site.replaces(&developer(), draft(without_dev), "r1").unwrap();
    assert!(site.memory.items().environments.is_empty(), "its state is forgotten");
}

#[test]
fn a_module_that_is_gone_blocks_no_edit() {
    let site = Site::default();
    let gone = |spec: &mut ServiceSpec, environment: usize| {
        spec.environments[environment].module = Some("gone".parse().unwrap());
    };
    let service = site.service.clone();
    gone(&mut site.memory.items().services.get_mut(&service).unwrap().spec, 0);
    let mut changed = ServiceSpec { owner: "team-b".into(), ..spec() };
    gone(&mut changed, 0);
    let replaced = site.replaces(&developer(), draft(changed.clone()), "r1").unwrap();
    assert_eq!(replaced.spec.owner, "team-b");
    // It is asked for where it is new.
    gone(&mut changed, 2);
    let Err(EditServiceError::Invalid(errors)) =
        site.replaces(&developer(), draft(changed), replaced.revision.as_str())
    else {
        panic!("a module that is not there was taken")
    };
    assert_eq!(errors[0].pointer, "/environments/2/module");
}

#[test]
fn an_environment_whose_time_to_live_is_taken_away_does_not_end() {
    let expires_at = Some(after(3600));
    for (ttl_hours, expected) in [(Some(3), expires_at), (None, None)] {
        let site = Site::with_provisioned();
        let end = |state: &mut EnvironmentState| {
            if let Infrastructure::Present(provisioned) = &mut state.infrastructure {
                provisioned.expires_at = expires_at;
            }
        };
        site.memory.items().environments.values_mut().for_each(end);
        let mut spec = spec();
        spec.environments[0].ttl_hours = ttl_hours;
        site.replaces(&developer(), draft(spec), "r1").unwrap();
        let state = site.memory.environment(&site.service, "dev");
        assert_eq!(state.infrastructure.provisioned().unwrap().expires_at, expected);
    }
}

#[test]
fn a_service_of_which_something_is_left_is_deleted_by_force_only() {
    let site = Site::with_provisioned();
    let left = site.deletes(&person("ada", "acme=admin"), Force::No);
    assert!(matches!(left, Err(EditServiceError::StillProvisioned(_))));
    let developer_forces = site.deletes(&developer(), Force::Yes);
    assert!(matches!(developer_forces, Err(EditServiceError::ForceForbidden(_))));
    let deleted = site.deletes(&person("ada", "acme=admin"), Force::Yes).unwrap();
    assert_eq!(deleted.remains.len(), 1);
    let items = site.memory.items();
    assert_eq!(items.trail[0].detail.as_deref(), Some("by force; what remains is in: dev"));
    assert!(items.services.is_empty() && items.environments.is_empty());
}

#[test]
fn a_service_with_an_operation_that_goes_on_is_not_even_deleted_by_force() {
    let site = Site::default();
    site.provisioning("dev");
    for force in [Force::No, Force::Yes] {
        let busy = site.deletes(&person("ada", "acme=admin"), force);
        assert!(matches!(busy, Err(EditServiceError::Busy(_))));
    }
    let foreign = site.deletes(&person("eve", "beta=admin"), Force::No);
    assert!(matches!(foreign, Err(EditServiceError::NotFound)));
}
