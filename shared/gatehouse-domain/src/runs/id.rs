//! Run ids: opaque to callers, safe in a URL.

use crate::{
    ci::{Build, NamedBuild},
    name::ProviderName,
    text::checked_text,
};

/// The longest id, in characters.
const MAX_LENGTH: usize = 1024;

checked_text!(
    /// The id of a run.
    ///
    /// For Concourse it is `team:pipeline:job:build`, as it always was, with `provider@` in front when the
    /// provider is not called `concourse`; a byte of a name that a URL path cannot carry is written `~XX`.
    /// For other systems it is the id that Gatehouse gave the run.
    RunId,
    InvalidRunId,
    |raw| {
        let allowed =
            |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~' | b':' | b'@');
        let valid = (1..=MAX_LENGTH).contains(&raw.len()) && raw.bytes().all(allowed);
        if valid { Ok(()) } else { Err(InvalidRunId) }
    }
);

/// Text that is no run id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run id is 1 to 1,024 characters of A-Z, a-z, 0-9, '.', '_', '-', '~', ':' and '@'")]
pub struct InvalidRunId;

impl RunId {
    /// The id of the run that `build` is.
    pub fn of_build(provider: &ProviderName, build: &Build) -> Self {
        Self(build.target.run_id(provider, &build.id.0))
    }

    /// The build that this id names, if it names one that the CI system can be asked about.
    pub fn named_build(&self) -> Option<NamedBuild> {
        NamedBuild::of_run_id(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ci::{BuildId, ConcourseTarget, RunStatus, Target};

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
                let named = id.named_build().unwrap();
                let Target::Concourse(target) = &named.target else { panic!("{id} names {named:?}") };
                assert_eq!([&*target.team, &*target.pipeline, &*target.job], names);
                assert_eq!((named.provider.as_str(), &*named.build), (provider, "7589249440"));
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
            assert_eq!(id.named_build(), None, "{other}");
        }
    }
}
