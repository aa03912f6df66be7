//! Who may see and do what, and in which order that is refused.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use http::header::AUTHORIZATION;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::answer::Rejection;
use crate::concourse::caller::Caller;
use crate::concourse::roles::Role;
use crate::concourse::state::{BuildRecord, PipelineRecord, State};
use crate::concourse::world::{World, wall_clock};

impl FromRequestParts<Arc<World>> for Caller {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Self::Rejection> {
        let authorization = parts.headers.get(AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
        Ok(Self::identify(&world.lock(), authorization, wall_clock()))
    }
}

impl Caller {
    /// Open calls still refuse a token that is none.
    pub(super) fn not_invalid(&self) -> Result<(), Rejection> {
        if matches!(self, Self::Invalid) { Err(Rejection::NotAuthorized) } else { Ok(()) }
    }

    pub(super) fn must(&self, state: &State, team: &str, role: Role) -> Result<(), Rejection> {
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
    let Some(pipeline) = build.pipeline().and_then(|id| state.pipeline_by_id(id)) else { return false };
    let is_job_public = || match &build.job {
        Some((_, job)) => pipeline.job(job).is_some_and(|job| job.public),
        None => true,
    };
    pipeline.public && (detail == Detail::Summary || is_job_public())
}

pub(super) fn build<'s>(state: &'s State, id: &str) -> Result<&'s BuildRecord, Rejection> {
    let id: i64 = id.parse().map_err(|_| Rejection::BadRequest)?;
    state.builds.get(&id).ok_or(Rejection::NotFound)
}

/// Which pipeline a path and its query name.
pub(super) struct PipelineRef {
    pub(super) team: String,
    pub(super) name: String,
    pub(super) vars: Option<Map<String, Value>>,
}

/// What the path of a call below a pipeline says of it.
#[derive(Deserialize)]
struct InPipeline {
    team: String,
    #[serde(rename = "pipeline")]
    name: String,
}

/// A path below a job of a pipeline.
#[derive(Deserialize)]
pub(super) struct InJob {
    pub(super) job: String,
}

/// A path below a build of a job.
#[derive(Deserialize)]
pub(super) struct InBuild {
    pub(super) job: String,
    pub(super) build: String,
}

impl FromRequestParts<Arc<World>> for PipelineRef {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, Response> {
        let path = Path::from_request_parts(parts, world).await;
        let Path(InPipeline { team, name }) = path.map_err(IntoResponse::into_response)?;
        let vars = if world.config.version.has_instanced_pipelines() {
            instance_vars(parts.uri.query().unwrap_or_default()).map_err(IntoResponse::into_response)?
        } else {
            None
        };
        Ok(Self { team, name, vars })
    }
}

impl PipelineRef {
    pub(super) fn find<'s>(&self, state: &'s State) -> Result<&'s PipelineRecord, Rejection> {
        state.pipeline(&self.team, &self.name, self.vars.as_ref()).ok_or(Rejection::NotFound)
    }

    /// Finds a pipeline to read; one that is not there is 404 before anybody asks who is calling.
    pub(super) fn readable<'s>(
        &self,
        state: &'s State,
        caller: &Caller,
    ) -> Result<&'s PipelineRecord, Rejection> {
        let pipeline = self.find(state)?;
        if pipeline.public {
            return Ok(pipeline);
        }
        caller.must(state, &self.team, Role::Viewer).map(|()| pipeline)
    }

    /// Finds a pipeline to change; one that is not there is refused before the caller is looked at.
    pub(super) fn changeable<'s>(
        &self,
        state: &'s State,
        caller: &Caller,
    ) -> Result<&'s PipelineRecord, Rejection> {
        let pipeline = self.find(state)?;
        caller.must(state, &self.team, Role::Member).map(|()| pipeline)
    }

    /// Finds a pipeline to act on; one that is not there or archived is refused before the caller is looked at.
    pub(super) fn operable<'s>(
        &self,
        state: &'s State,
        caller: &Caller,
    ) -> Result<&'s PipelineRecord, Rejection> {
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
            let Value::Object(all) = json()? else { return Err(Rejection::NotFound) };
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
