//! The API description, made from the routes of every function.

mod answers;
mod bodies;
mod bounds;
mod flatten;
mod nulls;
mod operations;
mod parameters;

use anyhow::{Context, ensure};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Gatehouse",
        version = "1",
        description = "One front door for platform teams: list and trigger jobs, watch runs live, keep a \
            catalog of services, provision and deploy them. \
            Errors are `application/problem+json` (RFC 9457); their types are listed in `docs/API.md`. \
            What systems before called otherwise and is understood nevertheless is in `docs/MIGRATING.md`, not here.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "The stage's base URL")),
    security(("bearer" = [])),
    modifiers(&Bearer),
    tags(
        (name = "jobs", description = "What can be run."),
        (name = "runs", description = "What was run."),
        (name = "providers", description = "Where it runs."),
        (name = "identity", description = "Who is calling: sessions, users, API keys."),
        (name = "tokens", description = "With what services call, and the keys that sign it."),
        (name = "projects", description = "Whose things there are."),
        (name = "catalog", description = "What services there are, and what is done to their environments."),
        (name = "callbacks", description = "How workers report."),
        (name = "audit", description = "Who did what."),
        (name = "operations", description = "Gatehouse itself."),
    ),
)]
struct Whole;

/// How callers say who they are.
struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut utoipa::openapi::OpenApi) {
        let scheme =
            HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some("An API key.")).build();
        let components = description.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
    }
}

/// The description as JSON, as it is kept in `infra/openapi.json`.
///
/// # Errors
///
/// When the routes cannot be described: a defect.
pub fn description() -> anyhow::Result<String> {
    let mut whole = Whole::openapi();
    for part in [
        identity::Description::openapi(),
        tokens::Description::openapi(),
        meta::Description::openapi(),
        jobs::Description::openapi(),
        runs::Description::openapi(),
        catalog::Description::openapi(),
        streams::Description::openapi(),
        callbacks::Description::openapi(),
    ] {
        add(&mut whole, part)?;
    }
    answers::describe(&mut whole);
    flatten::flatten(&mut whole);
    bounds::bound(&mut whole);
    nulls::allow(&mut whole);
    parameters::never_null(&mut whole);
    whole.to_pretty_json().context("the routes cannot be described")
}

/// Adds what a function contributes. Of two schemas with one name, merging would keep the first for both.
fn add(whole: &mut utoipa::openapi::OpenApi, part: utoipa::openapi::OpenApi) -> anyhow::Result<()> {
    let described = whole.components.iter().flat_map(|components| &components.schemas);
    for (name, schema) in described {
        let other = part.components.as_ref().and_then(|components| components.schemas.get(name));
        ensure!(
            other.is_none_or(|other| other == schema),
            "two schemas have the name `{name}`: give one another"
        );
    }
    whole.merge(part);
    Ok(())
}
