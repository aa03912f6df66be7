//! Listing, showing, saving and deleting providers.

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use gatehouse_domain::{
    caller::Caller,
    ci::ProviderDirectory,
    name::ProviderName,
    providers::{self, DeleteProviderError, FindProvider, ListProviders, Provider, PutProviderError},
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, Audited, Expected, JsonBody, NoQuery, PathParameter, etag},
    problem::{NOT_FOUND, ProblemBody},
};

use crate::{
    AppState,
    wire::{ProviderAnswer, ProviderBody, ProviderView, ProvidersAnswer},
};

/// Lists the providers: an installation has a handful, so there are no pages.
#[utoipa::path(
    get, path = "/v1/providers", operation_id = "list_providers", tag = "providers",
    responses((status = 200, description = "The providers.", body = ProvidersAnswer))
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    _: NoQuery,
) -> Result<Json<ProvidersAnswer>, Problem> {
    let mut providers = Vec::new();
    for provider in state.table.list_providers().await.map_err(Problem::store)? {
        providers.push(view(&state, provider, &caller).await);
    }
    Ok(Json(ProvidersAnswer { providers }))
}

/// Shows one provider.
#[utoipa::path(
    get, path = "/v1/providers/{name}", operation_id = "show_provider", tag = "providers",
    params(("name" = String, Path, description = "The provider's name.")),
    responses(
        (status = 200, description = "The provider; its `ETag` is wanted for edits.", body = ProviderAnswer),
        (status = 404, description = "There is no such provider.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    PathParameter(name): PathParameter<ProviderName>,
    _: NoQuery,
) -> Result<impl IntoResponse, Problem> {
    let provider = state.table.find_provider(&name).await.map_err(Problem::store)?;
    let provider = provider.ok_or_else(not_found)?;
    let tag = etag(&provider.revision);
    Ok(([tag], Json(ProviderAnswer { provider: view(&state, provider, &caller).await })))
}

/// Registers a provider, or replaces one whose `ETag` is sent in `If-Match`.
#[utoipa::path(
    put, path = "/v1/providers/{name}", operation_id = "put_provider", tag = "providers",
    params(
        ("name" = String, Path, description = "The provider's name; `concourse` is what jobs use by default."),
        ("If-Match" = Option<String>, Header, description = "The `ETag` of the provider that is replaced."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: only create."),
    ),
    request_body = ProviderBody,
    responses(
        (status = 200, description = "The provider was replaced.", body = ProviderAnswer),
        (status = 201, description = "The provider was registered.", body = ProviderAnswer),
        (status = 412, description = "It was changed since it was read.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
        (status = 428, description = "Replacing needs `If-Match`.", body = ProblemBody),
    )
)]
pub(crate) async fn put(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(name): PathParameter<ProviderName>,
    _: NoQuery,
    Expected(expected): Expected,
    JsonBody(body): JsonBody<ProviderBody>,
) -> Result<impl IntoResponse, Problem> {
    let draft = body.into_draft(name);
    if let Some(error) = draft.url.as_deref().and_then(|url| state.plain_http.check("/url", url)) {
        return Err(Problem::invalid(vec![error]));
    }
    let kinds = state.providers.kinds();
    let audit = audited.context();
    let put =
        providers::put(&*state.table, &*state.secrets, &*state.system, &kinds, &audit, draft, &expected);
    let put = put.await.map_err(|error| match error {
        PutProviderError::Invalid(errors) => Problem::invalid(errors),
        PutProviderError::Precondition(error) => Problem::precondition(error),
        PutProviderError::Store(error) => Problem::store(error),
        PutProviderError::Secrets(error) => Problem::secrets(error),
    })?;
    let status = if put.created { StatusCode::CREATED } else { StatusCode::OK };
    let tag = etag(&put.provider.revision);
    // From here on calls of this function go where the edit says.
    let ci = state.providers.provider_now(&put.provider.name).await.ok();
    let provider = ProviderView::new(put.provider, ci.map(|ci| ci.capabilities()), audit.caller);
    Ok((status, [tag], Json(ProviderAnswer { provider })))
}

/// Deletes a provider whose `ETag` is sent in `If-Match`, with its credentials.
#[utoipa::path(
    delete, path = "/v1/providers/{name}", operation_id = "delete_provider", tag = "providers",
    params(
        ("name" = String, Path, description = "The provider's name."),
        ("If-Match" = String, Header, description = "The `ETag` of the provider."),
    ),
    responses(
        (status = 204, description = "The provider was deleted."),
        (status = 404, description = "There is no such provider.", body = ProblemBody),
        (status = 412, description = "It was changed since it was read.", body = ProblemBody),
        (status = 428, description = "Deleting needs `If-Match`.", body = ProblemBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(name): PathParameter<ProviderName>,
    _: NoQuery,
    Expected(expected): Expected,
) -> Result<StatusCode, Problem> {
    let (store, secrets, audit) = (&*state.table, &*state.secrets, audited.context());
    let deleted = providers::delete(store, secrets, &*state.system, &audit, &name, &expected);
    deleted.await.map_err(|error| match error {
        DeleteProviderError::NotFound => not_found(),
        DeleteProviderError::Precondition(error) => Problem::precondition(error),
        DeleteProviderError::Store(error) => Problem::store(error),
        DeleteProviderError::Secrets(error) => Problem::secrets(error),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// What callers see of a provider. What it can do is left out when it cannot be used just now.
async fn view(state: &AppState, provider: Provider, caller: &Caller) -> ProviderView {
    let capabilities = state.providers.provider(&provider.name).await.ok().map(|ci| ci.capabilities());
    ProviderView::new(provider, capabilities, caller)
}

pub(crate) fn not_found() -> Problem {
    Problem::new(NOT_FOUND, "There is no such provider.")
}
