//! Service tokens.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use gatehouse_domain::{
    access::SHOW_TOKEN,
    id::TokenId,
    name::{ProjectName, ServiceName},
    tokens::{
        self, Draft, MintError, Minted, RevokeTokenError, RotateTokenError, Rotation, ServiceToken,
        ShowTokenError, StateFilter, TokenQuery, TokenState,
    },
};
use gatehouse_http::{
    Problem,
    extract::{
        Admitted, Audited, Idempotency, JsonBody, NoQuery, PathParameter, QueryParameters, mark_replayed,
    },
    page,
    problem::{CONFLICT, IDEMPOTENCY_KEY_REUSED, NOT_FOUND, ProblemBody, VALIDATION_FAILED},
    revocation::{EffectiveAnswer, Flush, Reason, RevokeBody},
};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::AppState;

/// What is kept of a service token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenView {
    jti: String,
    project: String,
    /// The service that calls with it.
    service: String,
    tenant: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// `active`, `rotated`, `expired` or `revoked`.
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    created_by: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// When it was last seen in use; up to five minutes old.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    /// The token that it took over from.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
    /// The token that took over from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_by: Option<String>,
    /// The end of its grace period, when it was replaced with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    ends_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_reason: Option<String>,
}

impl TokenView {
    fn new(token: ServiceToken, now: Timestamp) -> Self {
        let mut view = Self {
            jti: token.jti.to_string(),
            project: token.project.to_string(),
            service: token.service.to_string(),
            tenant: token.tenant.to_string(),
            state: token.status(now).as_str(),
            description: token.description,
            created_at: token.created_at,
            created_by: token.created_by,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            replaces: token.replaces.map(|older| older.jti.to_string()),
            replaced_by: None,
            ends_at: None,
            revoked_at: None,
            revoked_by: None,
            revoked_reason: None,
        };
        match token.state {
            TokenState::Active => {}
            TokenState::Rotated { to, expires_at, .. } => {
                view.replaced_by = Some(to.to_string());
                view.ends_at = expires_at;
            }
            TokenState::Revoked { at, by, reason } => {
                view.revoked_at = Some(at);
                view.revoked_by = Some(by);
                view.revoked_reason = reason;
            }
        }
        view
    }
}

/// One service token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenAnswer {
    token: TokenView,
}

/// A page of service tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokensAnswer {
    tokens: Vec<TokenView>,
    /// Where the next page starts; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A new service token, spelt as its users always had it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MintedAnswer {
    /// The token. It is shown now and never again.
    token: String,
    jti: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    project: String,
    service: String,
    /// The token that it takes over from, when it was made by rotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
}

impl MintedAnswer {
    fn new(minted: Minted) -> Self {
        let Minted { record, token, .. } = minted;
        Self {
            token: token.expose_secret().to_owned(),
            jti: record.jti.to_string(),
            expires_at: record.expires_at,
            project: record.project.to_string(),
            service: record.service.to_string(),
            replaces: record.replaces.map(|older| older.jti.to_string()),
        }
    }
}

/// A revoked service token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedAnswer {
    token: TokenView,
    /// Always `true`.
    revoked: bool,
    #[serde(flatten)]
    effective: EffectiveAnswer,
}

/// Which tokens are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Those of this project.
    #[param(value_type = Option<String>)]
    project: Option<ProjectName>,
    /// Those of this service.
    #[param(value_type = Option<String>)]
    service: Option<ServiceName>,
    /// `active` (the default), `expired`, `revoked` or `all`.
    #[param(value_type = Option<String>)]
    state: Option<WrittenState>,
    /// Those that were not used for so many days.
    unused_for_days: Option<u16>,
    /// Those that end within so many days.
    expiring_within_days: Option<u16>,
    /// How many at most, 1 to 100; 50 without it.
    limit: Option<u8>,
    /// Where to start: the `next_cursor` of the page before.
    cursor: Option<String>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WrittenState {
    Active,
    Expired,
    Revoked,
    All,
}

impl WrittenState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::All => "all",
        }
    }
}

impl From<WrittenState> for StateFilter {
    fn from(written: WrittenState) -> Self {
        match written {
            WrittenState::Active => Self::Active,
            WrittenState::Expired => Self::Expired,
            WrittenState::Revoked => Self::Revoked,
            WrittenState::All => Self::All,
        }
    }
}

