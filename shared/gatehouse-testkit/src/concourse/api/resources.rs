//! Resources of a pipeline: their versions, checks and pins, as the server's source has them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;

use super::access::PipelineRef;
use super::answer::{Answer, Json, Rejection};
use super::present;
use crate::concourse::caller::Caller;
use crate::concourse::checks;
use crate::concourse::state::{Fields, ResourceRecord};
use crate::concourse::world::World;

/// A path below a resource.
#[derive(Deserialize)]
pub(super) struct InResource {
    resource: String,
}

/// A path below a version of a resource.
#[derive(Deserialize)]
pub(super) struct InVersion {
    resource: String,
    version: String,
}

/// `POST …/check`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CheckBody {
    from: Option<Fields>,
}

/// `PUT …/pin_comment`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CommentBody {
    pin_comment: String,
}

pub(super) async fn show_resource(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InResource { resource }): Path<InResource>,
) -> Answer {
    let state = world.lock();
    let pipeline = pipeline.readable(&state, &caller)?;
    let found = pipeline.resources.iter().find(|it| it.name == resource).ok_or(Rejection::NotFound)?;
    Ok(Json(present::resource(pipeline, found)).into_response())
}

/// The newest first. Each `filter` is a field and its value, and all have to fit.
pub(super) async fn list_versions(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InResource { resource }): Path<InResource>,
    RawQuery(query): RawQuery,
) -> Answer {
    let state = world.lock();
    let pipeline = pipeline.readable(&state, &caller)?;
    let found = pipeline.resources.iter().find(|it| it.name == resource).ok_or(Rejection::NotFound)?;
    let wanted = filters(query.as_deref().unwrap_or_default())?;
    let fits = |fields: &Fields| wanted.iter().all(|(name, value)| fields.get(name) == Some(value));
    let versions = found.versions.iter().rev().filter(|version| fits(&version.fields));
    Ok(Json(versions.map(present::version).collect::<Vec<_>>()).into_response())
}

fn filters(query: &str) -> Result<Fields, Rejection> {
    let pairs = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "filter");
    // Concourse panics over a filter without a colon.
    let split = |value: &str| {
        let (name, value) = value.split_once(':').ok_or(Rejection::Internal)?;
        Ok((name.to_owned(), value.to_owned()))
    };
    pairs.map(|(_, value)| split(&value)).collect()
}

/// Begins a check, whose build is answered at once; here it has ended by then.
pub(super) async fn check_resource(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InResource { resource }): Path<InResource>,
    body: Bytes,
) -> Answer {
    let body: CheckBody = serde_json::from_slice(&body).map_err(|_| Rejection::BadRequest)?;
    let check = world.update(|state| {
        let pipeline = pipeline.operable(state, &caller)?;
        if !pipeline.has_resource(&resource) {
            return Err(Rejection::NotFound);
        }
        let build = checks::check(&world, state, pipeline.id, &resource, body.from, false);
        if let Some(build) = build.and_then(|id| state.builds.get(&id)) {
            return Ok(present::check(&world, state, build));
        }
        state.last_check_id += 1;
        Ok(present::old_check(state.last_check_id, world.now()))
    })?;
    Ok((StatusCode::CREATED, Json(check)).into_response())
}

pub(super) async fn pin_version(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InVersion { resource, version }): Path<InVersion>,
) -> Answer {
    let version: i64 = version.parse().map_err(|_| Rejection::BadRequest)?;
    change(&world, &caller, &pipeline, &resource, |resource| {
        if resource.pin.as_ref().is_some_and(|pin| pin.in_config) {
            return Err(Rejection::Internal);
        }
        let found = resource.versions.iter().find(|it| it.id == version).ok_or(Rejection::NotFound)?;
        let fields = found.fields.clone();
        resource.pin(fields);
        Ok(())
    })
}

/// Takes away whatever is pinned; 500 where nothing is.
pub(super) async fn unpin_resource(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InResource { resource }): Path<InResource>,
) -> Answer {
    change(&world, &caller, &pipeline, &resource, |resource| {
        resource.pin.take().map(drop).ok_or(Rejection::Internal)
    })
}

pub(super) async fn comment_pin(
    State(world): State<Arc<World>>,
    caller: Caller,
    pipeline: PipelineRef,
    Path(InResource { resource }): Path<InResource>,
    body: Bytes,
) -> Answer {
    let body: CommentBody = serde_json::from_slice(&body).map_err(|_| Rejection::BadRequest)?;
    change(&world, &caller, &pipeline, &resource, |resource| {
        let pin = resource.pin.as_mut().ok_or(Rejection::NotFound)?;
        pin.comment = body.pin_comment;
        Ok(())
    })
}

fn change(
    world: &World,
    caller: &Caller,
    pipeline: &PipelineRef,
    resource: &str,
    change: impl FnOnce(&mut ResourceRecord) -> Result<(), Rejection>,
) -> Answer {
    world.update(|state| {
        let id = pipeline.operable(state, caller)?.id;
        let pipeline = state.pipeline_mut(id).ok_or(Rejection::NotFound)?;
        let found = pipeline.resources.iter_mut().find(|it| it.name == resource);
        change(found.ok_or(Rejection::NotFound)?)?;
        Ok(StatusCode::OK.into_response())
    })
}
