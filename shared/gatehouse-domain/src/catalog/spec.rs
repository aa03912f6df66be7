//! What people decide about a service, and what of it is refused.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    entities::{EntityKind, EntityRef},
    json::Object,
    json_text,
    name::{EnvironmentName, JobId, ModuleName, ProjectName},
    validation::{FieldError, check_url},
};

/// The most environments of a service: an edit of it is one transaction.
pub const MAX_ENVIRONMENTS: usize = 20;

const MAX_LINKS: usize = 20;

/// The longest owner, name of a link and title, in bytes.
const MAX_LINE: usize = 200;

/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 4000;

/// How much the inputs of an environment may measure as JSON, in bytes.
pub(crate) const MAX_INPUTS: usize = 16 * 1024;

/// How much the inputs of all environments of a service may measure together as JSON, in bytes: a service is
/// one item of the table, which takes 400 KB.
const MAX_INPUTS_TOGETHER: usize = 256 * 1024;

/// The longest time to live, in hours: a year.
const MAX_TTL_HOURS: u32 = 8784;

/// The most hours between two looks for drift: 31 days.
pub(super) const MAX_DRIFT_HOURS: u32 = 744;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$item_doc])* $item,)*
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$item),*];

            /// As it is written.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$item => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(raw: &str) -> Result<Self, String> {
                let known = Self::ALL.iter().find(|item| item.as_str() == raw);
                let all = || Self::ALL.iter().map(|item| item.as_str()).collect::<Vec<_>>().join(", ");
                known.copied().ok_or_else(|| format!("must be one of {}", all()))
            }
        }
    };
}

words! {
    /// How far a service is in its life.
    Lifecycle {
        /// Nobody should depend on it yet.
        Experimental = "experimental",
        /// People depend on it.
        Production = "production",
        Deprecated = "deprecated",
    }
}

impl Category {
    /// What an environment is for that has this name, where the name says it.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "dev" | "develop" | "development" => Some(Self::Dev),
            "test" | "testing" | "qa" => Some(Self::Test),
            "stage" | "staging" | "preprod" => Some(Self::Staging),
            "prod" | "production" | "live" => Some(Self::Prod),
            _ => None,
        }
    }
}

words! {
    /// What an environment is for; each is guarded more than the ones before it.
    Category {
        Dev = "dev",
        Test = "test",
        /// As like production as can be.
        Staging = "staging",
        /// For those who use the service.
        Prod = "prod",
    }
}

/// A place on the web that belongs to something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// What is there, for people.
    pub name: String,
    /// Where: `https://…`, or `http://…`.
    pub url: String,
}

/// What deploys a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeployTarget {
    /// A job of the same tenant. Of the parameters `version`, `environment` and `service`, it is given
    /// those that it declares.
    Job(JobId),
    /// A URL that the deploy is posted to; whoever gets it reports by callback.
    Webhook(String),
}

/// An environment of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentSpec {
    /// Unique in the service.
    pub name: EnvironmentName,
    /// What it is for.
    pub category: Category,
    /// Whether somebody else has to agree before something is changed in it.
    pub approval_required: bool,
    /// The group that whoever agrees has to be in, beside being allowed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_group: Option<EntityRef>,
    /// The module that provisions it; nothing is to be provisioned without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<ModuleName>,
    #[serde(with = "json_text")]
    pub inputs: Object,
    /// How long after it was provisioned it is deprovisioned by itself, in hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_hours: Option<u32>,
    /// How many hours are between two looks for drift that nobody asks for; none without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_hours: Option<u32>,
    /// What deploys to it, where that is not what deploys the service elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<DeployTarget>,
}

/// What people decide about a service. In a draft the project is optional.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec<P = ProjectName> {
    /// The project it belongs to, of the same tenant.
    pub project: P,
    /// Who answers for it: a team, an address.
    pub owner: String,
    /// What it does, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where its source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// How far it is in its life.
    pub lifecycle: Lifecycle,
    /// Where to read on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<Link>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentSpec>,
    /// The CI job that builds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_job: Option<JobId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<DeployTarget>,
}

