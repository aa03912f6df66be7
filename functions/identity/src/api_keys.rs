//! API keys.

use std::collections::BTreeSet;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use gatehouse_domain::{
    access::Scope,
    api_key::{self, ApiKey, ApiKeyId, FindApiKey, KeyDraft, ListApiKeys, MintKeyError, RevokeKeyError},
    caller::Tenants,
    name::TenantId,
    validation::FieldError,
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, Audited, JsonBody, NoQuery, PathParameter, QueryParameters},
    page::{self, PageQuery},
    problem::{BEYOND_OWN_RIGHTS, NOT_FOUND, ProblemBody},
    revocation::{EffectiveAnswer, Flush, Reason, RevokeBody},
};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    AppState,
    sessions::{WrittenTenants, tenants_view},
};

/// What is kept of an API key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKeyView {
    key_id: String,
    /// What it is for, for people.
    name: String,
    /// What it may do.
    scopes: Vec<&'static str>,
    /// For which tenants: `*` for all, or a list.
    #[schema(value_type = WrittenTenants, example = json!(["acme"]))]
    tenants: Value,
    /// `active`, `expired` or `revoked`.
    state: &'static str,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    created_by: String,
    /// The person whose key it is: `user:ada`. It opens nothing while they could not mint it themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    minted_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// When it was last seen in use; up to five minutes old.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    revoked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_reason: Option<String>,
}

impl ApiKeyView {
    fn new(key: ApiKey, now: Timestamp) -> Self {
        let state = key.status(now).as_str();
        let (revoked_at, revoked_by, revoked_reason) = match key.revoked {
            Some(revoked) => (Some(revoked.at), Some(revoked.by), revoked.reason),
            None => (None, None, None),
        };
        Self {
            key_id: key.id.as_str().to_owned(),
            name: key.name,
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            tenants: tenants_view(&key.tenants),
            state,
            created_at: key.created_at,
            created_by: key.created_by,
            minted_by: key.minted_by,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at,
            revoked_by,
            revoked_reason,
        }
    }
}

/// One API key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKeyAnswer {
    api_key: ApiKeyView,
}

/// A page of API keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ApiKeysAnswer {
    api_keys: Vec<ApiKeyView>,
    /// Where the next page starts; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A new API key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MintedKeyAnswer {
    /// The key. It is shown now and never again.
    #[schema(example = "gh_…")]
    key: String,
    api_key: ApiKeyView,
}

/// A revoked API key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedKeyAnswer {
    api_key: ApiKeyView,
    #[serde(flatten)]
    effective: EffectiveAnswer,
}

/// The most tenants that one key is for: the authorizer hands them to the functions with every request.
const MAX_TENANTS: usize = 100;

/// The most scopes that one key can name: there are fewer.
const MAX_SCOPES: usize = 50;

/// The key that is to be minted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MintKeyBody {
    /// What it is for, for people.
    name: String,
    /// What it may do: `*`, `jobs:read`, …
    #[schema(max_items = 50)]
    scopes: Vec<String>,
    /// For which tenants: `*` for all, or a list.
    #[schema(example = json!(["acme"]))]
    tenants: WrittenTenants,
    /// How long it is to live; for ever without it.
    #[serde(default)]
    expires_in_days: Option<u16>,
}

impl MintKeyBody {
    fn into_draft(self) -> Result<KeyDraft, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut scopes = BTreeSet::new();
        if self.scopes.len() > MAX_SCOPES {
            return Err(vec![FieldError::new("/scopes", format!("must be at most {MAX_SCOPES} scopes"))]);
        }
        for (index, scope) in self.scopes.iter().enumerate() {
            match scope.parse::<Scope>() {
                Ok(scope) => {
                    scopes.insert(scope);
                }
                Err(error) => errors.push(FieldError::new(format!("/scopes/{index}"), error.to_string())),
            }
        }
        let tenants = read_tenants(self.tenants).unwrap_or_else(|error| {
            errors.push(error);
            Tenants::Only(BTreeSet::new())
        });
        let draft = KeyDraft { name: self.name, scopes, tenants, days: self.expires_in_days };
        if errors.is_empty() { Ok(draft) } else { Err(errors) }
    }
}

fn read_tenants(written: WrittenTenants) -> Result<Tenants, FieldError> {
    let refused = |detail: String| FieldError::new("/tenants", detail);
    match written {
        WrittenTenants::All(text) if text == "*" => Ok(Tenants::All),
        WrittenTenants::All(_) => Err(refused("must be `*` or a list of tenants".to_owned())),
        WrittenTenants::Only(names) if names.len() > MAX_TENANTS => {
            Err(refused(format!("must be at most {MAX_TENANTS} tenants, or `*` for all")))
        }
        WrittenTenants::Only(names) => {
            let names = names.iter().map(|name| name.parse::<TenantId>());
            names.collect::<Result<_, _>>().map(Tenants::Only).map_err(|error| refused(error.to_string()))
        }
    }
}

