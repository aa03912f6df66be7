//! Jobs and providers as JSON.

use std::fmt;

use gatehouse_domain::{
    caller::Caller,
    ci::{Account, Capabilities, ProviderKind, Scopes, Sharing, Target},
    jobs::{Job, JobDraft, JobSpec},
    name::{EnvironmentName, JobId, ProjectName, ProviderName},
    parameter::{ParameterSpec, Undeclared},
    providers::{Provider, ProviderDraft},
    validation::FieldError,
};
use gatehouse_http::extract;
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A job as callers write it.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct JobBody {
    /// The project it belongs to. One that does not exist yet is created.
    #[schema(value_type = String, example = "example")]
    project: ProjectName,
    /// A name for people; the id without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Hello")]
    display_name: Option<String>,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The environment that it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "prod")]
    environment: Option<EnvironmentName>,
    /// Where it runs.
    #[serde(deserialize_with = "extract::object")]
    provider: ProviderReference,
    /// The parameters that it takes.
    #[serde(default, deserialize_with = "extract::or_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>, max_items = 50)]
    parameters: Vec<ParameterSpec>,
    /// What becomes of parameters that it does not declare: `keep` keeps them with the run and names them as
    /// `undelivered`, `refuse` refuses the run. Without it, a job that declares none keeps them, and one that declares
    /// some refuses them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "refuse")]
    undeclared: Option<Undeclared>,
}

/// Where a job runs.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderReference {
    /// The kind of CI system.
    #[schema(value_type = String, example = "concourse")]
    kind: ProviderKind,
    /// The name under which it is registered; the kind's own name without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    name: Option<ProviderName>,
    /// What the job points at there. For Concourse: `team`, `pipeline`, `job`, and `vars` of an instanced
    /// pipeline. For a process: `command`, `directory`, `merge_stderr`.
    #[serde(rename = "ref")]
    #[schema(value_type = Object, example = json!({ "team": "main", "pipeline": "app", "job": "build" }))]
    target: Map<String, Value>,
}

impl JobBody {
    /// The job that this body describes under `id`.
    pub(crate) fn into_draft(self, id: JobId) -> Result<JobDraft, FieldError> {
        let ProviderReference { kind, name, target } = self.provider;
        let target = reference(kind, target)?;
        let spec = JobSpec {
            project: self.project,
            display_name: self.display_name.unwrap_or_else(|| id.to_string()),
            description: self.description,
            environment: self.environment,
            provider: name.unwrap_or_else(|| default_provider(kind)),
            target,
            parameters: self.parameters,
            undeclared: self.undeclared,
        };
        Ok(JobDraft { id, spec })
    }

    /// The body that describes `spec`.
    pub(crate) fn of(spec: JobSpec) -> Self {
        let kind = spec.target.kind();
        let target = spec.target.reference();
        let name = (spec.provider != default_provider(kind)).then_some(spec.provider);
        Self {
            project: spec.project,
            display_name: Some(spec.display_name),
            description: spec.description,
            environment: spec.environment,
            provider: ProviderReference { kind, name, target },
            parameters: spec.parameters,
            undeclared: spec.undeclared,
        }
    }
}

/// The name of a provider that is called as its kind is.
pub(crate) fn default_provider(kind: ProviderKind) -> ProviderName {
    kind.as_str().parse().expect("the name of a kind is a name")
}

fn reference(kind: ProviderKind, target: Map<String, Value>) -> Result<Target, FieldError> {
    let mut track = serde_path_to_error::Track::new();
    let reference = serde_path_to_error::Deserializer::new(Value::Object(target), &mut track);
    kind.read_reference(reference).map_err(|error| {
        let pointer = format!("/provider/ref{}", extract::pointer(&track.path()));
        FieldError::new(pointer, error.to_string())
    })
}

/// An entry of a jobs file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobEntry {
    /// The job's id.
    #[schema(value_type = String, example = "job_hello")]
    pub job_id: JobId,
    /// The rest.
    #[serde(flatten)]
    pub body: JobBody,
}

/// A job as callers see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobView {
    #[serde(flatten)]
    entry: JobEntry,
    /// The tenant that owns its project.
    tenant: String,
    /// When it was first saved.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was last edited.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// By whom.
    updated_by: String,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            entry: JobEntry { job_id: job.id, body: JobBody::of(job.spec) },
            tenant: job.tenant.to_string(),
            created_at: job.created_at,
            updated_at: job.updated_at,
            updated_by: job.updated_by,
        }
    }
}

