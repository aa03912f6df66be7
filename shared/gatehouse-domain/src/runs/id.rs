//! Run ids: opaque to callers, safe in a URL.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    ci::{Build, ConcourseTarget, ProviderKind, Target},
    name::{ProviderName, escape, unescape},
};

/// The longest id, in characters.
const MAX_LENGTH: usize = 1024;

/// The id of a run.
///
/// For Concourse it is `team:pipeline:job:build`, as it always was, with `provider@` in front when the
/// provider is not called `concourse`; a byte of a name that a URL path cannot carry is written `~XX`.
/// For other systems it is the id that Gatehouse gave the run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// Text that is no run id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run id is 1 to 1,024 characters of A-Z, a-z, 0-9, '.', '_', '-', '~', ':' and '@'")]
pub struct InvalidRunId;

/// A build of a pipeline job, as a run id names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineBuild {
    /// The provider that has it.
    pub provider: ProviderName,
    /// The pipeline job, without instance variables.
    pub target: ConcourseTarget,
    /// The build's id there.
    pub build: u64,
}

impl RunId {
    /// The id of the run that `build` is.
    pub(super) fn of_build(provider: &ProviderName, build: &Build) -> Self {
        match &build.target {
            Target::Process(_) => Self(build.id.0.clone()),
            Target::Concourse(target) => {
                let names = [&target.team, &target.pipeline, &target.job].map(|name| escape(name)).join(":");
                let default = provider.as_str() == ProviderKind::Concourse.as_str();
                let place = if default { String::new() } else { format!("{provider}@") };
                Self(format!("{place}{names}:{}", build.id))
            }
        }
    }

    /// The build of a pipeline job that this id names, if it names one.
    pub fn as_pipeline_build(&self) -> Option<PipelineBuild> {
        let (provider, rest) = self.0.split_once('@').unwrap_or((ProviderKind::Concourse.as_str(), &self.0));
        let parts: Vec<&str> = rest.split(':').collect();
        let [team, pipeline, job, build] = parts[..] else { return None };
        let target = ConcourseTarget {
            team: unescape(team)?,
            pipeline: unescape(pipeline)?,
            job: unescape(job)?,
            vars: serde_json::Map::new(),
        };
        let build = build.bytes().all(|b| b.is_ascii_digit()).then(|| build.parse().ok())??;
        Some(PipelineBuild { provider: provider.parse().ok()?, target, build })
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(raw: &str) -> Result<Self, InvalidRunId> {
        let allowed =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~' | b':' | b'@');
        if (1..=MAX_LENGTH).contains(&raw.len()) && raw.bytes().all(allowed) {
            Ok(Self(raw.to_owned()))
        } else {
            Err(InvalidRunId)
        }
    }
}

impl TryFrom<String> for RunId {
    type Error = InvalidRunId;

    fn try_from(raw: String) -> Result<Self, InvalidRunId> {
        raw.parse()
    }
}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::{BuildId, RunStatus};

    fn id(provider: &str, names: [&str; 3]) -> RunId {
        let [team, pipeline, job] = names.map(str::to_owned);
        let target = ConcourseTarget { team, pipeline, job, vars: serde_json::Map::new() };
        let build = Build {
            id: BuildId("7589249440".into()),
            target: Target::Concourse(target),
            status: RunStatus::Queued,
            provider_status: "pending".into(),
            reason: None,
            started_at: None,
            finished_at: None,
            web_url: None,
            number: None,
        };
        RunId::of_build(&provider.parse().unwrap(), &build)
    }

    #[test]
    fn concourse_ids_look_as_they_always_did() {
        let id = id("concourse", ["main", "example-pipeline", "hello-job"]);
        assert_eq!(id.as_str(), "main:example-pipeline:hello-job:7589249440");
    }

    #[test]
    fn every_name_comes_back() {
        for names in [["main", "app", "build"], ["a:b", "c~d", "e f"], ["é", "x/y", "%2F"]] {
            for provider in ["concourse", "ci2"] {
                let id = id(provider, names);
                assert_eq!(id.as_str().parse::<RunId>().as_ref(), Ok(&id), "{id} is not a run id");
                let named = id.as_pipeline_build().unwrap();
                let target = &named.target;
                assert_eq!([&*target.team, &*target.pipeline, &*target.job], names);
                assert_eq!((named.provider.as_str(), named.build), (provider, 7_589_249_440));
            }
        }
    }

    #[test]
    fn path_tricks_are_no_run_ids() {
        for bad in ["", "a/b", "a%2Fb", "a#b", "a b", "a\0", "..;/", &"x".repeat(1025)] {
            assert_eq!(bad.parse::<RunId>(), Err(InvalidRunId), "{bad:?}");
        }
        for other in ["run_1", "a:b:c", "a:b:c:d", "a:b:c:-1", "a:~z:c:1", ":b:c:1", "a:b:c:+1"] {
            let id: RunId = other.parse().unwrap_or_else(|_| "x".parse().unwrap());
            assert_eq!(id.as_pipeline_build(), None, "{other}");
        }
    }
}
