//! The REST API under `/api/v1`.

mod builds;
mod jobs;
mod paging;
mod pipelines;
mod present;
mod teams;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};

use super::auth::{Caller, Role};
use super::events::go_json;
use super::server::{Shared, wall_clock};
use super::state::{BuildRecord, PipelineRecord, State};
use super::stream;
use super::version::Version;

pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let version = shared.config.version;
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
        .route("/builds/{id}/abort", put(builds::abort_build))
        .nest("/teams/{team}/pipelines/{pipeline}", pipeline_router());
    if version.has_comments() {
        api = api.route("/builds/{id}/comment", put(builds::comment_build));
    }
    if version.has_health() {
        api = api.route("/health", get(teams::show_health));
    }
    Router::new()
        .nest("/api/v1", api.fallback(not_found).with_state(shared.clone()))
        .layer(from_fn_with_state(version, add_headers))
}

fn pipeline_router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(pipelines::show_pipeline))
        .route("/pause", put(pipelines::pause_pipeline))
        .route("/unpause", put(pipelines::unpause_pipeline))
        .route("/builds", get(builds::list_pipeline_builds))
        .route("/jobs", get(jobs::list_jobs))
        .route("/jobs/{job}", get(jobs::show_job))
        .route("/jobs/{job}/pause", put(jobs::pause_job))
        .route("/jobs/{job}/unpause", put(jobs::unpause_job))
        .route("/jobs/{job}/builds", get(builds::list_job_builds).post(jobs::trigger_job))
        .route("/jobs/{job}/builds/{build}", get(builds::show_job_build).post(jobs::rerun_build))
}

async fn not_found() -> StatusCode {
    StatusCode::NOT_FOUND
}

/// Every answer says which Concourse it comes from, refusals too.
async fn add_headers(version: axum::extract::State<Version>, request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    headers.insert("x-concourse-version", HeaderValue::from_static(version.as_str()));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, private"));
    }
    answer
}

/// Why a call is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    BadRequest,
    NotAuthorized,
    Forbidden,
    NotFound,
    /// The job says no; empty body.
    Conflict,
    Archived,
    /// Concourse failed; empty body.
    Internal,
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST.into_response(),
            Self::NotAuthorized => (StatusCode::UNAUTHORIZED, "not authorized").into_response(),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden").into_response(),
            Self::NotFound => StatusCode::NOT_FOUND.into_response(),
            Self::Conflict => StatusCode::CONFLICT.into_response(),
            Self::Archived => {
                (StatusCode::CONFLICT, "action not allowed for an archived pipeline").into_response()
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// JSON as Go's encoder writes it, newline included.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let body = format!("{}\n", go_json(&self.0));
        ([(CONTENT_TYPE, "application/json")], body).into_response()
    }
}

type Answer = Result<Response, Rejection>;

impl FromRequestParts<Arc<Shared>> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Self::Rejection> {
        let authorization = parts.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        Ok(Self::identify(&shared.lock(), authorization, wall_clock()))
    }
}

impl Caller {
    /// Open calls still refuse a token that is none.
    fn not_invalid(&self) -> Result<(), Rejection> {
        if matches!(self, Self::Invalid) { Err(Rejection::NotAuthorized) } else { Ok(()) }
    }

    fn must(&self, state: &State, team: &str, role: Role) -> Result<(), Rejection> {
        self.token().ok_or(Rejection::NotAuthorized)?;
        if self.may(state, team, role) { Ok(()) } else { Err(Rejection::Forbidden) }
    }
}

/// How much of a build is asked for: its log needs a public job where the rest only needs a public pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detail {
    Summary,
    Log,
}

/// Finds a build to read: unknown ids are 404 to everybody, then come 401 and 403.
pub(super) fn readable_build<'s>(
    state: &'s State,
    caller: &Caller,
    id: &str,
    detail: Detail,
) -> Result<&'s BuildRecord, Rejection> {
    let build = build(state, id)?;
    if caller.may(state, &build.team, Role::Viewer) || is_public(state, build, detail) {
        return Ok(build);
    }
    Err(if caller.token().is_some() { Rejection::Forbidden } else { Rejection::NotAuthorized })
}

fn is_public(state: &State, build: &BuildRecord, detail: Detail) -> bool {
    let Some((pipeline, job)) = &build.job else { return false };
    state.pipeline_by_id(*pipeline).is_some_and(|pipeline| {
        pipeline.public && (detail == Detail::Summary || pipeline.job(job).is_some_and(|job| job.public))
    })
}

fn build<'s>(state: &'s State, id: &str) -> Result<&'s BuildRecord, Rejection> {
    let id: i64 = id.parse().map_err(|_| Rejection::BadRequest)?;
    state.builds.get(&id).ok_or(Rejection::NotFound)
}

/// Which pipeline a path and its query name.
struct PipelineRef {
    team: String,
    name: String,
    vars: Option<Map<String, Value>>,
}

impl PipelineRef {
    fn parse(shared: &Shared, team: String, name: String, query: Option<&str>) -> Result<Self, Rejection> {
        let vars = if shared.config.version.has_instanced_pipelines() {
            instance_vars(query.unwrap_or_default())?
        } else {
            None
        };
        Ok(Self { team, name, vars })
    }

    fn find<'s>(&self, state: &'s State) -> Result<&'s PipelineRecord, Rejection> {
        state.pipeline(&self.team, &self.name, self.vars.as_ref()).ok_or(Rejection::NotFound)
    }

    /// Finds a pipeline to read; one that is not there is 404 before anybody asks who is calling.
    fn readable<'s>(&self, state: &'s State, caller: &Caller) -> Result<&'s PipelineRecord, Rejection> {
        let pipeline = self.find(state)?;
        if pipeline.public {
            return Ok(pipeline);
        }
        caller.must(state, &self.team, Role::Viewer).map(|()| pipeline)
    }

    /// Finds a pipeline to act on; one that is not there or archived is refused before the caller is looked at.
    fn operable<'s>(&self, state: &'s State, caller: &Caller) -> Result<&'s PipelineRecord, Rejection> {
        let pipeline = self.find(state)?;
        if pipeline.archived {
            return Err(Rejection::Archived);
        }
        caller.must(state, &self.team, Role::PipelineOperator).map(|()| pipeline)
    }
}

/// Reads `vars={…}` and `vars.a.b=…`, whose values are JSON.
fn instance_vars(query: &str) -> Result<Option<Map<String, Value>>, Rejection> {
    let mut vars = Map::new();
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let json = || serde_json::from_str::<Value>(&value).map_err(|_| Rejection::BadRequest);
        if key == "vars" {
            let Value::Object(all) = json()? else { return Err(Rejection::BadRequest) };
            vars.extend(all);
        } else if let Some(path) = key.strip_prefix("vars.") {
            set_path(&mut vars, path, json()?)?;
        }
    }
    Ok(if vars.is_empty() { None } else { Some(vars) })
}

fn set_path(vars: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), Rejection> {
    let Some((first, rest)) = path.split_once('.') else {
        vars.insert(path.to_owned(), value);
        return Ok(());
    };
    let inner = vars.entry(first).or_insert_with(|| Value::Object(Map::new()));
    let Value::Object(inner) = inner else { return Err(Rejection::BadRequest) };
    set_path(inner, rest, value)
}
