//! Builds: list, show, abort, comment, start one without a job.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::access::{Detail, InBuild, InJob, PipelineRef, build, readable_build};
use super::answer::{Answer, Json, Rejection};
use super::paging::{self, Page};
use super::pipelines::is_visible;
use super::present::{self, Comment};
use crate::concourse::caller::Caller;
use crate::concourse::roles::Role;
use crate::concourse::run::{self, NewBuild};
use crate::concourse::scheduling::Blocked;
use crate::concourse::script::{Script, Status};
use crate::concourse::state::{BuildRecord, State as Known};
use crate::concourse::world::World;

/// Whether a list shows a build to the caller.
fn is_build_visible(state: &Known, caller: &Caller, build: &BuildRecord) -> bool {
    if build.is_in_memory() {
        return false;
    }
    let pipeline = build.pipeline().and_then(|id| state.pipeline_by_id(id));
    caller.may(state, &build.team, Role::Viewer) || pipeline.is_some_and(|it| is_visible(state, caller, it))
}

pub(super) async fn list_all_builds(
    State(world): State<Arc<World>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Answer {
    caller.not_invalid()?;
    let state = world.lock();
    let visible = state.builds.values().filter(|it| is_build_visible(&state, &caller, it));
    let page = Page::parse(query.as_deref(), world.config.version);
    Ok(paging::respond(&world, &state, visible, &page, "/api/v1/builds", None, Comment::Hidden))
}

pub(super) async fn list_team_builds(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(team): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    caller.not_invalid()?;
    let state = world.lock();
    state.team(&team).ok_or(Rejection::NotFound)?;
    let builds = state.builds.values().filter(|it| it.team == team && is_build_visible(&state, &caller, it));
    let path = format!("/api/v1/teams/{team}/builds");
    Ok(paging::respond(
        &world,
        &state,
        builds,
        &Page::parse(query.as_deref(), world.config.version),
        &path,
        None,
        Comment::Hidden,
    ))
}

pub(super) async fn list_pipeline_builds(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    RawQuery(query): RawQuery,
) -> Answer {
    let path = format!("/api/v1/teams/{}/pipelines/{}/builds", pipeline.team, pipeline.name);
    let state = world.lock();
    let id = pipeline.readable(&state, &caller)?.id;
    let builds = state.builds.values().filter(|it| it.pipeline() == Some(id) && !it.is_in_memory());
    let vars = pipeline.vars.clone().map(Value::Object);
    let page = Page::parse(query.as_deref(), world.config.version);
    Ok(paging::respond(&world, &state, builds, &page, &path, vars.as_ref(), Comment::Hidden))
}

pub(super) async fn list_job_builds(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InJob { job }): Path<InJob>,
    RawQuery(query): RawQuery,
) -> Answer {
    let path = format!("/api/v1/teams/{}/pipelines/{}/jobs/{job}/builds", pipeline.team, pipeline.name);
    let state = world.lock();
    let known = pipeline.readable(&state, &caller)?;
    known.job(&job).ok_or(Rejection::NotFound)?;
    let page = Page::parse(query.as_deref(), world.config.version);
    if page.is_nonsense() {
        return Err(Rejection::NotFound);
    }
    let comment = comment_for(&state, &caller, &pipeline.team);
    let vars = pipeline.vars.clone().map(Value::Object);
    let builds = state.job_builds(known.id, &job);
    Ok(paging::respond(&world, &state, builds, &page, &path, vars.as_ref(), comment))
}

pub(super) async fn show_job_build(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InBuild { job, build }): Path<InBuild>,
) -> Answer {
    let state = world.lock();
    let known = pipeline.readable(&state, &caller)?;
    let found = if build == "latest" {
        state.job_builds(known.id, &job).max_by_key(|it| it.order_key())
    } else {
        state.job_builds(known.id, &job).find(|it| it.name == build)
    };
    let found = found.ok_or(Rejection::NotFound)?;
    let comment = comment_for(&state, &caller, &pipeline.team);
    Ok(Json(present::build(&world, &state, found, comment)).into_response())
}

