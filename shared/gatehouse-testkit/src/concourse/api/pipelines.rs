//! Pipelines.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::access::PipelineRef;
use super::answer::{Answer, Json, Rejection};
use super::present;
use crate::concourse::caller::Caller;
use crate::concourse::roles::Role;
use crate::concourse::state::{PipelineRecord, State as Known};
use crate::concourse::world::World;

/// Lists show what the caller may see, and say nothing about the rest.
pub(super) fn is_visible(state: &Known, caller: &Caller, pipeline: &PipelineRecord) -> bool {
    pipeline.public || caller.may(state, &pipeline.team, Role::Viewer)
}

pub(super) async fn list_all_pipelines(State(world): State<Arc<World>>, caller: Caller) -> Answer {
    caller.not_invalid()?;
    let state = world.lock();
    let visible = state.pipelines.iter().filter(|it| is_visible(&state, &caller, it));
    let mut visible: Vec<_> = visible.collect();
    visible.sort_by_key(|it| &it.team);
    let visible = visible.into_iter();
    Ok(Json(visible.map(|it| present::pipeline(&world, it)).collect::<Vec<_>>()).into_response())
}

pub(super) async fn list_team_pipelines(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(team): Path<String>,
) -> Answer {
    caller.not_invalid()?;
    let state = world.lock();
    state.team(&team).ok_or(Rejection::NotFound)?;
    let visible = state.pipelines.iter().filter(|it| it.team == team && is_visible(&state, &caller, it));
    Ok(Json(visible.map(|it| present::pipeline(&world, it)).collect::<Vec<_>>()).into_response())
}

pub(super) async fn show_pipeline(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
) -> Answer {
    let state = world.lock();
    Ok(Json(present::pipeline(&world, pipeline.readable(&state, &caller)?)).into_response())
}

pub(super) async fn pause_pipeline(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
) -> Answer {
    set_paused(&world, &caller, &pipeline, true)
}

pub(super) async fn unpause_pipeline(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
) -> Answer {
    set_paused(&world, &caller, &pipeline, false)
}

pub(super) async fn list_resources(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
) -> Answer {
    let state = world.lock();
    let pipeline = pipeline.readable(&state, &caller)?;
    Ok(Json(present::pipeline_resources(world.config.version, &state, pipeline)).into_response())
}

#[derive(Deserialize)]
struct NewName {
    name: String,
}

pub(super) async fn rename_pipeline(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    body: Bytes,
) -> Answer {
    world.update(|state| {
        let id = pipeline.changeable(state, &caller)?.id;
        let new: NewName = serde_json::from_slice(&body).map_err(|_| Rejection::BadRequest)?;
        state.pipeline_mut(id).ok_or(Rejection::NotFound)?.name = new.name;
        Ok(Json(json!({})).into_response())
    })
}

pub(super) async fn destroy_pipeline(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
) -> Answer {
    world.update(|state| {
        let id = pipeline.changeable(state, &caller)?.id;
        state.destroy_pipeline(id);
        Ok::<_, Rejection>(())
    })?;
    world.cut_streams.send_modify(|generation| *generation += 1);
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn set_paused(world: &World, caller: &Caller, pipeline: &PipelineRef, paused: bool) -> Answer {
    world.update(|state| {
        let id = pipeline.operable(state, caller)?.id;
        let pipeline = state.pipeline_mut(id).ok_or(Rejection::NotFound)?;
        pipeline.paused = paused;
        pipeline.paused_by = caller.token().map(|token| token.claims.display_user_id().to_owned());
        Ok(StatusCode::OK.into_response())
    })
}
