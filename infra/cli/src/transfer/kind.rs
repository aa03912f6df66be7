//! What there is of a Gatehouse, and what of it goes into a file.

use clap::ValueEnum;
use gatehouse_domain::json::{Json, Object};
use reqwest::Method;

use crate::{client::Client, failure::Failure, output::text_at};

/// What there is of a Gatehouse, in the order in which it is imported: each names only things of those before it, but for
/// the default project of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Kind {
    Tenants,
    Projects,
    Users,
    Providers,
    Modules,
    Jobs,
    Entities,
    Services,
    /// Those that are active, for whoever reads the file: what opens something is never in it.
    ApiKeys,
    /// The same of service tokens.
    Tokens,
}

/// What of one kind an entry has, and where the API lists it.
#[derive(Clone, Copy)]
struct Shape {
    path: &'static [&'static str],
    is_paged: bool,
    /// The member of the file, and of a page of the API.
    member: &'static str,
    /// What one of them is called.
    word: &'static str,
    /// The members that tell entries apart, and that every one has.
    identity: &'static [&'static str],
    /// The members beside these that somebody has decided about. All others follow from something else, say who did it
    /// and when, or are an id that another Gatehouse gives anew.
    decided: &'static [&'static str],
}

impl Kind {
    pub(super) const ALL: [Self; 10] = [
        Self::Tenants,
        Self::Projects,
        Self::Users,
        Self::Providers,
        Self::Modules,
        Self::Jobs,
        Self::Entities,
        Self::Services,
        Self::ApiKeys,
        Self::Tokens,
    ];

    /// Those that are named, or all where none is; in the order in which they are imported.
    pub(super) fn chosen(only: &[Self]) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |kind| only.is_empty() || only.contains(kind))
    }

    pub(super) fn member(self) -> &'static str {
        self.shape().member
    }

    pub(super) fn path(self) -> &'static [&'static str] {
        self.shape().path
    }

    /// The members that tell entries apart.
    pub(super) fn identity(self) -> &'static [&'static str] {
        self.shape().identity
    }

    pub(super) fn word(self) -> &'static str {
        self.shape().word
    }

    /// What an entry is called. Empty where a member is missing that every one has.
    pub(super) fn name_of(self, entry: &Json) -> String {
        let parts = self.shape().identity.iter().map(|member| text_at(&entry[*member], ""));
        let parts: Vec<_> = parts.collect();
        if parts.contains(&"") { String::new() } else { parts.join(" ") }
    }

    /// An entry as the file has it.
    pub(super) fn kept(self, entry: &Json) -> Json {
        let Shape { identity, decided, .. } = *self.shape();
        let members = identity.iter().chain(decided).filter(|member| !entry[**member].is_null());
        Json::Object(members.map(|member| ((*member).to_owned(), entry[*member].clone())).collect())
    }

    /// All that the caller sees, as the API shows it.
    pub(super) async fn read(self, client: &Client) -> Result<Vec<Json>, Failure> {
        let Shape { path, is_paged, member, .. } = *self.shape();
        let mut entries = if is_paged {
            client.all(path, &[], member).await?
        } else {
            let answer = client.get(path).await?;
            answer.body[member].as_array().unwrap_or_default().to_vec()
        };
        entries.retain(|entry| match self {
            // It is the machine of a local stack, which registers it by itself, and which no other one has.
            Self::Providers => text_at(entry, "/kind") != "process",
            Self::ApiKeys | Self::Tokens => text_at(entry, "/state") == "active",
            _ => true,
        });
        if self == Self::Entities { with_definitions(client, entries).await } else { Ok(entries) }
    }

    fn shape(self) -> &'static Shape {
        &SHAPES[self as usize]
    }
}

