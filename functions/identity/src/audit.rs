//! The audit trail.

use axum::{Json, extract::State, response::IntoResponse};
use gatehouse_domain::{
    audit::{self, AuditError, AuditQuery, Entry},
    name::TenantId,
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, QueryParameters},
    page,
    problem::{INVALID_QUERY, ProblemBody},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::AppState;

/// The longest name of an actor that is looked for, in bytes.
const MAX_ACTOR: usize = 200;

/// One act.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntryView {
    id: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Who: `user:ada`, `api_key:key_…`, `service:payments/worker`.
    actor: String,
    /// The person behind the actor: of a key, whoever minted it, `user:ada`.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<String>,
    /// What: `token.mint`, `session.login`, …
    #[schema(value_type = String)]
    action: &'static str,
    /// To what: `token:tok_…`, `job:hello`, …
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// `done`, `refused`, or `requested` of another system.
    #[schema(value_type = String)]
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// How often it happened, of what is counted by the quarter of an hour: the rest is of the first time.
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    /// Id of the request.
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<String>,
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            actor: entry.actor,
            on_behalf_of: entry.on_behalf_of,
            action: entry.action.as_str(),
            target: entry.target,
            tenant: entry.tenant.map(|tenant| tenant.to_string()),
            outcome: entry.outcome.as_str(),
            detail: entry.detail,
            count: entry.count,
            request_id: entry.origin.request_id,
            source_ip: entry.origin.source_ip,
            user_agent: entry.origin.user_agent,
        }
    }
}

/// A page of the trail.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntriesAnswer {
    entries: Vec<EntryView>,
    /// Where the next page starts; left out on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Which part of the trail is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// What happened in this tenant.
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// What this actor did: `user:ada`.
    actor: Option<String>,
    /// Until then; until now without it.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// How many at most, 1 to 100; 50 without it.
    limit: Option<u8>,
    /// Where to start: the `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Reads the audit trail, the newest act first. A page may be short, or empty, and still have a next one.
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "list_audit", tag = "audit", params(ListQuery),
    responses(
        (status = 200, description = "A page of the trail.", body = EntriesAnswer),
        (status = 400, description = "The query cannot be read.", body = ProblemBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    QueryParameters(query): QueryParameters<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let (tenant, actor) = (query.tenant.as_ref().map(TenantId::as_str), query.actor.as_deref());
    // Without `until`, which differs between a first page and those that its link leads to.
    let request = page::request(query.limit, query.cursor, &caller, &[("tenant", tenant), ("actor", actor)])?;
    if query.actor.as_ref().is_some_and(|actor| actor.len() > MAX_ACTOR) {
        return Err(Problem::new(INVALID_QUERY, "`actor` is longer than any actor's name."));
    }
    // The pages of one list are of one moment, which the links between them carry on.
    let until = query.until.unwrap_or_else(|| state.system.now());
    let wanted = AuditQuery { tenant: query.tenant.clone(), actor: query.actor.clone(), until };
    let page = audit::list(&*state.table, &caller, wanted, &request).await;
    let page = page.map_err(|error| match error {
        AuditError::TenantUnclear | AuditError::TwoFilters => Problem::new(INVALID_QUERY, error.to_string()),
        AuditError::List(error) => Problem::list(error),
    })?;
    let until = until.to_string();
    let filters = [("tenant", tenant), ("actor", actor), ("until", Some(until.as_str()))];
    let (link, next_cursor) = page::next(page.next, request.limit, &filters);
    let entries = page.items.into_iter().map(Into::into).collect();
    Ok((link, Json(EntriesAnswer { entries, next_cursor })))
}
