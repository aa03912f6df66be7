//! Services as JSON.

use std::{collections::BTreeSet, str::FromStr};

use gatehouse_domain::{
    catalog::{
        Category, DeletedService, DeployTarget, Described, EnvironmentSpec, EnvironmentState, KeptSecrets,
        Lifecycle, Link, SecretInputs, Service, ServiceDraft, ServiceSpec,
    },
    entities::{EntityRef, Namespace},
    json,
    name::{EnvironmentName, InvalidName, JobId, ModuleName, ProjectName, ServiceName, TenantId, slug_of},
    validation::FieldError,
};
use gatehouse_http::{
    views::{InfrastructureView, LinkView},
    written::{OldWords, Words},
};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use utoipa::ToSchema;

/// A service, as it is created and replaced.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServiceBody {
    /// The tenant that owns it; the caller's only one without it. It cannot be changed.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "acme")]
    tenant: Option<TenantId>,
    /// Unique in the tenant. It cannot be changed.
    #[serde(deserialize_with = "or_suggest")]
    #[schema(value_type = String, example = "shop")]
    name: ServiceName,
    /// The project that it belongs to; the tenant's default one without it, and that of the service that is replaced.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "payments")]
    project: Option<ProjectName>,
    /// Who answers for it.
    #[schema(example = "team-payments")]
    owner: String,
    /// What it does, for people.
    #[serde(default)]
    description: Option<String>,
    /// Where its source is.
    #[serde(default)]
    repository: Option<String>,
    /// How far it is in its life: `experimental` (without it), `production` or `deprecated`.
    #[serde(default = "experimental")]
    #[schema(value_type = String, example = "experimental")]
    lifecycle: Lifecycle,
    /// Where to read on.
    #[serde(default)]
    #[schema(value_type = Vec<LinkView>, max_items = 20)]
    links: Vec<Link>,
    /// Where it runs.
    #[serde(default)]
    #[schema(max_items = 20)]
    environments: Vec<EnvironmentBody>,
    /// The CI job that builds it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    build_job: Option<JobId>,
    /// What deploys it.
    #[serde(default)]
    #[schema(value_type = Option<DeployView>)]
    deploy: Option<DeployTarget>,
}

/// A reference that may leave out that it names a group.
fn group<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<EntityRef>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    let parse = |text: String| EntityRef::parse(&text, Some("group"), &Namespace::default());
    text.map(parse).transpose().map_err(D::Error::custom)
}

fn experimental() -> Lifecycle {
    Lifecycle::Experimental
}

/// What deploys: one of the two.
#[derive(Debug, ToSchema)]
#[schema(as = DeployTarget)]
#[expect(dead_code, reason = "only describes the domain's deploy target")]
pub(crate) struct DeployView {
    /// A job of the same tenant; of `version`, `environment` and `service`, it is given the parameters that
    /// it declares.
    job: Option<String>,
    /// A URL that the deploy is posted to.
    webhook: Option<String>,
}

/// An environment of a service.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvironmentBody {
    /// Unique in the service.
    #[serde(deserialize_with = "or_suggest")]
    #[schema(value_type = String, example = "dev")]
    name: EnvironmentName,
    /// What it is for: `dev`, `test`, `staging` or `prod`.
    #[serde(default)]
    #[schema(value_type = String, required = true, example = "dev")]
    category: Option<Category>,
    /// Whether somebody else has to agree before something is changed in it.
    #[serde(default)]
    approval_required: bool,
    /// The group that whoever agrees has to be in: `payments-leads`.
    #[serde(default, deserialize_with = "group", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "payments-leads")]
    approval_group: Option<EntityRef>,
    /// The module that provisions it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "example")]
    module: Option<ModuleName>,
    /// The module's inputs. Those that the module calls sensitive are kept sealed, and not shown: an answer has their names
    /// in `secret_inputs`. Others are shown to whoever sees the service.
    #[serde(default)]
    #[schema(value_type = Object)]
    inputs: json::Object,
    /// Which inputs are kept as secrets. What replaces a service names those that stay as they are; without their names they
    /// are forgotten.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    secret_inputs: BTreeSet<String>,
    /// How long after it was provisioned it is deprovisioned by itself, in hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ttl_hours: Option<u32>,
    /// How many hours are between two looks for drift that nobody asks for, 1 to 744; there are none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    drift_hours: Option<u32>,
    /// What deploys to it, where that is not what deploys the service elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DeployView>)]
    deploy: Option<DeployTarget>,
}

/// Reads a name; the error for one that people write names one that would do.
fn or_suggest<'de, D: Deserializer<'de>, N>(deserializer: D) -> Result<N, D::Error>
where
    N: FromStr<Err = InvalidName>,
{
    let written = String::deserialize(deserializer)?;
    written.parse().map_err(|error: InvalidName| {
        let other = slug_of(&written).filter(|other| other.parse::<N>().is_ok());
        D::Error::custom(match other {
            Some(other) => format!("{error}: `{other}` would do"),
            None => error.to_string(),
        })
    })
}

impl OldWords for ServiceBody {
    const WORDS: &'static [Words] = &[
        Words { renamed: &[("repo_url", "repository")], ..Words::of("ServiceBody") },
        Words { renamed: &[("parameters", "inputs")], text: Some("name"), ..Words::of("EnvironmentBody") },
    ];
}