/// Lists API keys, the newest first.
#[utoipa::path(
    get, path = "/v1/api-keys", operation_id = "list_api_keys", tag = "identity", params(PageQuery),
    responses((status = 200, description = "A page of keys.", body = ApiKeysAnswer))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    QueryParameters(query): QueryParameters<PageQuery>,
) -> Result<impl IntoResponse, Problem> {
    let request = page::request(query.limit, query.cursor, &caller, &[])?;
    let page = state.table.list_api_keys(&request).await.map_err(Problem::list)?;
    let now = state.system.now();
    let (link, next_cursor) = page::next(page.next, request.limit, &[]);
    let api_keys = page.items.into_iter().map(|key| ApiKeyView::new(key, now)).collect();
    Ok((link, Json(ApiKeysAnswer { api_keys, next_cursor })))
}

/// Mints an API key that may do nothing that the caller may not. It is shown once.
#[utoipa::path(
    post, path = "/v1/api-keys", operation_id = "mint_api_key", tag = "identity",
    request_body = MintKeyBody,
    responses(
        (status = 201, description = "The key.", body = MintedKeyAnswer),
        (status = 403, description = "The key would be worth more than the caller.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
    )
)]
pub(crate) async fn mint(
    State(state): State<AppState>,
    audited: Audited,
    _: NoQuery,
    JsonBody(body): JsonBody<MintKeyBody>,
) -> Result<impl IntoResponse, Problem> {
    let draft = body.into_draft().map_err(Problem::invalid)?;
    let audit = audited.context();
    let minted = api_key::mint(&*state.table, &*state.system, &audit, draft).await;
    let (key, text) = minted.map_err(|error| match error {
        MintKeyError::Invalid(errors) => Problem::invalid(errors),
        MintKeyError::Beyond(error) => Problem::new(BEYOND_OWN_RIGHTS, error.to_string()),
        MintKeyError::Store(error) => Problem::store(error),
    })?;
    let api_key = ApiKeyView::new(key, state.system.now());
    let answer = MintedKeyAnswer { key: text.expose_secret().to_owned(), api_key };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Shows what is kept of one API key.
#[utoipa::path(
    get, path = "/v1/api-keys/{key_id}", operation_id = "show_api_key", tag = "identity",
    params(("key_id" = String, Path, description = "The key's id.")),
    responses(
        (status = 200, description = "The key's record.", body = ApiKeyAnswer),
        (status = 404, description = "There is no such key.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(_caller): Admitted,
    PathParameter(id): PathParameter<ApiKeyId>,
    _: NoQuery,
) -> Result<Json<ApiKeyAnswer>, Problem> {
    let key = state.table.find_api_key(&id).await.map_err(Problem::store)?.ok_or_else(not_found)?;
    Ok(Json(ApiKeyAnswer { api_key: ApiKeyView::new(key, state.system.now()) }))
}

/// Revokes an API key at once. Revoking it again is fine.
#[utoipa::path(
    post, path = "/v1/api-keys/{key_id}/revoke", operation_id = "revoke_api_key", tag = "identity",
    params(("key_id" = String, Path, description = "The key's id.")),
    request_body = Option<RevokeBody>,
    responses(
        (status = 200, description = "The key opens nothing any more.", body = RevokedKeyAnswer),
        (status = 403, description = "The key is worth more than the caller.", body = ProblemBody),
        (status = 404, description = "There is no such key.", body = ProblemBody),
    )
)]
pub(crate) async fn revoke(
    State(state): State<AppState>,
    audited: Audited,
    Flush(flush): Flush,
    PathParameter(id): PathParameter<ApiKeyId>,
    _: NoQuery,
    Reason(reason): Reason,
) -> Result<Json<RevokedKeyAnswer>, Problem> {
    let audit = audited.context();
    let revoked = api_key::revoke(&*state.table, &*flush, &*state.system, &audit, &id, reason).await;
    let revoked = revoked.map_err(|error| match error {
        RevokeKeyError::NotFound => not_found(),
        RevokeKeyError::Invalid(errors) => Problem::invalid(errors),
        RevokeKeyError::Beyond(error) => Problem::new(BEYOND_OWN_RIGHTS, error.to_string()),
        RevokeKeyError::Store(error) => Problem::store(error),
    })?;
    let effective = EffectiveAnswer::new(revoked.effective, revoked.flush_error.as_ref());
    Ok(Json(RevokedKeyAnswer { api_key: ApiKeyView::new(revoked.key, state.system.now()), effective }))
}

fn not_found() -> Problem {
    Problem::new(NOT_FOUND, "There is no such key.")
}
