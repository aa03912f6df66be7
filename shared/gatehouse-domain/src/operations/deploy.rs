//! Deploying: by a job of a CI system, which is triggered and followed like any other, or by a webhook.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use secrecy::SecretString;
use serde_json::Value;

use super::{
    Operation, Progress, StepState, TaskToken, Work,
    attempt::CallbackKey,
    change::{ChangeError, change},
    lifecycle::{Changed, StepRefused},
    store::{FindOperation, SaveOperation},
};
use crate::{
    audit::{AppendAudit, AuditContext, Origin},
    caller::{Caller, Grant},
    catalog::{DeployTarget, FindService, Link},
    ci::{CancelMode, ProviderDirectory, ProviderLookupError, RunStatus},
    clock::{Clock, System},
    id::OperationId,
    idempotency::{IdempotencyKey, RequestKey},
    jobs::{FindJob, FindJobsByTarget, ShowJobError},
    name::JobId,
    providers::FindProvider,
    runs::{
        self, CancelError, FindRun, RecordRun, Run, ShowRunError,
        pins::PinLeases,
        start::{RunRequests, StartError},
    },
    store::StoreError,
    tenant::CountTenants,
};

/// The step of an operation that is a run.
const RUN_STEP: &str = "run";

/// How long to wait before a run is looked at for the first time, in seconds.
const FIRST_LOOK_SECONDS: u32 = 5;

/// How long to wait between two looks at a run whose end is near: it is new, or was asked to stop. In seconds.
const SOON_SECONDS: u32 = 10;

/// Posts deploys to webhooks.
#[async_trait]
pub trait Webhook: Send + Sync {
    /// Posts the call; the same call may be posted more than once, with the same `Idempotency-Key`.
    async fn post(&self, url: &str, call: &CallWebhook) -> Result<(), WebhookError>;
}

/// What is posted to a webhook.
#[derive(Debug)]
pub struct CallWebhook {
    /// The operation, which says what is deployed and where.
    pub operation: Operation,
    pub version: String,
    pub attempt: u32,
    /// With which the receiver reports.
    pub callback_token: SecretString,
}

/// What lies below a failure: logged, never shown, since it may name hosts and addresses.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A webhook was not taken.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// It did not answer, or with an error that goes by: what happened, and the cause for the log. Trying
    /// again may help.
    #[error("the webhook did not take the call: {0}")]
    Unavailable(String, #[source] Option<Cause>),
    /// It refused, or it may not be called.
    #[error("the webhook refused the call: {0}")]
    Refused(String),
}

/// Where a deploy by a job keeps what it does: the operation, the run, and the trail.
pub trait DeployStore:
    FindOperation
    + SaveOperation
    + FindService
    + FindJob
    + FindJobsByTarget
    + FindRun
    + RecordRun
    + RunRequests
    + PinLeases
    + AppendAudit
    + FindProvider
    + CountTenants
{
}

impl<T> DeployStore for T where
    T: FindOperation
        + SaveOperation
        + FindService
        + FindJob
        + FindJobsByTarget
        + FindRun
        + RecordRun
        + RunRequests
        + PinLeases
        + AppendAudit
        + FindProvider
        + CountTenants
{
}

/// Why a command of a deploy was refused, or could not be done.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The operation is not so far, or has ended, or is gone.
    #[error(transparent)]
    Step(#[from] ChangeError<StepRefused>),
    /// What it needs is not there just now. Trying again may help.
    #[error("{0}")]
    Unavailable(String, #[source] Option<Cause>),
    /// It cannot be done like this.
    #[error("{0}")]
    Refused(String),
}

impl From<StoreError> for DeployError {
    fn from(error: StoreError) -> Self {
        Self::Step(error.into())
    }
}

/// How a run that deploys stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// Whether it has ended.
    pub ended: bool,
    /// Whether it ended well.
    pub succeeded: bool,
    /// How long to wait before it is looked at again, in seconds.
    pub wait_seconds: u32,
}

