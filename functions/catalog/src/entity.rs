//! Listing, showing and deleting the entities of catalog files.

use axum::{Json, extract::State, response::IntoResponse};
use gatehouse_domain::{
    catalog,
    entities::{self, EntityKind, EntityName, EntityQuery, EntityRef, Namespace},
    name::{TenantId, UserName},
};
use gatehouse_http::{
    Problem,
    extract::{Admitted, Audited, Expected, PathParameters, QueryParameters, etag},
    page,
    problem::{INVALID_QUERY, ProblemBody},
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    problems,
    state::AppState,
    wire::{EntitiesAnswer, EntityAnswer, ForgottenAnswer},
};

/// The longest tag or life that is looked for, in bytes.
const MAX_FILTER: usize = 200;

/// Which entities are wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Those of this tenant.
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
    /// Those of this kind, whatever its case.
    kind: Option<String>,
    /// Those that this group or user owns: `platform`, `user:ada`.
    owner: Option<String>,
    /// Those of this system.
    system: Option<String>,
    /// Those with this tag.
    tag: Option<String>,
    /// Those that are so far in their life, in the file's own word.
    lifecycle: Option<String>,
    /// The groups that this user is in.
    #[param(value_type = Option<String>)]
    member: Option<UserName>,
    /// How many at most, 1 to 100; 50 without it.
    limit: Option<u8>,
    /// Where to start: the `next_cursor` of the page before.
    cursor: Option<String>,
}

impl ListQuery {
    fn wanted(&self) -> Result<EntityQuery, Problem> {
        let refused = |name: &str, detail: String| Problem::new(INVALID_QUERY, format!("`{name}`: {detail}"));
        let reference = |name: &str, text: &Option<String>, kind: &str| {
            let parse = |text: &String| EntityRef::parse(text, Some(kind), &Namespace::default());
            text.as_ref().map(parse).transpose().map_err(|error| refused(name, error.to_string()))
        };
        for (name, text) in [("tag", &self.tag), ("lifecycle", &self.lifecycle)] {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > MAX_FILTER) {
                return Err(refused(name, format!("must be 1 to {MAX_FILTER} bytes")));
            }
        }
        let kind = self.kind.as_deref().map(str::parse::<EntityKind>).transpose();
        Ok(EntityQuery {
            tenant: self.tenant.clone(),
            kind: kind.map_err(|error| refused("kind", error.to_string()))?,
            owner: reference("owner", &self.owner, "group")?,
            system: reference("system", &self.system, "system")?,
            tag: self.tag.clone(),
            lifecycle: self.lifecycle.clone(),
            member: self.member.clone(),
        })
    }
}

/// Lists the entities of the caller's tenants, by tenant, kind, namespace and name, without the definitions of APIs. A page
/// whose filters leave much out may be short, or empty, and still have a next one.
#[utoipa::path(
    get, path = "/v1/catalog/entities", operation_id = "list_entities", tag = "catalog", params(ListQuery),
    responses(
        (status = 200, description = "A page of entities.", body = EntitiesAnswer),
        (status = 400, description = "The query cannot be read.", body = ProblemBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    QueryParameters(query): QueryParameters<ListQuery>,
) -> Result<impl IntoResponse, Problem> {
    let wanted = query.wanted()?;
    let filters = [
        ("tenant", wanted.tenant.as_ref().map(ToString::to_string)),
        ("kind", wanted.kind.map(|kind| kind.as_str().to_owned())),
        ("owner", wanted.owner.as_ref().map(ToString::to_string)),
        ("system", wanted.system.as_ref().map(ToString::to_string)),
        ("tag", wanted.tag.clone()),
        ("lifecycle", wanted.lifecycle.clone()),
        ("member", wanted.member.as_ref().map(ToString::to_string)),
    ];
    let filters: Vec<_> = filters.iter().map(|(name, value)| (*name, value.as_deref())).collect();
    let request = page::request(query.limit, query.cursor, &caller, &filters)?;
    let page = entities::list(&*state.table, &caller, wanted, &request).await.map_err(Problem::list)?;
    let (link, next_cursor) = page::next(page.next, request.limit, &filters);
    let entities = page.items.into_iter().map(Into::into).collect();
    Ok((link, Json(EntitiesAnswer { entities, next_cursor })))
}

/// Which entity is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct EntityPath {
    /// `component`, `system`, `api`, `resource` or `group`, whatever its case.
    kind: String,
    /// The namespace; what names none is in `default`.
    #[param(value_type = String)]
    namespace: Namespace,
    /// The name, whatever its case.
    #[param(value_type = String)]
    name: EntityName,
}