fn comment_for(state: &Known, caller: &Caller, team: &str) -> Comment {
    if caller.may(state, team, Role::Viewer) { Comment::Shown } else { Comment::Hidden }
}

pub(super) async fn show_build(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let state = world.lock();
    let build = readable_build(&state, &caller, &id, Detail::Summary)?;
    let comment = comment_for(&state, &caller, &build.team);
    Ok(Json(present::build(&world, &state, build, comment)).into_response())
}

/// There is no plan before the build starts.
pub(super) async fn show_plan(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let state = world.lock();
    let build = readable_build(&state, &caller, &id, Detail::Log)?;
    build.start_time.ok_or(Rejection::NotFound)?;
    Ok(Json(present::plan(build)).into_response())
}

pub(super) async fn show_preparation(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let state = world.lock();
    let build = in_database(readable_build(&state, &caller, &id, Detail::Log)?)?;
    Ok(Json(present::preparation(build, &Blocked::of(&state, build))).into_response())
}

pub(super) async fn show_resources(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let state = world.lock();
    let build = in_database(readable_build(&state, &caller, &id, Detail::Summary)?)?;
    Ok(Json(present::resources(&state, build)).into_response())
}

/// The twin's builds keep none.
pub(super) async fn list_artifacts(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    in_database(readable_build(&world.lock(), &caller, &id, Detail::Summary)?)?;
    Ok(Json([(); 0]).into_response())
}

/// Asks for an abort. The answer is the same whether there is anything left to abort or not.
pub(super) async fn abort_build(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let mut keys = url::form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes());
    let force = world.config.version.has_force_abort() && keys.any(|(key, _)| key == "force");
    let now = world.now();
    world.update(|state| {
        let id = writable_build(state, &caller, &id)?;
        let build = state.builds.get_mut(&id).ok_or(Rejection::NotFound)?;
        if !build.status.is_terminal() {
            if force {
                build.end(Status::Aborted, now);
            }
            build.abort.send_replace(true);
        }
        Ok(StatusCode::NO_CONTENT.into_response())
    })
}

/// Finds a build to change: 401 comes first here, then 404, then 403.
fn writable_build(state: &Known, caller: &Caller, id: &str) -> Result<i64, Rejection> {
    caller.token().ok_or(Rejection::NotAuthorized)?;
    let build = build(state, id)?;
    caller.must(state, &build.team, Role::PipelineOperator)?;
    Ok(in_database(build)?.id)
}

/// Of a check in memory little can be asked.
fn in_database(build: &BuildRecord) -> Result<&BuildRecord, Rejection> {
    if build.is_in_memory() { Err(Rejection::Internal) } else { Ok(build) }
}

#[derive(Deserialize)]
struct NewComment {
    #[serde(default)]
    comment: String,
}

pub(super) async fn comment_build(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Answer {
    world.update(|state| {
        let id = writable_build(state, &caller, &id)?;
        let new: NewComment = serde_json::from_slice(&body).map_err(|_| Rejection::BadRequest)?;
        state.builds.get_mut(&id).ok_or(Rejection::NotFound)?.comment = new.comment;
        Ok(StatusCode::OK.into_response())
    })
}

/// Starts a build from a plan; what the plan says is not carried out, the build is a quick one.
pub(super) async fn create_build(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(team): Path<String>,
    body: Bytes,
) -> Answer {
    {
        let state = world.lock();
        caller.must(&state, &team, Role::Member)?;
        state.team(&team).ok_or(Rejection::NotFound)?;
    }
    serde_json::from_slice::<Value>(&body).map_err(|_| Rejection::BadRequest)?;
    let created_by = caller.token().map(|token| token.claims.display_user_id().to_owned());
    let script = Arc::new(Script::quick());
    let id = run::create(
        &world,
        NewBuild { team, job: None, created_by, rerun_of: None, checks_inputs: false, script },
    );
    let is_started = |state: &mut Known| {
        let build = state.builds.get(&id)?;
        (build.status != Status::Pending).then(|| present::build(&world, state, build, Comment::Hidden))
    };
    let shown = world.when(is_started).await;
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}
