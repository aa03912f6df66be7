//! Concourse CI.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ci::targets::limits::MAX_TARGET, name::escape, validation::FieldError};

/// How long team, pipeline and job may be together, as a run id writes them, in bytes. With the rest of the
/// id it must fit into a sort key of the table, which holds 1,024.
const MAX_PIPELINE_JOB: usize = 900;

/// A job of a Concourse pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConcourseTarget {
    /// The team that owns the pipeline.
    pub team: String,
    /// The pipeline.
    pub pipeline: String,
    /// The job in it.
    pub job: String,
    /// Instance variables, when the pipeline is an instanced one.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub vars: Map<String, Value>,
}

impl ConcourseTarget {
    /// Concourse accepts almost any name in old pipelines; only what no URL or log survives is refused.
    pub(super) fn check(&self) -> Vec<FieldError> {
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
}
