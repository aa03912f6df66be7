//! What the authorizer says of a caller to the functions, through API Gateway: flat text by name, for API
//! Gateway passes nothing deeper.

use std::{collections::BTreeMap, str::FromStr};

use jiff::Timestamp;

use crate::{
    access::Scope,
    caller::{Caller, Grant},
};

/// What [`read`] understands of `caller`, whose token ends at `token_expires_at`, if it is a service's.
pub fn write(caller: &Caller, token_expires_at: Option<Timestamp>) -> BTreeMap<&'static str, String> {
    let mut context = grant(&caller.grant);
    context.insert("subject", caller.subject.clone());
    context.insert("tenants", caller.tenants().to_string());
    context.entry("token_id").or_insert_with(|| caller.subject.clone());
    if let Some(expires_at) = token_expires_at {
        context.insert("token_ends_at", expires_at.to_string());
    }
    context
}

fn grant(grant: &Grant) -> BTreeMap<&'static str, String> {
    match grant {
        Grant::User { roles, session, authenticated_at, required_action } => {
            let required_action = required_action.map(|it| ("required_action", it.as_str().to_owned()));
            let known = [
                ("kind", "user".to_owned()),
                ("roles", roles.to_string()),
                ("session", session.clone()),
                ("token_id", session.clone()),
                ("authenticated_at", authenticated_at.to_string()),
            ];
            known.into_iter().chain(required_action).collect()
        }
        Grant::ApiKey { scopes, expires_at, minted_by, .. } => {
            let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
            let expires_at = expires_at.map(|end| ("key_expires_at", end.to_string()));
            let known = [("kind", "api_key".to_owned()), ("scopes", scopes.join(" "))];
            let minted_by = minted_by.clone().map(|hand| ("minted_by", hand));
            known.into_iter().chain(expires_at).chain(minted_by).collect()
        }
        Grant::Service { project, tenant, service } => BTreeMap::from([
            ("kind", "service".to_owned()),
            ("project", project.to_string()),
            ("tenant", tenant.to_string()),
            ("service", service.to_string()),
        ]),
        // No credential makes such a caller, and `read` takes none.
        Grant::Operation { .. } => BTreeMap::from([("kind", "operation".to_owned())]),
    }
}

/// The caller whom `text` describes by name. `None` when it describes nobody, or makes no sense: then
/// nobody is calling.
pub fn read<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Option<Caller> {
    let grant = match text("kind")? {
        "user" => {
            // Said by no authorizer before this one, whose answers API Gateway may still remember: then long ago.
            let authenticated_at = text("authenticated_at").map(str::parse).transpose().ok()?;
            Grant::User {
                roles: text("roles")?.parse().ok()?,
                session: text("session")?.to_owned(),
                authenticated_at: authenticated_at.unwrap_or(Timestamp::UNIX_EPOCH),
                required_action: text("required_action").map(str::parse).transpose().ok()?,
            }
        }
        "api_key" => {
            let scopes = text("scopes")?.split_ascii_whitespace().map(Scope::from_str);
            let scopes = scopes.collect::<Result<_, _>>().ok()?;
            let expires_at = text("key_expires_at").map(str::parse).transpose().ok()?;
            let minted_by = text("minted_by").map(str::to_owned);
            Grant::ApiKey { scopes, tenants: text("tenants")?.parse().ok()?, expires_at, minted_by }
        }
        "service" => Grant::Service {
            project: text("project")?.parse().ok()?,
            tenant: text("tenant")?.parse().ok()?,
            service: text("service")?.parse().ok()?,
        },
        _ => return None,
    };
    Some(Caller { subject: text("subject")?.to_owned(), grant })
}

/// When the caller's token ends, if `text` says so.
pub fn read_token_expiry<'a>(text: impl Fn(&str) -> Option<&'a str>) -> Option<Timestamp> {
    text("token_ends_at")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::{RequiredAction, Tenants};

    fn written_and_read(grant: Grant) -> Option<Caller> {
        let context = write(&Caller { subject: "x".into(), grant }, None);
        read(|name| context.get(name).map(String::as_str))
    }

    #[test]
    fn what_is_written_is_read() {
        let roles = "acme=developer,*=viewer".parse().unwrap();
        let tenants: Tenants = "acme,beta".parse().unwrap();
        for grant in [
            Grant::person(roles, "ses_1", "2026-01-01T10:00:00Z".parse().unwrap()),
            Grant::User {
                roles: "".parse().unwrap(),
                session: "ses_1".into(),
                authenticated_at: Timestamp::UNIX_EPOCH,
                required_action: Some(RequiredAction::ChangePassword),
            },
            Grant::ApiKey {
                scopes: [Scope::JobsRead, Scope::RunsWrite].into(),
                tenants: tenants.clone(),
                expires_at: None,
                minted_by: None,
            },
            Grant::ApiKey {
                scopes: [Scope::All].into(),
                tenants,
                expires_at: Some(Timestamp::UNIX_EPOCH),
                minted_by: Some("user:ada".into()),
            },
            Grant::Service {
                project: "payments".parse().unwrap(),
                tenant: "acme".parse().unwrap(),
                service: "worker".parse().unwrap(),
            },
        ] {
            assert_eq!(written_and_read(grant.clone()).map(|caller| caller.grant), Some(grant));
        }
    }

    #[test]
    fn a_person_of_whom_less_is_said_has_proved_nothing_of_late_and_one_of_whom_nonsense_is_said_is_nobody() {
        let said = |more: (&'static str, &'static str)| {
            let context = BTreeMap::from([
                ("kind", "user"),
                ("subject", "ada"),
                ("roles", "acme=viewer"),
                ("session", "s"),
                more,
            ]);
            read(|name| context.get(name).copied())
        };
        let older = said(("tenants", "acme")).unwrap();
        assert_eq!(older.grant, Grant::person("acme=viewer".parse().unwrap(), "s", Timestamp::UNIX_EPOCH));
        assert_eq!(said(("authenticated_at", "yesterday")), None);
        assert_eq!(said(("required_action", "dance")), None);
    }

    #[test]
    fn an_operation_is_not_taken_from_outside() {
        let operation = Grant::Operation {
            tenant: "acme".parse().unwrap(),
            requested_by: "user:ada".into(),
            hand: "user:ada".into(),
        };
        assert_eq!(written_and_read(operation), None);
    }
}
