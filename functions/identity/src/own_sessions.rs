//! Which sessions there are, and ending them.

use axum::{Json, extract::State};
use gatehouse_domain::{
    id::SessionId,
    name::UserName,
    users::{self, EndedSessions, OwnSession},
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, Audited, NoQuery, PathParameter},
    problem::ProblemBody,
    revocation::{EffectiveAnswer, Flush},
};
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{AppState, sessions::sessions_problem};

/// A session of the caller.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionView {
    session_id: String,
    /// Whether it is the one that the caller is in.
    current: bool,
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it was last seen in use; up to ten minutes old.
    #[schema(value_type = String, format = DateTime)]
    last_seen_at: Timestamp,
    /// When it ends; earlier where it is not used for two hours.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The address that it began from.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ip: Option<String>,
    /// The program that it began with, by its own word: at most 128 printable characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

impl SessionView {
    fn new(own: OwnSession) -> Self {
        let OwnSession { id, session, is_current } = own;
        Self {
            session_id: id.to_string(),
            current: is_current,
            started_at: session.started_at,
            last_seen_at: session.last_seen_at(),
            expires_at: session.expires_at,
            source_ip: session.source_ip,
            user_agent: session.user_agent,
        }
    }
}

/// The caller's sessions.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SessionsAnswer {
    sessions: Vec<SessionView>,
}

/// Sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndedSessionsAnswer {
    /// How many.
    ended: usize,
    #[serde(flatten)]
    effective: EffectiveAnswer,
}

impl EndedSessionsAnswer {
    fn new(ended: &EndedSessions) -> Self {
        let effective = EffectiveAnswer::new(ended.effective, ended.flush_error.as_ref());
        Self { ended: ended.count, effective }
    }
}

/// Lists the caller's sessions, the newest first: there are at most 20, so there are no pages.
#[utoipa::path(
    get, path = "/auth/sessions", operation_id = "list_sessions", tag = "identity",
    responses((status = 200, description = "The sessions.", body = SessionsAnswer))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    _: NoQuery,
) -> Result<Json<SessionsAnswer>, Problem> {
    let sessions = users::list_sessions(&*state.table, &caller, state.system.now()).await;
    let sessions = sessions.map_err(sessions_problem)?;
    Ok(Json(SessionsAnswer { sessions: sessions.into_iter().map(SessionView::new).collect() }))
}

/// Ends one of the caller's sessions at once.
#[utoipa::path(
    delete, path = "/auth/sessions/{session_id}", operation_id = "end_session", tag = "identity",
    params(("session_id" = String, Path, description = "The session's id.")),
    responses(
        (status = 200, description = "The session has ended.", body = EndedSessionsAnswer),
        (status = 404, description = "The caller has no such session.", body = ProblemBody),
    )
)]
pub(crate) async fn end(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    PathParameter(id): PathParameter<SessionId>,
    _: NoQuery,
) -> Result<Json<EndedSessionsAnswer>, Problem> {
    let audit = audited.context();
    let ended = users::end_session(&*state.table, &*flush, &*state.system, &audit, &id).await;
    Ok(Json(EndedSessionsAnswer::new(&ended.map_err(sessions_problem)?)))
}

/// Ends the caller's sessions but the one that they are in, at once.
#[utoipa::path(
    delete, path = "/auth/sessions", operation_id = "end_other_sessions", tag = "identity",
    responses((status = 200, description = "The other sessions have ended.", body = EndedSessionsAnswer))
)]
pub(crate) async fn end_others(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    _: NoQuery,
) -> Result<Json<EndedSessionsAnswer>, Problem> {
    let audit = audited.context();
    let ended = users::end_other_sessions(&*state.table, &*flush, &*state.system, &audit).await;
    Ok(Json(EndedSessionsAnswer::new(&ended.map_err(sessions_problem)?)))
}

/// Ends all sessions of a user at once.
#[utoipa::path(
    delete, path = "/v1/users/{user_name}/sessions", operation_id = "end_user_sessions", tag = "identity",
    params(("user_name" = String, Path, description = "The user's name.")),
    responses(
        (status = 200, description = "The sessions have ended.", body = EndedSessionsAnswer),
        (status = 403, description = "The user is worth more than the caller.", body = ProblemBody),
        (status = 404, description = "There is no such user.", body = ProblemBody),
    )
)]
pub(crate) async fn end_of_user(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    PathParameter(name): PathParameter<UserName>,
    _: NoQuery,
) -> Result<Json<EndedSessionsAnswer>, Problem> {
    let audit = audited.context();
    let ended = users::end_sessions_of(&*state.table, &*flush, &*state.system, &audit, &name).await;
    Ok(Json(EndedSessionsAnswer::new(&ended.map_err(sessions_problem)?)))
}
