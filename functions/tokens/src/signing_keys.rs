//! The keys that sign, and the set of public keys for everybody who verifies.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use gatehouse_domain::signing::{self, FindKeyRing, KeyRing, RotateKeyError};
use gatehouse_http::{
    Problem,
    extract::{Admitted, Audited, NoQuery},
    problem::{CONFLICT, ProblemBody},
};
use gatehouse_jwt::JwkSet;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::AppState;

/// For how long the set may be kept: less than the time for which a key is published before it signs.
const KEPT_FOR: &str = "public, max-age=300";

/// A signing key, without anything secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SigningKeyView {
    kid: String,
    /// `next`, `current` or `retiring`.
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    published_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    signs_from: Timestamp,
}

/// The ring of signing keys, the oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SigningKeysAnswer {
    signing_keys: Vec<SigningKeyView>,
}

impl SigningKeysAnswer {
    fn new(ring: Option<&KeyRing>, now: Timestamp) -> Self {
        let views = ring.into_iter().flat_map(|ring| ring.states(now)).map(|(key, state)| SigningKeyView {
            kid: key.kid.as_str().to_owned(),
            state: state.as_str(),
            published_at: key.published_at,
            signs_from: key.signs_from,
        });
        Self { signing_keys: views.collect() }
    }
}

/// The public keys with which tokens of Gatehouse are verified: a JWK set, RFC 7517. It may be kept for
/// five minutes; a new key is published ten minutes before it signs.
#[utoipa::path(
    get, path = "/.well-known/jwks.json", operation_id = "show_jwks", tag = "tokens", security(()),
    responses((status = 200, description = "The public keys.", body = Object))
)]
pub(crate) async fn jwks(State(state): State<AppState>, _: NoQuery) -> Result<impl IntoResponse, Problem> {
    let ring = state.table.find_key_ring().await.map_err(Problem::store)?;
    let set = ring.as_ref().map_or_else(|| JwkSet { keys: Vec::new() }, JwkSet::from);
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static(KEPT_FOR))], Json(set)))
}

/// Lists the signing keys.
#[utoipa::path(
    get, path = "/v1/signing-keys", operation_id = "list_signing_keys", tag = "tokens",
    responses((status = 200, description = "The keys.", body = SigningKeysAnswer))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(_caller): Admitted,
    _: NoQuery,
) -> Result<Json<SigningKeysAnswer>, Problem> {
    let ring = state.table.find_key_ring().await.map_err(Problem::store)?;
    Ok(Json(SigningKeysAnswer::new(ring.as_ref(), state.system.now())))
}

/// Publishes a new signing key, which signs ten minutes later. Tokens of the older ones stay good.
#[utoipa::path(
    post, path = "/v1/signing-keys/rotate", operation_id = "rotate_signing_key", tag = "tokens",
    responses(
        (status = 201, description = "The keys.", body = SigningKeysAnswer),
        (status = 409, description = "A new key is published already.", body = ProblemBody),
    )
)]
pub(crate) async fn rotate(
    State(state): State<AppState>,
    audited: Audited,
    _: NoQuery,
) -> Result<impl IntoResponse, Problem> {
    let audit = audited.context();
    let ring =
        signing::rotate(&*state.table, &*state.key_pairs, &*state.system, &audit).await.map_err(|error| {
            match error {
                RotateKeyError::AlreadyNext(_) | RotateKeyError::Full => {
                    Problem::new(CONFLICT, error.to_string())
                }
                RotateKeyError::Store(error) => Problem::store(error),
                RotateKeyError::Secrets(error) => Problem::secrets(error),
            }
        })?;
    Ok((StatusCode::CREATED, Json(SigningKeysAnswer::new(Some(&ring), state.system.now()))))
}