/// Triggers the run that deploys. Tried again, it finds the run that it triggered: also where the operation is
/// to stop by now, since the run has begun nevertheless and has to be followed.
///
/// # Errors
///
/// Why it cannot be triggered, and whether trying again may help.
pub async fn trigger_run<S>(
    store: &S,
    providers: &dyn ProviderDirectory,
    system: &dyn System,
    id: &OperationId,
) -> Result<Followed, DeployError>
where
    S: DeployStore,
{
    let operation = find(store, id).await?;
    let (version, job) = match &operation.work {
        Work::Deploy { version, target: DeployTarget::Job(job) } => (version, job),
        Work::Deploy { .. } | Work::Provision(_) | Work::Deprovision(_) | Work::Drift(_) => {
            return Err(out_of_place("no job deploys this operation"));
        }
    };
    let waiting = Followed { ended: false, succeeded: false, wait_seconds: FIRST_LOOK_SECONDS };
    if operation.run.is_some() && operation.is_open() {
        return Ok(waiting);
    }
    let caller = deployer(&operation);
    // The id as the key: every try is the same run request, whatever was lost of the one before.
    let key = id.as_str().parse::<IdempotencyKey>().ok();
    // What must not begin is refused, unless it has begun: an earlier try may have reached the CI system before
    // somebody cancelled.
    if let Err(refusal) = may_begin(store, &operation).await?
        && (operation.run.is_some() || !is_begun(store, system, &caller, key.as_ref()).await?)
    {
        return Err(refused(refusal));
    }
    let origin = Origin::default();
    let audit = AuditContext { caller: &caller, origin: &origin };
    let parameters = parameters(store, &operation, job, version).await?;
    let started = runs::start::trigger(store, providers, system, &audit, job, &parameters, key.as_ref());
    let run = started.await.map_err(|error| from_start(job, error))?.run;
    note(store, providers, system, &operation, &caller, &run).await?;
    Ok(waiting)
}

async fn find<S>(store: &S, id: &OperationId) -> Result<Operation, DeployError>
where
    S: FindOperation,
{
    let found = store.find_operation(id).await?;
    found.ok_or(DeployError::Step(ChangeError::NotFound))
}

/// Whether the deploy may begin: by its own record, and by the rule that holds now.
async fn may_begin<S>(store: &S, operation: &Operation) -> Result<Result<(), StepRefused>, DeployError>
where
    S: FindService,
{
    if let Err(refusal) = operation.may_deploy() {
        return Ok(Err(refusal));
    }
    let found = store.find_service(&operation.service).await?.map(|found| found.service);
    Ok(operation.keeps_to(found.as_ref()).map_err(StepRefused::OutOfPlace))
}

/// Whether the CI system was, or may have been, asked to start the run.
async fn is_begun<S>(
    store: &S,
    clock: &dyn Clock,
    caller: &Caller,
    key: Option<&IdempotencyKey>,
) -> Result<bool, DeployError>
where
    S: RunRequests,
{
    let Some(key) = key else { return Ok(false) };
    let key = RequestKey::of(&caller.actor(), key);
    Ok(store.find_request(&key, clock.now()).await?.is_some())
}

/// Notes the run with its operation. Where the operation has ended meanwhile, the run is stopped: nobody would
/// follow it, and the environment is free for another deploy.
async fn note<S>(
    store: &S,
    providers: &dyn ProviderDirectory,
    system: &dyn System,
    operation: &Operation,
    caller: &Caller,
    run: &Run,
) -> Result<(), DeployError>
where
    S: DeployStore,
{
    let noted = change(store, system, &operation.id, None, |operation| {
        let now = system.now();
        let changed = operation.note_run(run.id.clone(), now)?;
        Ok(if operation.note_run_status(run, now) { Changed::Record } else { changed })
    });
    match noted.await {
        Ok(_) => Ok(()),
        Err(error @ ChangeError::Refused(StepRefused::Ended(_))) => {
            stop(store, providers, system, caller, run).await?;
            Err(error.into())
        }
        Err(error) => Err(error.into()),
    }
}

fn refused(refusal: StepRefused) -> DeployError {
    DeployError::Step(ChangeError::Refused(refusal))
}

fn out_of_place(what: &'static str) -> DeployError {
    refused(StepRefused::OutOfPlace(what))
}

/// Who triggers the run: this operation, for whoever asked for it.
fn deployer(operation: &Operation) -> Caller {
    let grant = Grant::Operation {
        tenant: operation.tenant.clone(),
        requested_by: operation.requested.by.clone(),
        hand: operation.requested.hand().to_owned(),
    };
    Caller { subject: operation.id.to_string(), grant }
}

