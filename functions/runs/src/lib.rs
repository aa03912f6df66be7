//! Runs: triggering, watching, cancelling.

mod cancel;
mod events;
mod log;
mod plain_text;
mod problems;
mod run;
mod start;
mod state;
mod wire;

use axum::Router;
use gatehouse_domain::access::{
    CANCEL_RUN, LIST_RUNS, RERUN_RUN, SHOW_RUN, SHOW_RUN_LOG, STREAM_RUN_EVENTS, TRIGGER_RUN,
};
use gatehouse_http::Routes;
use utoipa::OpenApi;

pub use self::state::AppState;

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