/// Lists service tokens by tenant and end. A page may be short and still have a next one.
#[utoipa::path(
    get, path = "/v1/tokens", operation_id = "list_tokens", tag = "tokens", params(ListQuery),
    responses((status = 200, description = "A page of tokens.", body = TokensAnswer))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    QueryParameters(query): QueryParameters<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let request = page::request(query.limit, query.cursor)?;
    let (unused, expiring) = (
        query.unused_for_days.map(|days| days.to_string()),
        query.expiring_within_days.map(|days| days.to_string()),
    );
    let wanted = TokenQuery {
        project: query.project.clone(),
        service: query.service.clone(),
        state: query.state.map(Into::into).unwrap_or_default(),
        unused_for_days: query.unused_for_days,
        expiring_within_days: query.expiring_within_days,
    };
    let now = state.system.now();
    let page = tokens::list(&*state.table, &caller, wanted, now, &request).await.map_err(Problem::list)?;
    let filters = [
        ("project", query.project.as_ref().map(ProjectName::as_str)),
        ("service", query.service.as_ref().map(ServiceName::as_str)),
        ("state", query.state.map(WrittenState::as_str)),
        ("unused_for_days", unused.as_deref()),
        ("expiring_within_days", expiring.as_deref()),
    ];
    let (link, next_cursor) = page::next(page.next, request.limit, &filters);
    let tokens = page.items.into_iter().map(|token| TokenView::new(token, now)).collect();
    Ok((link, Json(TokensAnswer { tokens, next_cursor })))
}

/// The token that is to be minted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MintBody {
    /// The project whose routes it is to open.
    #[schema(value_type = String, example = "payments")]
    project: ProjectName,
    /// The service that is to call with it.
    #[schema(value_type = String, example = "worker")]
    service: ServiceName,
    /// What it is for, for people.
    #[serde(default)]
    description: Option<String>,
    /// How long it is to live, 1 to 365; 90 without it. `expires_in_days` is the same.
    #[serde(default, rename = "expiresInDays", alias = "expires_in_days")]
    days: Option<u16>,
}

/// Mints a service token. It is shown once; with an `Idempotency-Key`, the same request again answers with
/// the same token.
#[utoipa::path(
    post, path = "/v1/tokens", operation_id = "mint_token", tag = "tokens",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe.")),
    request_body = MintBody,
    responses(
        (status = 201, description = "The token.", body = MintedAnswer),
        (status = 403, description = "The role in the project's tenant is too small.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
    )
)]
pub(crate) async fn mint(
    State(state): State<AppState>,
    audited: Audited,
    _: NoQuery,
    Idempotency(key): Idempotency,
    JsonBody(body): JsonBody<MintBody>,
) -> Result<impl IntoResponse, Problem> {
    let MintBody { project, service, description, days } = body;
    let draft = Draft { project, service, description, days };
    let audit = audited.context();
    let minted = tokens::mint(&*state.table, &*state.sign, &*state.system, &audit, draft, key.as_ref()).await;
    let minted = minted.map_err(|error| match error {
        MintError::Invalid(errors) => Problem::invalid(errors),
        MintError::NoProject(_) => Problem::new(VALIDATION_FAILED, error.to_string()),
        MintError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        MintError::KeyReused => Problem::new(IDEMPOTENCY_KEY_REUSED, error.to_string()),
        MintError::Sign(error) => Problem::internal(error),
        MintError::Store(error) => Problem::store(error),
    })?;
    Ok(answer(minted))
}

