//! An id of a run names one build, and the id of that build names it again.

use gatehouse_domain::{
    ci::{Build, BuildId, ConcourseTarget, NamedBuild, RunStatus, Target},
    name::ProviderName,
    runs::RunId,
};
use serde_json::Map;

pub(crate) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(named) = text.parse::<RunId>().ok().and_then(|id| id.named_build()) {
        let canonical = id_of(&named);
        assert_eq!(canonical.named_build().as_ref(), Some(&named), "{text:?} is {canonical}");
    }
    if let Some(named) = described(text) {
        let id = id_of(&named);
        assert_eq!(
            id.as_str().parse::<RunId>().as_ref(),
            Ok(&id),
            "{named:?} has no id that can be asked for"
        );
        assert_eq!(id.named_build(), Some(named));
    }
}

fn id_of(named: &NamedBuild) -> RunId {
    let build = Build {
        id: BuildId(named.build.clone()),
        target: named.target.clone(),
        status: RunStatus::Queued,
        provider_status: String::new(),
        reason: None,
        started_at: None,
        finished_at: None,
        web_url: None,
        number: None,
    };
    RunId::of_build(&named.provider, &build)
}

/// A build as five lines describe it: provider, team, pipeline, job, and a number.
fn described(text: &str) -> Option<NamedBuild> {
    let lines: Vec<_> = text.split('\n').collect();
    let [provider, team, pipeline, job, build] = lines[..] else { return None };
    let provider: ProviderName = provider.parse().ok()?;
    let build: u64 = build.parse().ok()?;
    let [team, pipeline, job] = [team, pipeline, job].map(str::to_owned);
    let target = Target::Concourse(ConcourseTarget { team, pipeline, job, vars: Map::new() });
    target.check().is_empty().then(|| NamedBuild { provider, target, build: build.to_string() })
}