impl EntityPath {
    fn reference(self) -> Result<EntityRef, Problem> {
        let kind: Result<EntityKind, _> = self.kind.parse();
        let kind = kind.map_err(|_| problems::no_entity())?;
        Ok(EntityRef::new(kind, self.namespace, &self.name))
    }
}

/// Whose entity is meant.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TenantQuery {
    /// The tenant; the caller's only one without it.
    #[param(value_type = Option<String>)]
    tenant: Option<TenantId>,
}

/// Shows one entity, with what it says of others and what others say of it.
#[utoipa::path(
    get, path = "/v1/catalog/entities/{kind}/{namespace}/{name}", operation_id = "show_entity", tag = "catalog",
    params(EntityPath, TenantQuery),
    responses(
        (status = 200, description = "The entity; its `ETag` is wanted for deleting it.", body = EntityAnswer),
        (status = 400, description = "The tenant is not clear.", body = ProblemBody),
        (status = 404, description = "There is no such entity.", body = ProblemBody),
    )
)]
pub(crate) async fn show(
    State(state): State<AppState>,
    Admitted(caller): Admitted,
    PathParameters(path): PathParameters<EntityPath>,
    QueryParameters(query): QueryParameters<TenantQuery>,
) -> Result<impl IntoResponse, Problem> {
    let reference = path.reference()?;
    let shown = entities::show(&*state.table, &caller, query.tenant.as_ref(), &reference).await;
    let shown = shown.map_err(problems::show_entity)?;
    Ok(([etag(&shown.entity.revision)], Json(EntityAnswer::from(shown))))
}

/// Deletes an entity whose `ETag` is sent in `If-Match`. What others say of it stays, and is shown as missing. The service
/// that it described keeps what it had of it, but for the tags. A group with members is deleted by an admin only.
#[utoipa::path(
    delete, path = "/v1/catalog/entities/{kind}/{namespace}/{name}", operation_id = "delete_entity", tag = "catalog",
    params(
        EntityPath, TenantQuery,
        ("If-Match" = String, Header, description = "The `ETag` of the entity."),
    ),
    responses(
        (status = 200, description = "The entity was deleted.", body = ForgottenAnswer),
        (status = 400, description = "The tenant is not clear.", body = ProblemBody),
        (status = 403, description = "Only an admin takes members from a group.", body = ProblemBody),
        (status = 404, description = "There is no such entity.", body = ProblemBody),
        (status = 412, description = "The entity was changed since it was read.", body = ProblemBody),
        (status = 428, description = "Deleting needs `If-Match`.", body = ProblemBody),
    )
)]
pub(crate) async fn delete(
    State(state): State<AppState>,
    audited: Audited,
    PathParameters(path): PathParameters<EntityPath>,
    QueryParameters(query): QueryParameters<TenantQuery>,
    Expected(expected): Expected,
) -> Result<Json<ForgottenAnswer>, Problem> {
    let (table, system, audit) = (&*state.table, &*state.system, audited.context());
    let reference = path.reference()?;
    let forgotten =
        catalog::forget(table, system, &audit, query.tenant.as_ref(), &reference, &expected).await;
    Ok(Json(forgotten.map_err(problems::forget)?.into()))
}
