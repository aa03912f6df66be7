//! What lasts: the events and the log of a run, and how a service stands for as long as something goes on.
//!
//! Whoever watches holds an invocation for up to a quarter of an hour. So these have a function of their own, which may
//! have a concurrency of its own, and watching never keeps anybody from triggering or changing something.

mod events;
mod log;
mod plain_text;
mod state;
mod status;
mod watch;
mod wire;

use axum::Router;

pub use self::state::AppState;

/// The routes of this function.
pub fn router(state: AppState) -> Router {
    routes().into_app(state)
}

gatehouse_http::routes! {
    AppState,
    STREAM_RUN_EVENTS => events::stream,
    SHOW_RUN_LOG => log::show,
    SHOW_STATUS => status::show,
    SHOW_DEPLOY_STATUS => status::deploys,
}
