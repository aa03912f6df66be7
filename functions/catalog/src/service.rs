//! Listing, creating, showing, replacing and deleting services.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use gatehouse_domain::{
    catalog::{self, Force, Lifecycle, ReplacedService, ServiceDraft, ServiceQuery},
    id::ServiceId,
    idempotency::Fingerprint,
    name::{ServiceName, TenantId},
};
use gatehouse_http::{
    Problem,
    extract::{
        Admitted, Audited, Expected, Idempotency, NoQuery, PathParameter, QueryParameters, WithOldWords,
        etag, mark_replayed,
    },
    page,
    problem::{INVALID_QUERY, ProblemBody},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    problems,
    state::AppState,
    wire::{DeletedAnswer, RegisteredAnswer, ServiceAnswer, ServiceBody, ServicesAnswer},
};

/// The longest owner or text that is looked for, in bytes.
const MAX_FILTER: usize = 200;

/// Which services are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Those of this tenant.
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Those of this name, of which each tenant has at most one.
    #[param(value_type = Option<String>)]
    name: Option<ServiceName>,
    /// Those of this owner, exactly as written.
    owner: Option<String>,
    /// Those that are so far in their life.
    #[param(value_type = Option<String>)]
    lifecycle: Option<Lifecycle>,
    /// Those whose name, owner or description hold this text, whatever its case.
    text: Option<String>,
    /// How many at most, 1 to 100; 50 without it.
    limit: Option<u32>,
    /// Where to start: the `next_cursor` of the page before.
    cursor: Option<String>,
    /// The old portal's place in the list.
    #[param(ignore)]
    skip: Option<u64>,
    /// The old portal's filter.
    #[param(ignore)]
    environment: Option<String>,
}

impl ListQuery {
    /// Refuses what the old portal took and this list does not, with what takes its place.
    fn check_old_words(&self) -> Result<(), Problem> {
        let detail = match (self.skip, &self.environment) {
            // What programs send that always say where they are.
            (None | Some(0), None) => return Ok(()),
            (_, Some(_)) => {
                "`environment` does not filter services: each of them has its `environments` with it, and \
                 `text`, `owner`, `lifecycle` and `tenant` filter."
            }
            (Some(_), None) => {
                "`skip` may only be 0: the next page starts where `cursor` says, with the `next_cursor` of the \
                 page before."
            }
        };
        Err(Problem::new(INVALID_QUERY, detail))
    }
}

/// Lists the services of the caller's tenants, by tenant and name. A page that is filtered by owner, life or text may be
/// short, or empty, and still have a next one: up to some two thousand services are looked through for one.
#[utoipa::path(
    get, path = "/services", operation_id = "list_services", tag = "catalog", params(ListQuery),
    responses(
        (status = 200, description = "A page of services.", body = ServicesAnswer),
        (status = 400, description = "The query cannot be read.", body = ProblemBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    QueryParameters(query): QueryParameters<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    query.check_old_words()?;
    for (name, value) in [("owner", &query.owner), ("text", &query.text)] {
        if value.as_ref().is_some_and(|value| value.is_empty() || value.len() > MAX_FILTER) {
            return Err(Problem::new(INVALID_QUERY, format!("`{name}` must be 1 to {MAX_FILTER} bytes.")));
        }
    }
    let lifecycle = query.lifecycle.map(Lifecycle::as_str);
    let tenant = query.tenant.as_ref().map(ToString::to_string);
    let name = query.name.as_ref().map(ToString::to_string);
    let filters = [
        ("tenant", tenant.as_deref()),
        ("name", name.as_deref()),
        ("owner", query.owner.as_deref()),
        ("lifecycle", lifecycle),
        ("text", query.text.as_deref()),
    ];
    let request = page::request(query.limit, query.cursor, &caller, &filters)?;
    let wanted = ServiceQuery {
        tenant: query.tenant,
        name: query.name,
        owner: query.owner.clone(),
        lifecycle: query.lifecycle,
        text: query.text.clone(),
    };
    let page = catalog::list(&*state.table, &caller, wanted, &request).await.map_err(Problem::list)?;
    let (link, next_cursor) = page::next(page.next, request.limit, &filters);
    let services = page.items.into_iter().map(Into::into).collect();
    Ok((link, Json(ServicesAnswer { services, next_cursor })))
}

/// Creates a service. With an `Idempotency-Key`, the same request again answers with the same service.
#[utoipa::path(
    post, path = "/services", operation_id = "create_service", tag = "catalog",
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes repetitions safe.")),
    request_body = ServiceBody,
    responses(
        (status = 201, description = "The service was created.", body = RegisteredAnswer),
        (status = 409, description = "Another service of the tenant has the name, or its component was changed at the same moment.", body = ProblemBody),
        (status = 422, description = "Fields are refused, or the key was used for another request.",
            body = ProblemBody),
    )
)]
pub(crate) async fn create(
    State(state): State<AppState>,
    audited: Audited,
    _: NoQuery,
    Idempotency(key): Idempotency,
    WithOldWords(body): WithOldWords<ServiceBody>,
) -> Result<impl IntoResponse, Problem> {
    let text = serde_json::to_string(&body).unwrap_or_default();
    let fingerprint = Fingerprint::of(&["create_service", &text]);
    let (audit, draft) = (audited.context(), body.into_draft().map_err(Problem::invalid)?);
    check_webhooks(&state, &draft)?;
    let (table, seal, system) = (&*state.table, &*state.seal, &*state.system);
    let created = catalog::create(table, seal, system, &audit, draft, key.as_ref(), fingerprint).await;
    let created = created.map_err(problems::edit)?;
    let mut headers = HeaderMap::new();
    if created.replayed {
        mark_replayed(&mut headers);
    }
    // Relative to `…/services`. An id is made of characters that need no escaping.
    if let Ok(location) = HeaderValue::from_str(&format!("services/{}", created.service.id)) {
        headers.insert(header::LOCATION, location);
    }
    let etag = etag(&created.service.revision);
    let answer = RegisteredAnswer::of(created.service, created.warnings);
    Ok((StatusCode::CREATED, [etag], headers, Json(answer)))
}