/// The modules that the provisioner has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modules {
    /// What it has is not known here: it says so itself.
    Unknown,
    Known(BTreeSet<ModuleName>),
}

impl<P> ServiceSpec<P> {
    /// The same in another project.
    pub fn in_project<Q>(self, project: Q) -> ServiceSpec<Q> {
        let Self {
            project: _,
            owner,
            description,
            repository,
            lifecycle,
            links,
            environments,
            build_job,
            deploy,
        } = self;
        ServiceSpec {
            project,
            owner,
            description,
            repository,
            lifecycle,
            links,
            environments,
            build_job,
            deploy,
        }
    }

    /// The jobs that it names, with where.
    pub(super) fn jobs(&self) -> Vec<(String, &JobId)> {
        let build = self.build_job.iter().map(|job| ("/build_job".to_owned(), job));
        let own = std::iter::once(("/deploy/job".to_owned(), &self.deploy));
        let environments = self.environments.iter().enumerate();
        let of_environments =
            environments.map(|(place, it)| (format!("/environments/{place}/deploy/job"), &it.deploy));
        let deploy = own.chain(of_environments).filter_map(|(pointer, target)| match target {
            Some(DeployTarget::Job(job)) => Some((pointer, job)),
            Some(DeployTarget::Webhook(_)) | None => None,
        });
        build.chain(deploy).collect()
    }

    /// The groups that its environments ask for, with where.
    pub(super) fn approval_groups(&self) -> Vec<(String, &EntityRef)> {
        let environments = self.environments.iter().enumerate();
        let groups = environments.filter_map(|(place, environment)| {
            Some((format!("/environments/{place}/approval_group"), environment.approval_group.as_ref()?))
        });
        groups.collect()
    }

    /// The webhooks that it names, with where.
    pub fn webhooks(&self) -> Vec<(String, &str)> {
        let own = std::iter::once(("/deploy/webhook".to_owned(), &self.deploy));
        let environments = self.environments.iter().enumerate();
        let of_environments =
            environments.map(|(place, it)| (format!("/environments/{place}/deploy/webhook"), &it.deploy));
        let deploy = own.chain(of_environments).filter_map(|(pointer, target)| match target {
            Some(DeployTarget::Webhook(url)) => Some((pointer, url.as_str())),
            Some(DeployTarget::Job(_)) | None => None,
        });
        deploy.collect()
    }

    /// What is wrong with it by itself, if anything is. A module that an environment had `before` is not asked for again: it
    /// may be gone, and the rest can be edited nevertheless.
    pub(super) fn check(&self, modules: &Modules, before: Option<&Self>) -> Result<(), Vec<FieldError>> {
        let mut errors = Errors::default();
        errors.line("/owner", &self.owner);
        if self.description.as_deref().is_some_and(|text| text.len() > MAX_DESCRIPTION) {
            errors.add("/description", "must be at most 4,000 bytes");
        }
        if let Some(url) = &self.repository {
            errors.url("/repository", url);
        }
        if self.links.len() > MAX_LINKS {
            errors.add("/links", "must be at most 20 links");
        }
        for (place, link) in self.links.iter().enumerate() {
            errors.line(&format!("/links/{place}/name"), &link.name);
            errors.url(&format!("/links/{place}/url"), &link.url);
        }
        errors.target("/deploy", self.deploy.as_ref());
        self.check_environments(modules, before, &mut errors);
        if errors.0.is_empty() { Ok(()) } else { Err(errors.0) }
    }