/// In the order of the kinds.
static SHAPES: [Shape; Kind::ALL.len()] = [
    Shape {
        path: &["v1", "tenants"],
        is_paged: false,
        member: "tenants",
        word: "tenant",
        identity: &["tenant"],
        decided: &["display_name", "require_second_factor", "default_project"],
    },
    Shape {
        path: &["v1", "projects"],
        is_paged: true,
        member: "projects",
        word: "project",
        identity: &["project"],
        decided: &["tenant", "description", "accepted_services"],
    },
    Shape {
        path: &["v1", "users"],
        is_paged: true,
        member: "users",
        word: "user",
        identity: &["user_name"],
        decided: &["display_name", "roles", "state"],
    },
    Shape {
        path: &["v1", "providers"],
        is_paged: false,
        member: "providers",
        word: "provider",
        identity: &["name"],
        decided: &["kind", "url", "auth", "ca_certificate", "scopes", "open_to_all"],
    },
    Shape {
        path: &["v1", "modules"],
        is_paged: false,
        member: "modules",
        word: "module",
        identity: &["name"],
        decided: &["inputs", "outputs"],
    },
    Shape {
        path: &["v1", "jobs"],
        is_paged: true,
        member: "jobs",
        word: "job",
        identity: &["job_id"],
        decided: &[
            "tenant",
            "project",
            "display_name",
            "description",
            "environment",
            "provider",
            "parameters",
            "undeclared",
        ],
    },
    Shape {
        path: &["v1", "catalog", "entities"],
        is_paged: true,
        member: "entities",
        word: "entity",
        identity: &["tenant", "ref"],
        decided: &["apiVersion", "kind", "metadata", "spec"],
    },
    Shape {
        path: &["services"],
        is_paged: true,
        member: "services",
        word: "service",
        identity: &["tenant", "name"],
        decided: &[
            "project",
            "owner",
            "description",
            "repository",
            "lifecycle",
            "links",
            "environments",
            "build_job",
            "deploy",
        ],
    },
    Shape {
        path: &["v1", "api-keys"],
        is_paged: true,
        member: "api_keys",
        word: "API key",
        identity: &["name"],
        decided: &["scopes", "tenants", "minted_by", "expires_at"],
    },
    Shape {
        path: &["v1", "tokens"],
        is_paged: true,
        member: "tokens",
        word: "token",
        identity: &["project", "service"],
        decided: &["tenant", "description"],
    },
];

/// Entities with the definitions of APIs, which lists leave out.
async fn with_definitions(client: &Client, listed: Vec<Json>) -> Result<Vec<Json>, Failure> {
    let mut entities = Vec::with_capacity(listed.len());
    for entity in listed {
        let reference = text_at(&entity, "/ref");
        let Some((namespace, name)) = reference.strip_prefix("api:").and_then(|rest| rest.split_once('/'))
        else {
            entities.push(entity);
            continue;
        };
        let call = client.call(Method::GET, &["v1", "catalog", "entities", "api", namespace, name])?;
        let tenant = Some(text_at(&entity, "/tenant").to_owned());
        match call.query(&[("tenant", tenant)]).answer().await {
            // It was deleted since it was listed.
            Err(Failure::Problem(problem)) if problem.status == 404 => {}
            shown => entities.push(shown?.body["entity"].clone()),
        }
    }
    Ok(entities)
}

/// The members of an object; none of anything else.
pub(super) fn members(entry: &Json) -> Object {
    entry.as_object().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;

    /// The schema of each kind, with what is left out of the file.
    const LEFT_OUT: [(Kind, &str, &[&str]); 10] = [
        (Kind::Tenants, "TenantView", &["created_at", "created_by"]),
        (Kind::Projects, "ProjectView", &["created_at"]),
        (
            Kind::Users,
            "UserView",
            &["must_change_password", "second_factor", "created_at", "updated_at", "updated_by"],
        ),
        (Kind::Providers, "ProviderView", &["capabilities", "updated_at", "updated_by"]),
        (Kind::Modules, "ModuleView", &["published_at", "published_by"]),
        (Kind::Jobs, "JobView", &["created_at", "updated_at", "updated_by"]),
        (Kind::Entities, "Entity", &["created_at", "created_by", "updated_at", "updated_by"]),
        (
            Kind::Services,
            "ServiceView",
            &["id", "described_by", "tags", "created_at", "created_by", "updated_at", "updated_by"],
        ),
        (
            Kind::ApiKeys,
            "ApiKeyView",
            &[
                "key_id",
                "state",
                "created_at",
                "created_by",
                "last_used_at",
                "revoked_at",
                "revoked_by",
                "revoked_reason",
            ],
        ),
        (
            Kind::Tokens,
            "TokenView",
            &[
                "jti",
                "state",
                "created_at",
                "created_by",
                "ends_at",
                "expires_at",
                "last_used_at",
                "replaced_by",
                "replaces",
                "revoked_at",
                "revoked_by",
                "revoked_reason",
            ],
        ),
    ];

    #[test]
    fn of_every_member_that_the_api_shows_it_is_said_whether_it_is_kept() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.json");
        let api: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(LEFT_OUT.map(|(kind, ..)| kind), Kind::ALL);
        for (kind, schema, left_out) in LEFT_OUT {
            let shown = api["components"]["schemas"][schema]["properties"].as_object().unwrap();
            let shown: BTreeSet<&str> = shown.keys().map(String::as_str).collect();
            let Shape { identity, decided, .. } = *kind.shape();
            let said: BTreeSet<&str> = identity.iter().chain(decided).chain(left_out).copied().collect();
            assert_eq!(said, shown, "{schema}");
        }
    }

    #[test]
    fn an_entry_without_its_name_has_none() {
        let named = Json::from(json!({ "tenant": "acme", "name": "shop" }));
        assert_eq!(Kind::Services.name_of(&named), "acme shop");
        for nameless in [json!({ "tenant": "acme" }), json!({ "tenant": "acme", "name": 7 }), json!([])] {
            assert_eq!(Kind::Services.name_of(&Json::from(nameless)), "");
        }
    }
}
