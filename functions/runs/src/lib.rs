//! Runs: triggering, watching, cancelling.

mod cancel;
mod events;
mod log;
mod plain_text;
mod problems;
mod run;
mod start;
mod wire;

use std::sync::Arc;

use axum::Router;
use gatehouse_domain::{
    access::{CANCEL_RUN, LIST_RUNS, RERUN_RUN, SHOW_RUN, SHOW_RUN_LOG, STREAM_RUN_EVENTS, TRIGGER_RUN},
    audit::AppendAudit,
    ci::ProviderDirectory,
    clock::{Clock, IdSource},
    jobs::{FindJob, FindJobsByTarget},
    runs::{
        CancelPorts, FindPorts, FindRun, ListPorts, ListRuns, RecordRun,
        start::{RunRequests, StartPorts},
    },
};
use gatehouse_http::Routes;
use utoipa::OpenApi;

/// What the handlers need.
#[derive(Clone)]
pub struct AppState {
    /// Reads a job.
    pub find_job: Arc<dyn FindJob>,
    /// Finds the jobs that a build may belong to.
    pub jobs_by_target: Arc<dyn FindJobsByTarget>,
    /// Reads a run.
    pub find_run: Arc<dyn FindRun>,
    /// Lists runs.
    pub list_runs: Arc<dyn ListRuns>,
    /// Writes down what is seen of runs.
    pub record_run: Arc<dyn RecordRun>,
    /// Keeps starts.
    pub starts: Arc<dyn RunRequests>,
    /// Writes the audit trail.
    pub trail: Arc<dyn AppendAudit>,
    /// Finds the CI systems.
    pub providers: Arc<dyn ProviderDirectory>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Makes ids.
    pub ids: Arc<dyn IdSource>,
}

impl AppState {
    fn find_ports(&self) -> FindPorts<'_> {
        FindPorts {
            runs: &*self.find_run,
            record: &*self.record_run,
            jobs: &*self.jobs_by_target,
            providers: &*self.providers,
            clock: &*self.clock,
        }
    }

    fn cancel_ports(&self) -> CancelPorts<'_> {
        CancelPorts { find: self.find_ports(), trail: &*self.trail, ids: &*self.ids }
    }

    fn list_ports(&self) -> ListPorts<'_> {
        ListPorts {
            job: &*self.find_job,
            runs: &*self.list_runs,
            record: &*self.record_run,
            providers: &*self.providers,
        }
    }

    fn start_ports(&self) -> StartPorts<'_> {
        StartPorts {
            job: &*self.find_job,
            find: self.find_ports(),
            starts: &*self.starts,
            providers: &*self.providers,
            clock: &*self.clock,
            ids: &*self.ids,
        }
    }
}

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

/// What is mounted.
pub fn routes() -> Routes<AppState> {
    Routes::new()
        .on(&TRIGGER_RUN, start::trigger)
        .on(&LIST_RUNS, run::list)
        .on(&SHOW_RUN, run::show)
        .on(&STREAM_RUN_EVENTS, events::stream)
        .on(&SHOW_RUN_LOG, log::show)
        .on(&CANCEL_RUN, cancel::cancel)
        .on(&RERUN_RUN, start::rerun)
}

/// What this function contributes to the API description.
#[derive(Debug, OpenApi)]
#[openapi(paths(
    start::trigger,
    run::list,
    run::show,
    events::stream,
    log::show,
    cancel::cancel,
    start::rerun
))]
pub struct Description;
