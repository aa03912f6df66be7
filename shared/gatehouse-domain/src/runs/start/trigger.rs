//! Triggering jobs, and running runs again.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    attempt::{Attempt, Recovering},
    error::{StartError, Started},
    request::{BeginOutcome, RunRequest, RunRequests},
    versions,
};
use crate::{
    access::{Endpoint, RERUN_RUN, TRIGGER_RUN},
    audit::{Action, AuditContext, AuditTarget, Entry, Outcome},
    ci::{ProviderDirectory, StartKind},
    clock::{System, ordered_id},
    idempotency::{Fingerprint, IdempotencyKey, RequestKey},
    jobs::{self, FindJob, FindJobsByTarget, Job, JobSpec, ShowJobError},
    name::{JobId, ParameterName, TenantId},
    parameter::{ResolvedParameters, resolve},
    providers::FindProvider,
    runs::{
        find::show,
        id::RunId,
        pins::PinLeases,
        run::{FindRun, RecordRun},
    },
    scopes::{Use, provider_and_shares},
    tenant::CountTenants,
    validation::FieldError,
};

/// How much the trail says of parameters that were not delivered, in characters; the run has them whole.
const DETAIL: usize = 1000;

/// Triggers a run of a job with the given parameters. Repeated with the same key, it answers with the same
/// run; without a key it starts one run all the same, and an unknown outcome names the key to repeat with.
pub async fn trigger<S>(
    store: &S,
    providers: &dyn ProviderDirectory,
    system: &dyn System,
    audit: &AuditContext<'_>,
    job: &JobId,
    parameters: &BTreeMap<String, Value>,
    key: Option<&IdempotencyKey>,
) -> Result<Started, StartError>
where
    S: FindJob + FindRun + RecordRun + RunRequests + PinLeases + FindProvider + CountTenants,
{
    let job = jobs::show(store, audit.caller, job).await?;
    admit(audit, &TRIGGER_RUN, &job.tenant)?;
    let resolved = resolve_for(&job.spec, parameters).map_err(StartError::Parameters)?;
    // With the tenant, since the job's id may have been another tenant's job a moment ago. Of what the caller wrote, not of what the job makes of it: a repetition stays one when the job's
    // defaults are edited in between.
    let given = serde_json::to_string(parameters).unwrap_or_default();
    let wanted = Wanted {
        fingerprint: Fingerprint::of(&["trigger", job.tenant.as_str(), job.id.as_str(), &given]),
        kind: StartKind::Trigger,
        rerun_of: None,
        resolved,
        job,
    };
    start(store, providers, system, audit, wanted, key).await
}

/// Runs a run again that has ended, with the inputs it had.
pub async fn rerun<S>(
    store: &S,
    providers: &dyn ProviderDirectory,
    system: &dyn System,
    audit: &AuditContext<'_>,
    run: &RunId,
    key: Option<&IdempotencyKey>,
) -> Result<Started, StartError>
where
    S: FindJob
        + RunRequests
        + PinLeases
        + FindRun
        + RecordRun
        + FindJobsByTarget
        + FindProvider
        + CountTenants,
{
    let found = show(store, providers, system, audit.caller, run).await?.run;
    admit(audit, &RERUN_RUN, &found.tenant)?;
    if !found.status.is_terminal() {
        return Err(StartError::StillRunning);
    }
    let job = jobs::show(store, audit.caller, &found.job_id).await?;
    // The id may be another tenant's job by now, whose run it would become.
    if job.tenant != found.tenant {
        return Err(ShowJobError::NotFound.into());
    }
    // The run's own provider and values count: the job may have been edited since.
    let spec = JobSpec { provider: found.provider, target: found.target.clone(), ..job.spec };
    let job = Job { spec, ..job };
    let given = found.parameters.iter().map(|(name, value)| (name.to_string(), value.clone())).collect();
    // Made again from the values, for CI systems that do not remember a build's inputs. An edit of the job may
    // refuse them by now, which is no reason not to run the same thing again where they are remembered.
    let environment = resolve_for(&job.spec, &given);
    let wanted = Wanted {
        fingerprint: Fingerprint::of(&["rerun", run.as_str()]),
        kind: StartKind::Rerun { build: found.build },
        rerun_of: Some(run.clone()),
        resolved: ResolvedParameters {
            values: found.parameters,
            undelivered: found.undelivered,
            versions: BTreeMap::new(),
            target: found.target,
            environment: environment.map(|resolved| resolved.environment).unwrap_or_default(),
        },
        job,
    };
    start(store, providers, system, audit, wanted, key).await
}

fn resolve_for(
    spec: &JobSpec,
    given: &BTreeMap<String, Value>,
) -> Result<ResolvedParameters, Vec<FieldError>> {
    resolve(&spec.parameters, spec.takes_undeclared(), &spec.target, given)
}

