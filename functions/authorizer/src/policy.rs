//! The IAM policy and the context that API Gateway gets.

use std::collections::BTreeMap;

use gatehouse_domain::{
    access::OPERATIONS,
    caller::{Caller, Grant},
};
use serde::Serialize;

/// The answer to API Gateway.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    principal_id: String,
    policy_document: Policy,
    /// Flat: API Gateway takes text, numbers and booleans only.
    context: BTreeMap<&'static str, String>,
}

/// An IAM policy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Policy {
    version: &'static str,
    statement: [Statement; 1],
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    action: &'static str,
    effect: &'static str,
    resource: Vec<String>,
}

impl Policy {
    /// Allows what the table of operations allows this caller, or denies everything to a caller whom it
    /// allows nothing. `None` when `method_arn` is not one of API Gateway.
    pub(crate) fn for_caller(caller: &Caller, method_arn: &str) -> Option<Self> {
        // arn:aws:execute-api:<region>:<account>:<api>/<stage>/<verb>/<path>
        let mut parts = method_arn.splitn(3, '/');
        let stage = format!("{}/{}", parts.next()?, parts.next()?);
        let allowed: Vec<_> = OPERATIONS
            .iter()
            .filter(|operation| caller.may(operation))
            .map(|operation| format!("{stage}/{}{}", operation.method, wildcards(operation.path)))
            .collect();
        let (effect, resource) =
            if allowed.is_empty() { ("Deny", vec![format!("{stage}/*")]) } else { ("Allow", allowed) };
        let statement = Statement { action: "execute-api:Invoke", effect, resource };
        Some(Self { version: "2012-10-17", statement: [statement] })
    }
}

/// A path of the template with `*` for each parameter.
fn wildcards(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "*" } else { segment });
    segments.collect::<Vec<_>>().join("/")
}

impl Answer {
    pub(crate) fn new(caller: &Caller, policy_document: Policy) -> Self {
        let mut context =
            BTreeMap::from([("subject", caller.subject.clone()), ("tenants", caller.tenants.to_string())]);
        match &caller.grant {
            Grant::User(role) => {
                context.insert("kind", "user".to_owned());
                context.insert("role", role.as_str().to_owned());
            }
            Grant::ApiKey(scopes) => {
                let scopes: Vec<_> = scopes.iter().map(|scope| scope.as_str()).collect();
                context.insert("kind", "api_key".to_owned());
                context.insert("scopes", scopes.join(" "));
                context.insert("token_id", caller.subject.clone());
            }
        }
        Self { principal_id: caller.actor(), policy_document, context }
    }
}
