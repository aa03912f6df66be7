//! Runs: triggering, showing, cancelling. `functions/streams` has their events and logs.

mod cancel;
mod problems;
mod run;
mod start;
mod state;
mod wire;

use axum::Router;

pub use self::state::AppState;

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

gatehouse_http::routes! {
    AppState,
    TRIGGER_RUN => start::trigger,
    LIST_RUNS => run::list,
    SHOW_RUN => run::show,
    CANCEL_RUN => cancel::cancel,
    RERUN_RUN => start::rerun,
}
