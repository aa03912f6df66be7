//! Starting runs, and finding those whose answer was lost.

use std::{collections::BTreeSet, num::ParseIntError};

use gatehouse_domain::ci::{
    Build, BuildId, Checkpoint, CiError, CiErrorKind, ConcourseTarget, RunStatus, StartKind, StartRequest,
    Target,
};

use super::{
    found::{Found, find_for},
    show::{shown, translated},
};
use crate::concourse::{
    client::{Client, Limits},
    error::{About, Call, Effect},
    path, status,
    version::NAMES_CREATORS,
    wire,
};

/// How many builds are looked through: far more than a job begins while one request lasts.
const WINDOW: usize = 100;

/// The greatest id among the builds of a job.
///
/// Lists have reruns beside their original, so the first build of a list is the newest one or a rerun of
/// it, and reruns of older builds may be newer still: those are asked for with `from`.
pub(in crate::concourse) async fn checkpoint(
    client: &Client,
    target: &Target,
) -> Result<Checkpoint, CiError> {
    let operation = "look at the job's runs";
    let target = path::pipeline_job(target, operation)?;
    let newest = greatest(&list(client, target, operation, "limit=1").await?);
    let newer = match newest {
        0 => Vec::new(),
        newest => list(client, target, operation, &from(newest + 1)).await?,
    };
    Ok(Checkpoint(greatest(&newer).max(newest).to_string()))
}

/// The query for the builds next to and above `id`, itself included. 6.5.0 and 6.5.1 know `until` instead of `from`,
/// which leaves its own build out; all others know `from` only, and each overlooks the other's.
fn from(id: u64) -> String {
    format!("from={id}&until={}&limit={WINDOW}", id.saturating_sub(1))
}

fn greatest(builds: &[wire::Build]) -> u64 {
    builds.iter().map(|build| build.id).max().unwrap_or_default()
}

async fn list(
    client: &Client,
    target: &ConcourseTarget,
    operation: &'static str,
    query: &str,
) -> Result<Vec<wire::Build>, CiError> {
    let call = Call { operation, about: About::Job(target), effect: Effect::Prepares };
    client.get(&call, &path::job_builds(target, "", query), Limits::list()).await
}

/// Begins a build: a new one, or one with the inputs of an earlier one.
pub(in crate::concourse) async fn start(
    client: &Client,
    request: &StartRequest<'_>,
) -> Result<Build, CiError> {
    let operation = operation(request.kind);
    let target = path::pipeline_job(request.target, operation)?;
    if !request.environment.is_empty() {
        let advice = "Concourse takes no environment variables; deliver parameters as instance variables";
        return Err(CiError::new(CiErrorKind::Refused, operation, advice));
    }
    let (effect, path) = match request.kind {
        StartKind::Trigger => (Effect::Triggers, path::job_builds(target, "", "")),
        StartKind::Rerun { build } => {
            let original = original(client, request.target, build, operation).await?;
            admit_rerun(target, &original)?;
            let name = path::escape(&original.build.name);
            (Effect::Reruns, path::job_builds(target, &format!("/{name}"), ""))
        }
    };
    let call = Call { operation, about: About::Job(target), effect };
    // Concourse has no idempotency keys. An answer that is lost, and even a 500, may stand for a build, so this request is
    // never repeated here: `started_since` finds out.
    let build = client.post(&call, &path).await?;
    Ok(shown(client, Found::new(target, build)).await)
}

/// Refuses to rerun a build of a job that has another name now, which may be another team's business; and one that
/// never began: it has no inputs, and Concourse answers 500 each time, which says as little as an answer that was
/// lost.
fn admit_rerun(target: &ConcourseTarget, original: &Found) -> Result<(), CiError> {
    let Found { target: now, build } = original;
    let name = &build.name;
    let advice = match status::common(&build.status) {
        _ if !original.is_of(target) => format!(
            "build {name} is one of job `{}` in pipeline `{}` of team `{}` by now: correct the job, and trigger it",
            now.job, now.pipeline, now.team
        ),
        _ if build.start_time.is_some() => return Ok(()),
        RunStatus::Queued => format!("build {name} has not begun, so there is nothing to run again"),
        RunStatus::Cancelled => format!(
            "build {name} was cancelled before it began, so it has no inputs to run with again: trigger the job \
             instead"
        ),
        // It may have had its inputs, and failed to begin for another reason.
        _ => return Ok(()),
    };
    Err(CiError::new(CiErrorKind::Refused, "rerun the build", advice))
}

fn operation(kind: &StartKind) -> &'static str {
    match kind {
        StartKind::Trigger => "trigger the job",
        StartKind::Rerun { .. } => "rerun the build",
    }
}

/// The builds that `request` may have begun, the oldest first.
pub(in crate::concourse) async fn started_since(
    client: &Client,
    request: &StartRequest<'_>,
) -> Result<Vec<Build>, CiError> {
    let operation = "look for the run";
    let target = path::pipeline_job(request.target, operation)?;
    let checkpoint = number(request.checkpoint)?;
    let (original, query) = match request.kind {
        StartKind::Trigger => (None, format!("limit={WINDOW}")),
        StartKind::Rerun { build } => {
            let build = original(client, request.target, build, operation).await?.build;
            // A rerun of a rerun names the first of them as its original.
            let original = build.rerun_of.map_or(build.id, |original| original.id);
            (Some(original), from(original))
        }
    };
    let mut builds = list(client, target, operation, &query).await?;
    // Ids grow in all of Concourse, so what is above the checkpoint was created after it. Reruns of other builds are in
    // the same list.
    builds.retain(|build| build.id > checkpoint && build.rerun_of.as_ref().map(|it| it.id) == original);
    keep_ours(client, &mut builds).await?;
    builds.sort_unstable_by_key(|build| build.id);
    Ok(builds.into_iter().map(|build| translated(client, Found::new(target, build), None)).collect())
}

fn number(checkpoint: &Checkpoint) -> Result<u64, CiError> {
    checkpoint.0.parse().map_err(|error: ParseIntError| {
        let advice = "what was remembered before the start is unreadable";
        CiError::new(CiErrorKind::Protocol, "look for the run", advice).caused_by(error)
    })
}

/// The build that is to be run again.
async fn original(
    client: &Client,
    target: &Target,
    build: &BuildId,
    operation: &'static str,
) -> Result<Found, CiError> {
    let found = find_for(client, target, build, operation, Effect::Prepares).await;
    found.map_err(|error| match error.kind {
        CiErrorKind::NotFound => CiError {
            kind: CiErrorKind::Refused,
            advice: format!("{}: what is gone cannot be run again; trigger the job instead", error.advice),
            ..error
        },
        _ => error,
    })
}

/// Keeps the builds that our account made. Concourse does not say who did before 7.0.
async fn keep_ours(client: &Client, builds: &mut Vec<wire::Build>) -> Result<(), CiError> {
    let is_silent = client.version().is_some_and(|version| version.is_before(NAMES_CREATORS));
    if builds.is_empty() || is_silent {
        return Ok(());
    }
    let ours: &BTreeSet<String> = client.display_names().await?;
    builds.retain(|build| build.created_by.as_ref().is_some_and(|name| ours.contains(name)));
    Ok(())
}