/// One job.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobAnswer {
    pub job: JobView,
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobsAnswer {
    pub jobs: Vec<JobView>,
    /// Where the next page starts; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// A provider as callers write it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderBody {
    /// The kind of CI system.
    #[schema(value_type = String, example = "concourse")]
    kind: ProviderKind,
    /// Where it is.
    #[schema(example = "https://ci.example.com")]
    url: Option<String>,
    /// Who Gatehouse is there.
    auth: Option<AuthBody>,
    /// A certificate authority in PEM to trust beside the public ones.
    ca_certificate: Option<String>,
    /// Which tenants may use which of its scopes, which are teams at Concourse. `*` in place of a tenant is every
    /// tenant, in place of a scope every scope. Where neither this nor `open_to_all` is said, what was said before
    /// stays.
    #[schema(value_type = Option<Object>, example = json!({ "acme": ["main", "team-a"], "*": ["public"] }))]
    scopes: Option<Scopes>,
    /// Whether every tenant may use everything, for small installations. `false` without `scopes` takes back what was
    /// said: a tenant may use everything then while it is the only one.
    open_to_all: Option<bool>,
}

/// Who Gatehouse is at a CI system. The secret may be left out when the account stays the same.
#[derive(Deserialize, ToSchema)]
#[serde(tag = "grant", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum AuthBody {
    /// A local user.
    Password {
        /// The user.
        username: String,
        /// Its password; kept in the secret store and never shown.
        #[schema(value_type = Option<String>, write_only)]
        password: Option<SecretString>,
    },
    /// An OAuth client of its own.
    ClientCredentials {
        /// The client.
        client_id: String,
        /// Its secret; kept in the secret store and never shown.
        #[schema(value_type = Option<String>, write_only)]
        client_secret: Option<SecretString>,
    },
}

impl fmt::Debug for AuthBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthBody(..)")
    }
}

impl ProviderBody {
    pub(crate) fn into_draft(self, name: ProviderName) -> ProviderDraft {
        let account = self.auth.map(|auth| match auth {
            AuthBody::Password { username, password } => (Account::Password { username }, password),
            AuthBody::ClientCredentials { client_id, client_secret } => {
                (Account::ClientCredentials { client_id }, client_secret)
            }
        });
        ProviderDraft {
            name,
            kind: self.kind,
            url: self.url,
            account,
            ca_certificate: self.ca_certificate,
            scopes: self.scopes,
            open_to_all: self.open_to_all,
        }
    }
}

/// A provider as callers see it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderView {
    /// The name under which it is registered.
    name: String,
    /// The kind of CI system.
    #[schema(value_type = String)]
    kind: ProviderKind,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    /// Who Gatehouse is there, without the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    auth: Option<Account>,
    /// A certificate authority in PEM that is trusted beside the public ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_certificate: Option<String>,
    /// Which tenants may use which of its scopes, of those tenants that the caller sees; missing where nobody has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    scopes: Option<Scopes>,
    /// Whether every tenant may use everything; missing where nobody has said.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_to_all: Option<bool>,
    /// What it can do; missing when it cannot be used in this deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    capabilities: Option<CapabilitiesView>,
    /// When it was last edited.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// By whom.
    updated_by: String,
}

/// What a CI system can do.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each is an answer to a question that callers ask")]
pub(crate) struct CapabilitiesView {
    /// Whether a run can be given parameters.
    parameters: bool,
    /// Whether log lines arrive while the run goes on.
    live_logs: bool,
    /// Whether a finished run can be run again.
    rerun: bool,
    /// Whether a run can be forced to end.
    force_cancel: bool,
    /// Whether its own jobs can be listed.
    discover: bool,
}

impl From<Capabilities> for CapabilitiesView {
    fn from(can: Capabilities) -> Self {
        let Capabilities { parameters, live_logs, rerun, force_cancel, discover } = can;
        Self { parameters, live_logs, rerun, force_cancel, discover }
    }
}

impl ProviderView {
    /// As `caller` sees it.
    pub(crate) fn new(provider: Provider, capabilities: Option<Capabilities>, caller: &Caller) -> Self {
        let (scopes, open_to_all) = match provider.sharing {
            Sharing::NotAsked | Sharing::Unsaid => (None, None),
            Sharing::OpenToAll => (None, Some(true)),
            Sharing::Scopes(scopes) => (Some(scopes.seen_by(|tenant| caller.sees(tenant))), Some(false)),
        };
        Self {
            name: provider.name.to_string(),
            kind: provider.kind,
            url: provider.url,
            auth: provider.account,
            ca_certificate: provider.ca_certificate,
            scopes,
            open_to_all,
            capabilities: capabilities.map(Into::into),
            updated_at: provider.updated_at,
            updated_by: provider.updated_by,
        }
    }
}

/// One provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderAnswer {
    pub provider: ProviderView,
}

/// The providers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProvidersAnswer {
    pub providers: Vec<ProviderView>,
}
