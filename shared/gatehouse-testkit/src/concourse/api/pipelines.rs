//! Pipelines.

use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::response::IntoResponse;
use http::StatusCode;

use super::{Answer, Json, PipelineRef, Rejection, present};
use crate::concourse::auth::{Caller, Role};
use crate::concourse::server::Shared;
use crate::concourse::state::{PipelineRecord, State as Known};

/// Lists show what the caller may see, and say nothing about the rest.
pub(super) fn is_visible(state: &Known, caller: &Caller, pipeline: &PipelineRecord) -> bool {
    pipeline.public || caller.may(state, &pipeline.team, Role::Viewer)
}

pub(super) async fn list_all_pipelines(State(shared): State<Arc<Shared>>, caller: Caller) -> Answer {
    caller.not_invalid()?;
    let state = shared.lock();
    let visible = state.pipelines.iter().filter(|it| is_visible(&state, &caller, it));
    Ok(Json(visible.map(present::pipeline).collect::<Vec<_>>()).into_response())
}

pub(super) async fn list_team_pipelines(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path(team): Path<String>,
) -> Answer {
    caller.not_invalid()?;
    let state = shared.lock();
    state.team(&team).ok_or(Rejection::NotFound)?;
    let visible = state.pipelines.iter().filter(|it| it.team == team && is_visible(&state, &caller, it));
    Ok(Json(visible.map(present::pipeline).collect::<Vec<_>>()).into_response())
}

pub(super) async fn show_pipeline(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((team, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let pipeline = PipelineRef::parse(&shared, team, name, query.as_deref())?;
    let state = shared.lock();
    Ok(Json(present::pipeline(pipeline.readable(&state, &caller)?)).into_response())
}

pub(super) async fn pause_pipeline(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((team, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let pipeline = PipelineRef::parse(&shared, team, name, query.as_deref())?;
    set_paused(&shared, &caller, &pipeline, true)
}

pub(super) async fn unpause_pipeline(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Path((team, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Answer {
    let pipeline = PipelineRef::parse(&shared, team, name, query.as_deref())?;
    set_paused(&shared, &caller, &pipeline, false)
}

fn set_paused(shared: &Shared, caller: &Caller, pipeline: &PipelineRef, paused: bool) -> Answer {
    shared.update(|state| {
        let id = pipeline.operable(state, caller)?.id;
        state.pipeline_mut(id).ok_or(Rejection::NotFound)?.paused = paused;
        Ok(StatusCode::OK.into_response())
    })
}
