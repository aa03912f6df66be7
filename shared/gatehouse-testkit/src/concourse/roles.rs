//! Roles, and what a token says about who has them.

use std::collections::BTreeMap;

use data_encoding::BASE64_NOPAD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What a user may do in a team, least first. An owner of the team `main` is an admin everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Viewer,
    /// May trigger, rerun, abort, comment, pause.
    PipelineOperator,
    /// May set pipelines and start one-off builds.
    Member,
    /// May change the team.
    Owner,
}

/// Who has a role.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Members {
    #[serde(default)]
    pub(super) users: Vec<String>,
    #[serde(default)]
    pub(super) groups: Vec<String>,
}

/// The roles of a team, as the API shows them.
pub(super) type Auth = BTreeMap<Role, Members>;

/// What an access token stands for.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) claims: Claims,
    pub(super) client: String,
    pub(super) expires_at: i64,
}

/// What the scopes of a login let through; empty where they did not.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    pub(super) subject: String,
    pub(super) connector: String,
    pub(super) user_id: String,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) groups: Vec<String>,
}

impl Claims {
    /// Claims of `user` at `connector`, cut down to what `scopes` ask for.
    pub(super) fn scoped(connector: &str, user: &str, groups: &[String], scopes: &[&str]) -> Self {
        let has = |scope| scopes.contains(&scope);
        let only = |scope, value: &str| if has(scope) { value.to_owned() } else { String::new() };
        Self {
            subject: subject(user, connector),
            connector: only("federated:id", connector),
            user_id: only("federated:id", user),
            name: only("profile", user),
            email: only("email", user),
            groups: if has("groups") { groups.to_vec() } else { Vec::new() },
        }
    }

    /// A role that names nobody at all is open to everybody.
    pub(super) fn is_among(&self, members: &Members) -> bool {
        if members.users.is_empty() && members.groups.is_empty() {
            return true;
        }
        let is_me = |user: &String| {
            [&self.user_id, &self.name]
                .iter()
                .any(|id| !id.is_empty() && user.eq_ignore_ascii_case(&format!("{}:{id}", self.connector)))
        };
        let is_mine = |group: &String| {
            self.groups.iter().any(|mine| group.eq_ignore_ascii_case(&format!("{}:{mine}", self.connector)))
        };
        members.users.iter().any(is_me) || members.groups.iter().any(is_mine)
    }

    /// The name that builds made with this token carry.
    pub(super) fn display_user_id(&self) -> &str {
        if self.name.is_empty() { &self.user_id } else { &self.name }
    }

    /// The payload of the id token.
    pub(super) fn to_json(&self, issuer: &str, client: &str, expires_at: i64) -> Value {
        let mut claims = json!({"iss": issuer, "sub": self.subject, "aud": client, "exp": expires_at});
        if !self.email.is_empty() {
            claims["email"] = json!(self.email);
        }
        if !self.name.is_empty() {
            claims["name"] = json!(self.name);
            claims["preferred_username"] = json!(self.name);
        }
        if !self.groups.is_empty() {
            claims["groups"] = json!(self.groups);
        }
        if !self.connector.is_empty() {
            claims["federated_claims"] = json!({"connector_id": self.connector, "user_id": self.user_id});
        }
        claims
    }
}

/// Both parts in the protobuf framing that the login server uses, in base64.
fn subject(user: &str, connector: &str) -> String {
    let mut bytes = Vec::new();
    for (tag, part) in [(0x0a, user), (0x12, connector)] {
        bytes.push(tag);
        bytes.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(part.as_bytes());
    }
    BASE64_NOPAD.encode(&bytes)
}