/// Shows one service.
#[utoipa::path(
    get, path = "/services/{service_id}", operation_id = "show_service", tag = "catalog",
    params(("service_id" = String, Path, description = "The service's id.")),
    responses(
        (status = 200, description = "The service; its `ETag` is wanted for edits.", body = ServiceAnswer),
        (status = 404, description = "There is no such service.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    PathParameter(id): PathParameter<ServiceId>,
    _: NoQuery,
) -> Result<impl IntoResponse, Problem> {
    let found = catalog::show(&*state.table, &caller, &id).await;
    let service = found.map_err(Problem::show_service)?.service;
    Ok(([etag(&service.revision)], Json(ServiceAnswer::from(service))))
}

/// Replaces a service whose `ETag` is sent in `If-Match`. Its tenant and name stay; an environment in which
/// something is provisioned, or an operation is open, cannot be left out.
#[utoipa::path(
    put, path = "/services/{service_id}", operation_id = "put_service", tag = "catalog",
    params(
        ("service_id" = String, Path, description = "The service's id."),
        ("If-Match" = String, Header, description = "The `ETag` of the service."),
    ),
    request_body = ServiceBody,
    responses(
        (status = 200, description = "The service was replaced.", body = RegisteredAnswer),
        (status = 404, description = "There is no such service.", body = ProblemBody),
        (status = 409, description = "An environment that is left out is in use.", body = ProblemBody),
        (status = 412, description = "The service was changed since it was read.", body = ProblemBody),
        (status = 422, description = "Fields are refused.", body = ProblemBody),
        (status = 428, description = "Replacing needs `If-Match`.", body = ProblemBody),
    )
)]
pub(crate) async fn put(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(id): PathParameter<ServiceId>,
    _: NoQuery,
    Expected(expected): Expected,
    WithOldWords(body): WithOldWords<ServiceBody>,
) -> Result<impl IntoResponse, Problem> {
    let (audit, draft) = (audited.context(), body.into_draft().map_err(Problem::invalid)?);
    check_webhooks(&state, &draft)?;
    let (table, seal, system) = (&*state.table, &*state.seal, &*state.system);
    let replaced = catalog::replace(table, seal, system, &audit, &id, draft, &expected).await;
    let ReplacedService { service, warnings } = replaced.map_err(problems::edit)?;
    Ok(([etag(&service.revision)], Json(RegisteredAnswer::of(service, warnings))))
}

/// Refuses webhooks without TLS, where the network is not said to be private.
fn check_webhooks(state: &AppState, draft: &ServiceDraft) -> Result<(), Problem> {
    let webhooks = draft.spec.webhooks().into_iter();
    let errors: Vec<_> = webhooks.filter_map(|(at, url)| state.plain_http.check(&at, url)).collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::invalid(errors)) }
}

/// Whether to delete although something is provisioned.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteQuery {
    /// `true`: delete although something is provisioned, which then remains. For admins.
    #[serde(default)]
    force: bool,
}

/// Deletes a service whose `ETag` is sent in `If-Match`, and in which nothing is provisioned. An admin may
/// delete it by force; the answer lists what remains.
#[utoipa::path(
    delete, path = "/services/{service_id}", operation_id = "delete_service", tag = "catalog",
    params(
        ("service_id" = String, Path, description = "The service's id."), DeleteQuery,
        ("If-Match" = String, Header, description = "The `ETag` of the service."),
    ),
    responses(
        (status = 200, description = "The service was deleted.", body = DeletedAnswer),
        (status = 403, description = "Only an admin deletes by force.", body = ProblemBody),
        (status = 404, description = "There is no such service.", body = ProblemBody),
        (status = 409, description = "Something is provisioned, or an operation is open.", body = ProblemBody),
        (status = 412, description = "The service was changed since it was read.", body = ProblemBody),
        (status = 428, description = "Deleting needs `If-Match`.", body = ProblemBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    audited: Audited,
    PathParameter(id): PathParameter<ServiceId>,
    QueryParameters(query): QueryParameters<DeleteQuery>,
    Expected(expected): Expected,
) -> Result<impl IntoResponse, Problem> {
    let audit = audited.context();
    let force = if query.force { Force::Yes } else { Force::No };
    let deleted = catalog::delete(&*state.table, &*state.system, &audit, &id, &expected, force).await;
    Ok(Json(DeletedAnswer::from(deleted.map_err(problems::edit)?)))
}
