//! Showing runs: recorded ones, and builds that Gatehouse did not start.

use futures_util::future::join_all;

use super::{
    id::RunId,
    pins::{self, PinLeases},
    run::{FindRun, ListRuns, RecordRun, Run},
};
use crate::{
    caller::Caller,
    ci::{BuildId, CiError, CiErrorKind, ProviderDirectory, ProviderLookupError},
    clock::Clock,
    jobs::{FindJob, FindJobsByTarget, Job, ShowJobError},
    name::JobId,
    paging::{ListError, Page, PageRequest},
    providers::FindProvider,
    scopes::{Use, provider_and_shares},
    store::StoreError,
    tenant::CountTenants,
};

/// How many runs of a list are looked up in their CI system at once: those at its top that have not ended.
const REFRESHED_PER_LIST: usize = 10;

/// A run, and how fresh what is said of it is.
#[derive(Debug)]
pub struct FoundRun {
    pub run: Run,
    /// Whether Gatehouse has a record of it.
    pub recorded: bool,
    /// Why the CI system could not be asked just now, if so: the run is as it was last seen.
    pub stale: Option<String>,
}

/// Why a run cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowRunError {
    /// There is none, or it belongs to a tenant that the caller is not in.
    #[error("there is no such run")]
    NotFound,
    /// There is no such provider any more.
    #[error(transparent)]
    Provider(#[from] ProviderLookupError),
    /// The CI system failed.
    #[error("could not ask the CI system")]
    Ci(#[from] CiError),
    #[error("could not read the run")]
    Store(#[from] StoreError),
}

/// Shows one run as it stands now.
pub async fn show<S>(
    store: &S,
    providers: &dyn ProviderDirectory,
    clock: &dyn Clock,
    caller: &Caller,
    id: &RunId,
) -> Result<FoundRun, ShowRunError>
where
    S: FindRun + RecordRun + PinLeases + FindJobsByTarget + FindProvider + CountTenants,
{
    match store.find_run(id).await? {
        Some(run) if caller.sees(&run.tenant) => {
            let run = Box::pin(observe_delivery(store, providers, clock, run)).await;
            Ok(refresh(store, providers, run).await?)
        }
        Some(_) => Err(ShowRunError::NotFound),
        None => show_unrecorded(store, providers, clock, caller, id).await,
    }
}

/// Looks whether a run has what it was given by now. It is as it was seen last where that cannot be known; nobody who
/// looks at a run is to be kept from it by that.
async fn observe_delivery<S>(store: &S, providers: &dyn ProviderDirectory, clock: &dyn Clock, run: Run) -> Run
where
    S: FindRun + RecordRun + PinLeases,
{
    if run.awaited.is_empty() {
        return run;
    }
    let Ok(provider) = providers.provider(&run.provider).await else { return run };
    pins::observe(store, &*provider, clock, run.clone()).await.unwrap_or(run)
}

/// Asks the CI system how a recorded run stands, and writes down what changed. The build's id is what the run goes by,
/// whatever its job is called by now.
async fn refresh<S: RecordRun>(
    store: &S,
    providers: &dyn ProviderDirectory,
    run: Run,
) -> Result<FoundRun, StoreError> {
    if run.status.is_terminal() {
        return Ok(FoundRun { run, recorded: true, stale: None });
    }
    let provider = match providers.provider(&run.provider).await {
        Ok(provider) => provider,
        Err(error) => return Ok(FoundRun { run, recorded: true, stale: Some(error.to_string()) }),
    };
    let seen = match provider.build(&run.target, &run.build).await {
        Ok(build) => run.clone().observed(build),
        // It had this build once: it was deleted, with all that is known of it there.
        Err(error) if error.kind == CiErrorKind::NotFound => run.clone().gone(error.advice),
        // The record is an answer too, and a run must not seem to be gone while its CI system is down.
        Err(error) => return Ok(FoundRun { run, recorded: true, stale: Some(error.advice) }),
    };
    // Most looks see nothing new: then a read stays a read.
    if seen != run {
        store.record_observation(&seen).await?;
    }
    Ok(FoundRun { run: seen, recorded: true, stale: None })
}

/// Finds a build that Gatehouse did not start by the job of the caller's that points at it, and may.
async fn show_unrecorded<S: FindJobsByTarget + FindProvider + CountTenants>(
    store: &S,
    providers: &dyn ProviderDirectory,
    clock: &dyn Clock,
    caller: &Caller,
    id: &RunId,
) -> Result<FoundRun, ShowRunError> {
    let Some(named) = id.named_build() else { return Err(ShowRunError::NotFound) };
    let target = named.target;
    let mut jobs = store.jobs_with_target(&named.provider, &target).await?;
    jobs.retain(|job| caller.sees(&job.tenant));
    // Before the CI system is asked: of builds that none of the caller's jobs points at, not even the time
    // that an answer takes may say anything.
    if jobs.is_empty() {
        return Err(ShowRunError::NotFound);
    }
    let (provider, shares) = provider_and_shares(store, providers, &named.provider).await?;
    // Nobody asked Gatehouse for this build, so it is nobody's whose tenant may not use what it is in.
    jobs.retain(|job| shares.admit_target(&named.provider, &job.tenant, &target, Use::GoOn).is_ok());
    if jobs.is_empty() {
        return Err(ShowRunError::NotFound);
    }
    let build = match provider.build(&target, &BuildId(named.build)).await {
        Ok(build) => build,
        // Refused: it is a build of something else.
        Err(CiError { kind: CiErrorKind::NotFound | CiErrorKind::Refused, .. }) => {
            return Err(ShowRunError::NotFound);
        }
        Err(error) => return Err(error.into()),
    };
    let job = jobs.into_iter().find(|job| job.spec.target.covers(&build.target));
    let run = Run::of_build(&job.ok_or(ShowRunError::NotFound)?, build, clock.now());
    // The id may name the build's number of another pipeline job: what it says must be true.
    if run.id == *id {
        Ok(FoundRun { run, recorded: false, stale: None })
    } else {
        Err(ShowRunError::NotFound)
    }
}

/// Why runs cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListRunsError {
    /// The job cannot be shown.
    #[error(transparent)]
    Job(#[from] ShowJobError),
    /// The list cannot be read.
    #[error(transparent)]
    List(#[from] ListError),
}

/// Lists the runs of a job that were started through Gatehouse, the newest first. Those at the top that
/// have not ended are looked up; where the CI system does not answer they are shown as last seen. A page may be short, or
/// empty, and still have a next one.
pub async fn list<S>(
    store: &S,
    providers: &dyn ProviderDirectory,
    caller: &Caller,
    job: &JobId,
    page: &PageRequest,
) -> Result<Page<FoundRun>, ListRunsError>
where
    S: FindJob + ListRuns + RecordRun,
{
    let job: Job = crate::jobs::show(store, caller, job).await?;
    let mut page = store.list_runs(&job.id, page).await?;
    // A job's id can be given again, and the list of it goes on: the runs of an earlier job of another tenant are in it.
    page.items.retain(|run| run.tenant == job.tenant);
    // The newest come first, and they are the ones that have not ended.
    let mut budget = REFRESHED_PER_LIST;
    let lookups = page.items.into_iter().map(|run| {
        let ask = !run.status.is_terminal() && budget > 0;
        budget -= usize::from(ask);
        async move {
            if ask {
                refresh(store, providers, run).await
            } else {
                Ok(FoundRun { run, recorded: true, stale: None })
            }
        }
    });
    let items = join_all(lookups).await.into_iter().collect::<Result<_, _>>().map_err(ListError::Store)?;
    Ok(Page { items, next: page.next })
}
