//! Jobs: list, show, trigger, rerun, pause.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::StatusCode;

use super::access::{InBuild, InJob, PipelineRef};
use super::answer::{Answer, Json, Rejection};
use super::pipelines::is_visible;
use super::present::{self, Comment};
use crate::concourse::caller::Caller;
use crate::concourse::run::{self, NewBuild};
use crate::concourse::script::Status;
use crate::concourse::version::Version;
use crate::concourse::world::World;

pub(super) async fn list_all_jobs(State(world): State<Arc<World>>, caller: Caller) -> Answer {
    caller.not_invalid()?;
    let state = world.lock();
    let visible = state.pipelines.iter().filter(|it| !it.archived && is_visible(&state, &caller, it));
    let jobs = visible.flat_map(|pipeline| pipeline.jobs.iter().map(move |job| (pipeline, job)));
    let jobs: Vec<_> =
        jobs.map(|(pipeline, job)| present::job_summary(&world, &state, pipeline, job)).collect();
    Ok(Json(jobs).into_response())
}

pub(super) async fn list_jobs(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
) -> Answer {
    let state = world.lock();
    let pipeline = pipeline.readable(&state, &caller)?;
    let jobs = pipeline.jobs.iter().map(|job| present::job_summary(&world, &state, pipeline, job));
    let jobs: Vec<_> = jobs.collect();
    Ok(Json(jobs).into_response())
}

pub(super) async fn show_job(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InJob { job }): Path<InJob>,
) -> Answer {
    let state = world.lock();
    let pipeline = pipeline.readable(&state, &caller)?;
    let job = pipeline.job(&job).ok_or(Rejection::NotFound)?;
    Ok(Json(present::job(&world, &state, pipeline, job)).into_response())
}

/// Makes one more build with every call; reads no body.
pub(super) async fn trigger_job(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InJob { job }): Path<InJob>,
) -> Answer {
    let (new, breaks) = world.update(|state| {
        let pipeline = pipeline.operable(state, &caller)?;
        let id = pipeline.id;
        let known = pipeline.job(&job).ok_or(Rejection::NothingToStart)?;
        if known.disable_manual_trigger {
            return Err(Rejection::Conflict);
        }
        let breaks = known.input_check_fails && world.config.version.checks_inputs_after_insert();
        let new = NewBuild {
            team: pipeline.team.clone(),
            job: Some((id, job.clone())),
            created_by: caller.token().map(|token| token.claims.display_user_id().to_owned()),
            rerun_of: None,
            checks_inputs: !breaks,
            script: known.script.clone(),
        };
        if let Some(job) = state.job_mut(id, &job) {
            job.triggers += 1;
        }
        Ok((new, breaks))
    })?;
    let answer = created(&world, new);
    if breaks { Err(Rejection::Internal) } else { answer }
}

/// Makes a build with the inputs of an old one.
pub(super) async fn rerun_build(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InBuild { job, build }): Path<InBuild>,
) -> Answer {
    let new = {
        let state = world.lock();
        let pipeline = pipeline.operable(&state, &caller)?;
        let known = pipeline.job(&job).ok_or(Rejection::NothingToStart)?;
        let mut builds = state.job_builds(pipeline.id, &job);
        let old = match build.as_str() {
            // Before 8 it is found, and then something fails.
            "latest" if world.config.version < Version::V8_1 => return Err(Rejection::Internal),
            "latest" => builds.max_by_key(|it| it.order_key()),
            name => builds.find(|it| it.name == name),
        };
        let old = old.ok_or(Rejection::NothingToStart)?;
        if known.disable_reruns && world.config.version.has_disable_reruns() {
            return Err(Rejection::Conflict);
        }
        if old.start_time.is_none() {
            // It never had inputs.
            return Err(Rejection::Internal);
        }
        NewBuild {
            team: pipeline.team.clone(),
            job: Some((pipeline.id, job.clone())),
            created_by: caller.token().map(|token| token.claims.display_user_id().to_owned()),
            rerun_of: Some(old.rerun_of.unwrap_or(old.id)),
            checks_inputs: false,
            script: known.script.clone(),
        }
    };
    created(&world, new)
}

/// Answers with the build as it was made: pending, whatever has become of it since.
fn created(world: &Arc<World>, new: NewBuild) -> Answer {
    let id = run::create(world, new);
    let state = world.lock();
    let build = state.builds.get(&id).ok_or(Rejection::Internal)?;
    let mut shown = present::build(world, &state, build, Comment::Hidden);
    shown["status"] = Status::Pending.as_str().into();
    if let Some(shown) = shown.as_object_mut() {
        shown.remove("start_time");
        shown.remove("end_time");
    }
    Ok(Json(shown).into_response())
}

pub(super) async fn pause_job(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InJob { job }): Path<InJob>,
) -> Answer {
    set_paused(&world, &caller, &pipeline, &job, true)
}

pub(super) async fn unpause_job(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InJob { job }): Path<InJob>,
) -> Answer {
    set_paused(&world, &caller, &pipeline, &job, false)
}

fn set_paused(world: &World, caller: &Caller, pipeline: &PipelineRef, job: &str, paused: bool) -> Answer {
    world.update(|state| {
        let id = pipeline.operable(state, caller)?.id;
        state.job_mut(id, job).ok_or(Rejection::NotFound)?.paused = paused;
        Ok(StatusCode::OK.into_response())
    })
}