impl ServiceBody {
    /// As the rules take it.
    ///
    /// # Errors
    ///
    /// Of which environments nobody has said what they are for.
    pub(crate) fn into_draft(self) -> Result<ServiceDraft, Vec<FieldError>> {
        let (mut environments, mut errors) = (Vec::new(), Vec::new());
        let mut kept_secrets = KeptSecrets::new();
        for (place, mut environment) in self.environments.into_iter().enumerate() {
            let kept = std::mem::take(&mut environment.secret_inputs);
            kept_secrets.entry(environment.name.clone()).or_default().extend(kept);
            match environment.into_spec(place) {
                Ok(spec) => environments.push(spec),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let spec = ServiceSpec {
            project: self.project,
            owner: self.owner,
            description: self.description,
            repository: self.repository,
            lifecycle: self.lifecycle,
            links: self.links,
            environments,
            build_job: self.build_job,
            deploy: self.deploy,
        };
        Ok(ServiceDraft { tenant: self.tenant, name: self.name, spec, kept_secrets })
    }
}

impl EnvironmentBody {
    /// An environment of which only the name was written is for what its name says.
    fn into_spec(self, place: usize) -> Result<EnvironmentSpec, FieldError> {
        let Self {
            name,
            category,
            approval_required,
            approval_group,
            module,
            inputs,
            secret_inputs: _,
            ttl_hours,
            drift_hours,
            deploy,
        } = self;
        let category = category.or_else(|| Category::of_name(name.as_str())).ok_or_else(|| {
            let detail = format!("say what `{name}` is for: dev, test, staging or prod");
            FieldError::new(format!("/environments/{place}/category"), detail)
        })?;
        Ok(EnvironmentSpec {
            name,
            category,
            approval_required,
            approval_group,
            module,
            inputs,
            secret_inputs: SecretInputs::default(),
            ttl_hours,
            drift_hours,
            deploy,
        })
    }

    fn of(spec: EnvironmentSpec) -> Self {
        let EnvironmentSpec {
            name,
            category,
            approval_required,
            approval_group,
            module,
            inputs,
            secret_inputs,
            ttl_hours,
            drift_hours,
            deploy,
        } = spec;
        let secret_inputs = secret_inputs.names().map(str::to_owned).collect();
        Self {
            name,
            category: Some(category),
            approval_required,
            approval_group,
            module,
            inputs,
            secret_inputs,
            ttl_hours,
            drift_hours,
            deploy,
        }
    }
}

/// A service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceView {
    /// Unique in the installation.
    #[schema(example = "svc_0k6p2q9v8m4t1c7d3f5g0h2j4k")]
    id: String,
    tenant: String,
    name: String,
    project: String,
    owner: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[schema(value_type = String)]
    lifecycle: Lifecycle,
    #[schema(value_type = Vec<LinkView>)]
    links: Vec<Link>,
    /// The tags that the component's file has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    /// The component whose catalog file says owner, lifecycle, links and tags, which edits of the service leave as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "component:default/shop")]
    described_by: Option<String>,
    environments: Vec<EnvironmentBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_job: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DeployView>)]
    deploy: Option<DeployTarget>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    updated_by: String,
}

impl From<Service> for ServiceView {
    fn from(service: Service) -> Self {
        let spec = service.spec;
        let (described_by, tags) =
            service.described.map(|Described { by, tags }| (by.to_string(), tags)).unzip();
        Self {
            id: service.id.to_string(),
            tenant: service.tenant.to_string(),
            name: service.name.to_string(),
            project: spec.project.to_string(),
            owner: spec.owner,
            description: spec.description,
            repository: spec.repository,
            lifecycle: spec.lifecycle,
            links: spec.links,
            tags: tags.unwrap_or_default(),
            described_by,
            environments: spec.environments.into_iter().map(EnvironmentBody::of).collect(),
            build_job: spec.build_job.map(|job| job.to_string()),
            deploy: spec.deploy,
            created_at: service.created_at,
            created_by: service.created_by,
            updated_at: service.updated_at,
            updated_by: service.updated_by,
        }
    }
}

/// One service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServiceAnswer {
    service: ServiceView,
}

impl From<Service> for ServiceAnswer {
    fn from(service: Service) -> Self {
        Self { service: service.into() }
    }
}

/// A service that was created or replaced.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RegisteredAnswer {
    service: ServiceView,
    /// What will be in the way of its provisioning, unless each request gives it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<WarningView>,
}

/// Something that is as it was asked for, and will not do by itself.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WarningView {
    /// Where in the request's body (RFC 6901).
    #[schema(example = "/environments/0/inputs")]
    pointer: String,
    detail: String,
}

impl RegisteredAnswer {
    pub(crate) fn of(service: Service, warnings: Vec<FieldError>) -> Self {
        let warnings = warnings.into_iter();
        let warnings = warnings.map(|FieldError { pointer, detail }| WarningView { pointer, detail });
        Self { service: service.into(), warnings: warnings.collect() }
    }
}

/// A page of services.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ServicesAnswer {
    pub(crate) services: Vec<ServiceView>,
    /// Where the next page starts; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_cursor: Option<String>,
}

/// A service was deleted.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeletedAnswer {
    /// The service's id.
    deleted: String,
    /// The environments in which something remains that Gatehouse does not know of any more.
    remains: Vec<RemainsView>,
}

/// What remains of a deleted service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RemainsView {
    /// In which environment.
    environment: String,
    #[serde(flatten)]
    infrastructure: InfrastructureView,
}

impl From<DeletedService> for DeletedAnswer {
    fn from(deleted: DeletedService) -> Self {
        let view = |state: EnvironmentState| RemainsView {
            environment: state.name.to_string(),
            infrastructure: state.infrastructure.into(),
        };
        Self {
            deleted: deleted.service.id.to_string(),
            remains: deleted.remains.into_iter().map(view).collect(),
        }
    }
}
