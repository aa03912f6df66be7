//! Finding, showing and cancelling a run that there is.

use std::time::Duration;

use gatehouse_domain::{
    ci::{Build, BuildId, CancelMode, CiError, CiErrorKind, ConcourseTarget, Reason, Target},
    error::Chain,
};
use jiff::Timestamp;

use crate::concourse::{
    client::{Client, Limits},
    error::{About, Call, Effect},
    path, status,
    version::FORCES_ABORTS,
    wire,
};
use crate::limits::ANSWER_LIMIT;

/// How long asking why a build waits may take: nice to know, and nothing to wait for.
const REASON_TIMEOUT: Duration = Duration::from_secs(2);

/// How a build stands, and why it waits if it does.
pub(in crate::concourse) async fn build(
    client: &Client,
    target: &Target,
    build: &BuildId,
) -> Result<Build, CiError> {
    let found = find(client, target, build, "show the run").await?;
    Ok(shown(client, found).await)
}

/// A build as Concourse has it.
pub(in crate::concourse) struct Found {
    /// What it is a build of, by the names of now, with the instance variables that Concourse reports.
    pub(in crate::concourse) target: ConcourseTarget,
    pub(in crate::concourse) build: wire::Build,
}

impl Found {
    /// A build that was asked for as one of `asked`. Members that Concourse left out count as asked for.
    pub(in crate::concourse) fn new(asked: &ConcourseTarget, build: wire::Build) -> Self {
        let name = |is: &String, asked: &String| if is.is_empty() { asked.clone() } else { is.clone() };
        let target = ConcourseTarget {
            team: name(&build.team_name, &asked.team),
            pipeline: name(&build.pipeline_name, &asked.pipeline),
            job: name(&build.job_name, &asked.job),
            vars: build.pipeline_instance_vars.clone(),
        };
        Self { target, build }
    }

    /// Whether it is a build of the job that `asked` names. Concourse finds teams without regard to case, and
    /// everything else by its exact name.
    pub(in crate::concourse) fn is_of(&self, asked: &ConcourseTarget) -> bool {
        let Self { build, .. } = self;
        build.team_name.to_lowercase() == asked.team.to_lowercase()
            && (&build.pipeline_name, &build.job_name) == (&asked.pipeline, &asked.job)
    }
}

/// Gets a build by its id, which is unique in all of Concourse and stays when its job, pipeline or team gets another
/// name. A build of another name than `target` has is given only if our account made it: callers may see only
/// builds of their jobs, and what ours made was made for one of them. What is given has its names of now.
pub(in crate::concourse) async fn find(
    client: &Client,
    target: &Target,
    build: &BuildId,
    operation: &'static str,
) -> Result<Found, CiError> {
    let target = path::pipeline_job(target, operation)?;
    let number = path::build_number(build, operation)?;
    let call = Call { operation, about: About::Build(target, build), effect: Effect::Reads };
    let found: wire::Build =
        client.get(&call, &format!("/api/v1/builds/{number}"), Limits::default()).await?;
    let found = Found::new(target, found);
    if found.is_of(target) || is_ours(client, &found.build).await? {
        return Ok(found);
    }
    let ConcourseTarget { team, pipeline, job, .. } = target;
    let advice = format!("build {build} is none of job `{job}` in pipeline `{pipeline}` of team `{team}`");
    Err(CiError::new(CiErrorKind::Refused, operation, advice))
}

/// Whether our account made a build, as far as Concourse says who did.
async fn is_ours(client: &Client, build: &wire::Build) -> Result<bool, CiError> {
    match &build.created_by {
        Some(name) => Ok(client.display_names().await?.contains(name)),
        None => Ok(false),
    }
}

/// A build in the words of the domain, with why it waits where Concourse says so.
pub(in crate::concourse) async fn shown(client: &Client, found: Found) -> Build {
    let reason = reason(client, &found).await;
    translated(client, found, reason)
}

/// Why a build waits; `None` where Concourse does not say, which is no failure.
pub(in crate::concourse) async fn reason(client: &Client, found: &Found) -> Option<Reason> {
    if found.build.status != status::PENDING {
        return None;
    }
    let id = BuildId(found.build.id.to_string());
    let call = Call {
        operation: "ask why it waits",
        about: About::Build(&found.target, &id),
        effect: Effect::Reads,
    };
    let path = format!("/api/v1/builds/{id}/preparation");
    let limits = Limits { size: ANSWER_LIMIT, time: REASON_TIMEOUT };
    match client.get(&call, &path, limits).await {
        Ok(preparation) => status::reason(&preparation, &found.target, client.version().as_ref()),
        Err(error) => {
            tracing::debug!(error = %Chain(&error), "could not ask why a build waits");
            None
        }
    }
}

/// A build in the words of the domain.
pub(in crate::concourse) fn translated(client: &Client, found: Found, reason: Option<Reason>) -> Build {
    let Found { target, build } = found;
    Build {
        id: BuildId(build.id.to_string()),
        web_url: Some(path::web_page(client.base(), &target, &build.name)),
        target: Target::Concourse(target),
        status: status::common(&build.status),
        provider_status: build.status,
        reason,
        started_at: time(build.start_time),
        finished_at: time(build.end_time),
        number: Some(build.name).filter(|name| !name.is_empty()),
    }
}

fn time(seconds: Option<i64>) -> Option<Timestamp> {
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok())
}

/// Asks a build to stop. Concourse takes the request at once and heeds it later.
pub(in crate::concourse) async fn cancel(
    client: &Client,
    target: &Target,
    build: &BuildId,
    mode: CancelMode,
) -> Result<(), CiError> {
    let operation = "cancel the run";
    let number = path::build_number(build, operation)?;
    let path = match mode {
        CancelMode::Graceful => format!("/api/v1/builds/{number}/abort"),
        CancelMode::Force => {
            admit_force(client).await?;
            let found = find(client, target, build, operation).await?;
            // By force a finished build would get another status.
            if status::common(&found.build.status).is_terminal() {
                return Ok(());
            }
            format!("/api/v1/builds/{number}/abort?force")
        }
    };
    let target = path::pipeline_job(target, operation)?;
    client.put(&Call { operation, about: About::Build(target, build), effect: Effect::Changes }, &path).await
}

/// Older versions would take the request and do the same as without force.
async fn admit_force(client: &Client) -> Result<(), CiError> {
    let version = client.version_now().await?;
    if version.is_at_least(FORCES_ABORTS) {
        return Ok(());
    }
    let advice =
        format!("Concourse {version} cannot end builds by force; 8.3 and later can. Cancel without force");
    Err(CiError::new(CiErrorKind::Unsupported, "cancel the run", advice))
}
