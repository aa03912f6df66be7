//! What the rules of runs refuse, as problems.

use std::time::Duration;

use gatehouse_domain::{
    jobs::ShowJobError,
    runs::{CancelError, ListRunsError, start::StartError},
};
use gatehouse_http::{
    Problem,
    problem::{
        IDEMPOTENCY_KEY_REUSED, NOT_FOUND, NOT_SUPPORTED, OUTCOME_UNKNOWN, REQUEST_IN_PROGRESS, RUN_ENDED,
        RUN_NOT_ENDED,
    },
};

/// When to repeat a request whose twin is still at work.
const IN_PROGRESS_PAUSE: Duration = Duration::from_secs(5);

/// When to repeat a request whose outcome is not known: the CI system gets time to show the build.
const UNKNOWN_PAUSE: Duration = Duration::from_secs(10);

pub(crate) fn show_job(error: ShowJobError) -> Problem {
    match error {
        ShowJobError::NotFound => Problem::new(NOT_FOUND, "There is no such job."),
        ShowJobError::Store(error) => Problem::store(error),
    }
}

pub(crate) fn list_runs(error: ListRunsError) -> Problem {
    match error {
        ListRunsError::Job(error) => show_job(error),
        ListRunsError::List(error) => Problem::list(error),
    }
}

pub(crate) fn cancel(error: CancelError) -> Problem {
    match error {
        CancelError::Show(error) => Problem::show_run(error),
        CancelError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        CancelError::Ended(_) => Problem::new(RUN_ENDED, error.to_string()),
        CancelError::ForceUnsupported => Problem::new(NOT_SUPPORTED, error.to_string()),
        CancelError::Provider(error) => Problem::provider_lookup(error),
        CancelError::Ci(error) => Problem::ci(error),
        CancelError::Store(error) => Problem::store(error),
    }
}

pub(crate) fn start(error: StartError) -> Problem {
    match error {
        StartError::Job(error) => show_job(error),
        StartError::Run(error) => Problem::show_run(error),
        StartError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        StartError::Scope(closed) => Problem::scope_closed(&closed),
        StartError::Parameters(errors) => Problem::invalid(errors),
        StartError::StillRunning => Problem::new(RUN_NOT_ENDED, error.to_string()),
        StartError::RerunUnsupported => Problem::new(NOT_SUPPORTED, error.to_string()),
        StartError::Provider(error) => Problem::provider_lookup(error),
        StartError::Ci(error) => Problem::ci(error),
        StartError::KeyReused => Problem::new(IDEMPOTENCY_KEY_REUSED, error.to_string()),
        StartError::InProgress | StartError::PipelineBusy => {
            Problem::new(REQUEST_IN_PROGRESS, error.to_string()).retry_after(IN_PROGRESS_PAUSE)
        }
        StartError::OutcomeUnknown { ref key } => {
            Problem::new(OUTCOME_UNKNOWN, format!("{error}; it never starts a second run."))
                .retry_after(UNKNOWN_PAUSE)
                .with("idempotency_key", key.to_string())
        }
        StartError::Store(error) => Problem::store(error),
    }
}
