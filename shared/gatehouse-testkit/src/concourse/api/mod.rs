//! The REST API under `/api/v1`.

mod access;
mod answer;
mod builds;
mod jobs;
mod paging;
mod pipelines;
mod present;
mod resources;
mod stream;
mod teams;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post, put};
use http::HeaderValue;
use http::header::VARY;

use super::pages;
use super::version::Version;
use super::world::World;

pub(super) fn router(world: &Arc<World>) -> Router {
    let version = world.config.version;
    let mut api = Router::new()
        .route("/info", get(teams::show_info))
        .route("/user", get(teams::show_user))
        .route("/teams", get(teams::list_teams))
        .route("/teams/{team}", get(teams::show_team).put(teams::set_team))
        .route("/pipelines", get(pipelines::list_all_pipelines))
        .route("/teams/{team}/pipelines", get(pipelines::list_team_pipelines))
        .route("/jobs", get(jobs::list_all_jobs))
        .route("/builds", get(builds::list_all_builds))
        .route("/teams/{team}/builds", get(builds::list_team_builds).post(builds::create_build))
        .route("/builds/{id}", get(builds::show_build))
        .route("/builds/{id}/events", get(stream::build_events))
        .route("/builds/{id}/plan", get(builds::show_plan))
        .route("/builds/{id}/preparation", get(builds::show_preparation))
        .route("/builds/{id}/resources", get(builds::show_resources))
        .route("/builds/{id}/artifacts", get(builds::list_artifacts))
        .route("/builds/{id}/abort", put(builds::abort_build))
        .nest("/teams/{team}/pipelines/{pipeline}", pipeline_router());
    if version.has_comments() {
        api = api.route("/builds/{id}/comment", put(builds::comment_build));
    }
    if version.has_health() {
        api = api.route("/health", get(teams::show_health));
    }
    // What nothing answers says nothing of who does not.
    let api = api.layer(from_fn_with_state(version, add_headers)).fallback(pages::not_found);
    let api = api.method_not_allowed_fallback(pages::method_not_allowed).with_state(world.clone());
    Router::new().nest("/api/v1", api)
}

fn pipeline_router() -> Router<Arc<World>> {
    Router::new()
        .route("/", get(pipelines::show_pipeline).delete(pipelines::destroy_pipeline))
        .route("/rename", put(pipelines::rename_pipeline))
        .route("/resources", get(pipelines::list_resources))
        .route("/pause", put(pipelines::pause_pipeline))
        .route("/unpause", put(pipelines::unpause_pipeline))
        .route("/builds", get(builds::list_pipeline_builds))
        .route("/jobs", get(jobs::list_jobs))
        .route("/jobs/{job}", get(jobs::show_job))
        .route("/jobs/{job}/pause", put(jobs::pause_job))
        .route("/jobs/{job}/unpause", put(jobs::unpause_job))
        .route("/jobs/{job}/builds", get(builds::list_job_builds).post(jobs::trigger_job))
        .route("/jobs/{job}/builds/{build}", get(builds::show_job_build).post(jobs::rerun_build))
        .route("/resources/{resource}", get(resources::show_resource))
        .route("/resources/{resource}/check", post(resources::check_resource))
        .route("/resources/{resource}/versions", get(resources::list_versions))
        .route("/resources/{resource}/versions/{version}/pin", put(resources::pin_version))
        .route("/resources/{resource}/unpin", put(resources::unpin_resource))
        .route("/resources/{resource}/pin_comment", put(resources::comment_pin))
}

/// Every route of the API says which Concourse it is of, refusals too.
async fn add_headers(version: axum::extract::State<Version>, request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    headers.insert("x-concourse-version", HeaderValue::from_static(version.as_str()));
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    answer
}
