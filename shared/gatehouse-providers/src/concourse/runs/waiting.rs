//! Why a build waits.

use std::time::Duration;

use gatehouse_domain::{
    ci::{BuildId, ConcourseTarget, Reason, ReasonCode},
    error::Chain,
};
use serde::de::DeserializeOwned;

use super::found::Found;
use crate::{
    concourse::{
        client::{Client, Limits},
        error::{About, Call, Effect},
        path, status,
        version::{ABORTS_PAUSED, FORCES_ABORTS},
        wire::{self, Preparation},
    },
    limits::{ANSWER_LIMIT, LIST_LIMIT},
};

/// How long asking why a build waits may take: nice to know, and nothing to wait for.
const REASON_TIMEOUT: Duration = Duration::from_secs(2);

/// How many builds before one are looked at for those that wait: they begin in their order, so the last is among them.
const BEFORE: usize = 10;

/// Why a build waits; `None` where Concourse does not say, which is no failure.
pub(in crate::concourse) async fn reason(client: &Client, found: &Found) -> Option<Reason> {
    if found.build.status != status::PENDING {
        return None;
    }
    let id = BuildId(found.build.id.to_string());
    let about = About::Build(&found.target, &id);
    let path = format!("/api/v1/builds/{id}/preparation");
    let mut preparation: Preparation = ask(client, about, &path, ANSWER_LIMIT).await?;
    tell_broken_checks(client, &found.target, &mut preparation).await;
    let mut reason = status::reason(&preparation, &found.target, client.version().as_ref())?;
    if reason.code == ReasonCode::Paused {
        reason.detail.extend(words_for_cancel(client, found).await);
    }
    Some(reason)
}

/// What Concourse says beside; `None` where it does not, which is no failure.
async fn ask<T: DeserializeOwned>(client: &Client, about: About<'_>, path: &str, size: usize) -> Option<T> {
    let call = Call { operation: "ask why it waits", about, effect: Effect::Reads };
    let answer = client.get(&call, path, Limits { size, time: REASON_TIMEOUT }).await;
    answer.inspect_err(|error| tracing::debug!(error = %Chain(error), "could not ask why a build waits")).ok()
}

/// Says of inputs without a version that their resource cannot be checked, where that is so: Concourse tells it of the
/// resource, and not of the build.
async fn tell_broken_checks(client: &Client, target: &ConcourseTarget, preparation: &mut Preparation) {
    if preparation.missing_input_reasons.is_empty() {
        return;
    }
    let (job_path, resources_path) = (path::job(target), path::resources(target));
    let (job, resources) = tokio::join!(
        ask::<wire::Job>(client, About::Job(target), &job_path, ANSWER_LIMIT),
        ask::<Vec<wire::Resource>>(client, About::Job(target), &resources_path, LIST_LIMIT),
    );
    let (inputs, resources) = (job.unwrap_or_default().inputs, resources.unwrap_or_default());
    for (input, reason) in &mut preparation.missing_input_reasons {
        let resource = inputs.iter().find(|it| it.name == *input).map_or(input, |it| &it.resource);
        if resources.iter().any(|it| it.name == *resource && it.is_broken()) {
            *reason = format!("{reason}: the last check of resource `{resource}` failed");
        }
    }
}

/// What cancelling would not do yet, since an older build of the job waits before this one.
async fn words_for_cancel(client: &Client, found: &Found) -> Option<String> {
    let version = client.version().filter(|version| version.is_at_least(ABORTS_PAUSED))?;
    let Found { target, build } = found;
    let query = format!("to={}&limit={BEFORE}", build.id.checked_sub(1)?);
    let path = path::job_builds(target, "", &query);
    let before: Vec<wire::Build> = ask(client, About::Job(target), &path, ANSWER_LIMIT).await?;
    let waits = |it: &&wire::Build| it.id < build.id && it.status == status::PENDING;
    let older = before.iter().filter(waits).max_by_key(|it| it.id)?;
    let force = if version.is_at_least(FORCES_ABORTS) { ", or at once by force" } else { "" };
    Some(format!(
        " (if this run is cancelled, Concourse ends it only after build {} of the job, which waits before it{force})",
        older.name
    ))
}