/// Of what a deploy knows, what the job declares as a parameter: a job that gets one that it does not declare
/// refuses the trigger.
async fn parameters<S>(
    store: &S,
    operation: &Operation,
    job: &JobId,
    version: &str,
) -> Result<BTreeMap<String, Value>, DeployError>
where
    S: FindJob,
{
    // The id may be another tenant's job by now; then the trigger finds none.
    let found = store.find_job(job).await?.filter(|job| job.tenant == operation.tenant);
    let declared: BTreeSet<String> = found
        .iter()
        .flat_map(|job| &job.spec.parameters)
        .map(|parameter| parameter.name.to_string())
        .collect();
    let known = [
        ("version", version),
        ("environment", operation.environment.as_str()),
        ("service", operation.service_name.as_str()),
    ];
    let wanted = known.into_iter().filter(|(name, _)| declared.contains(*name));
    Ok(wanted.map(|(name, value)| (name.to_owned(), Value::from(value))).collect())
}

fn from_start(job: &JobId, error: StartError) -> DeployError {
    let again = match &error {
        StartError::InProgress
        | StartError::PipelineBusy
        | StartError::OutcomeUnknown { .. }
        | StartError::Store(_)
        | StartError::Job(ShowJobError::Store(_))
        | StartError::Provider(ProviderLookupError::Store(_)) => true,
        StartError::Ci(error) => error.kind.is_retryable(),
        StartError::Job(_)
        | StartError::Run(_)
        | StartError::Forbidden(_)
        | StartError::Scope(_)
        | StartError::Parameters(_)
        | StartError::StillRunning
        | StartError::RerunUnsupported
        | StartError::Provider(_)
        | StartError::KeyReused => false,
    };
    let why = match &error {
        StartError::Parameters(errors) => errors
            .iter()
            .map(|error| format!("{}: {}", error.pointer, error.detail))
            .collect::<Vec<_>>()
            .join("; "),
        StartError::Ci(error) => error.advice.clone(),
        other => other.to_string(),
    };
    let what = format!("job `{job}` could not be triggered: {why}");
    if again { DeployError::Unavailable(what, Some(error.into())) } else { DeployError::Refused(what) }
}

/// Looks at the run that deploys, cancels it where the operation is to stop or is overdue, and records its
/// outcome.
///
/// # Errors
///
/// Why it cannot be followed, and whether trying again may help.
pub async fn follow_run<S>(
    store: &S,
    providers: &dyn ProviderDirectory,
    system: &dyn System,
    id: &OperationId,
) -> Result<Followed, DeployError>
where
    S: DeployStore,
{
    let operation = find(store, id).await?;
    operation.still_open().map_err(refused)?;
    let Some(run) = &operation.run else { return Err(out_of_place("no run was triggered")) };
    let caller = deployer(&operation);
    let found = runs::show(store, providers, system, &caller, run).await.map_err(from_show)?.run;
    let unwanted = operation.cancel.is_some() || operation.deadline <= system.now();
    // Once: the CI system has taken the wish, and this command comes again every few seconds.
    if unwanted && !found.status.is_terminal() && found.cancel_requested_at.is_none() {
        stop(store, providers, system, &caller, &found).await?;
    }
    let wait_seconds = if operation.cancel.is_some() {
        SOON_SECONDS
    } else {
        let begun_at = operation.attempt.as_ref().map_or(operation.requested.at, |attempt| attempt.begun_at);
        look_again_after(Duration::try_from(system.now().duration_since(begun_at)).unwrap_or_default())
    };
    let failure = match found.status {
        RunStatus::Succeeded => None,
        status => Some(format!("run {} {}", found.id, status.as_str())),
    };
    change(store, system, id, None, |operation| {
        operation.still_open()?;
        let now = system.now();
        let noted = operation.note_run_status(&found, now);
        if found.status.is_terminal() && operation.note_run_ended(failure.clone(), now) != Changed::Nothing {
            return Ok(Changed::Record);
        }
        Ok(if noted { Changed::Record } else { Changed::Nothing })
    })
    .await?;
    Ok(Followed {
        ended: found.status.is_terminal(),
        succeeded: found.status == RunStatus::Succeeded,
        wait_seconds,
    })
}

/// How long to wait until a run is looked at again that was begun so long ago, in seconds.
///
/// Each look is nine events in the history of its execution, which Step Functions ends at 25,000. So the waits grow: the
/// longest run that is allowed fits even where every look is tried as often as it may be.
pub fn look_again_after(age: Duration) -> u32 {
    if age < Duration::from_mins(5) {
        SOON_SECONDS
    } else if age < Duration::from_hours(1) {
        30
    } else {
        60
    }
}

