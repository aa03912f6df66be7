//! Jobs of Concourse pipelines.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rules::{MAX_TARGET, Rules};
use crate::{
    ci::{connection::Connection, delivery::Delivery},
    name::{ProviderName, escape, unescape},
    validation::FieldError,
};

/// How long team, pipeline and job may be together, as a run id writes them, in bytes. With the rest of the
/// id it must fit into a sort key of the table, which holds 1,024.
const MAX_PIPELINE_JOB: usize = 900;

/// A job of a Concourse pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConcourseTarget {
    /// The team that owns the pipeline.
    pub team: String,
    pub pipeline: String,
    pub job: String,
    /// Instance variables, when the pipeline is an instanced one.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
}

impl ConcourseTarget {
    /// `team:pipeline:job`, each with `~XX` for what a path segment or a key cannot carry.
    fn path(&self) -> String {
        [&self.team, &self.pipeline, &self.job].map(|name| escape(name)).join(":")
    }
}

/// Why a version cannot be asked for by this field of this resource, if so.
fn refuse_version(resource: &str, field: &str) -> Option<String> {
    let bad = |name: &str| matches!(name, "" | "." | "..") || name.chars().any(char::is_control);
    if bad(resource) || bad(field) {
        return Some("`resource` and `field` must be names without control characters".into());
    }
    // Concourse takes what stands before the first colon of a filter for the field.
    field.contains(':').then(|| "`field` must not have a colon".into())
}

impl Rules for ConcourseTarget {
    const NAME: &'static str = "concourse";

    /// Concourse accepts almost any name in old pipelines; only what no URL or log survives is refused.
    fn check(&self) -> Vec<FieldError> {
        let fields = [("team", &self.team), ("pipeline", &self.pipeline), ("job", &self.job)];
        let bad = |name: &str| name.is_empty() || name.len() > 255 || name.chars().any(char::is_control);
        let refused = fields.iter().filter(|(_, name)| bad(name));
        let mut errors: Vec<_> = refused
            .map(|(field, _)| {
                FieldError::new(format!("/{field}"), "must be 1 to 255 bytes without control characters")
            })
            .collect();
        let written: usize = fields.iter().map(|(_, name)| escape(name).len()).sum();
        if errors.is_empty() && written > MAX_PIPELINE_JOB {
            let detail = "team, pipeline and job are too long together for the id of a run, which holds them";
            errors.push(FieldError::new("/job", detail));
        }
        if Value::Object(self.vars.clone()).to_string().len() > MAX_TARGET {
            errors.push(FieldError::new("/vars", format!("must be at most {MAX_TARGET} bytes of JSON")));
        }
        errors
    }

    fn scope(&self) -> Option<&str> {
        Some(&self.team)
    }

    fn refuse_delivery(delivery: &Delivery) -> Option<String> {
        match delivery {
            Delivery::InstanceVar { name } => {
                name.split('.').any(str::is_empty).then(|| "must be names separated by single dots".into())
            }
            Delivery::ResourceVersion { resource, field } => refuse_version(resource, field),
            Delivery::Env { .. } => Some(
                "Concourse takes no environment variables; deliver as `instance_var` or `resource_version`"
                    .into(),
            ),
        }
    }

    fn check_connection(connection: &Connection<'_>) -> Vec<FieldError> {
        [connection.check_url(), connection.check_account(), connection.check_certificate()].concat()
    }

    fn set_instance_var(&mut self, name: &str, value: Value) {
        let mut map = &mut self.vars;
        let mut path = name.split('.').peekable();
        while let Some(part) = path.next() {
            if path.peek().is_none() {
                map.insert(part.to_owned(), value);
                return;
            }
            let nested = map.entry(part).or_insert_with(|| Value::Object(Map::new()));
            if !nested.is_object() {
                *nested = Value::Object(Map::new());
            }
            let Value::Object(next) = nested else { return };
            map = next;
        }
    }

    fn covers(&self, actual: &Self) -> bool {
        (&self.team, &self.pipeline, &self.job) == (&actual.team, &actual.pipeline, &actual.job)
            && self.vars.iter().all(|(name, value)| actual.vars.get(name) == Some(value))
    }

    /// An instance of a pipeline has resources of its own. Teams are found without regard to case.
    fn pin_scope(&self) -> Option<String> {
        let vars = Value::Object(self.vars.clone());
        Some(format!("{}:{}:{vars}", escape(&self.team.to_lowercase()), escape(&self.pipeline)))
    }

    /// Instance variables are left out, since a build is found by its pipeline job alone.
    fn lookup_name(&self) -> Option<String> {
        Some(self.path())
    }

    /// `team:pipeline:job:build`, as it always was, with `provider@` in front when the provider is not
    /// called `concourse`.
    fn run_id(&self, provider: &ProviderName, build: &str) -> String {
        let place = if provider.as_str() == Self::NAME { String::new() } else { format!("{provider}@") };
        format!("{place}{}:{build}", self.path())
    }

    fn of_run_id(id: &str) -> Option<(ProviderName, Self, String)> {
        let (provider, rest) = id.split_once('@').unwrap_or((Self::NAME, id));
        let parts: Vec<&str> = rest.split(':').collect();
        let [team, pipeline, job, build] = parts[..] else { return None };
        let target = Self {
            team: unescape(team)?,
            pipeline: unescape(pipeline)?,
            job: unescape(job)?,
            vars: Map::new(),
        };
        let build: u64 = build.bytes().all(|b| b.is_ascii_digit()).then(|| build.parse().ok())??;
        Some((provider.parse().ok()?, target, build.to_string()))
    }
}