fn admit(audit: &AuditContext<'_>, endpoint: &Endpoint, tenant: &TenantId) -> Result<(), StartError> {
    if audit.caller.may_in(endpoint, tenant) { Ok(()) } else { Err(StartError::Forbidden(tenant.clone())) }
}

struct Wanted {
    job: Job,
    kind: StartKind,
    rerun_of: Option<RunId>,
    resolved: ResolvedParameters,
    fingerprint: Fingerprint,
}

async fn start<S>(
    store: &S,
    providers: &dyn ProviderDirectory,
    system: &dyn System,
    audit: &AuditContext<'_>,
    wanted: Wanted,
    key: Option<&IdempotencyKey>,
) -> Result<Started, StartError>
where
    S: FindRun + RecordRun + RunRequests + PinLeases + FindProvider + CountTenants,
{
    let name = &wanted.job.spec.provider;
    let (provider, shares) = provider_and_shares(store, providers, name).await?;
    if matches!(wanted.kind, StartKind::Rerun { .. }) && !provider.capabilities().rerun {
        return Err(StartError::RerunUnsupported);
    }
    let now = system.now();
    let closed = shares.admit_target(name, &wanted.job.tenant, &wanted.resolved.target, Use::GoOn).err();
    let attempt = Attempt::new(store, system, &*provider, &wanted.job, closed.as_ref(), key);
    let id = ordered_id(system, now, "run");
    let actor = audit.caller.actor();
    // The actor is part of it: keys of different callers never meet.
    let request_key = RequestKey::of(&actor, &attempt.key);
    // Only a key of the caller's own can have been used before. Read first, so that a repetition costs the CI
    // system no call, and is answered even while the CI system is down.
    if key.is_some()
        && let Some(existing) = store.find_request(&request_key, now).await?
    {
        let started = Box::pin(attempt.join(existing, &wanted.fingerprint)).await?;
        return Ok(Box::pin(attempt.with_inputs(started)).await);
    }
    // After the look for an earlier request: what was begun while it was allowed is answered and found as before.
    attempt.admit()?;
    // Nothing is changed by it, so that a version that there is not leaves nothing behind.
    let asked = &wanted.resolved.versions;
    // Boxed, here and below: what few starts need is not to make the state of all of them large.
    let versions = Box::pin(versions::find(&*provider, system, &wanted.resolved.target, asked)).await?;
    // Before the request is written: what is begun after this moment may be this request's build. A checkpoint
    // that is older than the request only means more builds to look through.
    let checkpoint = provider.checkpoint(&wanted.resolved.target).await?;
    let request = RunRequest {
        key: request_key,
        id,
        fingerprint: wanted.fingerprint,
        job_id: wanted.job.id.clone(),
        kind: wanted.kind,
        rerun_of: wanted.rerun_of,
        target: wanted.resolved.target,
        parameters: wanted.resolved.values,
        undelivered: wanted.resolved.undelivered,
        versions,
        environment: wanted.resolved.environment,
        checkpoint,
        actor,
        created_at: now,
        // Not `now`: finding the versions may have taken a while.
        state: attempt.open(system.now(), Recovering::No),
    };
    let entry = entry(system, audit, &wanted.job, &request);
    // Written before the call: if this invocation dies at any moment after it, the request is there for a
    // repetition to find, and the trail has it.
    let started = match store.begin_request(&request, &entry).await? {
        BeginOutcome::Begun => Box::pin(attempt.call(request)).await?,
        // The same key at the same time: the other one was faster.
        BeginOutcome::Exists(existing) => Box::pin(attempt.join(*existing, &request.fingerprint)).await?,
    };
    Ok(Box::pin(attempt.with_inputs(started)).await)
}

/// That a run was asked for: the request's record, and the run's once there is one, say what came of it.
fn entry(system: &dyn System, audit: &AuditContext<'_>, job: &Job, request: &RunRequest) -> Entry {
    let again = request.rerun_of.as_ref().map(|run| format!("again what run {run} was"));
    let detail: Vec<_> = again.into_iter().chain(undelivered(request)).collect();
    let audit_target = AuditTarget {
        target: format!("job:{}", job.id),
        tenant: Some(job.tenant.clone()),
        detail: (!detail.is_empty()).then(|| detail.join("; ")),
    };
    audit.entry(system, Action::TriggerRun, Outcome::Requested, audit_target)
}

/// What of the parameters goes no further than this record.
fn undelivered(request: &RunRequest) -> Option<String> {
    let awaited: BTreeSet<_> =
        request.versions.iter().flat_map(|it| &it.parameters).map(ParameterName::as_str).collect();
    let lost = request.undelivered.iter().filter(|(name, _)| !awaited.contains(name.as_str()));
    let values = lost.map(|(name, value)| format!("{name}={value}"));
    let text = values.collect::<Vec<_>>().join(", ");
    let text: String = text.chars().take(DETAIL).collect();
    (!text.is_empty()).then(|| format!("not delivered: {text}"))
}
