//! Who the server is, who the caller is, and the teams.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, Json, Rejection};
use super::present;
use crate::concourse::caller::Caller;
use crate::concourse::roles::{Auth, Role};
use crate::concourse::version::Version;
use crate::concourse::world::World;

pub(super) async fn show_info(State(world): State<Arc<World>>, caller: Caller) -> Answer {
    caller.not_invalid()?;
    let version = world.config.version;
    let is_8 = version >= Version::V8_1;
    let mut info = json!({
        "version": version.as_str(),
        "worker_version": if is_8 { "3.0" } else { "2.5" },
        "external_url": world.url,
    });
    if version.has_feature_flags() {
        let mut flags = json!({
            "global_resources": true,
            "build_rerun": is_8,
            "cache_streamed_volumes": false,
            "resource_causality": false,
        });
        if !is_8 {
            flags["across_step"] = json!(true);
            flags["pipeline_instances"] = json!(true);
            flags["redact_secrets"] = json!(false);
        }
        info["feature_flags"] = flags;
    }
    Ok(Json(info).into_response())
}

pub(super) async fn show_health(caller: Caller) -> Answer {
    caller.not_invalid()?;
    let health = json!({
        "status": "ok",
        "timestamp": "2026-09-21T13:33:30Z",
        "database": {"status": "healthy"},
        "workers": {"status": "healthy", "total": 1, "running": 1},
        "components": [],
    });
    Ok(Json(health).into_response())
}

pub(super) async fn show_user(State(world): State<Arc<World>>, caller: Caller) -> Answer {
    let token = caller.token().ok_or(Rejection::NotAuthorized)?;
    let state = world.lock();
    let roles = state.teams.iter().map(|team| (team.name.clone(), state.roles(token, &team.name)));
    let teams: BTreeMap<_, _> = roles.filter(|(_, roles)| !roles.is_empty()).collect();
    let claims = &token.claims;
    let mut user = json!({
        "sub": claims.subject,
        "name": claims.name,
        "user_id": claims.user_id,
        "user_name": "",
        "email": claims.email,
        "is_admin": state.is_admin(token),
        "is_system": false,
        "teams": teams,
    });
    if world.config.version.says_connector() {
        user["connector"] = json!(claims.connector);
    }
    if world.config.version.has_created_by() {
        user["display_user_id"] = json!(claims.display_user_id());
    }
    Ok(Json(user).into_response())
}

pub(super) async fn list_teams(State(world): State<Arc<World>>, caller: Caller) -> Answer {
    caller.not_invalid()?;
    let state = world.lock();
    let visible = state.teams.iter().filter(|team| caller.may(&state, &team.name, Role::Viewer));
    Ok(Json(visible.map(present::team).collect::<Vec<_>>()).into_response())
}

pub(super) async fn show_team(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Answer {
    caller.token().ok_or(Rejection::NotAuthorized)?;
    let state = world.lock();
    // Whether there is such a team is not for everybody to know.
    caller.must(&state, &name, Role::Viewer)?;
    let team = state.team(&name).ok_or(Rejection::NotFound)?;
    Ok(Json(present::team(team)).into_response())
}

#[derive(Deserialize)]
struct NewTeam {
    #[serde(default)]
    auth: Auth,
}

/// Replaces the whole map of roles. Only an admin makes a team.
pub(super) async fn set_team(
    State(world): State<Arc<World>>,
    caller: Caller,
    Path(name): Path<String>,
    body: Bytes,
) -> Answer {
    let allowed = {
        let state = world.lock();
        caller.must(&state, &name, Role::Owner)
    };
    allowed?;
    let new: NewTeam = serde_json::from_slice(&body).map_err(|_| Rejection::BadRequest)?;
    if new.auth.is_empty() || new.auth.values().any(|it| it.users.is_empty() && it.groups.is_empty()) {
        let errors =
            json!({"errors": ["team auth config must have at least one user or group for each role"]});
        return Ok((StatusCode::BAD_REQUEST, Json(errors)).into_response());
    }
    let (status, team): (_, Value) = world.update(|state| {
        let known = state.team(&name).map(|team| team.name.clone());
        let name = known.clone().unwrap_or(name);
        let known = known.is_some();
        let team = state.team_or_insert(&name);
        team.auth = new.auth;
        (if known { StatusCode::OK } else { StatusCode::CREATED }, present::team(team))
    });
    Ok((status, Json(json!({"team": team}))).into_response())
}