    fn check_environments(&self, modules: &Modules, before: Option<&Self>, errors: &mut Errors) {
        let had = |environment: &EnvironmentSpec| {
            let mut before = before.into_iter().flat_map(|before| &before.environments);
            before.any(|it| it.name == environment.name && it.module == environment.module)
        };
        if self.environments.len() > MAX_ENVIRONMENTS {
            errors.add("/environments", "must be at most 20 environments");
        }
        let mut names = BTreeSet::new();
        for (place, environment) in self.environments.iter().enumerate() {
            let at = format!("/environments/{place}");
            if !names.insert(&environment.name) {
                errors.add(&format!("{at}/name"), "another environment has this name");
            }
            let modules = if had(environment) { &Modules::Unknown } else { modules };
            errors.environment(&at, environment, modules);
        }
        let together: usize = self.environments.iter().map(|environment| size(&environment.inputs)).sum();
        if together > MAX_INPUTS_TOGETHER {
            errors.add("/environments", "their inputs must be at most 256 KiB together as JSON");
        }
    }
}

/// What was found wrong.
#[derive(Default)]
struct Errors(Vec<FieldError>);

impl Errors {
    fn add(&mut self, pointer: &str, detail: impl Into<String>) {
        self.0.push(FieldError::new(pointer, detail));
    }

    fn line(&mut self, pointer: &str, text: &str) {
        if text.trim().is_empty() || text.len() > MAX_LINE || text.chars().any(char::is_control) {
            self.add(pointer, "must be 1 to 200 bytes of text on one line");
        }
    }

    fn url(&mut self, pointer: &str, url: &str) {
        if let Err(detail) = check_url(url) {
            self.add(pointer, detail);
        }
    }

    fn target(&mut self, pointer: &str, target: Option<&DeployTarget>) {
        if let Some(DeployTarget::Webhook(url)) = target {
            self.url(&format!("{pointer}/webhook"), url);
        }
    }

    fn environment(&mut self, at: &str, environment: &EnvironmentSpec, modules: &Modules) {
        if let Some(group) = &environment.approval_group {
            if group.kind() != EntityKind::Group.as_str() {
                self.add(&format!("{at}/approval_group"), "must be a group");
            }
            if !environment.approval_required {
                let detail = "only an environment with `approval_required` asks for a group's approval";
                self.add(&format!("{at}/approval_group"), detail);
            }
        }
        if let (Some(module), Modules::Known(known)) = (&environment.module, modules)
            && !known.contains(module)
        {
            let known: Vec<_> = known.iter().map(ModuleName::as_str).collect();
            self.add(&format!("{at}/module"), format!("no such module; there are: {}", known.join(", ")));
        }
        if let Err(detail) = check_inputs(&environment.inputs) {
            self.add(&format!("{at}/inputs"), detail);
        }
        if environment.module.is_none() && !environment.inputs.is_empty() {
            self.add(&format!("{at}/inputs"), "only an environment with a module has inputs");
        }
        if environment.ttl_hours.is_some_and(|hours| !(1..=MAX_TTL_HOURS).contains(&hours)) {
            self.add(&format!("{at}/ttl_hours"), "must be 1 to 8,784 hours");
        }
        if environment.ttl_hours.is_some() && environment.module.is_none() {
            self.add(&format!("{at}/ttl_hours"), "only an environment with a module can be deprovisioned");
        }
        if environment.drift_hours.is_some_and(|hours| !(1..=MAX_DRIFT_HOURS).contains(&hours)) {
            self.add(&format!("{at}/drift_hours"), "must be 1 to 744 hours");
        }
        if environment.drift_hours.is_some() && environment.module.is_none() {
            self.add(
                &format!("{at}/drift_hours"),
                "only an environment with a module can be looked at for drift",
            );
        }
        self.target(&format!("{at}/deploy"), environment.deploy.as_ref());
    }
}

/// What is wrong with a module's inputs, if anything is.
pub(crate) fn check_inputs(inputs: &Object) -> Result<(), &'static str> {
    if size(inputs) > MAX_INPUTS { Err("must be at most 16 KiB as JSON") } else { Ok(()) }
}

fn size(inputs: &Object) -> usize {
    serde_json::to_string(inputs).map_or(MAX_INPUTS + 1, |text| text.len())
}
