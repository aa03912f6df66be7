//! JSON as Concourse writes it. Keys that are absent or null count as empty: Concourse leaves out what has
//! its zero value, and versions differ in what they know.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// `GET /api/v1/info`.
#[derive(Debug, Deserialize)]
pub(super) struct Info {
    pub(super) version: String,
}

/// `GET /api/v1/user`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "they are Concourse's")]
pub(super) struct User {
    #[serde(deserialize_with = "or_default")]
    pub(super) sub: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) user_id: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) user_name: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) email: String,
    #[serde(deserialize_with = "or_default")]
    pub(super) display_user_id: String,
    /// `None` before 7.0, which does not say.
    pub(super) connector: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) is_admin: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) teams: BTreeMap<String, Option<Vec<String>>>,
}

/// A build, wherever one is shown.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Build {
    pub(super) id: u64,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) name: String,
    pub(super) status: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) team_name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) pipeline_name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) pipeline_instance_vars: Map<String, Value>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) job_name: String,
    pub(super) start_time: Option<i64>,
    pub(super) end_time: Option<i64>,
    pub(super) reap_time: Option<i64>,
    pub(super) rerun_of: Option<Original>,
    pub(super) created_by: Option<String>,
}

/// The build that another one repeats.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Original {
    pub(super) id: u64,
}

/// `GET /api/v1/builds/:id/preparation`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Preparation {
    #[serde(deserialize_with = "or_default")]
    pub(super) paused_pipeline: Readiness,
    #[serde(deserialize_with = "or_default")]
    pub(super) paused_job: Readiness,
    #[serde(deserialize_with = "or_default")]
    pub(super) max_running_builds: Readiness,
    #[serde(deserialize_with = "or_default")]
    pub(super) inputs: BTreeMap<String, Readiness>,
    #[serde(deserialize_with = "or_default")]
    pub(super) inputs_satisfied: Readiness,
    #[serde(deserialize_with = "or_default")]
    pub(super) missing_input_reasons: BTreeMap<String, String>,
}

/// Whether something keeps a build from starting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Readiness {
    Blocking,
    NotBlocking,
    #[default]
    #[serde(other)]
    Unknown,
}

/// An entry of the list of teams.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Team {
    pub(super) name: String,
}

/// An entry of a list of pipelines.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Pipeline {
    pub(super) name: String,
    pub(super) team_name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) instance_vars: Map<String, Value>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) paused: bool,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) archived: bool,
}

/// An entry of a pipeline's list of jobs.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct JobSummary {
    pub(super) name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) paused: bool,
}

/// A job by itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Job {
    #[serde(deserialize_with = "or_default")]
    pub(super) paused: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) disable_manual_trigger: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) inputs: Vec<JobInput>,
}

/// An input of a job, and the resource that it is a version of.
#[derive(Debug, Deserialize)]
pub(super) struct JobInput {
    pub(super) name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) resource: String,
}

/// A resource, by itself or in its pipeline's list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Resource {
    pub(super) name: String,
    /// The last check, which later versions tell like a build.
    pub(super) build: Option<ResourceCheck>,
    #[serde(deserialize_with = "or_default")]
    pub(super) failing_to_check: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) pinned_version: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    pub(super) pinned_in_config: bool,
    #[serde(deserialize_with = "or_default")]
    pub(super) pin_comment: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ResourceCheck {
    pub(super) status: String,
}

impl Resource {
    /// Whether the last check came to nothing.
    pub(super) fn is_broken(&self) -> bool {
        let failed =
            |check: &ResourceCheck| matches!(check.status.as_str(), "failed" | "errored" | "aborted");
        self.failing_to_check || self.build.as_ref().is_some_and(failed)
    }
}

/// A version of a resource.
#[derive(Debug, Deserialize)]
pub(super) struct Version {
    pub(super) id: u64,
    #[serde(default, rename = "version", deserialize_with = "or_default")]
    pub(super) fields: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) enabled: bool,
}

/// `GET /api/v1/builds/:id/resources`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct BuildResources {
    #[serde(deserialize_with = "or_default")]
    pub(super) inputs: Vec<BuildInput>,
}

/// What a build took.
#[derive(Debug, Deserialize)]
pub(super) struct BuildInput {
    pub(super) name: String,
    #[serde(default, deserialize_with = "or_default")]
    pub(super) version: BTreeMap<String, String>,
}

/// `GET /api/v1/builds/:id/plan`.
#[derive(Debug, Deserialize)]
pub(super) struct Plan {
    pub(super) plan: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_with_null_and_absent_keys_is_read() {
        let build: Build = serde_json::from_str(
            r#"{"id":7589249440,"name":"17","status":"pending","team_name":"main","job_name":null,"new":1}"#,
        )
        .unwrap();
        assert_eq!((build.id, build.job_name.as_str(), build.start_time), (7_589_249_440, "", None));
    }

    #[test]
    fn words_that_are_not_known_yet_do_not_hurt() {
        let preparation: Preparation =
            serde_json::from_str(r#"{"paused_job":"blocking","paused_pipeline":"maybe","inputs":null}"#)
                .unwrap();
        assert_eq!(preparation.paused_job, Readiness::Blocking);
        assert_eq!(preparation.paused_pipeline, Readiness::Unknown);
    }
}