async fn stop<S>(
    store: &S,
    providers: &dyn ProviderDirectory,
    system: &dyn System,
    caller: &Caller,
    run: &Run,
) -> Result<(), DeployError>
where
    S: DeployStore,
{
    let origin = Origin::default();
    let audit = AuditContext { caller, origin: &origin };
    match runs::cancel(store, providers, system, &audit, &run.id, CancelMode::Graceful).await {
        Ok(_) | Err(CancelError::Ended(_)) => Ok(()),
        Err(error) => {
            Err(DeployError::Unavailable("the run could not be cancelled".to_owned(), Some(error.into())))
        }
    }
}

fn from_show(error: ShowRunError) -> DeployError {
    match error {
        ShowRunError::NotFound => {
            DeployError::Refused("the run that deploys does not exist any more".to_owned())
        }
        error => DeployError::Unavailable("the run could not be looked at".to_owned(), Some(error.into())),
    }
}

/// Opens an attempt and calls the webhook that deploys, with the token to report with.
///
/// The attempt is recorded before the call: the receiver may report before it has answered.
///
/// # Errors
///
/// Why it is not called or did not take the call, and whether trying again may help.
pub async fn call_webhook<S>(
    store: &S,
    webhook: &dyn Webhook,
    clock: &dyn Clock,
    key: &CallbackKey,
    id: &OperationId,
    token: &TaskToken,
) -> Result<(), DeployError>
where
    S: FindOperation + SaveOperation + FindService,
{
    let operation = find(store, id).await?;
    // A call that was made before may have been taken: then its receiver deploys already.
    if operation.attempt.is_none() {
        may_begin(store, &operation).await?.map_err(refused)?;
    }
    let begun = change(store, clock, id, None, |operation| {
        operation.may_deploy()?;
        by_webhook(&operation.work)?;
        operation.begin_webhook(token.clone(), clock.now())
    });
    let operation = begun.await?;
    let (version, url) = by_webhook(&operation.work).map_err(refused)?;
    let Some(attempt) = &operation.attempt else { return Err(out_of_place("the attempt is gone")) };
    if attempt.reported {
        // An earlier call arrived and its receiver is done; the janitor delivers what it reported.
        return Ok(());
    }
    let callback_token = key.mint(&attempt.claims(&operation.id));
    let call = CallWebhook { version, attempt: attempt.number, callback_token, operation };
    match webhook.post(&url, &call).await {
        Ok(()) => Ok(()),
        Err(WebhookError::Refused(why)) => {
            Err(DeployError::Refused(format!("the webhook refused the call: {why}")))
        }
        Err(WebhookError::Unavailable(why, cause)) => {
            Err(DeployError::Unavailable(format!("the webhook did not take the call: {why}"), cause))
        }
    }
}

/// The version, and the webhook that deploys it.
fn by_webhook(work: &Work) -> Result<(String, String), StepRefused> {
    match work {
        Work::Deploy { version, target: DeployTarget::Webhook(url) } => Ok((version.clone(), url.clone())),
        Work::Deploy { .. } | Work::Provision(_) | Work::Deprovision(_) | Work::Drift(_) => {
            Err(StepRefused::OutOfPlace("no webhook deploys this operation"))
        }
    }
}

impl Operation {
    /// Refuses to deploy what has ended, is to stop, or was not agreed to.
    fn may_deploy(&self) -> Result<(), StepRefused> {
        self.going_on()?;
        if self.is_agreed() { Ok(()) } else { Err(StepRefused::OutOfPlace("nobody has agreed yet")) }
    }

    /// Shows the run as a step. Whether that is news.
    fn note_run_status(&mut self, run: &Run, now: jiff::Timestamp) -> bool {
        let before = (self.steps.clone(), self.links.clone());
        let state = match run.status {
            RunStatus::Queued | RunStatus::Running | RunStatus::Cancelling => StepState::Running,
            RunStatus::Succeeded => StepState::Succeeded,
            RunStatus::Failed | RunStatus::Errored | RunStatus::Cancelled => StepState::Failed,
        };
        let known = self.steps.iter().any(|step| step.name == RUN_STEP && step.state == state);
        let message = Some(format!("run {}: {}", run.id, run.status.as_str()));
        let same = self.steps.iter().any(|step| step.message == message);
        if !(known && same) {
            let progress =
                Progress { step: Some((RUN_STEP.to_owned(), state)), message, ..Progress::default() };
            self.progress(1, super::Phase::Deploy, progress, now);
        }
        let links = run.web_url.iter().map(|url| Link { name: "run".to_owned(), url: url.clone() });
        self.add_links(links.collect());
        before != (self.steps.clone(), self.links.clone())
    }
}