/// Shows what is kept of one service token.
#[utoipa::path(
    get, path = "/v1/tokens/{jti}", operation_id = "show_token", tag = "tokens",
    params(("jti" = String, Path, description = "The token's id.")),
    responses(
        (status = 200, description = "The token's record.", body = TokenAnswer),
        (status = 404, description = "There is no such token.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    PathParameter(jti): PathParameter<TokenId>,
    _: NoQuery,
) -> Result<Json<TokenAnswer>, Problem> {
    let token = tokens::show(&*state.table, &caller, &SHOW_TOKEN, &jti).await;
    let token = token.map_err(|error| match error {
        ShowTokenError::NotFound => not_found(),
        ShowTokenError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        ShowTokenError::Store(error) => Problem::store(error),
    })?;
    Ok(Json(TokenAnswer { token: TokenView::new(token, state.system.now()) }))
}

/// Revokes a service token at once. Revoking it again is fine.
#[utoipa::path(
    post, path = "/v1/tokens/{jti}/revoke", operation_id = "revoke_token", tag = "tokens",
    params(("jti" = String, Path, description = "The token's id.")),
    request_body = Option<RevokeBody>,
    responses(
        (status = 200, description = "The token opens nothing any more.", body = RevokedAnswer),
        (status = 404, description = "There is no such token.", body = ProblemBody),
    )
)]
pub(crate) async fn revoke(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    PathParameter(jti): PathParameter<TokenId>,
    _: NoQuery,
    Reason(reason): Reason,
) -> Result<Json<RevokedAnswer>, Problem> {
    let audit = audited.context();
    let revoked = tokens::revoke(&*state.table, &*flush, &*state.system, &audit, &jti, reason)
        .await
        .map_err(|error| match error {
            RevokeTokenError::NotFound => not_found(),
            RevokeTokenError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
            RevokeTokenError::Invalid(errors) => Problem::invalid(errors),
            RevokeTokenError::Store(error) => Problem::store(error),
        })?;
    Ok(Json(RevokedAnswer {
        token: TokenView::new(revoked.token, state.system.now()),
        revoked: true,
        effective: EffectiveAnswer::new(revoked.effective, revoked.flush_error.as_ref()),
    }))
}

/// How a token is to be replaced.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateBody {
    /// For how long the old token stays valid, at most 30 days. Without it, until the new one is first seen
    /// in use.
    #[serde(default)]
    grace_seconds: Option<u32>,
    /// How long the new token is to live, 1 to 365; as long as the old one was meant to without it.
    /// `expires_in_days` is the same.
    #[serde(default, rename = "expiresInDays", alias = "expires_in_days")]
    days: Option<u16>,
}

/// Makes a new token for the same project and service, in place of an active one.
#[utoipa::path(
    post, path = "/v1/tokens/{jti}/rotate", operation_id = "rotate_token", tag = "tokens",
    params(
        ("jti" = String, Path, description = "The id of the token that is replaced."),
        ("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe."),
    ),
    request_body = Option<RotateBody>,
    responses(
        (status = 201, description = "The new token.", body = MintedAnswer),
        (status = 404, description = "There is no such token.", body = ProblemBody),
        (status = 409, description = "The token is not active.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
    )
)]
pub(crate) async fn rotate(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(jti): PathParameter<TokenId>,
    _: NoQuery,
    Idempotency(key): Idempotency,
    body: Option<JsonBody<RotateBody>>,
) -> Result<impl IntoResponse, Problem> {
    let RotateBody { grace_seconds, days } = body.map(|JsonBody(body)| body).unwrap_or_default();
    let rotation = Rotation { grace: grace_seconds.map(|seconds| Duration::from_secs(seconds.into())), days };
    let (table, sign, system, audit) = (&*state.table, &*state.sign, &*state.system, audited.context());
    let minted = tokens::rotate(table, sign, system, &audit, &jti, &rotation, key.as_ref()).await;
    let minted = minted.map_err(|error| match error {
        RotateTokenError::NotFound => not_found(),
        RotateTokenError::Forbidden(tenant) => Problem::forbidden_in(&tenant),
        RotateTokenError::Invalid(errors) => Problem::invalid(errors),
        RotateTokenError::KeyReused => Problem::new(IDEMPOTENCY_KEY_REUSED, error.to_string()),
        RotateTokenError::NotAccepted | RotateTokenError::NotActive(_) => {
            Problem::new(CONFLICT, error.to_string())
        }
        RotateTokenError::Sign(error) => Problem::internal(error),
        RotateTokenError::Store(error) => Problem::store(error),
    })?;
    Ok(answer(minted))
}

/// A new token, and whether an earlier request with the same key made it.
fn answer(minted: Minted) -> impl IntoResponse {
    let mut headers = HeaderMap::new();
    if minted.replayed {
        mark_replayed(&mut headers);
    }
    (StatusCode::CREATED, headers, Json(MintedAnswer::new(minted)))
}

fn not_found() -> Problem {
    Problem::new(NOT_FOUND, "There is no such token.")
}
