//! Finding, showing and cancelling a run that there is.

use gatehouse_domain::ci::{Build, BuildId, CancelMode, CiError, CiErrorKind, Reason, Target};
use jiff::Timestamp;

use super::{
    found::{Found, find, find_for},
    waiting::reason,
};
use crate::concourse::{
    client::Client,
    error::{About, Call, Effect},
    path, status,
    version::FORCES_ABORTS,
};

/// How a build stands, and why it waits if it does.
pub(in crate::concourse) async fn build(
    client: &Client,
    target: &Target,
    build: &BuildId,
) -> Result<Build, CiError> {
    let found = find(client, target, build, "show the run").await?;
    Ok(shown(client, found).await)
}

/// A build in the words of the domain, with why it waits where Concourse says so.
pub(in crate::concourse) async fn shown(client: &Client, found: Found) -> Build {
    let reason = reason(client, &found).await;
    translated(client, found, reason)
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
            let found = find_for(client, target, build, operation, Effect::Prepares).await?;
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
